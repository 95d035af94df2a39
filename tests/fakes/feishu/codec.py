"""The frames of the long connection: one protobuf message, read and written by hand.

Rules of this file:
- pure; as strict as a server: a frame without its four required fields, or with a wire type that the message does not
  have, is an error;
- fields 1 to 4 are always written, also when 0 (proto2 "required"); unknown fields are skipped.

Source: fact sheet 6.2 (Frame and Header, proto2).
"""

from __future__ import annotations

from typing import Any

import msgspec

CONTROL, DATA = 0, 1
"""What ``method`` says of a frame."""
VARINT, BYTES = 0, 2


class BadFrame(ValueError):
    """Bytes that are no frame."""


class Frame(msgspec.Struct):
    """One frame. ``headers`` as (key, value) pairs in order."""

    seq_id: int = 0
    log_id: int = 0
    service: int = 0
    method: int = CONTROL
    headers: list[tuple[str, str]] = []
    payload: bytes = b""

    def header(self, key: str) -> str:
        """The value of the first header of this name, or an empty string."""
        return next((value for name, value in self.headers if name == key), "")


def encode(frame: Frame) -> bytes:
    out = bytearray()
    for number, value in enumerate((frame.seq_id, frame.log_id, frame.service, frame.method), 1):
        out += _tag(number, VARINT) + _varint(value)
    for key, text in frame.headers:
        out += _tag(5, BYTES) + _sized(_tag(1, BYTES) + _sized(key.encode()) + _tag(2, BYTES) + _sized(text.encode()))
    if frame.payload:
        out += _tag(8, BYTES) + _sized(frame.payload)
    return bytes(out)


def decode(data: bytes) -> Frame:
    """The frame in ``data``. Raises BadFrame."""
    found: dict[int, Any] = {}
    headers: list[tuple[str, str]] = []
    for number, value in _fields(data):
        if number == 5 and isinstance(value, bytes):
            header = dict(_fields(value))
            headers.append((_text(header.get(1)), _text(header.get(2))))
        else:
            found[number] = value
    missing = [number for number in (1, 2, 3, 4) if not isinstance(found.get(number), int)]
    if missing:
        raise BadFrame(f"required fields are missing: {missing}")
    payload = found.get(8, b"")
    if not isinstance(payload, bytes):
        raise BadFrame("the payload is a number")
    return Frame(found[1], found[2], found[3], found[4], headers, payload)


def _tag(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)


def _sized(data: bytes) -> bytes:
    return _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _fields(data: bytes) -> list[tuple[int, int | bytes]]:
    found: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        value, at = _read_varint(data, at)
        if tag & 7 == VARINT:
            found.append((tag >> 3, value))
        elif tag & 7 == BYTES:
            if at + value > len(data):
                raise BadFrame("a field is longer than the frame")
            found.append((tag >> 3, data[at : at + value]))
            at += value
        else:
            raise BadFrame(f"wire type {tag & 7}")
    return found


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        value |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            return value, at
        shift += 7
    raise BadFrame("a number does not end")


def _text(value: Any) -> str:
    if not isinstance(value, bytes):
        raise BadFrame("a header is no string")
    return value.decode()
