"""What a visitor sees: the transcript, kept over reloads and restarts.

Rules of this file:
- it holds questions as they were typed and answers as the core's own Show: HTML is made when it is looked at;
- only what is final is saved, whole and before the call returns; a preview lives in memory;
- an answer stands behind its question, and a part behind the parts before it, so that an answer that is resumed after a
  crash lands where it was;
- a transcript is in memory while a page is open, an answer runs or a request works on it, and at most CACHED otherwise.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import msgspec

from adapters.web.growing import Growing
from bridge.model import Host, Show

log = logging.getLogger(__name__)

ENTRIES = 100
"""Entries that a transcript keeps."""
GREETING = "entered"
"""The id of the event that a visitor's first page makes."""
CHARACTERS = 400_000
"""Characters that a transcript keeps; the newest entry stays whatever its size."""
PASSAGE = 600
"""Characters of a source's passage that the page shows."""
CACHED = 1_000
"""Transcripts in memory above which those that nobody holds are dropped."""


class Asked(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """A saved question."""

    id: str
    text: str


class Answered(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """A saved part of an answer, in its last final state."""

    id: str
    show: Show


_saved = msgspec.json.Decoder(list[Asked | Answered])
_encoder = msgspec.json.Encoder()


class Entry:
    """One line of the transcript: a question (``text``) or a part of an answer (``show``)."""

    __slots__ = ("__weakref__", "gone", "growing", "id", "kept", "show", "text")

    def __init__(self, id: str, text: str = "", show: Show | None = None) -> None:
        self.id = id
        self.text = text
        self.show = show
        self.kept = show if show and show.final else None
        """The last final state: what is saved while a newer preview is on the screen."""
        self.growing = Growing()
        self.gone = False

    @property
    def live(self) -> bool:
        return self.show is not None and not self.show.final

    @property
    def size(self) -> int:
        show = self.show
        if show is None:
            return len(self.text)
        return len(show.text) + len(show.thinking) + sum(len(s.text) + len(s.answer) for s in show.sources)

    def saved(self) -> Asked | Answered | None:
        if self.show is None:
            return Asked(self.id, self.text)
        return None if self.kept is None else Answered(self.id, self.kept)


class Watcher(Protocol):
    """An open page."""

    def mark(self, entry: Entry) -> None:
        """The entry has changed, or is gone."""


class Screen:
    """The transcript of one visitor and the pages that show it."""

    def __init__(self, visitor: str, host: Host) -> None:
        self._key = f"transcript:{visitor}"
        self._host = host
        self._disk = asyncio.Lock()
        self._loaded = False
        self._version = 0
        self._written = 0
        self.entries: list[Entry] = []
        self.watchers: set[Watcher] = set()
        self.users = 0

    @property
    def live(self) -> bool:
        return any(entry.live for entry in reversed(self.entries))

    def find(self, id: str) -> Entry | None:
        return next((entry for entry in reversed(self.entries) if entry.id == id), None)

    def before(self, entry: Entry) -> str:
        """The id of the entry above this one, or empty."""
        place = self.entries.index(entry)
        return self.entries[place - 1].id if place else ""

    # ------------------------------------------------------------ changes

    def ask(self, id: str, text: str) -> bool:
        """Add a question at the end. False: it is there already."""
        if self.find(id) is not None:
            return False
        self._insert(Entry(id, text), len(self.entries))
        self._version += 1
        return True

    def put(self, question: str, turn: str, show: Show) -> str:
        """Bring one part of an answer to the state of ``show``. Returns the part's id."""
        id = f"{turn}.{show.part}"
        if show.final:
            self._version += 1
            if not show.text and not show.status:
                self.take_off(id)
                return id
        show = _trimmed(show)
        entry = self.find(id)
        if entry is None:
            entry = Entry(id, show=show)
            self._insert(entry, self._place(question, turn))
        entry.show = show
        if show.final:
            entry.kept = show
            self._bound()
        self._mark(entry)
        return id

    def take_off(self, id: str) -> None:
        entry = self.find(id)
        if entry is not None:
            self.entries.remove(entry)
            entry.gone = True
            self._version += 1
            self._mark(entry)

    def _insert(self, entry: Entry, place: int) -> None:
        self.entries.insert(place, entry)
        self._mark(entry)
        self._bound()

    def _place(self, question: str, turn: str) -> int:
        """Behind the question and the parts that are there already; else at the end. The greeting stands above all,
        also when a question overtook it."""
        for place in range(len(self.entries), 0, -1):
            above = self.entries[place - 1].id
            if above == question or above.startswith(f"{turn}."):
                return place
        return 0 if question == GREETING else len(self.entries)

    def _bound(self) -> None:
        size = sum(entry.size for entry in self.entries)
        while len(self.entries) > 1 and (len(self.entries) > ENTRIES or size > CHARACTERS):
            size -= self.entries.pop(0).size

    def _mark(self, entry: Entry) -> None:
        for watcher in self.watchers:
            watcher.mark(entry)

    # ------------------------------------------------------------ store

    async def load(self) -> None:
        async with self._disk:
            if self._loaded:
                return
            raw = await self._host.load(self._key)
            try:
                for line in _saved.decode(raw) if raw else ():
                    self.entries.append(
                        Entry(line.id, line.text) if isinstance(line, Asked) else Entry(line.id, show=line.show)
                    )
            except msgspec.MsgspecError as error:
                log.warning("a saved transcript cannot be read and begins anew: %s", type(error).__name__)
            self._loaded = True

    async def save(self) -> None:
        """Everything final is durable on return. Calls that wait for the same write share it."""
        wanted = self._version
        async with self._disk:
            if self._written >= wanted:
                return
            version = self._version
            await self._host.save(self._key, _encoder.encode([s for e in self.entries if (s := e.saved())]))
            self._written = version


class Screens:
    """The transcripts in memory, the one used last at the end."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._open: dict[str, Screen] = {}

    def __len__(self) -> int:
        return len(self._open)

    @asynccontextmanager
    async def use(self, visitor: str) -> AsyncIterator[Screen]:
        """The visitor's transcript, loaded; nobody else gets another copy of it meanwhile."""
        screen = self._open.pop(visitor, None) or Screen(visitor, self._host)
        self._open[visitor] = screen
        screen.users += 1
        try:
            await screen.load()
            yield screen
        finally:
            screen.users -= 1
            if not screen.users and not screen.live:
                del self._open[visitor]
            elif len(self._open) > CACHED:
                idle = next((name for name, other in self._open.items() if not other.users), None)
                if idle is not None:  # its preview is lost, the next Show brings it back
                    del self._open[idle]


def _trimmed(show: Show) -> Show:
    if not any(len(source.text) > PASSAGE for source in show.sources):
        return show
    cut = tuple(msgspec.structs.replace(source, text=source.text[:PASSAGE] + "…") for source in show.sources)
    return msgspec.structs.replace(show, sources=cut)
