"""The newest context token of each user.

Every message brings a token, and its answer carries it. A token lives for about ten sends and some time; the one of a
later message goes on where it ends.

Rules of this file:
- a row for each user, as small as that: a bot has one user in practice;
- what is delivered again does not bring an old token back;
- a token is never part of a ``repr``.

Sources: issues Tencent/openclaw-weixin #81, #202 (ten sends) and cc-connect #1087 (tokens that end sooner).
"""

from __future__ import annotations

import msgspec

from bridge.model import Host


class Context(msgspec.Struct, frozen=True):
    token: str
    at: float
    """When the message was written, in Unix seconds."""

    def __repr__(self) -> str:
        return f"Context(at={self.at})"


class Contexts:
    """Those of one bot."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._known: dict[str, Context] = {}

    async def note(self, user: str, context: Context) -> None:
        """Keep it, durably on return, unless there is a newer one."""
        known = await self._of(user)
        if context.token and (known is None or known.at <= context.at) and context != known:
            await self._host.save(_key(user), msgspec.json.encode(context))
            self._known[user] = context

    async def newest(self, user: str) -> str:
        """The token, or nothing."""
        context = await self._of(user)
        return context.token if context else ""

    async def _of(self, user: str) -> Context | None:
        if user not in self._known and (row := await self._host.load(_key(user))):
            self._known[user] = msgspec.json.decode(row, type=Context)
        return self._known.get(user)


def _key(user: str) -> str:
    return f"context:{user}"
