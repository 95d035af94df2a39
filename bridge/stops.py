"""Runs that are being ended at an app.

A stop names the chat, not the run (facts of FastGPT: it takes up to 5 s and then marks the chat as done), so the next
question of that chat waits until the stop is over: it would be ended, too.
"""

from __future__ import annotations

import asyncio

from bridge.appapi import AppApi

LAST_MOMENTS = 1.0
"""Seconds for stops under way when the process ends."""


class Stops:
    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, api: AppApi, chat_id: str) -> None:
        """End the run of a chat; nobody waits for it but the chat's next question."""
        task = asyncio.create_task(api.stop(chat_id))
        self._tasks[chat_id] = task
        task.add_done_callback(lambda done: self._tasks.pop(chat_id) if self._tasks.get(chat_id) is done else None)

    async def over(self, chat_id: str) -> None:
        if task := self._tasks.get(chat_id):
            await asyncio.wait([task])

    async def close(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=LAST_MOMENTS)
