"""The files that an answer shows or links to: what a platform can send as such.

Rules of this file: pure. Pictures are what the answer shows as pictures; other links count as files by the ending of
their address, for an answer may link to half the web. The text keeps every address: a file that cannot be sent is still
a tap away.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import parse_qs, unquote, urljoin, urlsplit

from bridge.markdown import events
from bridge.model import File

MOST = 10
"""Files sent for one answer."""
_ENDING = re.compile(
    r"\.(pdf|docx?|xlsx?|pptx?|od[tsp]|rtf|csv|tsv|txt|md|epub|zip|7z|rar|gz|tar|json|xml"
    r"|mp3|m4a|ogg|wav|flac|mp4|mov|webm|avi|mkv|png|jpe?g|gif|webp|bmp)$",
    re.IGNORECASE,
)


def files_in(text: str, base: str) -> tuple[File, ...]:
    """The files of a Markdown text, each once, in order. ``base`` is the app's address: FastGPT writes its own pictures
    as ``/api/…``."""
    if "](" not in text and "]:" not in text:
        return ()
    found: dict[str, File] = {}
    within: list[tuple[str, bool, list[str]]] = []  # links may hold pictures
    for kind, argument in events(text):
        if kind in ("image", "link"):
            within.append((argument, kind == "image", []))
        elif kind in ("text", "code"):
            for _, _, label in within:
                label.append(argument)
        elif kind in ("/image", "/link"):
            address, image, label = within.pop()
            if file := _file(base, address, image, "".join(label)):
                found.setdefault(file.url, file)
    return tuple(found.values())[:MOST]


def _file(base: str, address: str, image: bool, label: str) -> File | None:
    try:
        url = urljoin(base, address)
        name = _name(url)
        if urlsplit(url).scheme in ("http", "https") and (image or name or _ENDING.search(label)):
            return File(url, name or label, image)
    except ValueError:  # a model has written it: it may be no address at all
        pass
    return None


def _name(url: str) -> str:
    """The file's name, where the address has one with an ending."""
    parts = urlsplit(url)
    named = parse_qs(parts.query).get("filename", [""])[0]
    for name in (named, unquote(PurePosixPath(parts.path).name)):
        if _ENDING.search(name):
            return name
    return ""
