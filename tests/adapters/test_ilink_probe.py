"""``check --online`` for an iLink bot: what an operator reads."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import unused_port

from adapters.wechat.ilink.account import Account
from adapters.wechat.ilink.api import Api, Credentials
from adapters.wechat.ilink.probe import findings
from bridge.model import Finding
from bridge.wire import Wire
from tests.adapters.host import Double
from tests.fakes.wechat.ilink import Ilink

LOGIN_FIX = "run: fastgpt-bridge login wx"
NETWORK_FIX = "look at the network, at proxy and at base_url"


class Operator:
    """Whoever runs the check."""

    def __init__(self, ilink: Ilink, wire: Wire) -> None:
        self.ilink = ilink
        self._host = Double({}, wire)

    async def logged_in(self) -> None:
        account = self._account(self.ilink.url)
        await account.keep(Credentials("tok-1", "abc@im.bot", "u1@im.wechat", self.ilink.url))

    async def check(self, base_url: str = "") -> list[Finding]:
        account = self._account(base_url or self.ilink.url)
        return await findings(account, account.api)

    def _account(self, base_url: str) -> Account:
        return Account("wx", Api(self._host.connection, base_url), self._host)


@pytest.fixture
async def operator() -> AsyncIterator[Operator]:
    async with Ilink() as ilink, Wire({}) as wire:
        yield Operator(ilink, wire)


def netloc(ilink: Ilink) -> str:
    return ilink.url.removeprefix("http://")


async def test_a_good_login(operator: Operator) -> None:
    await operator.logged_in()
    assert await operator.check() == [
        Finding(True, f"iLink answers at {netloc(operator.ilink)}"),
        Finding(True, "logged in as abc@im.bot, which talks to u1@im.wechat only"),
    ]
    assert operator.ilink.complaints == []


async def test_no_message_is_taken_from_a_running_service(operator: Operator) -> None:
    await operator.logged_in()
    operator.ilink.say("hello")
    await operator.check()
    assert [path for path, _ in operator.ilink.calls] == ["getconfig"]


async def test_nobody_is_logged_in(operator: Operator) -> None:
    reached, login = await operator.check()
    assert reached.ok
    assert login == Finding(False, "nobody is logged in", LOGIN_FIX)


async def test_the_login_has_ended(operator: Operator) -> None:
    await operator.logged_in()
    operator.ilink.expire()
    reached, login = await operator.check()
    assert reached.ok
    assert login == Finding(False, "WeChat has ended the login of abc@im.bot", LOGIN_FIX)


async def test_a_test_call_that_is_refused_for_another_reason_is_no_fault(operator: Operator) -> None:
    await operator.logged_in()
    operator.ilink.fail("getconfig", ret=-1)
    reached, login = await operator.check()
    assert reached.ok
    assert login.ok
    assert "ret -1" in login.text


async def test_ilink_is_out_of_order(operator: Operator) -> None:
    await operator.logged_in()
    operator.ilink.fault("getconfig", "502")
    (row,) = await operator.check()
    assert (row.ok, row.fix) == (False, NETWORK_FIX)
    assert "502" in row.text


async def test_ilink_is_not_there_and_nobody_is_logged_in(operator: Operator) -> None:
    network, login = await operator.check(f"http://127.0.0.1:{unused_port()}")
    assert (network.ok, network.fix) == (False, NETWORK_FIX)
    assert (login.ok, login.fix) == (False, LOGIN_FIX)


async def test_too_many_calls(operator: Operator) -> None:
    await operator.logged_in()
    operator.ilink.fail("getconfig", status=429)
    (row,) = await operator.check()
    assert (row.ok, row.fix) == (False, "try again later")
