"""How the bot can show its answers now: what the platform has refused is remembered for the answers to come.

Rules of this file:
- a permission that is missing is not asked for with each call: it is tried again after a while, so that granting it
  needs no restart, and the operator is told once, by its name and where to grant it;
- the free plan counts calls by the month. When they are used up there are no previews: what calls come back are for
  answers.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Literal

from adapters.feishu.codes import MissingScope

log = logging.getLogger(__name__)

Stream = Literal["auto", "card", "edit", "off"]
"""What the config asks for; ``auto`` is ``card``."""
Ability = Literal["cards", "edits", "interactive", "uploads"]
Kind = Literal["card", "message", "post"]
"""What a new part of an answer is: a streaming card, an interactive message, plain words."""

RETRIED = 600.0
"""Seconds until a call that lacked a permission is made again."""
_SCOPES: dict[Ability, str] = {
    "cards": "cardkit:card:write",
    "edits": "im:message:update",
    "interactive": "im:message:send_as_bot",
    "uploads": "im:resource",
}
"""The permission, where the refusal does not name it."""
_INSTEAD: dict[Ability, str] = {
    "cards": "answers are messages that are edited",
    "edits": "answers are shown only when they are complete",
    "interactive": "answers are plain messages without buttons",
    "uploads": "pictures and files stay links",
}


class Mode:
    """One for each bot. ``console`` is the address where permissions are granted; ``clock`` gives Unix seconds."""

    def __init__(self, bot: str, stream: Stream, console: str, clock: Callable[[], float] = time.time) -> None:
        self._bot = bot
        self._stream = stream
        self._console = console
        self._clock = clock
        self._missing: dict[Ability, float] = {}  # until when the call is not made
        self._quiet_until = -math.inf

    @property
    def name(self) -> Literal["card", "edit", "off"]:
        """How answers grow: on a streaming card, by edits of a message, or not at all."""
        if self._stream in ("auto", "card") and self.can("cards"):
            return "card"
        return "edit" if self._stream != "off" and self.can("edits") and self.can("interactive") else "off"

    @property
    def kind(self) -> Kind:
        """What the next new part of an answer is."""
        if self.name == "card":
            return "card"
        return "message" if self.can("interactive") else "post"

    @property
    def quiet(self) -> bool:
        """The calls of the month are used up: no previews."""
        return self._clock() < self._quiet_until

    def can(self, ability: Ability) -> bool:
        return self._clock() >= self._missing.get(ability, -math.inf)

    def without(self, ability: Ability, error: MissingScope) -> None:
        """A call was refused for want of a permission: go on without it."""
        if ability not in self._missing:
            log.warning(
                "bot %s: permission %s is missing: %s; grant it at %s and publish the app",
                self._bot,
                " or ".join(error.scopes) or _SCOPES[ability],
                _INSTEAD[ability],
                self._console,
            )
        self._missing[ability] = self._clock() + RETRIED

    def used_up(self, seconds: float) -> None:
        """The calls of the month are used up; ask again after ``seconds``."""
        if not self.quiet:
            log.warning("bot %s: the tenant's API calls of this month are used up: answers come whole, late", self._bot)
        self._quiet_until = self._clock() + seconds
