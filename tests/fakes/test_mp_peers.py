"""Somebody else's word on the fake official account, and on our own envelope: wechatpy, which nobody here wrote."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.wechat.mp import xml
from adapters.wechat.mp.crypto import Cipher, Denied, signature
from tests.fakes.wechat.mp import Mp
from tests.fakes.wechat.mp_envelope import Envelope, fields_of

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:wechatpy"),
    pytest.mark.filterwarnings("ignore::SyntaxWarning:wechatpy"),
]
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=400)
MESSAGE = b"<xml><ToUserName>gh</ToUserName><Content>" + "你好 <&>".encode() + b"</Content></xml>"


def peer() -> object:
    from wechatpy.crypto import WeChatCrypto

    return WeChatCrypto(Mp.token, Mp.aes_key, Mp.app_id)


@pytest.fixture
async def account() -> AsyncIterator[Mp]:
    async with Mp() as made:
        yield made


def test_wechatpy_opens_what_the_fake_seals() -> None:
    query = Envelope(Mp.token, Mp.aes_key, Mp.app_id).query()
    more, body = Envelope(Mp.token, Mp.aes_key, Mp.app_id).seal(MESSAGE, "gh", query["timestamp"], query["nonce"])
    opened = peer().decrypt_message(body, more["msg_signature"], query["timestamp"], query["nonce"])  # type: ignore[attr-defined]
    assert opened.encode() == MESSAGE


def test_the_fake_opens_what_wechatpy_seals() -> None:
    sealed = peer().encrypt_message(MESSAGE.decode(), "nonce", "1700000000")  # type: ignore[attr-defined]
    assert Envelope(Mp.token, Mp.aes_key, Mp.app_id).open(sealed.encode()) == MESSAGE


@settings(max_examples=30)
@given(TEXTS)
def test_our_envelope_and_wechatpys_are_one(text: str) -> None:
    ours = Cipher(Mp.aes_key, Mp.app_id)
    written = xml.write({"Content": text})
    sealed = ours.encrypt(written)
    stamp, nonce = "1700000000", "nonce"
    body = xml.write({"ToUserName": "gh", "Encrypt": sealed})
    opened = peer().decrypt_message(body, signature(Mp.token, stamp, nonce, sealed), stamp, nonce)  # type: ignore[attr-defined]
    assert xml.read(opened.encode()) == {"Content": text}
    theirs = fields_of(peer().encrypt_message(written.decode(), nonce, stamp).encode())  # type: ignore[attr-defined]
    assert ours.decrypt(theirs["Encrypt"]) == written


def test_what_is_for_another_account_is_not_opened() -> None:
    sealed = Cipher(Mp.aes_key, "wxffffffffffffffff").encrypt(MESSAGE)
    with pytest.raises(Denied, match="our aes_key"):
        Cipher(Mp.aes_key, Mp.app_id).decrypt(sealed)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: base64.b64encode(data).decode()))
def test_whatever_comes_is_opened_or_denied(text: str) -> None:
    with pytest.raises(Denied):
        Cipher(Mp.aes_key, Mp.app_id).decrypt(text)


@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><xml><Content>&b;</Content></xml>',
        b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><xml><Content>&f;</Content></xml>',
        b"<xml><Content>",
        b"\xff\xfe",
        b"",
    ],
)
def test_entities_and_broken_xml_are_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="not XML as WeChat writes it"):
        xml.read(body)


async def test_wechatpy_calls_the_fake_api(account: Mp) -> None:
    def call() -> object:
        from wechatpy import WeChatClient

        client = WeChatClient(account.app_id, account.app_secret, access_token=token)
        client.API_BASE_URL = f"{account.url}/cgi-bin/"
        return client.message.send_text("openid-1", "你好 from a peer")

    account.phone().left = 1
    token = account._new_token({"appid": account.app_id, "secret": account.app_secret})["access_token"]
    answer = await asyncio.to_thread(call)
    assert answer == {"errcode": 0, "errmsg": "ok"}
    assert account.screen() == ["你好 from a peer"]
