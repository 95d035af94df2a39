"""The bytes of an attachment, as they come from a platform.

Rules of this file:
- never more than MOST bytes of one file;
- every failure is a BridgeError, and none carries an address: on some platforms the bot's token is part of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from types import TracebackType

from bridge.model import BridgeError, TooBig

MOST = 100 << 20
"""Bytes of one file."""


class Incoming:
    """``open`` is called for the first bytes: ``Adapter.fetch``. Use as ``async with``: leaving hangs up at once."""

    def __init__(self, open: Callable[[], AsyncIterator[bytes]]) -> None:
        self._open = open
        self._pieces: AsyncIterator[bytes] | None = None
        self._size = 0

    async def next(self) -> bytes:
        """A piece; nothing at the end. Raises TooBig, or another BridgeError."""
        try:
            if self._pieces is None:
                self._pieces = self._open()
            piece = b""
            async for piece in self._pieces:
                if piece:
                    break
            else:
                return b""
        except BridgeError:
            raise
        except Exception as error:
            raise BridgeError(f"the platform's client failed: {type(error).__name__}") from None
        self._size += len(piece)
        if self._size > MOST:
            raise TooBig
        return piece

    async def __aenter__(self) -> Incoming:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # An async generator in practice: the garbage collector would close it some time.
        if close := getattr(self._pieces, "aclose", None):
            await close()
