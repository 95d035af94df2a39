"""Takes a poll's messages in.

Rules of this file:
- the messages of a poll are handed in together and in their order, and all are committed on return, with the tokens
  that they brought: the cursor may then be saved;
- a message that is not as documented is passed over: it would come again for ever.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import msgspec

from adapters.wechat.ilink.contexts import Context, Contexts
from adapters.wechat.ilink.events import parse, token
from bridge.model import Message, Receive

log = logging.getLogger(__name__)


class Intake:
    """``receive`` is that of ``Adapter.run``."""

    def __init__(self, bot: str, contexts: Contexts, receive: Receive) -> None:
        self._bot = bot
        self._contexts = contexts
        self._receive = receive

    async def take(self, raws: list[dict[str, Any]]) -> None:
        """Hand messages in. Raises what went wrong when not all of them were committed; they may be handed in again."""
        messages = [message for raw in raws if (message := self._parsed(raw))]
        newest = {message.user.id: Context(token(message.handle), message.at) for message in messages}
        results = await asyncio.gather(
            *(self._receive(message) for message in messages),
            *(self._contexts.note(user, context) for user, context in newest.items()),
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _parsed(self, raw: dict[str, Any]) -> Message | None:
        try:
            message = parse(self._bot, raw)
        except msgspec.ValidationError as error:  # it names a field, never what is in it
            log.warning("bot %s: a message is not as documented, and passed over: %s", self._bot, error)
            return None
        except Exception as error:  # one message must not keep the others
            log.error("bot %s: a message cannot be read, and is passed over: %s", self._bot, type(error).__name__)
            return None
        if message is not None and message.at <= 0:  # nobody said when
            message = msgspec.structs.replace(message, at=time.time())
        if message is None:
            log.debug("bot %s: a message is nothing for us: of a group, of a bot, or empty", self._bot)
        return message
