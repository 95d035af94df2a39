"""What a test sees of a gateway, whichever it is: the messages that the bot has sent, and who is connected.

Rules of this file:
- nothing is changed by looking.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.fakes.changes import Changes


@dataclass(frozen=True)
class Sent:
    """One message of the bot: a text, or a file."""

    id: str
    conversation: str
    """A contact's id, or a room's (with an ``@``)."""
    at: float
    """Unix seconds."""
    text: str = ""
    mentions: tuple[str, ...] = ()
    file: tuple[str, bytes] | None = None
    """Name and content."""


class Watch(Changes):
    """The looking half of a gateway."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Sent] = []
        self.listening = False
        """A client holds the event stream."""
        self.started = 0
        """How often a client has called Start."""

    def screen(self, conversation: str = "alice") -> list[str]:
        """What the bot has sent there, in order; a file as ``[file NAME]``."""
        seen = (sent for sent in self.sent if sent.conversation == conversation)
        return [f"[file {sent.file[0]}]" if sent.file else sent.text for sent in seen]

    def dump(self) -> str:
        """What there is to see, as text, for the message of a failed test."""
        lines = (f"  to {sent.conversation}: {sent.file[0] if sent.file else sent.text!r}" for sent in self.sent)
        return "\n".join((f"listening: {self.listening}; started: {self.started}; sent:", *lines))
