"""How updates reach a webhook: posted, and posted again until the answer is 2xx; that confirms them.

Rules of this file:
- one update at a time and in order by default; with ``State.webhook_parallel`` several, begun with the newest, as a
  bot must expect it: the platform promises no order;
- a failure shows in getWebhookInfo, and only that update waits.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import time

import aiohttp
import msgspec

from tests.fakes.telegram.state import Bot, State, Webhook


async def post_updates(state: State, bot: Bot, hook: Webhook) -> None:
    """Post the updates of ``bot``, until cancelled."""
    headers = {"Content-Type": "application/json"}
    if hook.secret:
        headers["X-Telegram-Bot-Api-Secret-Token"] = hook.secret
    timeout = aiohttp.ClientTimeout(total=60)
    running: set[int] = set()
    async with (
        aiohttp.ClientSession(headers=headers, timeout=timeout, trust_env=False) as session,
        asyncio.TaskGroup() as posts,
    ):
        while True:
            room = min(state.webhook_parallel, hook.max_connections) - len(running)
            waiting = (update for update in bot.updates if update[0] not in running)
            for update_id, update in reversed(list(itertools.islice(waiting, max(room, 0)))):
                post = posts.create_task(_post(state, bot, hook, session, update_id, update))
                post.add_done_callback(functools.partial(_posted, bot, running, update_id))
                running.add(update_id)
            await bot.news(None)


def _posted(bot: Bot, running: set[int], update_id: int, _: asyncio.Task[None]) -> None:
    running.discard(update_id)
    bot.wake()


async def _post(
    state: State, bot: Bot, hook: Webhook, session: aiohttp.ClientSession, update_id: int, update: msgspec.Raw
) -> None:
    failure = ""
    try:
        async with session.post(hook.url, data=bytes(update)) as response:
            if response.status // 100 != 2:
                failure = f"Wrong response from the webhook: {response.status} {response.reason}"
    except (aiohttp.ClientError, TimeoutError) as error:
        failure = str(error) or "Connection timed out"
    if failure:
        hook.failure, hook.failed_at = failure, int(time.time())
        await asyncio.sleep(state.webhook_retry)
    else:
        bot.take(update_id)
    state.changed()
