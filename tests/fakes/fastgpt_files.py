"""Files of a chat in the scripted server: presigned addresses, and the object store that they lead to.

    gpt.chat_config = {"fileSelectConfig": {"canSelectFile": True, "canSelectImg": True, "maxFiles": 10}}
    ...                                        # the client asks for an address and uploads
    assert gpt.store.objects[key].data == b"..."

Rules of this file:
- FastGPT signs and the store checks; all they share is the ticket behind the signature in the address;
- the app's fileSelectConfig decides what may be uploaded, so by default nothing may;
- the store is stricter than S3 in one point: an address for an upload works once;
- FastGPT refuses with its envelope, the store with S3's XML.

Sources: labring/FastGPT, presignChatFilePostUrl.ts@054c3f18 (order of the checks), s3/buckets/base.ts@00adb7e7 (PUT,
x-amz-meta headers), error/code/s3.ts@1e8bb154 (names and numbers of the refusals), presignChatFileGetUrl.ts@013a0dfd.
"""

from __future__ import annotations

import mimetypes
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from tests.fakes.fastgpt_http import STORE, Connection, Request
from tests.fakes.fastgpt_turn import Refused, fail

if TYPE_CHECKING:
    from tests.fakes.fastgpt import FakeFastGPT

Presign = Literal["put", "post", "form"]
"""How the bytes are uploaded: PUT, POST of the raw bytes, or (the first servers with this call) a form with fields."""

EXTENSIONS = {
    "canSelectFile": [".pdf", ".docx", ".pptx", ".xls", ".xlsx", ".txt", ".md", ".html", ".csv"],
    "canSelectImg": [".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".svg"],
    "canSelectVideo": [".mp4", ".mov", ".avi", ".mpeg", ".webm"],
    "canSelectAudio": [".mp3", ".wav", ".ogg", ".m4a", ".amr", ".mpga"],
}
"""packages/global/core/app/constants.ts"""
BUCKET = STORE + "fastgpt-private"
SIGNATURE = "X-Amz-Signature"


@dataclass
class Stored:
    """An uploaded object."""

    filename: str
    content_type: str
    data: bytes


@dataclass
class Visit:
    """A request that the object store got, and its answer."""

    method: str
    key: str
    """Empty when the address was not one of the store's."""
    headers: dict[str, str]
    """Names in lower case."""
    size: int
    status: int


@dataclass
class _Ticket:
    """What a signature stands for."""

    key: str
    how: Presign | Literal["get"]
    ends: float
    filename: str = ""
    content_type: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)
    max_size: int | None = None


