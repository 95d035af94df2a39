"""The webhook of a Feishu bot: whom it believes, and what it answers. What both ways in share is tested with the long
connection."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp
import msgspec
import pytest

from adapters import feishu
from tests.adapters.feishu_stage import Stage, stage_of
from tests.adapters.host import Double
from tests.fakes.feishu import OpenPlatform, webhook
from tests.fakes.feishu.rules import Json

KEY = "encrypt key of the app"
TOKEN = "v3rT0kenOfTheApp"
EVENT: Json = {
    "schema": "2.0",
    "header": {"event_type": "somebody.came_v1", "event_id": "1", "token": TOKEN},
    "event": {},
}

Bot = AbstractAsyncContextManager[tuple[feishu.Adapter, Double]]


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    async with stage_of(OpenPlatform(), monkeypatch) as stage:
        stage.platform.verification_token = TOKEN
        yield stage


def plain(stage: Stage) -> Bot:
    """A bot that knows the Verification Token."""
    return stage.bot(mode="webhook", verification_token=TOKEN)


def encrypted(stage: Stage) -> Bot:
    """A bot with an Encrypt Key, which the platform uses, too."""
    stage.platform.encrypt_key = KEY
    return stage.bot(mode="webhook", verification_token=TOKEN, encrypt_key=KEY)


async def post(stage: Stage, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Anybody posts anything."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(stage.platform.webhook_url, data=io.BytesIO(body), headers=headers) as response,
    ):
        return response.status, await response.read()


# ------------------------------------------------------------------ what Feishu posts


@pytest.mark.parametrize("bot", [plain, encrypted])
@pytest.mark.parametrize("case", ["canonical", "lower"])
async def test_an_event_is_taken_in(stage: Stage, bot: Any, case: str) -> None:
    stage.platform.header_case = case
    async with bot(stage) as (_, host):
        said = stage.platform.say("hello")
        assert await host.text() == "hello"
        assert await stage.answered(said.event_id) == 200


async def test_a_key_alone_is_enough(stage: Stage) -> None:
    stage.platform.encrypt_key = KEY
    async with stage.bot(mode="webhook", encrypt_key=KEY) as (_, host):
        stage.platform.say("hello")
        assert await host.text() == "hello"


@pytest.mark.parametrize("bot", [plain, encrypted])
async def test_the_address_is_verified(stage: Stage, bot: Any) -> None:
    async with bot(stage):
        assert await stage.platform.verify_url()


async def test_the_address_is_verified_before_the_bot_runs_and_events_have_to_wait(stage: Stage) -> None:
    async with stage.served(mode="webhook", verification_token=TOKEN):
        assert await stage.platform.verify_url()
        assert await stage.answered(stage.platform.push("somebody.came_v1", {})) == 503


async def test_a_challenge_comes_back_as_it_is(stage: Stage) -> None:
    async with plain(stage):
        asked = {"type": "url_verification", "token": TOKEN, "challenge": 'a"b\\c'}
        assert await stage.platform.post_webhook(asked) == (200, {"challenge": 'a"b\\c'})


async def test_the_question_for_a_challenge_need_not_be_signed(stage: Stage) -> None:
    async with encrypted(stage):
        body = webhook.sealed(KEY, {"type": "url_verification", "token": TOKEN, "challenge": "c"})
        assert await post(stage, body) == (200, b'{"challenge":"c"}')


async def test_the_log_says_which_address_to_enter(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with plain(stage) as (_, host):
        assert f"the request address for events and callbacks is {host.public_url}/hooks/fs" in caplog.text
    adapter, host = stage.build(mode="webhook", verification_token=TOKEN)
    running = asyncio.create_task(adapter.run(host.receive))
    await asyncio.wait_for(host.connected.wait(), 5)
    running.cancel()
    assert "<the public address of this port>/hooks/fs" in caplog.text


# ------------------------------------------------------------------ what others post


async def refused(stage: Stage, body: bytes, headers: dict[str, str] | None = None) -> None:
    assert await post(stage, body, headers) == (401, b""), "and nobody learns why"


def signed(payload: Json, *, age: float = 0.0, key: str = KEY) -> tuple[bytes, dict[str, str]]:
    """An encrypted event with its signature."""
    body = webhook.sealed(key, payload)
    return body, webhook.signed(key, body, time.time() - age)


@pytest.mark.parametrize("header", ["X-Lark-Signature", "X-Lark-Request-Timestamp", "X-Lark-Request-Nonce"])
async def test_a_signature_that_is_wrong_or_missing(
    stage: Stage, header: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with encrypted(stage):
        body, headers = signed(EVENT)
        assert (await post(stage, body, headers))[0] == 200
        for value in ("", "0", "\udcff", "é"):
            await refused(stage, body, {**headers, header: value})
        del headers[header]
        await refused(stage, body, headers)
        assert "it has no signature by our encrypt_key" in caplog.text


async def test_a_body_that_was_changed(stage: Stage) -> None:
    async with encrypted(stage):
        _, headers = signed(EVENT)
        await refused(stage, signed(EVENT)[0], headers)


@pytest.mark.parametrize("age", [3700, -3700])
async def test_a_signature_of_another_hour(stage: Stage, age: float, caplog: pytest.LogCaptureFixture) -> None:
    async with encrypted(stage):
        assert (await post(stage, *signed(EVENT, age=age / 2)))[0] == 200
        await refused(stage, *signed(EVENT, age=age))
        assert "its signature is not of this hour" in caplog.text


async def test_another_key(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    async with encrypted(stage):
        body, _ = signed(EVENT, key="another")
        await refused(stage, body, webhook.signed(KEY, body, time.time()))
        assert "it is not encrypted with our encrypt_key" in caplog.text


@pytest.mark.parametrize("body", [b"\xff", webhook.sealed("another", EVENT)])
async def test_nothing_is_read_out_of_a_body_with_a_wrong_signature(
    stage: Stage, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with encrypted(stage):
        await refused(stage, body, webhook.signed("another", body, time.time()))
        assert "it has no signature by our encrypt_key" in caplog.text


async def test_a_challenge_with_a_signature_needs_a_right_one(stage: Stage) -> None:
    async with encrypted(stage):
        challenge = {"type": "url_verification", "token": TOKEN, "challenge": "c"}
        assert await post(stage, *signed(challenge)) == (200, b'{"challenge":"c"}')
        body = webhook.sealed(KEY, challenge)
        await refused(stage, body, webhook.signed("another", body, time.time()))


async def test_an_event_that_is_not_encrypted_where_there_is_a_key(stage: Stage) -> None:
    async with encrypted(stage):
        body = msgspec.json.encode(EVENT)
        await refused(stage, body, webhook.signed(KEY, body, time.time()))


async def test_an_event_that_is_encrypted_where_there_is_no_key(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    async with plain(stage):
        await refused(stage, *signed(EVENT))
        assert "it is encrypted, and encrypt_key is not set" in caplog.text


@pytest.mark.parametrize("bot", [plain, encrypted])
async def test_another_token(stage: Stage, bot: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with bot(stage):
        key = stage.platform.encrypt_key
        for token in ("", "another", "\ud83d", 7, None):
            event = {**EVENT, "header": {**EVENT["header"], "token": token}}
            for payload in (event, {"type": "url_verification", "challenge": "c", "token": token}):
                body = webhook.sealed(key, json.dumps(payload).encode())
                await refused(stage, body, webhook.signed(key, body, time.time()))
        assert "it does not hold our verification_token" in caplog.text


@pytest.mark.parametrize("bot", [plain, encrypted])
async def test_junk(stage: Stage, bot: Any) -> None:
    async with bot(stage) as (_, host):
        for body in (b"", b"[]", b"{}", b"\xff", b"{{", b'{"a":' * 50_000):
            await refused(stage, body)
        for value in (b"1", b'"eA=="', b'"?"', b"null", b"[]"):
            await refused(stage, b'{"encrypt":%b}' % value)
            await refused(stage, b'{"header":%b}' % value)
        assert host.events.empty()


def filled(payload: Json, size: int) -> Json:
    return {**payload, "filling": "x" * size}


async def test_a_body_that_is_too_long(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    async with plain(stage):
        assert (await post(stage, msgspec.json.encode(filled(EVENT, 250_000))))[0] == 200
        await refused(stage, msgspec.json.encode(filled(EVENT, 300_000)))
        assert "it is longer than 262144 bytes" in caplog.text


async def test_where_there_is_a_key_only_what_is_signed_may_be_long(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    async with encrypted(stage):
        assert (await post(stage, *signed(filled(EVENT, 500_000))))[0] == 200
        await refused(stage, *signed(filled(EVENT, 1_000_000)))
        challenge = {"type": "url_verification", "token": TOKEN, "challenge": "c"}
        assert (await post(stage, webhook.sealed(KEY, filled(challenge, 2000))))[0] == 200
        caplog.clear()
        for _ in range(9):  # the tenth refusal is in the log
            await refused(stage, webhook.sealed(KEY, filled(challenge, 4000)))
        assert "it is longer than 4096 bytes" in caplog.text


async def test_refusals_do_not_fill_the_log(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    async with plain(stage):
        for _ in range(12):
            await refused(stage, b"{}")
        told = [record.message for record in caplog.records if "a request to the webhook was refused" in record.message]
        assert len(told) == 2
        assert TOKEN not in caplog.text
