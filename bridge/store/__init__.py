"""What is kept, and in which order it is worked on: the engine protocol and its jobs.

Rules of this folder:
- ``submit`` returns after the commit: only then is a platform told that its event has arrived;
- jobs of one lane run one after the other in the order of their submission, lanes run side by side;
- a job that was not reported done is run again at the next start: a handler finds in its own rows how far it came;
- writes take effect in the order of the calls, whether awaited or not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from bridge.model import BridgeError


class StoreError(BridgeError):
    """The store cannot be used."""


Halt = Literal["", "again", "stop", "withdraw", "park"]
_HALTS: tuple[Halt, ...] = ("", "again", "stop", "withdraw", "park")


def nobody() -> None:
    """Nobody works on this job yet."""


@dataclass(slots=True, eq=False)
class Job:
    """One row of the inbox."""

    key: str
    """Unique: a second submission of the same key is a duplicate."""
    lane: str
    body: bytes
    owner: str = ""
    """Whose job it is: ``stop`` may be bound to it."""
    number: int = 0
    """Its place in the order of submission, given by the engine."""
    halted: Halt = ""
    on_halt: Callable[[], None] = field(default=nobody)

    def halt(self, how: Halt) -> None:
        """Ask the handler to end: ``again`` = it is to begin anew with the body as it is now, ``stop`` = a user wants
        no more of it, ``withdraw`` = nor any word about that, ``park`` = the process is going down. A later one in this
        row wins over an earlier."""
        if _HALTS.index(how) > _HALTS.index(self.halted):
            self.halted = how
            self.on_halt()


Handle = Callable[[Job], Awaitable[bool]]
"""Works on a job: True = done, False = leave it for the next start, or for another run at once when it was amended.
What it raises is logged, and the job left."""


class Engine(Protocol):
    """A durable inbox with lanes, and a table of values by key."""

    async def start(self, handle: Handle | None) -> None:
        """Open the store and take up what is unfinished. Without a handler nothing is run and nothing upgraded: other
        commands look at the store of a service that may be running."""
        ...

    async def submit(self, jobs: Sequence[Job]) -> list[bool]:
        """Durable on return; False where the key was known already."""
        ...

    async def stop(
        self, lane: str, owner: str | None = None, *, key: str | None = None, before: int | None = None
    ) -> int:
        """Halt a lane's running job and say how many that were: only ``owner``'s, with this ``key``, or submitted
        ``before`` this number, where given."""
        ...

    async def withdraw(self, key: str) -> None:
        """Take a job back: a running one is halted with ``withdraw``; one that waits is done, and one that nobody has
        submitted yet counts as known, durably on return."""
        ...

    async def waiting(self, lane: str) -> list[Job]:
        """The jobs that wait behind the running one, in order; they stay where they are."""
        ...

    async def pending(self, key: str) -> bool:
        """Is this job known, and not done?"""
        ...

    async def amend(self, key: str, lane: str, body: bytes) -> bool:
        """Give a job that is not done, and the newest of its lane, another body; durable on return. When it is running
        it is halted with ``again``. False: it is unknown, done, being stopped, or not the newest."""
        ...

    async def get(self, *keys: str) -> list[bytes | None]: ...

    def put(self, values: Mapping[str, bytes | None]) -> Awaitable[None]:
        """Write values, None = delete, in one transaction; durable when the awaitable is done."""
        ...

    async def slot(self, key: str, per_second: float, burst: int) -> float:
        """A shared rate limit: 0 = taken, else seconds until there is room; nothing was taken."""
        ...

    async def prune(self, before: float, prefixes: Sequence[str]) -> int:
        """Delete jobs that are done, and values under these prefixes, last written before that Unix time; how many.
        A job is kept for two days at least: platforms deliver again. A value whose key is a prefix and the key of a job
        that is not done is kept as long as the job."""
        ...

    async def close(self, grace: float) -> None:
        """Start no further job, give the running ones ``grace`` seconds, park the rest, close."""
        ...


def open_engine(url: str) -> Engine:
    """The engine for a ``store:`` setting."""
    scheme, _, rest = url.partition(":")
    if scheme == "sqlite" and rest:
        from bridge.store.sqlite import SQLite

        return SQLite(rest)
    raise StoreError(f"store: {scheme or url!r} is not known; use sqlite:PATH")
