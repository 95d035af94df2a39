"""Logging in by QR code: what the operator sees and types, and whose the login is then."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from adapters.wechat.ilink import account as accounts
from adapters.wechat.ilink.account import Account
from adapters.wechat.ilink.api import Api, Credentials
from adapters.wechat.ilink.login import FAULTS, QUESTION, STATUS, WRONG, login, trusted
from bridge.model import BridgeError
from bridge.wire import Wire
from tests.adapters.host import Double
from tests.fakes.wechat.ilink import Ilink

BASE = "https://ilinkai.weixin.qq.com"
BEFORE = Credentials("tok-before", "abc@im.bot", "u1@im.wechat", "")


@dataclass
class Operator:
    """Whoever runs ``login``: has a terminal, and a phone that scans as ``ilink.scan`` says."""

    ilink: Ilink
    host: Double
    types: list[str] = field(default_factory=list)
    """The answers to the questions, in order."""
    drawn: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    async def draw(self, link: str) -> None:
        self.drawn.append(link)

    async def ask(self, question: str) -> str:
        self.asked.append(question)
        return self.types.pop(0)

    @property
    def account(self) -> Account:
        return Account("wx", Api(self.host.connection, self.ilink.url), self.host)

    async def login(self) -> Credentials:
        """Log in, and read the store as another process does."""
        account = self.account
        await login(account.api, account, self.draw, self.ask)
        found = await self.account.stored()
        assert found is not None
        return found

    async def fails(self) -> str:
        with pytest.raises(BridgeError) as caught:
            await self.login()
        return str(caught.value)

    async def was_logged_in(self) -> None:
        await self.account.keep(BEFORE)


@pytest.fixture
async def operator(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Operator]:
    monkeypatch.setattr(sys.modules[login.__module__], "PAUSE", 0.01)  # the package has the function under that name
    async with Ilink() as ilink, Wire({}) as wire:
        yield Operator(ilink, Double({}, wire))
        assert ilink.complaints == []


def whose(credentials: Credentials) -> tuple[str, str, str, str]:
    return credentials.token, credentials.bot_id, credentials.user_id, credentials.base_url


# ------------------------------------------------------------------ it works


async def test_a_scan_that_is_confirmed(operator: Operator) -> None:
    ilink = operator.ilink
    ilink.scan = "confirmed"
    assert whose(await operator.login()) == ("tok-1", "abc@im.bot", "u1@im.wechat", "")
    assert operator.drawn == ["https://liteapp.weixin.qq.com/q/qr-1"]
    assert operator.asked == []


async def test_the_number_on_the_phone_is_asked_again_until_it_is_right(operator: Operator) -> None:
    operator.ilink.scan = "need_verifycode"
    operator.types = ["", "forty", "1234", " 4711 "]
    assert (await operator.login()).token == "tok-1"
    assert operator.asked == [QUESTION, WRONG, WRONG, WRONG]
    polls = [query.get("verify_code") for path, query in operator.ilink.calls if path == STATUS]
    assert polls == [None, "1234", "4711", None]  # what was right is not sent again


async def test_too_many_wrong_numbers_end_it_with_the_reason(operator: Operator) -> None:
    operator.ilink.scan = "need_verifycode"
    operator.types = ["1", "2", "3"]
    assert "too many were wrong" in await operator.fails()
    assert operator.host.store == {}


async def test_an_expired_code_is_drawn_anew(operator: Operator) -> None:
    operator.ilink.expiring = 3
    operator.ilink.scan = "confirmed"
    await operator.login()
    assert len(set(operator.drawn)) == 4


async def test_codes_are_not_drawn_for_ever(operator: Operator) -> None:
    operator.ilink.expiring = 9
    assert "expired" in await operator.fails()
    assert len(operator.drawn) == 4


async def test_polls_that_fail_do_not_end_it(operator: Operator) -> None:
    operator.ilink.scan = "confirmed"
    operator.ilink.fault(STATUS, "502", times=FAULTS - 1)
    await operator.login()
    assert len(operator.drawn) == 1


async def test_a_server_that_is_gone_ends_it(operator: Operator) -> None:
    operator.ilink.fault(STATUS, "502", times=FAULTS)
    assert "502" in await operator.fails()


async def test_a_status_that_is_not_known_is_no_news(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    told: Iterator[dict[str, Any]] = iter(
        [{"status": "sleeping"}, {"ret": 0}, {"status": 7}, {"status": "confirmed", "bot_token": "tok-1"}]
    )

    async def get(*_: Any, **__: Any) -> dict[str, Any]:
        return {"ilink_bot_id": "abc@im.bot", "ilink_user_id": "u1@im.wechat", **next(told)}

    monkeypatch.setattr(Api, "get", get)
    assert (await operator.login()).token == "tok-1"


# ------------------------------------------------------------------ logged in before


async def test_wechat_is_told_the_login_that_is_known(operator: Operator) -> None:
    await operator.was_logged_in()
    operator.ilink.scan = "confirmed"
    operator.ilink.renew("tok-2")
    assert (await operator.login()).token == "tok-2"
    asked = [body for path, body in operator.ilink.calls if path.startswith("get_bot_qrcode")]
    assert asked[0]["local_token_list"] == ["tok-before"]


async def test_an_account_that_is_bound_already_keeps_its_login(operator: Operator) -> None:
    await operator.was_logged_in()
    before = await operator.account.stored()
    operator.ilink.scan = "binded_redirect"
    after = await operator.login()
    assert whose(after) == whose(BEFORE)
    assert after != before  # news for a service that waits: the token is good again


async def test_an_account_that_is_bound_to_another_program(operator: Operator) -> None:
    operator.ilink.scan = "binded_redirect"
    assert "bound already" in await operator.fails()
    assert operator.host.store == {}


# ------------------------------------------------------------------ a service that waits for it


async def test_a_service_without_a_login_says_so_and_goes_on_with_the_first_one(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "LOOK", 0.01)
    operator.ilink.scan = "confirmed"
    running = operator.account
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(running.connect())
        await operator.host.until_state("login_needed", "run: fastgpt-bridge login wx")
        await operator.login()
    assert running.bot_id == "abc@im.bot"


async def test_a_service_whose_login_has_ended_goes_on_with_the_next_one(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "LOOK", 0.01)
    await operator.was_logged_in()
    operator.ilink.scan = "binded_redirect"
    running = operator.account
    await running.connect()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(running.expired())
        await operator.host.until_state("login_needed", "WeChat has ended the login")
        await operator.login()
    assert running.api.credentials == await operator.account.stored()


async def test_a_login_that_has_ended_is_tried_again_by_itself(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "LOOK", 0.01)
    monkeypatch.setattr(accounts, "AGAIN", 0.0)
    await operator.was_logged_in()
    running = operator.account
    await running.connect()
    await asyncio.wait_for(running.expired(), 5)
    assert running.bot_id == "abc@im.bot"


# ------------------------------------------------------------------ where the token goes


class Names:
    """A session in a net where all names of Tencent's lead to the fake, which gets them as ``Host``."""

    def __init__(self, session: aiohttp.ClientSession, ilink: Ilink) -> None:
        self._session = session
        self._ilink = ilink

    def request(self, method: str, url: str, *, headers: dict[str, str], **options: Any) -> Any:
        name = urlsplit(url).netloc
        if name.endswith(".qq.com"):
            url, headers = url.replace(f"https://{name}", self._ilink.url), {**headers, "Host": name}
        return self._session.request(method, url, headers=headers, **options)


