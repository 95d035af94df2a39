"""What a file is, by its first bytes; and a file name that goes with it.

Rules of this file:
- pure: bytes and words in, a Kind out;
- the content decides. The name and the claimed type only choose within the family that the content belongs to (a ZIP
  may be a .docx, an MP4 may be .m4a, text may be .csv);
- the ending is always the usual one of its type (.ogg, not Telegram's .oga): FastGPT goes by a short list of them;
- HTML and SVG are never images: they can hold scripts;
- what is not known is ``application/octet-stream``.

The table is our own: filetype 1.2 knows neither text nor SVG nor HTML, puremagic 2.2 takes SVG for XML, knows no text,
and calls a ZIP by the first of eight names; each costs 20 ms and 2.5 MB to import, and this module would still be
needed behind it.
"""

from __future__ import annotations

import re
import unicodedata

import msgspec

HEAD = 4096
"""Bytes that are enough to tell."""
NAME = 120
"""Characters of a file name, its ending included."""
BINARY = "application/octet-stream"

_ENDINGS: dict[str, tuple[str, ...]] = {
    # type: its endings, the usual one first
    "image/jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "image/png": (".png",),
    "image/gif": (".gif",),
    "image/webp": (".webp",),
    "image/bmp": (".bmp", ".dib"),
    "image/heic": (".heic", ".heif"),
    "image/avif": (".avif",),
    "image/svg+xml": (".svg",),
    "application/pdf": (".pdf",),
    "application/zip": (".zip",),
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": (".docx",),
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": (".xlsx",),
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": (".pptx",),
    "application/vnd.oasis.opendocument.text": (".odt",),
    "application/vnd.oasis.opendocument.spreadsheet": (".ods",),
    "application/vnd.oasis.opendocument.presentation": (".odp",),
    "application/epub+zip": (".epub",),
    "application/msword": (".doc",),
    "application/vnd.ms-excel": (".xls",),
    "application/vnd.ms-powerpoint": (".ppt",),
    "application/vnd.ms-outlook": (".msg",),
    "audio/ogg": (".ogg", ".oga", ".opus"),
    "audio/mpeg": (".mp3", ".mpga"),
    "audio/wav": (".wav",),
    "audio/flac": (".flac",),
    "audio/amr": (".amr",),
    "audio/mp4": (".m4a", ".m4b"),
    "audio/webm": (".weba",),
    "video/ogg": (".ogv",),
    "video/mp4": (".mp4", ".m4v"),
    "video/quicktime": (".mov", ".qt"),
    "video/3gpp": (".3gp",),
    "video/webm": (".webm",),
    "video/x-matroska": (".mkv",),
    "video/x-msvideo": (".avi",),
    "text/html": (".html", ".htm"),
    "text/plain": (".txt",),
    "text/markdown": (".md", ".markdown"),
    "text/csv": (".csv",),
    "text/tab-separated-values": (".tsv",),
    "application/json": (".json",),
    "application/xml": (".xml",),
    BINARY: (".bin",),
}
_BY_ENDING = {ending: mime for mime, endings in _ENDINGS.items() for ending in endings}
_OPEN = ("text/plain", BINARY)
"""Types that any ending may stand for, as long as it is not another type's."""

_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp", "image/bmp"})
"""What models read as pictures."""

_ZIP = (
    "application/zip",
    *(mime for mime in _ENDINGS if "opendocument" in mime or "openxml" in mime),
    "application/epub+zip",
)
_OLE = (BINARY, *(_BY_ENDING[ending] for ending in (".doc", ".xls", ".ppt", ".msg")))
_TEXT = (
    "text/plain",
    "text/markdown",
    "text/csv",
    "text/tab-separated-values",
    "application/json",
    "application/xml",
    "text/html",
)
_OGG = ("audio/ogg", "video/ogg")
_MP4 = ("video/mp4", "audio/mp4")

