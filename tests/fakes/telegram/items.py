"""What a message can carry beside text, as values: a person (or the bot) sends one, the Message gets its fields.

    api.send(Photo(png), chat=7, caption="what is this?")

Rules of this file:
- pure but for the files, which are stored as the item becomes fields of a message;
- every default is a small, valid example; the field names are Telegram's;
- in the program an item is a JSON object with its ``type`` (``{"type": "photo", "data": "<base64>"}``).

Source: Bot API 10, objects Message, PhotoSize, Document, Voice, Sticker and their like.
"""

from __future__ import annotations

import msgspec

from tests.fakes.telegram.files import PIXEL, Files, png_size
from tests.fakes.telegram.rules import Json

MP4 = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"


class Photo(msgspec.Struct, frozen=True, tag="photo"):
    """In several sizes, the one with all the bytes last. The platform keeps no name of a photo."""

    data: bytes = PIXEL

    def fields(self, files: Files) -> Json:
        width, height = png_size(self.data) or (1280, 960)
        sizes = []
        for part in (4, 2, 1):  # a smaller size is the beginning of the bytes: taking the wrong one shows
            about = files.keep("photo", self.data[: len(self.data) // part])
            sizes.append({**about, "width": max(width // part, 1), "height": max(height // part, 1)})
        return {"photo": sizes}


class Document(msgspec.Struct, frozen=True, tag="document"):
    data: bytes = b"%PDF-1.4\n%%EOF\n"
    name: str = "report.pdf"
    mime: str = ""
    """Of the name when empty."""

    def fields(self, files: Files) -> Json:
        return {"document": files.keep("document", self.data, self.name, self.mime)}


class Voice(msgspec.Struct, frozen=True, tag="voice"):
    data: bytes = b"OggS\x00\x02OpusHead"
    duration: int = 2
    mime: str = "audio/ogg"

    def fields(self, files: Files) -> Json:
        return {"voice": {**files.keep("voice", self.data, mime=self.mime), "duration": self.duration}}


class Audio(msgspec.Struct, frozen=True, tag="audio"):
    data: bytes = b"ID3\x04\x00\x00\x00\x00\x00\x00"
    name: str = "song.mp3"
    duration: int = 2
    title: str = "Song"
    performer: str = "Singer"

    def fields(self, files: Files) -> Json:
        about = files.keep("audio", self.data, self.name)
        return {"audio": {**about, "duration": self.duration, "title": self.title, "performer": self.performer}}


class Video(msgspec.Struct, frozen=True, tag="video"):
    data: bytes = MP4
    name: str = "clip.mp4"
    duration: int = 2

    def fields(self, files: Files) -> Json:
        about = files.keep("video", self.data, self.name)
        return {"video": {**about, "duration": self.duration, "width": 640, "height": 480}}


class VideoNote(msgspec.Struct, frozen=True, tag="video_note"):
    """A round video. It has no caption, name or mime type."""

    data: bytes = MP4
    duration: int = 2

    def fields(self, files: Files) -> Json:
        return {"video_note": {**files.keep("video_note", self.data), "duration": self.duration, "length": 240}}


class Animation(msgspec.Struct, frozen=True, tag="animation"):
    """A film without sound. For clients older than animations it comes with a ``document`` of the same file."""

    data: bytes = MP4
    name: str = "cat.mp4"
    duration: int = 2

    def fields(self, files: Files) -> Json:
        about = files.keep("animation", self.data, self.name)
        film = {**about, "duration": self.duration, "width": 320, "height": 240}
        return {"animation": film, "document": about}


class Sticker(msgspec.Struct, frozen=True, tag="sticker"):
    """``data`` is WebP; of an animated one TGS, a Lottie file in gzip, that no vision model reads."""

    data: bytes = b"RIFF\x0c\x00\x00\x00WEBPVP8 "
    emoji: str = "👍"
    animated: bool = False
    video: bool = False
    set_name: str = "HotCherry"

    def fields(self, files: Files) -> Json:
        ending = ".tgs" if self.animated else ".webm" if self.video else ".webp"
        path = f"stickers/file{len(files) + 1}{ending}"
        sticker: Json = {
            **files.keep("sticker", self.data, path=path),
            "type": "regular",
            "width": 512,
            "height": 512,
            "is_animated": self.animated,
            "is_video": self.video,
            "emoji": self.emoji,
            "set_name": self.set_name,
        }
        return {"sticker": sticker}


class Location(msgspec.Struct, frozen=True, tag="location"):
    latitude: float = 39.9042
    longitude: float = 116.4074

    def fields(self, files: Files) -> Json:
        return {"location": {"latitude": self.latitude, "longitude": self.longitude}}


class Contact(msgspec.Struct, frozen=True, tag="contact"):
    phone_number: str = "+10000000000"
    first_name: str = "Ann"
    user_id: int = 0
    """0 when the person has no account."""

    def fields(self, files: Files) -> Json:
        contact: Json = {"phone_number": self.phone_number, "first_name": self.first_name}
        if self.user_id:
            contact["user_id"] = self.user_id
        return {"contact": contact}


class Poll(msgspec.Struct, frozen=True, tag="poll"):
    question: str = "Lunch?"
    options: tuple[str, ...] = ("yes", "no")

    def fields(self, files: Files) -> Json:
        options = [{"text": text, "voter_count": 0, "persistent_id": str(at)} for at, text in enumerate(self.options)]
        poll: Json = {
            "id": "5000000000000000001",
            "question": self.question,
            "options": options,
            "total_voter_count": 0,
            "is_closed": False,
            "is_anonymous": True,
            "type": "regular",
            "allows_multiple_answers": False,
            "allows_revoting": True,
            "members_only": False,
        }
        return {"poll": poll}


class Dice(msgspec.Struct, frozen=True, tag="dice"):
    emoji: str = "🎲"
    value: int = 4

    def fields(self, files: Files) -> Json:
        return {"dice": {"emoji": self.emoji, "value": self.value}}


AlbumItem = Photo | Document | Video | Audio
"""What an album is made of."""
Captioned = AlbumItem | Voice | Animation
Item = Captioned | VideoNote | Sticker | Location | Contact | Poll | Dice
