"""The methods of the Bot API that send a file: (state, bot, parameters) -> the Message, or Refused.

Rules of this file:
- a file comes as an upload (in the field of its kind, or ``attach://name``), as an http address that the test's side
  has registered (``page``), or by the file_id of an earlier one;
- a method changes the state only after everything in the call was found valid;
- looser than the platform: a voice may be any sound, a film any bytes, and only of PNG photos the sides are measured.

Source: Bot API 10, "Sending files".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.fakes.telegram.files import FileKind, Upload, is_image, mime_of, png_size
from tests.fakes.telegram.items import Animation, Audio, Captioned, Document, Photo, Video, Voice
from tests.fakes.telegram.messages import show
from tests.fakes.telegram.params import caption_of, frame_of, open_chat
from tests.fakes.telegram.rules import Json, Refused, bad_request
from tests.fakes.telegram.state import Bot, State

MB = 1024 * 1024
MAX_UPLOAD = 50 * MB
MAX_PHOTO = 10 * MB
MAX_PAGE = 20 * MB
"""Of a file behind an address; a photo may have a quarter of it."""
MAX_SIDES = 10_000
"""Width and height of a photo together, in pixels; neither may be more than twenty times the other."""


def _sender(kind: FileKind, item: Callable[[Upload], Captioned]) -> Callable[[State, Bot, Json], Any]:
    def send(state: State, bot: Bot, p: Json) -> Json:
        chat = open_chat(bot, p)
        upload = _given(state, bot, kind, p)
        if kind == "photo":
            _check_photo(upload.data)
        frame, caption = frame_of(chat, p), caption_of(p)
        return show(bot, chat, frame, {**item(upload).fields(bot.files), **caption})

    return send


def _given(state: State, bot: Bot, kind: FileKind, p: Json) -> Upload:
    """The file of a call, from wherever it comes."""
    value = p.get(kind)
    if isinstance(value, str) and value.startswith("attach://"):
        value = p.get(value.removeprefix("attach://"))
    if isinstance(value, Upload):
        return _uploaded(kind, value)
    if not value or not isinstance(value, str):
        raise bad_request(f"there is no {kind} in the request")
    if value.startswith(("http://", "https://")):
        return _fetched(state, kind, value)
    file = bot.files.get(value)
    if file is None:
        raise bad_request("wrong file identifier/HTTP URL specified")
    if file.kind and (file.kind == "photo") != (kind == "photo"):
        raise bad_request(f"can't use file of type {file.kind.title()} as {kind.title()}")
    return Upload(file.data, file.name, file.mime)


def _uploaded(kind: FileKind, file: Upload) -> Upload:
    if not file.data:
        raise bad_request("file must be non-empty")
    if len(file.data) > MAX_UPLOAD:
        raise Refused(413, "Request Entity Too Large")
    if kind == "photo" and len(file.data) > MAX_PHOTO:
        raise bad_request(
            f"file of size {len(file.data)} bytes is too big for a photo; the maximum size is {MAX_PHOTO} bytes"
        )
    return Upload(file.data, file.name, mime_of(file.name) or file.mime)


def _fetched(state: State, kind: FileKind, url: str) -> Upload:
    page = state.pages.get(url)
    if page is None or len(page.data) > (MAX_PAGE // 4 if kind == "photo" else MAX_PAGE):
        raise bad_request("failed to get HTTP URL content")
    if page.mime.startswith("text/html") or (kind == "photo" and not is_image(page.data)):
        raise bad_request("wrong type of the web page content")
    return page


def _check_photo(data: bytes) -> None:
    if not is_image(data):
        raise bad_request("IMAGE_PROCESS_FAILED")
    width, height = png_size(data) or (1, 1)
    if width + height > MAX_SIDES or max(width, height) > 20 * min(width, height):
        raise bad_request("PHOTO_INVALID_DIMENSIONS")


send_photo = _sender("photo", lambda upload: Photo(upload.data))
send_document = _sender("document", lambda upload: Document(upload.data, upload.name or "file", upload.mime))
send_video = _sender("video", lambda upload: Video(upload.data, upload.name))
send_audio = _sender("audio", lambda upload: Audio(upload.data, upload.name))
send_voice = _sender("voice", lambda upload: Voice(upload.data))
send_animation = _sender("animation", lambda upload: Animation(upload.data, upload.name))
