"""Frames of the long connection, and the leaf modules of lark-oapi that read and write them."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.feishu import frames, lark
from adapters.feishu.frames import CONTROL, DATA, Fragments, Frame, ack, decode, encode, ping
from tests.fakes.feishu import codec

ROOT = Path(__file__).parents[2]

NUMBERS = st.integers(0, 2**64 - 1)
SMALL = st.integers(0, 2**31 - 1)
HEADERS = st.dictionaries(st.text(max_size=12), st.text(max_size=12), max_size=5)
FRAMES = st.builds(
    Frame,
    method=SMALL,
    service=SMALL,
    headers=HEADERS,
    payload=st.binary(max_size=200),
    seq_id=NUMBERS,
    log_id=NUMBERS,
    payload_encoding=st.text(max_size=5),
    payload_type=st.text(max_size=5),
    log_id_new=st.text(max_size=5),
)


# ------------------------------------------------------------------ the codec


@given(FRAMES)
def test_a_frame_comes_back_as_it_was(frame: Frame) -> None:
    assert decode(encode(frame)) == frame


@given(FRAMES)
def test_another_codec_reads_ours(frame: Frame) -> None:
    read = codec.decode(encode(frame))
    assert (read.seq_id, read.log_id, read.service, read.method) == (
        frame.seq_id,
        frame.log_id,
        frame.service,
        frame.method,
    )
    assert (dict(read.headers), read.payload) == (frame.headers, frame.payload)


@given(SMALL, SMALL, NUMBERS, HEADERS, st.binary(max_size=200))
def test_we_read_another_codec(method: int, service: int, seq: int, headers: dict[str, str], payload: bytes) -> None:
    read = decode(codec.encode(codec.Frame(seq, 7, service, method, list(headers.items()), payload)))
    assert read == Frame(method, service, headers, payload, seq_id=seq, log_id=7)


@given(st.binary(max_size=64))
def test_any_bytes_are_a_frame_or_a_value_error(data: bytes) -> None:
    try:
        decode(data)
    except ValueError:
        return


def test_an_error_does_not_quote_the_frame() -> None:
    with pytest.raises(ValueError, match=r"^not a frame: \w+$"):
        decode(b"*\x0bsecret")


def test_fields_that_we_do_not_know_do_no_harm() -> None:
    assert decode(encode(Frame(DATA, 1, {})) + b"\x52\x03new\x58\x01") == Frame(DATA, 1, {})


def test_a_ping_names_the_service() -> None:
    assert decode(ping(33554678)) == Frame(CONTROL, 33554678, {"type": "ping"})


def test_an_acknowledgement_is_the_frame_with_our_answer() -> None:
    frame = Frame(DATA, 5, {"type": "event", "message_id": "m"}, b'{"event":{}}', 1, 2, "plain", "json", "new")
    headers = {"type": "event", "message_id": "m", "biz_rt": "12"}
    assert decode(ack(frame, 200, None, 12)) == frame._replace(headers=headers, payload=b'{"code":200}')
    answer = msgspec.json.decode(decode(ack(frame, 200, b'{"toast":1}', 12)).payload)
    assert answer["code"] == 200
    assert base64.b64decode(answer["data"]) == b'{"toast":1}'


# ------------------------------------------------------------------ parts


def part(seq: int | str, total: int | str, payload: bytes = b"", message: str = "m") -> Frame:
    return Frame(DATA, 1, {"message_id": message, "sum": str(total), "seq": str(seq)}, payload)


@given(st.lists(st.binary(max_size=5), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_parts_are_joined_in_their_order_whenever_they_come(pieces: list[bytes], random: Random) -> None:
    sent = [part(seq, len(pieces), piece) for seq, piece in enumerate(pieces)]
    random.shuffle(sent)
    fragments = Fragments()
    *early, last = [fragments.add(frame, 0.0) for frame in sent]
    assert not any(found is not None for found in early)
    assert last == b"".join(pieces)


def test_parts_of_two_events_and_parts_that_come_twice() -> None:
    fragments = Fragments()
    assert fragments.add(part(0, 2, b"a"), 0.0) is None
    assert fragments.add(part(1, 2, b"y", "n"), 0.0) is None
    assert fragments.add(part(0, 2, b"a"), 0.0) is None
    assert fragments.add(part(1, 2, b"b"), 0.0) == b"ab"
    assert fragments.add(part(0, 2, b"x", "n"), 0.0) == b"xy"


def test_an_event_without_parts_is_whole() -> None:
    assert Fragments().add(Frame(DATA, 1, {}, b"all"), 0.0) == b"all"
    for number in ("two", "9" * 5000):
        assert Fragments().add(part(number, number, b"all"), 0.0) == b"all"


def test_a_part_outside_the_event_completes_nothing() -> None:
    fragments = Fragments()
    assert fragments.add(part(0, 2, b"a"), 0.0) is None
    assert fragments.add(part(2, 2, b"c"), 0.0) is None
    assert fragments.add(part(1, 2, b"b"), 0.0) == b"ab"


def test_parts_that_wait_too_long_are_dropped() -> None:
    fragments = Fragments()
    fragments.add(part(0, 3, b"a"), 0.0)
    fragments.add(part(1, 3, b"b"), 4.0)
    assert fragments.add(part(2, 3, b"c"), 8.0) == b"abc", "each part renews it"
    fragments.add(part(0, 2, b"a"), 10.0)
    assert fragments.add(part(1, 2, b"b"), 15.1) is None


def test_parts_sent_anew_in_another_number_begin_anew() -> None:
    fragments = Fragments()
    fragments.add(part(1, 3, b"b"), 0.0)
    assert fragments.add(part(0, 2, b"A"), 0.0) is None
    assert fragments.add(part(1, 2, b"B"), 0.0) == b"AB"


def test_parts_that_wait_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "PARTS_MOST", 10)
    fragments = Fragments()
    for message in "mno":
        fragments.add(part(0, 2, b"12345", message), 0.0)
    assert fragments.add(part(1, 2, b"", "m"), 0.0) is None, "the oldest had to go"
    assert fragments.add(part(1, 2, b"", "o"), 0.0) == b"12345"


# ------------------------------------------------------------------ lark-oapi

LEAVES = """
import sys
from adapters.feishu import frames, lark

