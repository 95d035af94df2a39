"""What an answer of an app is made of: the pieces that ``FastGPT.stream`` yields.

A stream is any number of pieces and then one Done; an error ends it without a Done. A Form and the Source of Sources
are the nouns of bridge.model.
"""

from __future__ import annotations

import msgspec

from bridge.model import Form, Source


class Delta(msgspec.Struct, frozen=True, gc=False):
    """More of the answer, more of the thinking, or both. Never empty; citation marks are gone."""

    text: str = ""
    thinking: str = ""


class Status(msgspec.Struct, frozen=True, gc=False):
    """What the app is doing now: the name of a workflow node or of a tool."""

    text: str


class Choices(msgspec.Struct, frozen=True):
    """The app asks, and goes on when one of the options comes back as the next message of the chat."""

    description: str
    """What to show above the options; empty when the answer says it already."""
    options: tuple[tuple[str, str], ...]
    """(label, value): the value is sent, exactly. Empty when the app asks for free text."""


class Sources(msgspec.Struct, frozen=True):
    """The passages of the knowledge base behind the answer, each once."""

    items: tuple[Source, ...]


class Done(msgspec.Struct, frozen=True, gc=False):
    """The answer is over. ``cut``: it ended without a word that it was complete."""

    cut: bool = False
    finish: str = ""
    """The ``finish_reason``; ``length`` and ``content_filter`` concern the user."""


Piece = Delta | Status | Choices | Form | Sources | Done