_SIGNATURES: tuple[tuple[re.Pattern[bytes], tuple[str, ...]], ...] = tuple(
    (re.compile(pattern, re.DOTALL), family)
    for pattern, family in (
        (rb"\xff\xd8\xff", ("image/jpeg",)),
        (rb"\x89PNG\r\n\x1a\n", ("image/png",)),
        (rb"GIF8[79]a", ("image/gif",)),
        (rb"RIFF....WEBP", ("image/webp",)),
        (rb"RIFF....WAVE", ("audio/wav",)),
        (rb"RIFF....AVI ", ("video/x-msvideo",)),
        # two letters prove nothing: the four reserved bytes and the size of the header behind them do
        (rb"BM....\0{4}....[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", ("image/bmp",)),
        (rb"(?:\xef\xbb\xbf)?\s{0,8}%PDF-", ("application/pdf",)),
        (rb"PK(?:\x03\x04|\x05\x06)", _ZIP),
        (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _OLE),
        (rb"OggS", _OGG),
        (rb"fLaC", ("audio/flac",)),
        (rb"#!AMR", ("audio/amr",)),
        (rb"ID3[\x02-\x04]|\xff[\xfb\xfa\xf3\xf2\xe3\xe2][\x10-\xeb]", ("audio/mpeg",)),  # or a frame of layer III
        (rb".{4}ftypqt  ", ("video/quicktime",)),
        (rb".{4}ftypM4[AB] ", ("audio/mp4",)),
        (rb".{4}ftyp3g", ("video/3gpp",)),
        (rb".{4}ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)", ("image/heic",)),
        (rb".{4}ftypavi[fs]", ("image/avif",)),
        (rb".{4}ftyp", _MP4),
        (rb"\x1a\x45\xdf\xa3.{0,60}webm", ("video/webm", "audio/webm")),
        (rb"\x1a\x45\xdf\xa3", ("video/x-matroska",)),
    )
)

_NO_TEXT = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_HTML = re.compile(rb"<(?:!doctype html|html|head|body|script|iframe|meta|title|style)\b", re.IGNORECASE)
_SVG = re.compile(rb"<svg[\s>:]", re.IGNORECASE)
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,10}\Z")
_RESERVED = re.compile(r'[<>:"|?*]')


class Kind(msgspec.Struct, frozen=True):
    """What a file is. ``extension`` has its dot; ``image`` = a model can look at it."""

    mime: str
    extension: str
    image: bool
    name: str
    """A proper file name: no path, no control characters, at most NAME characters, and it ends in ``extension``."""


def sniff(head: bytes, name: str = "", claimed: str = "") -> Kind:
    """What a file is. ``head`` = its first HEAD bytes, or the whole of a shorter one; ``claimed`` = a media type."""
    stem, ending = _split(clean(name))
    family = _family(head, ending)
    mime = _choose(family, ending, claimed.partition(";")[0].strip().lower())
    if not (ending and mime in _OPEN and ending not in _BY_ENDING):
        if ending and ending not in _BY_ENDING:  # "Report v1.2" has no ending
            stem += ending
        ending = _ENDINGS[mime][0]
    stem = stem.strip(" .") or ("image" if mime in _IMAGES else "file")
    return Kind(mime, ending, mime in _IMAGES, stem[: NAME - len(ending)] + ending)


def _family(head: bytes, ending: str) -> tuple[str, ...]:
    for pattern, family in _SIGNATURES:
        if pattern.match(head):
            return family
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):  # UTF-16, as some spreadsheets export their text
        return _TEXT
    if _NO_TEXT.search(head) or not (_is_utf8(head) or _BY_ENDING.get(ending) in _TEXT):
        return (BINARY,)  # text in an older encoding (GBK) passes for text by its name alone
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"<"):
        if _HTML.match(start):
            return ("text/html",)
        if _SVG.search(start[:1024]):
            return ("image/svg+xml",)
    return _TEXT


def _choose(family: tuple[str, ...], ending: str, claimed: str) -> str:
    named = _BY_ENDING.get(ending, "")
    return next((mime for mime in (named, claimed) if mime in family), family[0])


def _is_utf8(head: bytes) -> bool:
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 3 and error.reason == "unexpected end of data"
    return True


def clean(name: str) -> str:
    """The last part of a path, without control and direction characters, and without what some systems reserve."""
    name = re.split(r"[/\\]", name)[-1]
    name = "".join(c for c in unicodedata.normalize("NFC", name) if unicodedata.category(c)[0] != "C")
    return " ".join(_RESERVED.sub("_", name).split()).strip(" .")


def _split(name: str) -> tuple[str, str]:
    """(stem, ending in lower case with its dot, or nothing)."""
    found = _ENDING.search(name)
    return (name[: found.start()], found[0].lower()) if found else (name, "")
