"""One run of the scripted workflow: it plays ready frames into a body, by one timer.

Rules of this file:
- callbacks only, no task: a thousand runs at once cost a thousand timers;
- a token that is late goes out together with the next one, so that a busy machine keeps the rate, not the packet count;
- a run may outlive its client (E26), be stopped, be held by its script's gate, or fail; it ends exactly once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cached_property
from typing import Literal, Protocol

from tests.fakes.fastgpt_http import Body, Connection, End
from tests.fakes.fastgpt_script import Script
from tests.fakes.fastgpt_wire import Frames


class Sink(Protocol):
    """Where a run writes to."""

    def write(self, data: bytes) -> None: ...

    def finish(self, how: End) -> None: ...


class Whole:
    """The sink of stream=false: nothing leaves before the end, then the answer in one reply."""

    def __init__(self, connection: Connection, reply: Callable[[], None]) -> None:
        self._connection = connection
        self._reply = reply

    def write(self, data: bytes) -> None:
        pass

    def finish(self, how: End) -> None:
        if how == "eof":
            self._reply()
        else:
            self._connection.end(how)


class Run:
    """``ended`` is called once, when the workflow is over; ``moved`` whenever tokens left.

    ``encode`` makes the frames when the run begins, and no sooner: they may name what was read before.
    """

    def __init__(
        self,
        script: Script,
        encode: Callable[[], Frames],
        open_sink: Callable[[], Body | Whole],
        *,
        outlives_client: bool,
        moved: Callable[[], None],
        ended: Callable[[Run], None],
    ) -> None:
        self.script = script
        self.sent = 0
        """Tokens that the workflow has produced, seen by a client or not."""
        self.outcome: Literal["", "done", "stopped", "failed", "dropped"] = ""
        """Empty while it runs; ``dropped``: the client went away and the era ends the run then."""
        self.wire_cut = False
        """The script has cut the connection."""
        self._encode = encode
        self._open_sink = open_sink
        self._outlives = outlives_client
        self._moved, self._ended = moved, ended
        self._loop = asyncio.get_running_loop()
        self._sink: Sink | None = None
        self._here = True
        self._base = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._beat: asyncio.TimerHandle | None = None

    @cached_property
    def _frames(self) -> Frames:
        return self._encode()

    def start(self) -> None:
        """Begin, unless it has been stopped before."""
        if self.outcome:
            return
        if self.script.delay:
            self._timer = self._loop.call_later(self.script.delay, self._begin)
        else:
            self._begin()

    def hang_up(self) -> None:
        """The client is gone."""
        self._here, self._sink = False, None
        if not self._outlives:
            self._end("dropped")

    def stop(self) -> None:
        """Somebody asked for the end: no more tokens, but the answer is closed in order."""
        self._finish("stopped")

    def kill(self) -> None:
        """The server is gone."""
        self._end("dropped")

    def _begin(self) -> None:
        if self._here:
            self._sink = self._open_sink()
            self._sink.write(self._frames.head)
        if self.script.heartbeat:
            self._beat = self._loop.call_later(self.script.heartbeat, self._pulse)
        self._base = self._loop.time()
        self._tick()

    def _pulse(self) -> None:
        if self._sink is not None:
            self._sink.write(self._frames.beat)
        self._beat = self._loop.call_later(self.script.heartbeat, self._pulse)

    def _tick(self) -> None:
        script, tokens = self.script, self._frames.tokens
        due = len(tokens)
        if script.rate:
            due = min(due, int((self._loop.time() - self._base) * script.rate + 1e-6) + 1)
        gate, fail = script.gate, script.fail
        held = gate is not None and not gate.opened and min(gate.after, len(tokens)) <= due
        if gate is not None and held:
            due = min(gate.after, len(tokens))
        fails = fail is not None and not self.wire_cut and min(fail.after, len(tokens)) < due + (not held)
        if fail is not None and fails:  # at the same token the gate comes first
            due, held = min(fail.after, len(tokens)), False
        if due > self.sent:
            if self._sink is not None:
                self._sink.write(tokens[self.sent] if due == self.sent + 1 else b"".join(tokens[self.sent : due]))
            self.sent = due
            self._moved()
        if fails:
            self._fail()
        elif gate is not None and held:
            gate.hold(self._go_on)
        elif due == len(tokens):
            self._finish("done")
        else:
            self._timer = self._loop.call_at(self._base + due / script.rate, self._tick)

    def _go_on(self) -> None:
        """The gate has opened; the time spent there is not made up for."""
        if self.script.rate:
            self._base = self._loop.time() - self.sent / self.script.rate
        self._tick()

    def _fail(self) -> None:
        fail, sink = self.script.fail, self._sink
        assert fail is not None
        if fail.how == "event":
            self._end("failed")
            if sink is not None:
                sink.write(self._frames.error)
                sink.finish("eof")
            return
        self.wire_cut, self._here, self._sink = True, False, None
        if sink is not None:
            sink.finish(fail.how)
        if self._outlives:
            self._tick()
        else:
            self._end("dropped")

    def _finish(self, outcome: Literal["done", "stopped"]) -> None:
        """The lock goes before the last byte: a client that has read the end may ask again at once."""
        if self.outcome:
            return
        if self._sink is None and self._here:  # stopped before the first byte
            self._sink = self._open_sink()
        sink = self._sink
        self._end(outcome)
        if sink is not None:
            sink.write(self._frames.tail)
            if not self.script.linger:
                sink.finish("eof")

    def _end(self, outcome: Literal["done", "stopped", "failed", "dropped"]) -> None:
        if self.outcome:
            return
        self.outcome = outcome
        for timer in (self._timer, self._beat):
            if timer is not None:
                timer.cancel()
        if self.script.gate is not None:
            self.script.gate.leave(self._go_on)
        self._ended(self)
