"""How a gRPC call failed -> the designed errors.

Rules of this file:
- a call that was sent and got no answer may have been carried out: Unsure. Whoever knows better says so;
- a puppet's own error comes with the stack of the Node program behind it: only its first line is shown, and not all of
  that. What a gateway says about a wrong token contains the token: that is never shown;
- grpclib breaks a wait off by cancelling the task, and leaves that counted in it. Whoever asks the task later (a task
  group, a timeout) would believe in a cancellation, so it is taken back here.

Source: src/server/{grpc-error,puppet-implementation}.ts and src/auth/auth-impl-token.ts of wechaty-puppet-service
1.19.9; grpclib 0.4.9 (client.py, utils.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError
from h2.exceptions import H2Error

from bridge.model import BridgeError, Fatal, Rejected, Unsure

SHOWN = 200
"""Characters of a puppet's error that are shown."""


class Taken(BridgeError):
    """Another program is connected to this gateway."""


class PuppetError(Unsure):
    """The puppet reported an error."""


@contextmanager
def designed() -> Iterator[None]:
    """Around the waiting for a call that has been sent: raises Fatal, Taken, Rejected, PuppetError or Unsure."""
    task = asyncio.current_task()
    assert task is not None
    cancelled = task.cancelling()
    try:
        yield
    except (GRPCError, StreamTerminatedError, H2Error, OSError, ValueError, AssertionError) as error:
        if task.cancelling() > cancelled:
            task.uncancel()
        if task.cancelling() > cancelled:  # somebody else has cancelled it too
            raise asyncio.CancelledError from None
        raise _designed(error) from None


def _designed(error: Exception) -> BridgeError:
    if isinstance(error, GRPCError):
        return _of_status(error.status, error.message or "")
    if isinstance(error, TimeoutError):
        return Unsure("The gateway did not answer in time.")
    if isinstance(error, (ValueError, AssertionError)):  # no protobuf, no UTF-8, or no reply where one belongs
        return PuppetError("The gateway's answer cannot be read.")
    return Unsure("The connection to the gateway was lost.")


def _of_status(status: Status, message: str) -> BridgeError:
    match status:
        case Status.UNAUTHENTICATED | Status.PERMISSION_DENIED:
            return Fatal("The gateway does not accept the token.")
        case Status.ALREADY_EXISTS:
            return Taken()
        case Status.UNIMPLEMENTED:
            return Rejected("The gateway does not know this call.")
        case Status.CANCELLED | Status.DEADLINE_EXCEEDED | Status.UNAVAILABLE:
            return Unsure(f"The gateway broke the call off ({status.name}).")
    line = message.partition("\n")[0].removeprefix("Error: ").strip()
    return PuppetError(line[:SHOWN] or f"The puppet failed ({status.name}).")
