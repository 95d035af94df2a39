"""bridge.sniff: the content decides, the name chooses among what the content may be."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.sniff import BINARY, NAME, Kind, sniff

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
ZIP = b"PK\x03\x04\x14\x00\x06\x00[Content_Types].xml"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
BMP = b"BM\x46\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@pytest.mark.parametrize(
    ("head", "mime", "extension", "image"),
    [
        (JPEG, "image/jpeg", ".jpg", True),
        (PNG, "image/png", ".png", True),
        (b"GIF89a\x01\x00", "image/gif", ".gif", True),
        (b"RIFF\x24\x00\x00\x00WEBPVP8 ", "image/webp", ".webp", True),
        (BMP, "image/bmp", ".bmp", True),
        (b"\x00\x00\x00\x18ftypheic\x00\x00", "image/heic", ".heic", False),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "application/pdf", ".pdf", False),
        (ZIP, "application/zip", ".zip", False),
        (b"OggS\x00\x02", "audio/ogg", ".ogg", False),
        (b"ID3\x03\x00\x00\x00", "audio/mpeg", ".mp3", False),
        (b"\xff\xfb\x90\x64\x00", "audio/mpeg", ".mp3", False),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "audio/wav", ".wav", False),
        (b"#!AMR\n\x3c", "audio/amr", ".amr", False),
        (b"\x00\x00\x00\x20ftypisom\x00", "video/mp4", ".mp4", False),
        (b"\x00\x00\x00\x14ftypqt  \x00", "video/quicktime", ".mov", False),
        (b"\x00\x00\x00\x20ftypM4A \x00", "audio/mp4", ".m4a", False),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", "video/webm", ".webm", False),
        ("第一季度的报告".encode(), "text/plain", ".txt", False),
        (b"\xef\xbb\xbf  \n<!DOCTYPE html><p>", "text/html", ".html", False),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", ".svg", False),
        (b"<?xml version='1.0'?>\n<!-- x -->\n<svg:svg><svg />", "image/svg+xml", ".svg", False),
        (b"\x00\x01\x02\x03", BINARY, ".bin", False),
        (b"", "text/plain", ".txt", False),
    ],
)
def test_the_content_tells(head: bytes, mime: str, extension: str, image: bool) -> None:
    kind = sniff(head, claimed="image/png")  # a lie nearly everywhere
    assert (kind.mime, kind.extension, kind.image) == (mime, extension, image)
    assert kind.name == ("image" if image else "file") + extension


@pytest.mark.parametrize(
    ("head", "name", "claimed", "mime", "proper"),
    [
        (ZIP, "合同.docx", "", DOCX, "合同.docx"),
        (ZIP, "table.XLSX", "application/zip", XLSX, "table.xlsx"),
        (ZIP, "", XLSX, XLSX, "file.xlsx"),
        (OLE, "old.doc", "", "application/msword", "old.doc"),
        (OLE, "thumbs.db", "", BINARY, "thumbs.db"),
        (b"\x00\x00\x00\x20ftypisom", "voice.m4a", "", "audio/mp4", "voice.m4a"),
        (b"a,b\n1,2\n", "data.csv", "application/vnd.ms-excel", "text/csv", "data.csv"),
        (b"# Title\n", "README.md", "", "text/markdown", "README.md"),
        (b"print(1)\n", "main.py", "text/x-python", "text/plain", "main.py"),
        ("姓名,年龄".encode("gb18030"), "名单.csv", "", "text/csv", "名单.csv"),
        ("姓名,年龄".encode("gb18030"), "名单", "", BINARY, "名单.bin"),
        ("a,b".encode("utf-16"), "list.csv", "", "text/csv", "list.csv"),
        (b"\x02#!SILK_V3\x00", "voice.silk", "", BINARY, "voice.silk"),
        (JPEG, "photo.JPEG", "", "image/jpeg", "photo.jpg"),
        (b"OggS\x00\x02", "voice.oga", "audio/ogg", "audio/ogg", "voice.ogg"),
        # a name that promises something else
        (JPEG, "invoice.pdf", "application/pdf", "image/jpeg", "invoice.jpg"),
        (b"MZ\x90\x00\x03", "photo.jpg", "image/jpeg", BINARY, "photo.bin"),
        (b"just words", "scan.pdf", "application/pdf", "text/plain", "scan.txt"),
        (b"%PDF-1.4", "Report v1.2", "", "application/pdf", "Report v1.2.pdf"),
        (b"<html><script>", "cat.png", "image/png", "text/html", "cat.html"),
        (b"just words", "x.svg", "image/svg+xml", "text/plain", "x.txt"),
        # names that are more than a name
        (PNG, "../../etc/cron.d/x.png", "", "image/png", "x.png"),
        (PNG, r"C:\Users\me\a b.png", "", "image/png", "a b.png"),
        (PNG, "a\u202egnp.\r\nexe.png", "", "image/png", "agnp.exe.png"),
        (PNG, "..", "", "image/png", "image.png"),
        (PNG, 'a"b*c?.png', "", "image/png", "a_b_c_.png"),
    ],
)
def test_the_name_goes_with_the_content(head: bytes, name: str, claimed: str, mime: str, proper: str) -> None:
    kind = sniff(head, name, claimed)
    assert (kind.mime, kind.name) == (mime, proper)


def test_a_letter_cut_by_the_end_of_the_head_is_still_text() -> None:
    text = ("a" + "好" * 2000).encode()
    assert {sniff(text[:size]).mime for size in range(3000, 3010)} == {"text/plain"}


def test_a_bitmap_needs_more_than_its_letters() -> None:
    assert sniff(b"BMW is a car").mime == "text/plain"


HEADS = st.sampled_from([JPEG, PNG, BMP, ZIP, OLE, b"%PDF-1", b"OggS", b"<html>", b"<svg/>", b"text", b"\0"])


@given(head=st.binary(max_size=64) | HEADS, name=st.text(max_size=200), claimed=st.text(max_size=20))
@example(head=PNG, name="x" * 300 + ".png", claimed="")
@example(head=b"", name="\ud800.x", claimed="")
def test_every_name_is_proper(head: bytes, name: str, claimed: str) -> None:
    kind = sniff(head, name, claimed)
    assert 0 < len(kind.name) <= NAME
    assert kind.name.endswith(kind.extension) and kind.name != kind.extension
    assert not set(kind.name) & set('/\\<>:"|?*')
    assert all(unicodedata.category(c)[0] != "C" for c in kind.name)
    assert sniff(head, kind.name, claimed) == kind, "a proper name stays"


@given(head=st.binary(max_size=64) | HEADS, name=st.text(max_size=30), claimed=st.sampled_from(["image/png", ""]))
def test_an_image_is_one_by_its_content_alone(head: bytes, name: str, claimed: str) -> None:
    plain: Kind = sniff(head)
    assert sniff(head, name + ".png", claimed).image == plain.image
