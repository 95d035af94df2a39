"""WeCom's files: what people send, encrypted each with its own key, and what the bot uploads in pieces.

Rules of this file:
- no network; times are handed in;
- an address lives five minutes; a piece may come twice and in any order, an upload is whole or refused.

Source: developer.work.weixin.qq.com/document/path/101463; ``upload_media`` of PyPI wecom-aibot-sdk 1.0.8, which
counts pieces from 0.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from typing import NamedTuple

import msgspec
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.fakes.wechat.wecom_rules import MALFORMED, MEDIA, Json, Refused, need

ADDRESS_LIVES = 300.0
PIECE_MOST = 512 << 10
PIECES_MOST = 100
BLOCK = 32
"""Bytes to which a file is filled up: twice the block of AES."""


class Held(NamedTuple):
    """A file that somebody sent: encrypted, named, and when its address was given out."""

    data: bytes
    name: str
    at: float


class Media(NamedTuple):
    """A file that the bot uploaded."""

    kind: str
    name: str
    data: bytes


class Upload(msgspec.Struct):
    """An upload that goes on: what was announced, and the pieces by their index."""

    kind: str
    name: str
    size: int
    total: int
    md5: str
    pieces: dict[int, bytes] = {}


class Files:
    """Both directions."""

    def __init__(self) -> None:
        self.held: dict[str, Held] = {}
        self.uploads: dict[str, Upload] = {}
        self.media: dict[str, Media] = {}

    def hold(self, data: bytes, name: str, now: float) -> tuple[str, str]:
        """Keep a person's file; returns the end of its address and its key (base64 of 32 bytes)."""
        key, place = os.urandom(32), f"{len(self.held) + 1}"
        padder = padding.PKCS7(BLOCK * 8).padder()
        encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
        padded = padder.update(data) + padder.finalize()
        self.held[place] = Held(encryptor.update(padded) + encryptor.finalize(), name, now)
        return place, base64.b64encode(key).decode()

    def served(self, place: str, now: float) -> Held | None:
        """What is at this address; None when nothing is, or not any more."""
        held = self.held.get(place)
        return held if held is not None and now - held.at < ADDRESS_LIVES else None

    def begin(self, body: Json) -> Json:
        """aibot_upload_media_init."""
        kind, name, size, total = (body.get(field) for field in ("type", "filename", "total_size", "total_chunks"))
        need(kind in MEDIA, "no such type of media")
        need(isinstance(name, str) and 0 < len(name.encode()) <= 256, "filename: 1 to 256 bytes")
        need(isinstance(size, int) and size >= 5, "total_size: at least 5 bytes")
        need(isinstance(total, int) and 0 < total <= PIECES_MOST, "total_chunks: 1 to 100")
        upload_id = f"upload-{len(self.uploads) + 1}"
        self.uploads[upload_id] = msgspec.convert(
            {"kind": kind, "name": name, "size": size, "total": total, "md5": body.get("md5", "")}, Upload
        )
        return {"upload_id": upload_id}

    def add(self, body: Json) -> Json:
        """aibot_upload_media_chunk."""
        upload, index = self._upload(body), body.get("chunk_index")
        need(isinstance(index, int) and 0 <= index < upload.total, "chunk_index: from 0 to total_chunks - 1")
        try:
            piece = base64.b64decode(body.get("base64_data", ""), validate=True)
        except (binascii.Error, ValueError):
            raise Refused(MALFORMED, "base64_data is not base64") from None
        need(0 < len(piece) <= PIECE_MOST, "a piece: 1 byte to 512 KB")
        upload.pieces[body["chunk_index"]] = piece
        return {}

    def finish(self, body: Json, created_at: int) -> Json:
        """aibot_upload_media_finish."""
        upload = self._upload(body)
        need(len(upload.pieces) == upload.total, "pieces are missing")
        data = b"".join(upload.pieces[index] for index in range(upload.total))
        need(len(data) == upload.size, "total_size is another")
        need(hashlib.md5(data).hexdigest() == upload.md5, "the md5 is another")
        media_id = f"media-{len(self.media) + 1}"
        self.media[media_id] = Media(upload.kind, upload.name, data)
        return {"type": upload.kind, "media_id": media_id, "created_at": created_at}

    def _upload(self, body: Json) -> Upload:
        upload = self.uploads.get(body.get("upload_id", ""))
        need(upload is not None, "no such upload_id")
        assert upload is not None
        return upload