frame = frames.Frame(1, 2, {"type": "event"}, b"{}", 3, 4)
assert frames.decode(frames.encode(frame)) == frame
assert not any(name.startswith("Crypto") for name in sys.modules), "the cipher is not asked for"
print(lark.cipher("test key").decrypt_str("P37w+VZImNgPEO1RBhJ6RtKl7n6zymIbEG1pReEzghk="))
try:
    from lark_oapi import Client
except ImportError as error:
    print(error)
import lark_oapi
try:
    lark_oapi.Client
except AttributeError as error:
    print(error)
assert "lark_oapi.api" not in sys.modules
print(sum(name.startswith("lark_oapi") for name in sys.modules))
"""


def test_the_leaves_of_lark_oapi_load_without_the_rest() -> None:
    """In a process of its own, warnings being errors. The ciphertext is the one in Feishu's documentation."""
    old = "ignore:datetime.datetime.utcfromtimestamp:DeprecationWarning"  # of lark-oapi's protobuf, from Python 3.12 on
    command = [sys.executable, "-W", "error", "-W", old, "-c", LEAVES]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    text, imported, asked, count = done.stdout.splitlines()
    assert text == "hello world"
    for refusal in (imported, asked):
        assert refusal.startswith("lark_oapi.Client is not loaded: this process has stand-ins for most of lark_oapi")
    assert int(count) < 60, "modules of lark_oapi"


WHOLE = """
import sys, types

whole = types.ModuleType("lark_oapi")
whole.Client = object
sys.modules["lark_oapi"] = whole
sys.modules["lark_oapi.ws.pb.pbbp2_pb2"] = types.SimpleNamespace(Frame="its own")
sys.modules["lark_oapi.ws"] = sys.modules["lark_oapi.ws.pb"] = types.ModuleType("parent")
from adapters.feishu import lark

assert lark.frame_type() == "its own"
from lark_oapi import Client
"""


def test_a_whole_lark_oapi_that_is_there_already_is_used() -> None:
    subprocess.run([sys.executable, "-c", WHOLE], check=True, cwd=ROOT)


def test_the_cipher_refuses_what_another_key_has_encrypted() -> None:
    text = "P37w+VZImNgPEO1RBhJ6RtKl7n6zymIbEG1pReEzghk="
    assert lark.cipher("test key").decrypt_str(text) == "hello world"
    for key, broken in (("other key", text), ("test key", text[:-8]), ("test key", "")):
        with pytest.raises(ValueError, match=r"."):
            lark.cipher(key).decrypt_str(broken)
