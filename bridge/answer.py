"""What the store keeps of an answer: enough to go on after a death of the process at any instant."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from bridge.model import Message


class Sent(NamedTuple):
    """What can neither be taken back nor changed: the text that it stands for, what re-opens a fence behind it, and how
    many parts of the answer it is."""

    text: str = ""
    prefix: str = ""
    parts: int = 0


class Tried(NamedTuple):
    """A message as it was shown, and what is out of our hands once it has arrived."""

    text: str
    sent: Sent


class Answer(msgspec.Struct, omit_defaults=True):
    """Kept under ``answer:{job}``. ``text`` is what came so far, or all of it once ``whole``."""

    attempt: int = -1
    """The last attempt at asking that was begun."""
    begun: int = 0
    """How often a process has taken it up."""
    errors: int = 0
    ref: str = ""
    ids: tuple[str, ...] = ()
    parts: int = 0
    """Parts that are on the screen."""
    filed: int = 0
    """Files that were sent behind them."""
    sent: Sent = Sent()
    """Where messages cannot be changed: what those stand for that were sent."""
    tried: Tried | None = None
    """The one that may have been sent when the process died."""
    owed: str = ""
    """The rest of an earlier answer, which comes first."""
    attempting: int = -1
    """The part that was about to be sent, where sending it twice would show it twice; -1 = none."""
    text: str = ""
    note: str = ""
    whole: bool = False
    thinking: str = ""
    """The end of the model's reasoning."""
    asked: Message | None = None
    """The question, where it was put together from several messages, or could have been."""
    edited: float = 0.0
    """Of which edit of the question this is the answer."""
    piece_of: str = ""
    """The job whose question this message is a piece of: it is answered there."""

    def row(self, job: str) -> dict[str, bytes | None]:
        return {answer_key(job): msgspec.json.encode(self)}

    def __repr__(self) -> str:
        return f"Answer(attempt={self.attempt}, begun={self.begun}, whole={self.whole})"


class Rest(msgspec.Struct, frozen=True):
    """Kept under ``rest:{lane}``: the end of an answer that the platform did not allow; the next message brings it."""

    text: str

    def __repr__(self) -> str:
        return f"Rest({len(self.text)} characters)"


class Said(msgspec.Struct, frozen=True):
    """Kept for each message of an answer, under ``said:{bot}/{chat}/{message}``: whose answer it belongs to."""

    job: str
    lane: str
    owner: str


def answer_key(job: str) -> str:
    return f"answer:{job}"


def rest_key(lane: str) -> str:
    return f"rest:{lane}"


def said_key(bot: str, chat: str, message: str) -> str:
    return f"said:{bot}/{chat}/{message}"
