"""Frames of the long connection: what the platform and we send each other over the WebSocket. Pure.

Rules of this file:
- a frame goes back whole as its own acknowledgement, as both official SDKs do it: only the payload is ours;
- an event may come in parts. Sets that stay incomplete are dropped, by age and by size: Feishu brings the event again.

Source: pbbp2.proto in lark-oapi; the long connection in its ``ws`` and in @larksuiteoapi/node-sdk.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from adapters.feishu import lark

CONTROL, DATA = 0, 1
"""``Frame.method``."""
PART_AGE = 5.0
"""Seconds that the parts of an event wait for the next one."""
PARTS_MOST = 16 << 20
"""Bytes of all the parts that wait."""
DIGITS = 9
"""Of a number in a header, at most."""

_Wire = lark.frame_type()


class Frame(NamedTuple):
    """One frame. What we do not read ourselves is kept for the acknowledgement."""

    method: int
    service: int
    """``service_id`` in the address of the connection."""
    headers: dict[str, str]
    """``type`` (event, card, ping, pong); those of an event also ``message_id``, ``sum``, ``seq`` and ``trace_id``."""
    payload: bytes = b""
    """JSON, or a part of it."""
    seq_id: int = 0
    log_id: int = 0
    payload_encoding: str = ""
    payload_type: str = ""
    log_id_new: str = ""


def decode(data: bytes) -> Frame:
    """Raises ValueError when it is no frame."""
    wire = _Wire()
    try:
        wire.ParseFromString(data)
    except Exception as error:  # the library's DecodeError is nothing more special
        raise ValueError(f"not a frame: {type(error).__name__}") from None
    return Frame(
        method=wire.method,
        service=wire.service,
        headers={header.key: header.value for header in wire.headers},
        payload=wire.payload,
        seq_id=wire.SeqID,
        log_id=wire.LogID,
        payload_encoding=wire.payload_encoding,
        payload_type=wire.payload_type,
        log_id_new=wire.LogIDNew,
    )


def encode(frame: Frame) -> bytes:
    """The four numbers are always written, also when they are 0: the protocol requires them."""
    wire = _Wire(
        SeqID=frame.seq_id,
        LogID=frame.log_id,
        service=frame.service,
        method=frame.method,
        payload_encoding=frame.payload_encoding or None,
        payload_type=frame.payload_type or None,
        payload=frame.payload or None,
        LogIDNew=frame.log_id_new or None,
    )
    for key, value in frame.headers.items():
        wire.headers.add(key=key, value=value)
    encoded: bytes = wire.SerializeToString()
    return encoded


def ping(service: int) -> bytes:
    """What we send again and again; the answer is a pong with the server's settings."""
    return encode(Frame(CONTROL, service, {"type": "ping"}))


def ack(frame: Frame, code: int, data: bytes | None, biz_rt: int) -> bytes:
    """The answer to an event: 200 = taken in, 500 = bring it again. ``data`` is the JSON that a card callback gets;
    ``biz_rt`` is how long it took, in ms."""
    answer: dict[str, object] = {"code": code}
    if data is not None:
        answer["data"] = base64.b64encode(data).decode()
    headers = {**frame.headers, "biz_rt": str(biz_rt)}
    return encode(frame._replace(headers=headers, payload=msgspec.json.encode(answer)))


class Fragments:
    """Joins the parts of events."""

    def __init__(self) -> None:
        self._sets: dict[str, _Set] = {}  # by message id; what grew last stands last

    def add(self, frame: Frame, now: float) -> bytes | None:
        """The whole payload, or None while parts of it are missing. ``now`` is any clock in seconds."""
        total, seq = _number(frame, "sum", 1), _number(frame, "seq", 0)
        if total <= 1:
            return frame.payload
        self._sets = {key: kept for key, kept in self._sets.items() if now - kept.at <= PART_AGE}
        message = frame.headers.get("message_id", "")
        found = self._sets.pop(message, None)
        if found is None or found.total != total:
            found = _Set(total)
        found.at = now
        found.parts[seq] = frame.payload
        if all(number in found.parts for number in range(total)):
            return b"".join(found.parts[number] for number in range(total))
        self._sets[message] = found
        while sum(kept.size() for kept in self._sets.values()) > PARTS_MOST:
            del self._sets[next(iter(self._sets))]
        return None


@dataclass
class _Set:
    """The parts of one event."""

    total: int
    parts: dict[int, bytes] = field(default_factory=dict)
    at: float = 0.0
    """When the last one came."""

    def size(self) -> int:
        return sum(map(len, self.parts.values()))


def _number(frame: Frame, header: str, default: int) -> int:
    text = frame.headers.get(header, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= DIGITS else default
