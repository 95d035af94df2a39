"""The terminal, and the reference adapter: everything that an adapter has, and nothing else. Read it first.

A terminal cannot take back what it printed, but it can go on: the surface prints what is new of the text, so it is
``live``. Only when a text changes its mind (a re-opened fence, another attempt) is it printed again, whole.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import Future

import msgspec

from bridge.model import (
    AnyEvent,
    Attachment,
    Caps,
    Conversation,
    Finding,
    Host,
    Message,
    Receive,
    Show,
    Shown,
    State,
    User,
)


class Options(msgspec.Struct, frozen=True):
    """The terminal has no keys in config.yaml."""


class Screen:
    """One answer, printed as it grows. ``ref`` is the number of parts: nothing of a terminal outlives the process."""

    def __init__(self, done: asyncio.Event) -> None:
        self._printed = ""
        self._done = done

    async def show(self, op: Show) -> Shown:
        if not op.text.startswith(self._printed):
            print(flush=True)
            self._printed = ""
        print(op.text[len(self._printed) :], end="\n" if op.final and op.text else "", flush=True)
        self._printed = "" if op.final else op.text
        if op.final:
            self._done.set()
        return Shown(str(op.part + 1), tuple(str(part) for part in range(op.part + 1)))


class Adapter:
    def __init__(self, name: str, options: Options, host: Host) -> None:
        self._name = name
        self._host = host
        self._answered = asyncio.Event()

    async def run(self, receive: Receive) -> None:
        """A question a line, until the end of the input."""
        self._host.state(State("connected"))
        to = Conversation(bot=self._name, chat="terminal", kind="private")
        while line := await asyncio.wrap_future(_line()):
            if text := line.strip():
                self._answered.clear()
                asked = Message(id=str(time.time_ns()), conversation=to, user=User("you"), at=time.time(), text=text)
                await receive(asked)
                await self._answered.wait()

    def caps(self, to: AnyEvent) -> Caps:
        return Caps(fits=lambda text: True, live=True, interval=0.05, grows=True, buttons=False)

    def answer(self, to: AnyEvent, turn: str, resume: str | None = None) -> Screen:
        return Screen(self._answered)

    async def typing(self, to: AnyEvent) -> None:
        """A terminal has no such sign."""

    async def complete(self, message: Message) -> Message:
        return message

    async def probe(self) -> list[Finding]:
        return []  # there is no account

    def fetch(self, what: Attachment) -> AsyncIterator[bytes]:
        raise NotImplementedError("no file comes in by the terminal")


def _line() -> Future[str]:
    """The next line of the input, empty at its end. Nothing wakes a thread that reads a terminal: it is a daemon."""
    print("\n> " if sys.stdin.isatty() else "", end="", flush=True)
    line: Future[str] = Future()
    line.set_running_or_notify_cancel()  # whoever waits for it may leave, the thread cannot
    threading.Thread(target=lambda: line.set_result(sys.stdin.readline()), daemon=True).start()
    return line
