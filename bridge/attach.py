"""The attachments of a message -> parts of the question.

Rules of this file:
- one route for all platforms, the safest first: uploaded to the app; else a link to this bridge, if the world can reach
  it; else, for a small picture, within the question itself;
- the content says what a file is (bridge.sniff), never the platform or the user;
- a file that cannot come along is a note to the user; the question goes without it;
- the order stays, SIDE_BY_SIDE files of all questions are on their way at once, and what is over SPOOL waits on disk,
  not in memory; the pictures within one question have INLINE_MOST together.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, NamedTuple

from bridge.appapi import NoUpload
from bridge.appsettings import FileRules, FileSort
from bridge.core import Bot
from bridge.incoming import MOST, Incoming
from bridge.links import Links
from bridge.model import AnyEvent, Attachment, BridgeError, TooBig
from bridge.sniff import HEAD, Kind, clean, sniff
from bridge.storage import Refusal, UploadRefused

log = logging.getLogger(__name__)

SIDE_BY_SIDE = 8
TIME = 120.0
"""Seconds for one file, from the platform and to the app."""
SPOOL = 1 << 20
INLINE = {"fastgpt": 1 << 20, "openai": 4 << 20}
"""Bytes of a picture that may go within the question. FastGPT keeps it in its database with the chat."""
INLINE_MOST = {"fastgpt": 1 << 20, "openai": 8 << 20}
"""Bytes of all of them in one question."""
LABEL = 60
"""Characters of a name in a note."""

_REFUSED: dict[Refusal, str] = {
    "disabled": "app_takes_no_files",
    "type": "app_takes_no_file",
    "too_big": "file_too_big",
    "rate": "too_many_uploads",
    "failed": "file_failed",
}


Note = tuple[str, Mapping[str, object]]
"""Why files did not come along: ``say(key, language, **values)`` of bridge.words."""


class Parts(NamedTuple):
    """``parts`` go into the content of the question, behind its text."""

    parts: list[dict[str, Any]]
    notes: Sequence[Note]


class Attaching:
    """``links`` is None when the world cannot reach the bridge (no ``http.public_url``)."""

    def __init__(self, links: Links | None) -> None:
        self._links = links
        self._gate = asyncio.Semaphore(SIDE_BY_SIDE)

    async def parts(self, bot: Bot, to: AnyEvent, chat_id: str, attachments: Sequence[Attachment]) -> Parts:
        """The parts for the attachments of a question, in their order; ``to`` is the event that is answered, and an
        empty ``chat_id`` a chat that the server does not keep. No failure of a platform or a server is raised: it is a
        note."""
        known = bot.adapter.caps(to).inbound
        left: dict[str, list[str]] = {}
        taken: list[tuple[str, Attachment]] = []
        for number, attachment in enumerate(attachments, 1):
            label = clean(attachment.name)[:LABEL] or f"#{number}"
            if attachment.kind in known:
                taken.append((label, attachment))
            else:
                left.setdefault("file_unreadable", []).append(label)
        settings = await bot.api.settings(chat_id) if taken and chat_id else None
        rules = settings.files if settings else FileRules()
        over = len(taken) > rules.most > 0
        room = _Room(INLINE_MOST[bot.app_config.kind])
        async with asyncio.TaskGroup() as group:
            tasks = [
                (label, group.create_task(_Route(bot, chat_id, attachment, rules, self._links, room).take(self._gate)))
                for label, attachment in (taken[: rules.most] if over else taken)
            ]
        parts: list[dict[str, Any]] = []
        for label, task in tasks:
            came = task.result()
            if isinstance(came, str):
                left.setdefault(came, []).append(label)
            else:
                parts.append(came)
        notes: list[Note] = [(key, {"name": ", ".join(labels)}) for key, labels in left.items()]
        if over:
            notes.append(("too_many_files", {"most": rules.most}))
        return Parts(parts, notes)


@dataclass(slots=True)
class _Room:
    """What is left for pictures within a question, in bytes."""

    left: int


@dataclass(frozen=True, slots=True)
class _Route:
    """The way of one file. Each step gives its part, or None when it leads nowhere; a str is the key of a note."""

    bot: Bot
    chat_id: str
    attachment: Attachment
    rules: FileRules
    links: Links | None
    room: _Room

    async def take(self, gate: asyncio.Semaphore) -> dict[str, Any] | str:
        if self.attachment.size > MOST:
            return "file_too_big"
        fetch = self.bot.adapter.fetch
        try:
            async with gate, asyncio.timeout(TIME), Incoming(lambda: fetch(self.attachment)) as incoming:
                with tempfile.SpooledTemporaryFile(SPOOL) as spool:
                    return await self._part(_Held(incoming, spool))
        except TooBig:
            return "file_too_big"
        except UploadRefused as error:
            return _REFUSED[error.reason]
        except (BridgeError, OSError) as error:  # TimeoutError is among them
            why = str(error) if isinstance(error, BridgeError) else type(error).__name__
            log.warning("bot %s: an attachment could not be brought to the app: %s", self.bot.name, why)
            return "file_failed"
        except Exception:  # a bug in the way of one file does not end the question
            log.exception("bot %s: an attachment could not be brought to the app", self.bot.name)
            return "file_failed"

    async def _part(self, held: _Held) -> dict[str, Any] | str:
        await held.read(HEAD)
        kind = sniff(held.start(HEAD), self.attachment.name, self.attachment.mime)
        if self.bot.app_config.kind == "openai":
            if not kind.image:
                return "app_takes_pictures_only"  # strict servers refuse a part that they do not know
            return await self._inline(kind, held) or await self._linked(kind) or self._nowhere()
        sort = _sort(kind)
        if not self.rules.takes(sort, kind.extension):
            return f"app_takes_no_{sort}"
        return (
            await self._uploaded(kind, held)
            or await self._linked(kind)
            or await self._inline(kind, held)
            or self._nowhere()
        )

    def _nowhere(self) -> str:
        return "file_failed" if self._uploads else "file_needs_public_url"

    @property
    def _uploads(self) -> bool:
        return bool(self.chat_id) and self.bot.api.uploads  # an upload belongs to a chat

    async def _uploaded(self, kind: Kind, held: _Held) -> dict[str, Any] | None:
        if not self._uploads:
            return None
        size = await held.read(MOST + 1)
        try:
            uploaded = await self.bot.api.upload(self.chat_id, kind.name, kind.mime, size, held.spool)
        except NoUpload:
            return None
        return {**_referred(kind, uploaded.url), "key": uploaded.key}

    async def _linked(self, kind: Kind) -> dict[str, Any] | None:
        if self.links is None:
            return None
        return _referred(kind, await self.links.link(self.bot.name, self.attachment, kind.name, kind.mime))

    async def _inline(self, kind: Kind, held: _Held) -> dict[str, Any] | None:
        most = INLINE[self.bot.app_config.kind]
        if not kind.image or (size := await held.read(most + 1)) > min(most, self.room.left):
            return None
        self.room.left -= size
        return _referred(kind, f"data:{kind.mime};base64,{base64.b64encode(held.start(most)).decode()}")


class _Held:
    """What has come of a file so far."""

    def __init__(self, incoming: Incoming, spool: IO[bytes]) -> None:
        self._incoming = incoming
        self.spool = spool
        self._size = 0
        self._whole = False

    async def read(self, size: int) -> int:
        """Have at least ``size`` bytes, or the whole file; how many there are. Raises TooBig or another BridgeError."""
        self.spool.seek(self._size)
        while self._size < size and not self._whole:
            piece = await self._incoming.next()
            self._whole = not piece
            self._size += len(piece)
            if self._size > SPOOL:
                await asyncio.to_thread(self.spool.write, piece)  # to disk
            else:
                self.spool.write(piece)
        return self._size

    def start(self, size: int) -> bytes:
        self.spool.seek(0)
        return self.spool.read(size)


def _referred(kind: Kind, url: str) -> dict[str, Any]:
    if kind.image:
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": "file_url", "name": kind.name, "url": url}


def _sort(kind: Kind) -> FileSort:
    """By the type, as FastGPT's own page sorts files by their endings: an SVG is one of the images there."""
    for sort in ("image", "audio", "video"):
        if kind.mime.startswith(f"{sort}/"):
            return sort
    return "file"
