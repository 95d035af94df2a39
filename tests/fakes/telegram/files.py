"""The files of the server: what a call uploads, what a message carries, and what getFile gives back.

Rules of this file:
- pure but for ``Files``, the memory of one bot; no limits here, they are the methods' business;
- equal bytes have one ``file_unique_id``, and a ``file_id`` for each time they were sent;
- bytes never show in a repr: a failed test prints their number.
"""

from __future__ import annotations

import base64
import mimetypes
import struct
import zlib
from pathlib import PurePosixPath
from typing import Literal

import msgspec

from tests.fakes.telegram.rules import Json

FileKind = Literal["photo", "document", "video", "audio", "voice", "animation", "video_note", "sticker"]
"""The fields of a Message that hold a file."""

PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg==")
"""A PNG of one pixel."""
IMAGES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")
"""How JPEG, PNG and GIF begin; for WebP see ``is_image``."""
PLACES: dict[str, tuple[str, str]] = {
    "photo": ("photos", ".jpg"),
    "document": ("documents", ".bin"),
    "video": ("videos", ".mp4"),
    "audio": ("music", ".mp3"),
    "voice": ("voice", ".oga"),
    "animation": ("animations", ".mp4"),
    "video_note": ("video_notes", ".mp4"),
    "sticker": ("stickers", ".webp"),
}
"""Kind -> folder and usual ending of a ``file_path``."""


class Upload(msgspec.Struct, frozen=True):
    """A file in the body of a call, or behind an address that the test's side registered."""

    data: bytes
    name: str = ""
    mime: str = ""

    def __repr__(self) -> str:
        return f"Upload({len(self.data)} bytes, name={self.name!r}, mime={self.mime!r})"


class File(msgspec.Struct, frozen=True):
    """A file on the server. ``kind`` is empty for one that the test put there for any use."""

    kind: FileKind | Literal[""]
    data: bytes
    name: str
    mime: str
    path: str

    def __repr__(self) -> str:
        return f"File({self.kind or 'any'}, {len(self.data)} bytes, path={self.path!r})"


class Files(dict[str, File]):
    """The files of one bot by file_id."""

    def keep(self, kind: FileKind | Literal[""], data: bytes, name: str = "", mime: str = "", path: str = "") -> Json:
        """Store a file; the fields that every kind of file has in a Message (name and mime type only when known)."""
        file_id = f"file{len(self) + 1}"
        folder, ending = PLACES[kind or "document"]
        path = path or f"{folder}/{file_id}{PurePosixPath(name).suffix or ending}"
        self[file_id] = File(kind, data, name, mime or mime_of(name), path)
        return self.about(file_id)

    def about(self, file_id: str) -> Json:
        file = self[file_id]
        about: Json = {
            "file_id": file_id,
            "file_unique_id": f"u{zlib.crc32(file.data):08x}",
            "file_size": len(file.data),
        }
        if file.name:
            about["file_name"] = file.name
        if file.mime:
            about["mime_type"] = file.mime
        return about


def mime_of(name: str) -> str:
    return mimetypes.guess_type(name)[0] or ""


def is_image(data: bytes) -> bool:
    """Is this a picture that the platform can show as a photo?"""
    return data.startswith(IMAGES) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def png_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a PNG; None for anything else."""
    if data[:8] != IMAGES[1] or len(data) < 24:
        return None
    width, height = struct.unpack(">II", data[16:24])
    return width, height
