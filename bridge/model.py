"""The nouns of the bridge, and the five protocols between its parts.

Rules of this file:
- no asyncio, no HTTP library, no SDK: an adapter needs this module (and bridge.markdown) and nothing else;
- an Event is what a user did; it round-trips through msgspec, because it is the inbox row;
- a Show carries the *whole* text of a part, never a delta: a lost call can then never lose text;
- what differs between platforms is a value in Caps, never an optional method.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import msgspec

if TYPE_CHECKING:  # names of types only: importing this module loads neither library
    import aiohttp
    import httpx
    from aiohttp import web

# ------------------------------------------------------------------ who and where


class Conversation(msgspec.Struct, frozen=True, omit_defaults=True):
    """A place where people talk: a chat, or one thread (topic) of it."""

    bot: str
    """Name of the bot in the config."""
    chat: str
    """The platform's chat id, as text."""
    kind: Literal["private", "group"]
    thread: str = ""
    """The platform's thread or topic id; empty outside threads."""
    name: str = ""
    """What the platform calls the chat; empty in private chats."""
    was: str = ""
    """The chat's id before the platform moved it (a Telegram group that became a supergroup): its history goes on."""


class User(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whoever did something. ``real`` is false for masks (anonymous admins, channels): they never match ``admins``."""

    id: str
    name: str = ""
    language: str = ""
    """IETF tag as the platform reports it (``zh-hans``), or empty."""
    real: bool = True


class Attachment(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file that came with a message. ``ref`` is the adapter's own handle for ``Adapter.fetch``, never an address."""

    kind: Literal["image", "file", "audio", "video", "sticker"]
    ref: str
    name: str = ""
    size: int = 0
    """Bytes; 0 = unknown."""
    mime: str = ""


class Quote(msgspec.Struct, frozen=True, omit_defaults=True):
    """The message that this one replies to, or that it passes on."""

    id: str
    text: str = ""
    own: bool = False
    """The bot wrote it, and replying to it is only how it was addressed."""
    attachments: tuple[Attachment, ...] = ()

    @property
    def bare(self) -> bool:
        """The event told no more than the id; ``Adapter.complete`` may know the rest."""
        return not (self.text or self.own or self.attachments)


# ------------------------------------------------------------------ events (inbox rows)


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """Something a user did. ``id`` is the platform's own id of the message (or press), unique in its chat."""

    id: str
    conversation: Conversation
    user: User
    at: float
    """Unix seconds, by the platform's clock."""
    handle: str = ""
    """The adapter's own JSON: what it needs to answer this event after a restart."""


class Message(Event, frozen=True, kw_only=True, omit_defaults=True):
    """A message. In ``text`` the mention of the bot and the ``@bot`` behind a command are already taken out."""

    text: str = ""
    addressed: bool = True
    """The bot was meant: a private chat, a mention, a reply to the bot, a command for it."""
    attachments: tuple[Attachment, ...] = ()
    quotes: tuple[Quote, ...] = ()
    group: str = ""
    """Messages with the same group are one, sent in pieces (an album)."""
    cut: bool = False
    """As long as the platform lets a message be: what the user sends at once after it may be the rest of it."""
    edited: bool = False
    """The message was sent before, and has changed; ``at`` is when."""


class Press(Event, frozen=True, kw_only=True, omit_defaults=True):
    """A button was pressed, or a form sent. ``target`` is a message id from ``Shown.ids``."""

    target: str
    key: str
    values: dict[str, str] = {}


class Reacted(Event, frozen=True, kw_only=True, omit_defaults=True):
    """An emoji was put on (or taken off) the message ``target``."""

    target: str
    emoji: str
    added: bool = True


class Recalled(Event, frozen=True, kw_only=True, omit_defaults=True):
    """The message ``target`` was taken back. Platforms need not say by whom, so ``user`` may be empty."""

    target: str


class Entered(Event, frozen=True, kw_only=True, omit_defaults=True):
    """The bot came into a conversation; ``first`` when it meets this user for the first time."""

    first: bool = False


AnyEvent = Message | Press | Reacted | Recalled | Entered

Receive = Callable[[AnyEvent], Awaitable[str | None]]
"""Takes an event in. It returns after the durable commit, so the platform may be told then;
a str is a toast for a Press."""


# ------------------------------------------------------------------ what is shown


class Button(msgspec.Struct, frozen=True, omit_defaults=True):
    """``key`` (at most 40 ASCII characters) is issued and stored by the core; for ``link`` it is the address."""

    key: str
    label: str
    role: Literal["stop", "choice", "good", "bad", "retry", "suggest", "link"]


class Field(msgspec.Struct, frozen=True, omit_defaults=True):
    """One question of a form."""

    key: str
    label: str
    kind: Literal["text", "paragraph", "number", "select", "password"] = "text"
    required: bool = False
    default: str = ""
    options: tuple[tuple[str, str], ...] = ()
    """(label, value) of a select."""
    least: float | None = None
    most: float | None = None


class Form(msgspec.Struct, frozen=True, omit_defaults=True):
    key: str
    title: str
    fields: tuple[Field, ...]


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """A quoted passage of the knowledge base. The texts never go to a log."""

    id: str
    name: str
    text: str = ""
    answer: str = ""
    score: float = 0.0

    def __repr__(self) -> str:
        return f"Source(id={self.id!r})"


class File(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file in an answer, by its address, as it stands there: ``Host.download`` brings it."""

    url: str
    name: str
    image: bool = False


class Show(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one part (message, card, segment) of an answer shall look like now.

    ``text`` is Markdown and whole. While it is empty, ``status`` stands in its place. A final Show with neither text,
    status nor files takes the part off the screen: an earlier attempt at this answer was longer. ``thinking`` is the
    end of the model's reasoning, to be folded away above the text. A file (one a Show, of the kinds in ``Caps.files``)
    is a part of its own, without text.
    """

    part: int = 0
    text: str = ""
    final: bool = False
    status: str = ""
    thinking: str = ""
    buttons: tuple[Button, ...] = ()
    form: Form | None = None
    sources: tuple[Source, ...] = ()
    files: tuple[File, ...] = ()
    again: bool = False
    """It may be on the screen already: it was sent before, and nobody heard what became of it."""
    plain: bool = False
    """The platform has rejected the formatted text: send the same words without formatting."""


class Shown(msgspec.Struct, frozen=True):
    """What came of a Show. ``ref`` is all that ``Adapter.answer(resume=…)`` needs; ``ids`` are the platform's message
    ids of the whole answer so far; ``calls`` is how many calls it took from the platform's budget."""

    ref: str
    ids: tuple[str, ...]
    calls: int = 1
    staged: bool = False
    """Nothing is visible yet, but ``ref`` must outlive the process before it may be: commit it, then show again."""


# ------------------------------------------------------------------ what a platform can do


class Rate(msgspec.Struct, frozen=True):
    """A platform's call limit: ``calls`` in any ``seconds``."""

    calls: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Caps:
    """What the platform can do in one conversation. Values, not methods: the Presenter reads them."""

    fits: Callable[[str], bool]
    """Does this Markdown fit into one part?"""
    live: bool
    """A part can be changed after it was sent."""
    idempotent: bool = False
    """Sending a part again, even after a crash, does not show it twice: its first Show may be its final text."""
    places: bool = True
    """The first preview of a part is the message that its final text changes. Else previews are something else (a
    draft), or there are none, and the final text is a message of its own."""
    interval: float = 1.0
    """Least seconds between two previews of one answer; inf = none are shown."""
    part_lasts: float = math.inf
    """Seconds after its first Show that a part can be changed: one of that age is ended, and the answer goes on in a
    next one. What was ended cannot be changed at all."""
    slowest: float = 0.0
    """Seconds that this distance grows to, preview by preview; up to ``interval`` = it does not grow."""
    previews: int | None = None
    """About how many previews an answer may have: where calls cost money they thin out towards that number."""
    grows: bool = False
    """The platform animates what is added to a text, so a preview is the beginning of the next one."""
    lasts: float = math.inf
    """Seconds that a preview stays on the screen by itself: an unchanged one is shown again within them."""
    rate: Rate | None = None
    """Call limit of one chat; every call counts."""
    rate_of: Literal["chat", "answer"] = "chat"
    """Whose limit ``rate`` is: answers in one chat share it, or each has its own."""
    bot_rate: Rate | None = None
    """Call limit of the whole bot."""
    sends: int | None = None
    """How many parts may be sent for one question; None = no limit."""
    window: float | None = None
    """Seconds after the question in which an answer may be sent; None = no limit."""
    buttons: bool = True
    typing: bool = False
    inbound: frozenset[str] = frozenset()
    """Attachment kinds that ``fetch`` can bring."""
    files: frozenset[Literal["image", "file"]] = frozenset()
    """Which of the files in an answer are shown by ``Show.files``."""


class Finding(msgspec.Struct, frozen=True):
    """A row of ``check --online``: what was looked at, and what to do about it when it is not ``ok``."""

    ok: bool
    text: str
    fix: str = ""


class Download(msgspec.Struct, frozen=True):
    """A file that was fetched from an address in an answer. ``name`` has an ending that goes with the content."""

    data: bytes
    name: str
    mime: str

    def __repr__(self) -> str:
        return f"Download({len(self.data)} bytes, {self.mime})"


class State(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a bot stands, as /readyz shows it."""

    state: Literal["connecting", "connected", "login_needed", "standby", "failed"]
    detail: str = ""
    qr: str = ""
    """What the operator is to scan; it is drawn in the terminal."""


# ------------------------------------------------------------------ protocols

Handler = Callable[["web.Request"], Awaitable["web.StreamResponse"]]


class Surface(Protocol):
    """One answer on screen: a message, a card, a draft, a sequence. How it gets there is its private business."""

    async def show(self, op: Show) -> Shown:
        """Bring one part to the state that ``op`` describes.

        Raises RateLimited, Unreachable, Unsure, Vanished, Overfull or Rejected. Calls never overlap, and it is never
        cancelled but when the service ends or reloads its config.
        """
        ...


class Adapter(Protocol):
    """One bot on one platform. Built as ``Class(name, options, host)``; no IO before ``run``."""

    async def run(self, receive: Receive) -> None:
        """Connect and hand events in until cancelled. Raises Fatal when only the operator can help."""
        ...

    def caps(self, to: AnyEvent) -> Caps: ...

    def answer(self, to: AnyEvent, turn: str, resume: str | None = None) -> Surface:
        """The surface for the answer to an event; no IO yet.

        ``turn`` is stable over restarts and seeds the platform's idempotency keys; ``resume`` is the last
        ``Shown.ref``: the same messages go on.
        """
        ...

    async def typing(self, to: AnyEvent) -> None:
        """Show once that an answer is being written. The call was drawn from the budget already."""
        ...

    def fetch(self, what: Attachment) -> AsyncIterator[bytes]:
        """The bytes of an attachment, in pieces. Raises TooBig, or another BridgeError when it is not there."""
        ...

    async def complete(self, message: Message) -> Message:
        """Add what its event did not tell and the platform knows: names, and the quotes that are ``bare``. Called
        before the app is asked, again after a restart. Raises nothing; what cannot be had stays as it is."""
        ...

    async def probe(self) -> list[Finding]:
        """Try the account and the platform's settings (``check --online``). Takes nothing in and changes nothing."""
        ...


@runtime_checkable
class Login(Protocol):
    """What an adapter has beside Adapter when its account logs in by QR code."""

    async def login(self, qr: Callable[[str], Awaitable[None]], ask: Callable[[str], Awaitable[str]]) -> None:
        """Log in (``fastgpt-bridge login``), beside a service that may be running on the same store: it goes on within
        five seconds. ``qr`` draws what is to be scanned, ``ask`` puts a question to whoever does it. Raises a
        BridgeError whose words say why it did not work."""
        ...


class Host(Protocol):
    """What the bridge gives to an adapter."""

    http: httpx.AsyncClient
    """Goes through the bot's proxy, else the environment's."""
    public_url: str
    """Where the world reaches the bridge's port, without a slash at the end; empty = nowhere."""

    def connection(self, url: str) -> tuple[aiohttp.ClientSession, str | None]:
        """The same for an SDK with a protocol of its own: a session, and the ``proxy=`` of each request."""
        ...

    def state(self, state: State) -> None:
        """Tell where the bot stands."""
        ...

    def at_end(self, close: Callable[[], None]) -> None:
        """Call this when no answer is shown any more: after ``run`` has ended, answers are still finished."""
        ...

    async def load(self, key: str) -> bytes | None: ...

    async def save(self, key: str, value: bytes) -> None:
        """Keep something of the adapter's own (credentials, cursors), durably on return."""
        ...

    def route(self, method: str, path: str, handler: Handler) -> None:
        """Serve ``path`` on the bridge's port. Callbacks live under ``/hooks/{bot}``, pages under ``/chat/{bot}``."""
        ...

    def local(self, request: web.Request) -> bool:
        """Does the request come from this very machine, and not through a proxy? (DESIGN 2.4)"""
        ...

    async def final(self, event: AnyEvent, timeout: float) -> Show | None:
        """The first message of the answer to an event that is being handed in, for the response to the request that
        brought it (a passive reply): call it beside ``receive``, and again when the platform asks again. Where there is
        none within ``timeout`` seconds, a Show that is not final says that it is still being written; it then goes out
        by the surface. None when there is nothing to answer."""
        ...

    async def failed(self, error: BridgeError, most: float = 30.0) -> None:
        """What the bot cannot go on without has failed: say so, and wait until it may be tried again, ``most`` seconds.
        Each failure in a row waits longer; ``state("connected")`` ends the row."""
        ...

    async def spend(self, chat: str, durable: bool, within: float = math.inf) -> None:
        """Draw a call of the adapter's own from the budget, as soon as there is room for it. Raises RateLimited when
        there will be none ``within`` so many seconds.

        ``chat`` is empty for calls that concern no chat. Calls within ``Surface.show`` and ``typing`` are drawn by the
        pump.
        """
        ...

    async def download(self, file: File, most: int) -> Download:
        """Fetch a file of an answer, at most ``most`` bytes. An address without a host is the app's own. Only public
        addresses are fetched, and those that the operator allows (DESIGN 2.4). Raises TooBig, or another BridgeError
        when it may not or cannot be fetched."""
        ...


# ------------------------------------------------------------------ errors


class BridgeError(Exception):
    """Base of the designed errors. The docstring of a class is its default message."""

    calls = 1
    """What ``Surface.show`` had made of calls to the platform by then, as in ``Shown.calls``."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").split("\n")[0])


class RateLimited(BridgeError):
    """The platform wants fewer calls.

    ``retry_after`` in seconds; ``chat`` says whether the limit is of one chat or of the whole bot.
    """

    def __init__(self, retry_after: float, message: str = "", *, whole_bot: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.whole_bot = whole_bot


class Rejected(BridgeError):
    """The platform does not take this text as it is."""


class Overfull(Rejected):
    """The part holds more than the platform takes, whatever ``Caps.fits`` said: less of the text may do."""


class Gone(Rejected):
    """The conversation is closed to the bot: blocked, removed, deleted."""


class Vanished(BridgeError):
    """The message of this part is not there any more: it needs a new place."""


class Unreachable(BridgeError):
    """The platform could not be reached: nothing was sent."""


class Exhausted(BridgeError):
    """The platform takes no more messages for this question."""


class TooBig(BridgeError):
    """The file is too big."""


class Unsure(BridgeError):
    """The call may or may not have arrived."""


class Fatal(BridgeError):
    """The bot cannot go on without its operator."""
