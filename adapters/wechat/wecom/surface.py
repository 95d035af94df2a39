"""One answer on WeCom's screen: a stream message for each part, else messages of the bot's own accord.

Rules of this file:
- a part is a stream under the req_id of the question; where that is not taken (any more), under the newest of the
  chat; where there is none, the part is one message of its own: previews are then left out;
- a stream's id is the same for the same part, and another after it was begun anew: a repeated frame changes what is
  there;
- a finished stream takes no more. So a final that may have arrived and is refused while its stream cannot have died
  yet has arrived;
- a message of the bot's own accord cannot be changed: before it is sent the attempt is committed (``staged``), and it
  is sent twice at most;
- blank content is ignored by WeCom: what is to be taken off the screen becomes a dash;
- every frame that goes to the chat counts, those with an uploaded file's bytes do not.

Sources: developer.work.weixin.qq.com/document/path/101463; sunnoy/openclaw-plugin-wecom #107 (846608).
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Protocol

import msgspec

from adapters.wechat.plain import plain
from adapters.wechat.wecom.cards import card
from adapters.wechat.wecom.events import req_id_of
from adapters.wechat.wecom.media import Fetch, Files, Media, host
from adapters.wechat.wecom.render import content, message
from adapters.wechat.wecom.socket import BadRequest, Expired, Refused
from bridge.model import (
    AnyEvent,
    BridgeError,
    Entered,
    Exhausted,
    Message,
    RateLimited,
    Rejected,
    Show,
    Shown,
    Unreachable,
    Unsure,
    Vanished,
)

log = logging.getLogger(__name__)

RESPOND = "aibot_respond_msg"
SEND = "aibot_send_msg"
WELCOME = "aibot_respond_welcome_msg"
STREAM_LASTS = 360.0
"""Seconds that a stream lives, whatever it is shown."""
WELCOME_WITHIN = 4.5
"""Seconds after an ``enter_chat`` in which a welcome is taken: five, and one way."""
ATTEMPTS_MOST = 2
"""How often a message that cannot be changed is sent, when nobody heard what became of it."""
NOTHING = "—"


class Requests(Protocol):
    """What the surface needs of ``Socket``."""

    async def request(self, command: str, body: Mapping[str, Any], req_id: str = "") -> dict[str, Any]: ...


class Row(msgspec.Struct, omit_defaults=True):
    """A part of the answer."""

    stream: str = ""
    """The id of its stream; empty when there is none."""
    request: str = ""
    """The req_id that the stream is under."""
    began: float = 0.0
    """Unix seconds."""
    generation: int = 0
    """How often it was begun anew."""
    attempts: int = 0
    """How often it was sent, or about to be, as a message of its own."""
    done: bool = False


class AnswerSurface:
    """``newest`` gives the newest req_id of a chat, or nothing; ``turn`` seeds the ids of the streams; ``download`` is
    ``Host.download``; ``clock`` gives Unix seconds."""

    def __init__(
        self,
        socket: Requests,
        newest: Callable[[str], str],
        to: AnyEvent,
        turn: str,
        resume: str | None,
        download: Fetch,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._socket = socket
        self._newest = newest
        self._to = to
        self._chat = to.conversation.chat
        self._turn = turn
        self._clock = clock
        self._files = Files(socket.request, download)
        self._rows = msgspec.json.decode(resume, type=list[Row]) if resume else []
        self._refused: set[str] = set()  # req_ids that are not taken
        self._heard: set[int] = set()  # parts whose last frame was acknowledged in this process
        self._staged: set[int] = set()  # parts whose attempt is committed and not made
        self._calls = 0

    async def show(self, op: Show) -> Shown:
        """See bridge.model.Surface. Raises RateLimited, Unreachable, Unsure, Vanished, Exhausted and Rejected."""
        self._calls = 0
        staged = False
        try:
            if op.files:
                await self._file(op)
            elif op.text or op.status or not op.final or self._there(op.part):
                staged = await self._bring(op)
        except BridgeError as error:
            error.calls = self._calls
            raise
        ref = msgspec.json.encode(self._rows).decode()
        return Shown(ref, tuple(row.stream for row in self._rows if row.stream), self._calls, staged)

    def _there(self, part: int) -> bool:
        """Is it on the screen, and can it be taken off?"""
        return part < len(self._rows) and bool(self._rows[part].stream) and not self._rows[part].done

    async def _bring(self, op: Show) -> bool:
        """True when all that was done is to note that the next call is an attempt."""
        self._rows += [Row() for _ in range(op.part + 1 - len(self._rows))]
        row = self._rows[op.part]
        while not row.attempts and (request := row.request or self._request()):
            try:
                await self._stream(op, row, request)
                return False
            except Refused as refusal:
                log.info("part %d needs another question to answer: %s", op.part + 1, refusal)
                self._refused.add(request)
                self._renew(row)
        return op.final and await self._message(op, row)

    def _request(self) -> str:
        """The req_id that a new part goes under; empty when there is none. An event's own is no good for messages."""
        if isinstance(self._to, Entered):
            return ""
        own = req_id_of(self._to.handle) if isinstance(self._to, Message) else ""
        return next((id for id in (own, self._newest(self._chat)) if id and id not in self._refused), "")

    # ------------------------------------------------------------ as a stream

    async def _stream(self, op: Show, row: Row, request: str) -> None:
        """Raises Refused when another req_id is needed."""
        begun, shown = bool(row.stream), content(op)
        stream = row.stream or _digest(self._turn, op.part, row.generation)
        body: dict[str, Any] = {"id": stream, "finish": op.final, "content": shown or NOTHING}
        try:
            await self._update(op, body, request)
        except Unsure:
            self._begin(row, stream, request)
            self._heard.discard(op.part)
            raise
        except BadRequest:
            raise
        except Refused as refusal:
            if not begun and (op.plain or isinstance(refusal, Expired)):  # the question is too old, or takes no more
                raise
            if begun and op.final and (not shown or self._had_arrived(op, row)):
                log.info("part %d is refused, so it has ended before: %s", op.part + 1, refusal)
            else:
                self._give_up(op, row, refusal)
        self._begin(row, stream, request)
        self._heard.add(op.part)
        row.done = op.final

    async def _update(self, op: Show, stream: dict[str, Any], request: str) -> None:
        made = card(stream["id"], op.buttons, op.form) if op.final else None
        if made:
            try:
                body = {"msgtype": "stream_with_template_card", "stream": stream, "template_card": made}
                await self._frame(RESPOND, body, request)
                return
            except (BadRequest, Expired):
                raise
            except Refused as refusal:
                log.warning("the buttons of an answer are left out: %s", refusal)
        await self._frame(RESPOND, {"msgtype": "stream", "stream": stream}, request)

    def _begin(self, row: Row, stream: str, request: str) -> None:
        row.began = row.began or self._clock()
        row.stream, row.request = stream, request

    def _had_arrived(self, op: Show, row: Row) -> bool:
        repeated = op.again or op.part not in self._heard
        return repeated and self._clock() - row.began < STREAM_LASTS

    def _give_up(self, op: Show, row: Row, refusal: Refused) -> NoReturn:
        if row.stream and (isinstance(refusal, Expired) or op.part not in self._heard):
            self._renew(row)
            raise Vanished from None
        raise Rejected(f"WeCom refuses the message ({refusal.errcode})") from None

    def _renew(self, row: Row) -> None:
        row.generation += bool(row.stream)
        row.stream, row.request, row.began, row.done = "", "", 0.0, False

    # ------------------------------------------------------------ of the bot's own accord

    async def _message(self, op: Show, row: Row) -> bool:
        """True when the attempt is to be committed first."""
        text = message(op)
        if row.done or not text:
            return False
        if op.part not in self._staged:
            if row.attempts >= ATTEMPTS_MOST:
                raise Exhausted("a message may have arrived twice; it waits for the next question")
            row.attempts += 1
            self._staged.add(op.part)
            return True
        self._staged.discard(op.part)
        try:
            if not await self._welcomed(op, row, text):
                await self._send({"msgtype": "markdown", "markdown": {"content": text}})
        except (Unreachable, RateLimited):
            row.attempts -= 1
            raise
        except Refused as refusal:
            raise Exhausted(f"WeCom takes no message without a new question ({refusal.errcode})") from None
        row.done = True
        return False

    async def _welcomed(self, op: Show, row: Row, text: str) -> bool:
        """Greet whoever has just opened the chat; the platform shows that without markup."""
        late = self._clock() - self._to.at > WELCOME_WITHIN
        if not isinstance(self._to, Entered) or op.part or row.attempts > 1 or late:
            return False
        body = {"msgtype": "text", "text": {"content": plain(text) or text}}
        try:
            await self._frame(WELCOME, body, req_id_of(self._to.handle))
        except Refused as refusal:
            log.info("a welcome came too late: %s", refusal)
            return False
        return True

    async def _send(self, body: Mapping[str, Any]) -> None:
        await self._frame(SEND, {"chatid": self._chat, **body})

    # ------------------------------------------------------------ files

    async def _file(self, op: Show) -> None:
        media = await self._files.media(op.files[0])
        if media is not None:
            try:
                await self._send_file(media)
            except Refused as refusal:
                log.warning("a file of %s is refused by WeCom: %s", host(op.files[0].url), refusal)

    async def _send_file(self, media: Media) -> None:
        """Under the req_id of the question, else of the bot's own accord."""
        if request := self._request():
            try:
                await self._frame(RESPOND, media.body, request)
                return
            except Refused as refusal:
                log.info("a file goes out by itself: %s", refusal)
        await self._send(media.body)

    async def _frame(self, command: str, body: Mapping[str, Any], request: str = "") -> None:
        self._calls += 1
        await self._socket.request(command, body, request)


def _digest(*seeds: object) -> str:
    """32 characters, the same for the same seeds."""
    return hashlib.sha256("\n".join(map(str, seeds)).encode()).hexdigest()[:32]