class StoreRefused(Exception):
    """An error of the object store: HTTP status, S3's code, a text."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.payload = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
        ).encode()


class ObjectStore:
    """The store, and what a test may know and do. ``address`` gives the server's own URL."""

    def __init__(self, address: Callable[[], str]) -> None:
        self.max_size: int | None = 20 * 1024 * 1024
        """Bytes of one upload, as the addresses tell it; None = they do not."""
        self.lifetime = 600.0
        """Seconds that the addresses made from now on are good for; 0 = they have expired already."""
        self.busy = 0
        """So many calls for an address to come meet the frequency limit (code 429)."""
        self.denies = 0
        """So many uploads to come are refused with 403 although they are in order."""
        self.missing = False
        """Every download is a 404."""
        self.objects: dict[str, Stored] = {}
        """By key."""
        self.visits: list[Visit] = []
        self._address = address
        self._tickets: dict[str, _Ticket] = {}

    def find(self, key: str, app_id: str, chat_id: str) -> Stored | None:
        """The object, if it was uploaded for this app and this chat."""
        return self.objects.get(key) if key.startswith(prefix(app_id, chat_id)) else None

    def sign_upload(self, how: Presign, key: str, filename: str, content_type: str) -> dict[str, Any]:
        """The ``data`` that a client gets."""
        signature = secrets.token_hex(16)
        ticket = _Ticket(key, how, time.monotonic() + self.lifetime, filename, content_type, max_size=self.max_size)
        self._tickets[signature] = ticket
        if how == "form":
            ticket.fields = {"key": key, "Content-Type": content_type, "policy": "e30=", SIGNATURE: signature}
            return {"url": self._address() + BUCKET, "key": key, "fields": ticket.fields}
        ticket.headers = {
            "Content-Type": content_type,
            "x-amz-meta-content-disposition": f'attachment; filename="{quote(filename)}"',
            "x-amz-meta-origin-filename": quote(filename),
            "x-amz-meta-upload-time": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
        }
        limit = {} if self.max_size is None else {"maxSize": self.max_size}
        return {"url": self._url(key, signature), "key": key, "headers": ticket.headers, **limit}

    def sign_download(self, key: str) -> str:
        """The address of an object; whether there is one is seen when it is used."""
        signature = secrets.token_hex(16)
        self._tickets[signature] = _Ticket(key, "get", time.monotonic() + self.lifetime)
        return self._url(key, signature)

    def _url(self, key: str, signature: str) -> str:
        return f"{self._address()}{BUCKET}/{quote(key)}?X-Amz-Expires={self.lifetime:g}&{SIGNATURE}={signature}"

    # -------------------------------------------------------------- what the store does

    def handle(self, request: Request, connection: Connection) -> None:
        """Answer a request under /s3/."""
        fields: dict[str, str] = {}
        data = request.body
        if request.method == "POST" and request.path == BUCKET:
            fields, data = read_form(request)
        signature = request.query.get(SIGNATURE) or fields.get(SIGNATURE, "")
        ticket = self._tickets.get(signature)
        status, content_type = 200, None
        try:
            self._check(ticket, request, fields)
            assert ticket is not None
            if ticket.how == "get":
                stored = self._read(ticket)
                payload, content_type = stored.data, stored.content_type
            else:
                self._write(ticket, data)
                del self._tickets[signature]
                status, payload = 204 if ticket.how == "form" else 200, b""
        except StoreRefused as refusal:
            status, payload, content_type = refusal.status, refusal.payload, "application/xml"
        key = "" if ticket is None else ticket.key
        self.visits.append(Visit(request.method, key, request.headers, len(data), status))
        connection.reply(status, payload, content_type, {})

    def _check(self, ticket: _Ticket | None, request: Request, fields: dict[str, str]) -> None:
        if "authorization" in request.headers:
            raise StoreRefused(400, "InvalidArgument", "Only one auth mechanism allowed")
        method = {"get": "GET", "put": "PUT", "post": "POST", "form": "POST"}
        if ticket is None or request.method != method[ticket.how] or fields != ticket.fields:
            raise StoreRefused(403, "SignatureDoesNotMatch", "The signature does not match the request.")
        if ticket.how != "form" and request.path != f"{BUCKET}/{ticket.key}":
            raise StoreRefused(403, "SignatureDoesNotMatch", "The signature is that of another key.")
        if time.monotonic() >= ticket.ends:
            raise StoreRefused(403, "AccessDenied", "Request has expired")
        for name, value in ticket.headers.items():
            if request.headers.get(name.lower()) != value:
                raise StoreRefused(403, "SignatureDoesNotMatch", f"The header {name} is not the one that was signed.")

    def _read(self, ticket: _Ticket) -> Stored:
        if self.missing or ticket.key not in self.objects:
            raise StoreRefused(404, "NoSuchKey", "The specified key does not exist.")
        return self.objects[ticket.key]

    def _write(self, ticket: _Ticket, data: bytes) -> None:
        if self.denies:
            self.denies -= 1
            raise StoreRefused(403, "AccessDenied", "Access Denied")
        if ticket.max_size is not None and len(data) > ticket.max_size:
            raise StoreRefused(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
        self.objects[ticket.key] = Stored(ticket.filename, ticket.content_type, data)


def read_form(request: Request) -> tuple[dict[str, str], bytes]:
    """The fields and the file of a multipart body. As on S3, what comes after the file is not looked at."""
    _, _, boundary = request.headers.get("content-type", "").partition("boundary=")
    fields: dict[str, str] = {}
    if not boundary:
        return fields, b""
    for part in (b"\r\n" + request.body).split(b"\r\n--" + boundary.strip('"').encode())[1:-1]:
        head, _, data = part.partition(b"\r\n\r\n")
        _, _, name = head.decode(errors="replace").partition(' name="')
        name = name.partition('"')[0]
        if name == "file":
            return fields, data
        fields[name] = data.decode(errors="replace")
    return {}, b""


def prefix(app_id: str, chat_id: str) -> str:
    """How the keys of a chat begin."""
    return f"chat/app/{app_id}/user-1/{quote(chat_id, safe='')}/"


# ------------------------------------------------------------------ the calls of FastGPT


def presign_upload(fake: FakeFastGPT, sent: dict[str, Any]) -> dict[str, Any]:
    """POST presignChatFilePostUrl: the checks in the order of the real handler."""
    how = fake.presigns
    assert how is not None
    filename, chat_id = _target(fake, sent, "filename")
    allowed = _extensions(fake.chat_config.get("fileSelectConfig") or {})
    if not allowed:
        raise Refused(510002, "FileUploadDisabled", "common:error.file_upload_disabled")
    store = fake.store
    if store.busy:
        store.busy -= 1
        limit = "Rate limit exceeded. Maximum 10 requests per 30 seconds for this team."
        fail(f"{limit} Please try again in 1 seconds.", 429)  # that the text is the one of the chats is a guess
    extension = PurePath(filename).suffix.lower()
    if extension not in allowed:
        raise Refused(510000, "InvalidUploadFileType", "common:error.s3_upload_invalid_file_type")
    content_type = sent.get("contentType") or mimetypes.guess_type(filename)[0] or "application/octet-stream"
    key = f"{prefix(fake.app_id, chat_id)}{secrets.token_hex(8)}{extension}"
    return store.sign_upload(how, key, filename, content_type)


def presign_download(fake: FakeFastGPT, sent: dict[str, Any]) -> str:
    """POST presignChatFileGetUrl."""
    key, chat_id = _target(fake, sent, "key")
    if not key.startswith(prefix(fake.app_id, chat_id)):
        raise Refused(504000, "unAuthChat", "common:code_error.chat_error.un_auth")
    return fake.store.sign_download(key)


def _target(fake: FakeFastGPT, sent: dict[str, Any], subject: str) -> tuple[str, str]:
    for name in ("appId", "chatId", subject):
        if not isinstance(sent.get(name), str) or not sent[name]:
            fail(f"{name}: Invalid input")
    if sent["appId"] != fake.app_id:
        fail("app is empty")
    return sent[subject], sent["chatId"]


def _extensions(config: dict[str, Any]) -> list[str]:
    allowed = [extension for name, extensions in EXTENSIONS.items() if config.get(name) for extension in extensions]
    if config.get("canSelectCustomFileExtension"):
        allowed += [f".{extension.lower().lstrip('.')}" for extension in config.get("customFileExtensionList", ())]
    return allowed


FILE_CALLS: dict[str, Callable[[FakeFastGPT, dict[str, Any]], Any]] = {
    "POST /api/core/chat/file/presignChatFilePostUrl": presign_upload,
    "POST /api/core/chat/file/presignChatFileGetUrl": presign_download,
}
