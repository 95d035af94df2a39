"""What a test sees of a gateway, whichever it is: the messages that the bot has sent, and who is connected.

Rules of this file:
- nothing is changed by looking; whoever changes something says ``changed()``, so that ``until`` looks again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Sent:
    """One message of the bot: a text, or a file."""

    id: str
    conversation: str
    """A contact's id, or a room's (with an ``@``)."""
    at: float
    """Unix seconds."""
    text: str = ""
    mentions: tuple[str, ...] = ()
    file: tuple[str, bytes] | None = None
    """Name and content."""


class Watch:
    """The looking half of a gateway."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.listening = False
        """A client holds the event stream."""
        self.started = 0
        """How often a client has called Start."""
        self._waiting: list[asyncio.Future[None]] = []

    def screen(self, conversation: str = "alice") -> list[str]:
        """What the bot has sent there, in order; a file as ``[file NAME]``."""
        seen = (sent for sent in self.sent if sent.conversation == conversation)
        return [f"[file {sent.file[0]}]" if sent.file else sent.text for sent in seen]

    def changed(self) -> None:
        """Something happened: whoever waits in ``until`` looks again."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def until(self, predicate: Callable[[], T], timeout: float = 5.0) -> T:
        """Wait until ``predicate()`` is true after some change, and return its value.

        Raises TimeoutError with what there is to see after ``timeout`` seconds.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        while not (value := predicate()):
            future = loop.create_future()
            self._waiting.append(future)
            try:
                await asyncio.wait_for(future, end - loop.time())
            except TimeoutError:
                raise TimeoutError(f"not within {timeout:g} s:\n{self.dump()}") from None
        return value

    def dump(self) -> str:
        """What there is to see, as text, for the message of a failed test."""
        lines = (f"  to {sent.conversation}: {sent.file[0] if sent.file else sent.text!r}" for sent in self.sent)
        return "\n".join((f"listening: {self.listening}; started: {self.started}; sent:", *lines))