async def test_a_redirect_to_another_server_of_tencents_is_followed(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, _ = operator.host.connection("")
    monkeypatch.setattr(operator.host, "connection", lambda url: (Names(session, operator.ilink), None))
    operator.ilink.redirect_host = "sh.ilinkai.weixin.qq.com"
    operator.ilink.scan = "scaned_but_redirect"
    assert (await operator.login()).token == "tok-1"


async def test_a_redirect_to_a_stranger_ends_it(operator: Operator) -> None:
    operator.ilink.redirect_host = "ilink.example.com"
    operator.ilink.scan = "scaned_but_redirect"
    assert "ilink.example.com" in await operator.fails()


async def test_a_login_for_a_strangers_server_is_not_kept(operator: Operator) -> None:
    operator.ilink.baseurl = "https://ilink.example.com"
    operator.ilink.scan = "confirmed"
    assert "ilink.example.com" in await operator.fails()
    assert operator.host.store == {}


@pytest.mark.parametrize(
    ("place", "address"),
    [
        ("ilinkai.weixin.qq.com", BASE),
        ("sh.weixin.qq.com", "https://sh.weixin.qq.com"),
        ("https://sh.weixin.qq.com/", "https://sh.weixin.qq.com"),
        ("https://sh.weixin.qq.com:8443/api", "https://sh.weixin.qq.com:8443/api"),
        ("https://ilinkai.wechat.com", "https://ilinkai.wechat.com"),
    ],
)
def test_servers_that_may_have_the_token(place: str, address: str) -> None:
    assert trusted(place, BASE) == address


def test_the_configured_server_may_have_it_as_it_is_configured() -> None:
    assert trusted("ILINK.example.com:8080", "http://ilink.example.com:8080") == "http://ilink.example.com:8080"


@pytest.mark.parametrize(
    "place",
    [
        "",
        "qq.com.example.com",
        "evilqq.com",
        "http://sh.weixin.qq.com",
        "https://sh.weixin.qq.com@example.com",
        "https://example.com/.weixin.qq.com",
        "https://example.com\\.weixin.qq.com",
        "https://example.com?.weixin.qq.com",
        "https://example.com#.weixin.qq.com",
        "https://sh.weixin.qq.com\n",
        "//sh.weixin.qq.com",
        "127.0.0.1",
        "https://[::1",
    ],
)
def test_servers_that_may_not(place: str) -> None:
    with pytest.raises(BridgeError, match="base_url"):
        trusted(place, BASE)
