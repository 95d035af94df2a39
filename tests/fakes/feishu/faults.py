"""What goes wrong on request: refusals, gateways in trouble, slowness, connections that end.

Rules of this file: a fault is met by the next calls whose path holds its ``part``, first come first served; it comes
before the token is looked at.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import msgspec

from tests.fakes.feishu.presses import Presses
from tests.fakes.feishu.things import Call

Kind = Literal["code", "500", "502", "drop_before", "drop_after", "slow"]
"""A refusal with a code; an error without JSON (500), the HTML page of a gateway (502); a connection that ends without
an answer, before the call was carried out or after it; a call that waits until the test lets it go."""


class Fault(msgspec.Struct):
    part: str
    kind: Kind
    times: int
    method: str = ""
    code: int = 0
    msg: str = ""
    status: int = 400
    headers: dict[str, str] = {}
    gate: asyncio.Event | None = None


class Faults(Presses):
    """The list of what will go wrong."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.faults: list[Fault] = []

    def fail(
        self,
        part: str,
        code: int,
        msg: str = "scripted",
        *,
        times: int = 1,
        status: int = 0,
        headers: dict[str, str] | None = None,
        method: str = "",
    ) -> None:
        """Refuse the next ``times`` calls whose path holds ``part`` with this code.

        ``status``: HTTP, by default 400, and 200 for the endpoint of the long connection.
        """
        status = status or (200 if "/callback" in part else 400)
        self.faults.append(Fault(part, "code", times, method, code, msg, status, headers or {}))

    def fault(self, part: str, kind: Kind, *, times: int = 1, method: str = "") -> None:
        """Let the next ``times`` calls whose path holds ``part`` go wrong in this way."""
        self.faults.append(Fault(part, kind, times, method))

    def hold(self, part: str, *, times: int = 1, method: str = "") -> asyncio.Event:
        """Keep the next ``times`` calls whose path holds ``part`` waiting, until the event that is returned is set."""
        gate = asyncio.Event()
        self.faults.append(Fault(part, "slow", times, method, gate=gate))
        return gate

    def fault_of(self, call: Call) -> Fault | None:
        """The fault that this call meets, used up once."""
        for fault in self.faults:
            if fault.part in call.path and fault.method in ("", call.method):
                fault.times -= 1
                if fault.times <= 0:
                    self.faults.remove(fault)
                return fault
        return None
