"""Images and files: uploaded by the bot, and fetched from the messages of others.

Rules of this file: the limits are the platform's (images 10 MB, files 30 MB, downloads 100 MB); a key belongs to the
bot that uploaded it or to the message that carries it, and opens nothing else.

Source: fact sheet 4.
"""

from __future__ import annotations

from typing import Any

from tests.fakes.feishu.rules import MB, Json, Refused, invalid, new_id
from tests.fakes.feishu.state import State
from tests.fakes.feishu.things import File

IMAGE_MOST, FILE_MOST, DOWNLOAD_MOST = 10 * MB, 30 * MB, 100 * MB
FILE_TYPES = frozenset({"opus", "mp4", "pdf", "doc", "xls", "ppt", "stream"})
PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM", b"II*\0", b"MM\0*")
"""How JPEG, PNG, GIF, BMP and TIFF begin; for WebP see ``is_picture``."""


def is_picture(data: bytes) -> bool:
    return data.startswith(PICTURES) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def upload_image(state: State, request: Any) -> Json:
    """POST /images: multipart with image_type and image."""
    if request.body.get("image_type") not in ("message", "avatar"):
        raise invalid("image_type")
    data = _bytes(request, "image", IMAGE_MOST).data
    if not is_picture(data):
        raise Refused(234011, "Can't regonize the image format.")
    key = new_id("img_v3_")
    state.files[key] = File("image", data)
    return {"data": {"image_key": key}}


def upload_file(state: State, request: Any) -> Json:
    """POST /files: multipart with file_type, file_name and file."""
    if request.body.get("file_type") not in FILE_TYPES or not request.body.get("file_name"):
        raise invalid("file_type, file_name")
    upload = _bytes(request, "file", FILE_MOST)
    key = new_id("file_v3_")
    state.files[key] = File("file", upload.data, str(request.body["file_name"]))
    return {"data": {"file_key": key}}


def _bytes(request: Any, field: str, most: int) -> File:
    upload = request.files.get(field)
    if upload is None:
        raise invalid(f"{field} is required")
    if not upload.data:
        raise Refused(234010, "File's size can't be 0.")
    if len(upload.data) > most:
        raise Refused(234006, "The file size exceed the max value.")
    file: File = upload
    return file


def resource(state: State, request: Any) -> File:
    """GET /messages/{message_id}/resources/{key}?type=image|file. Raises Refused."""
    kind = request.query.get("type")
    if kind not in ("image", "file"):
        raise invalid("type is image or file")
    message = state.messages.get(request.parts["message_id"])
    if message is None or message.deleted:
        raise Refused(230110, "Action unavailable as the message has been deleted.")
    if not state.chats[message.chat_id].member:
        raise Refused(234004, "App isn't in the chat.")
    if message.msg_type in ("sticker", "interactive", "merge_forward", "folder"):
        raise Refused(234043, "Unsupported message type.")
    file = message.files.get(request.parts["key"])
    if file is None:
        raise Refused(234003, "File not in msg.")
    if file.kind != kind:
        raise Refused(234001, "Invalid request param: type.")
    if len(file.data) > DOWNLOAD_MOST:
        raise Refused(234037, "Downloaded file size exceeds limit.")
    return file
