"""A Feishu tenant with one question in it, and surfaces for its answer, without the adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from adapters.feishu.api import Api
from adapters.feishu.messages import Place
from adapters.feishu.mode import Mode, Stream
from adapters.feishu.spacing import Spacing
from adapters.feishu.surface import AnswerSurface
from bridge.model import BridgeError, Button, Download, File, Show, Shown, TooBig
from bridge.wire import Wire
from tests.fakes.feishu import OpenPlatform, Seen

STOP = Button("stop", "Stop", "stop")
CONSOLE = "https://open.feishu.cn/app/cli_1"


async def at_once(seconds: float) -> None:
    """Nobody waits in these tests."""


@dataclass
class Stage:
    platform: OpenPlatform
    api: Api
    mode: Mode
    place: Place
    spacing: Spacing = field(default_factory=lambda: Spacing(sleep=at_once))
    files: dict[str, Download | BridgeError] = field(default_factory=dict)
    """What the bridge can download, by address."""
    fetched: list[str] = field(default_factory=list)

    def surface(self, resume: str | None = None, turn: str = "turn-1") -> AnswerSurface:
        """``resume`` as after a restart, which takes a moment."""
        clock = self.platform.clock.now
        self.wait(1.0 if resume else 0.0)
        value = {"g": "", "t": ""}
        return AnswerSurface(self.api, self.mode, self.spacing, self.place, value, turn, resume, self.fetch, clock)

    def streams(self, stream: Stream) -> None:
        """As if the config said so."""
        self.mode = Mode("bot", stream, CONSOLE, self.platform.clock.now)

    async def fetch(self, file: File, most: int) -> Download:
        self.fetched.append(file.url)
        found = self.files.get(file.url, BridgeError("it is not there"))
        if isinstance(found, BridgeError):
            raise found
        if len(found.data) > most:
            raise TooBig
        return found

    @property
    def seen(self) -> Seen:
        """The one message of the answer."""
        [answer] = self.platform.answers()
        return answer

    @property
    def texts(self) -> list[str]:
        return [seen.text for seen in self.platform.answers()]

    def wait(self, seconds: float) -> None:
        self.platform.clock.advance(seconds)

    def refused(self) -> list[tuple[str, int]]:
        """The calls that the platform has refused: path and code."""
        return [(call.path, call.code) for call in self.platform.calls if call.code]

    def made(self, since: int = 0) -> list[str]:
        """The calls so far, each by its method and the end of its path, without those for tokens."""
        calls = [call for call in self.platform.calls[since:] if "/auth/" not in call.path]
        return [f"{call.method} {call.path.rpartition('/')[2]}" for call in calls]


@asynccontextmanager
async def feishu() -> AsyncIterator[Stage]:
    async with Wire({}) as wire, OpenPlatform() as platform:
        platform.token_life = 10**9  # a test moves the platform's clock, not that of the token
        api = Api(platform.app_id, platform.app_secret, platform.url, *wire.connection(platform.url))
        question = platform.say("hi")
        mode = Mode("bot", "auto", CONSOLE, platform.clock.now)
        yield Stage(platform, api, mode, Place(question.chat_id, question.message_id))
        await api.close()


async def show(surface: AnswerSurface, op: Show) -> Shown:
    """Show as the pump does: what is staged is shown again once its ref is kept."""
    shown = await surface.show(op)
    return await surface.show(op) if shown.staged else shown
