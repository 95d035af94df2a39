"""Waiting for something to happen at a fake, without sleeping.

Rules of this file:
- whoever changes something says ``changed()``; ``until`` looks again then, and at no other time.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Changes:
    """What a fake is, to those who wait for it."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    @abstractmethod
    def dump(self) -> str:
        """What there is to see, as text, for the message of a failed test."""

    def changed(self) -> None:
        """Something happened: whoever waits in ``until`` looks again, once per turn of the loop."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def until(self, predicate: Callable[[], T], timeout: float = 10.0) -> T:
        """Wait until ``predicate()`` is true after some change, and return its value.

        Raises TimeoutError with what there is to see after ``timeout`` real seconds.
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
