"""``check --online`` for a Feishu bot: what an operator reads."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.feishu.account import Account
from adapters.feishu.api import Api
from adapters.feishu.options import Options
from adapters.feishu.probe import NEEDS, findings
from bridge.model import Finding
from bridge.wire import Wire
from tests.adapters.host import Double
from tests.fakes.feishu import OpenPlatform, directory, rest
from tests.fakes.feishu.rules import Json
from tests.fakes.feishu.state import State


class Operator:
    """Whoever runs the check."""

    def __init__(self, platform: OpenPlatform, wire: Wire) -> None:
        self.platform = platform
        self.host = Double({}, wire)
        self._wire = wire

    async def check(self, **options: Any) -> list[Finding]:
        """The rows, for options that differ from the right ones."""
        platform = self.platform
        given = {"app_id": platform.app_id, "app_secret": platform.app_secret, "domain": platform.url, **options}
        chosen = Options(**given)
        api = Api(chosen.app_id, chosen.app_secret, chosen.domain, *self._wire.connection(chosen.domain))
        return await findings(Account("fs", api, self.host), self.host, chosen)

    async def faults(self, **options: Any) -> list[Finding]:
        return [row for row in await self.check(**options) if not row.ok]


@pytest.fixture
async def operator() -> AsyncIterator[Operator]:
    async with OpenPlatform() as platform, Wire({}) as wire:
        yield Operator(platform, wire)


def text_of(rows: list[Finding]) -> str:
    return "\n".join(f"{row.text} [{row.fix}]" for row in rows)


# ------------------------------------------------------------------ all is well


async def test_a_good_app_has_no_faults_and_a_list_of_what_only_the_console_shows(operator: Operator) -> None:
    rows = await operator.check()
    assert [row.text for row in rows if not row.ok] == []
    told = text_of(rows)
    for words in ("'Helper'", "grants a long connection", "cardkit:card:write", "im.message.receive_v1", "200340"):
        assert words in told
    assert "card.action.trigger" in rows[-1].text


async def test_nothing_is_sent_changed_or_opened(operator: Operator) -> None:
    operator.platform.fail("/scopes", 4711)
    await operator.check()
    assert operator.platform.messages == {}
    assert operator.platform.cards == {}
    assert not [call for call in operator.platform.calls if call.path == "/ws/v2"]
    assert operator.platform.complaints == []


# ------------------------------------------------------------------ what is wrong


@pytest.mark.parametrize("options", [{"app_secret": "wrong"}, {"app_id": "cli_wrong"}])
async def test_wrong_credentials_are_the_only_row(operator: Operator, options: dict[str, str]) -> None:
    (row,) = await operator.check(**options)
    assert not row.ok
    assert "app_secret" in row.text
    assert "Credentials & Basic Info" in row.fix
    assert "wrong" not in text_of([row])


async def test_an_address_where_nobody_is_points_at_network_and_domain(operator: Operator) -> None:
    (row,) = await operator.check(domain="http://127.0.0.1:9")
    assert not row.ok
    assert "domain" in row.fix


async def test_an_app_without_a_bot_is_told_to_add_it(operator: Operator) -> None:
    operator.platform.bot_enabled = False
    (row,) = await operator.faults()
    assert "no bot" in row.text
    assert "publish a version" in row.fix


async def test_an_app_that_is_not_in_use_yet_is_a_fault(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_enabled(state: State, request: Any) -> Json:
        answer = directory.bot_info(state, request)
        answer["bot"]["activate_status"] = 3
        return answer

    route = rest.Route("GET", re.compile("/open-apis/bot/v3/info"), not_enabled, ())
    monkeypatch.setattr(rest, "ROUTES", [route, *rest.ROUTES])
    (row,) = await operator.faults()
    assert row.text == "the app is installed, but not enabled yet"
    assert "let an administrator enable it" in row.fix


@pytest.mark.parametrize(
    ("code", "words", "fix"),
    [
        (99991403, "of this month are used up", "wait for the next month"),
        (99991400, "calls too often", "try again later"),
    ],
)
async def test_a_limit_is_one_row_and_all_permissions_are_left_to_the_operator(
    operator: Operator, code: int, words: str, fix: str
) -> None:
    operator.platform.fail("v3/info", code, status=429)
    rows = await operator.check()
    (row,) = [row for row in rows if not row.ok]
    assert words in row.text
    assert fix in row.fix
    assert operator.platform.called("/scopes") == []
    for need in NEEDS:
        assert need.scopes[0] in rows[-1].text


@pytest.mark.parametrize(
    ("code", "fix"), [(4711, "documentation"), (2200, "network")], ids=["refused", "passing fault"]
)
async def test_only_trouble_on_the_way_points_at_the_network(operator: Operator, code: int, fix: str) -> None:
    operator.platform.fail("/bot/v3/info", code)
    (row,) = await operator.faults()
    assert fix in row.fix


@pytest.mark.parametrize(
    ("code", "words", "fix"),
    [
        (403, "may not have a long connection", "choose the long connection"),
        (1000040350, "50 long connections", "stop what else runs"),
        (1, "no long connection", "network"),
    ],
)
async def test_a_refused_long_connection_says_what_to_do(operator: Operator, code: int, words: str, fix: str) -> None:
    operator.platform.fail("/callback/ws/endpoint", code, "no")
    (row,) = await operator.faults()
    assert words in row.text
    assert fix in row.fix
    assert row.fix not in row.text


async def test_a_webhook_without_a_public_address_is_told_the_path(operator: Operator) -> None:
    rows = await operator.check(mode="webhook", encrypt_key="k")
    assert all(row.ok for row in rows)
    assert "<the public address of this port>/hooks/fs" in text_of(rows)


async def test_a_webhook_is_told_its_request_url_and_asks_for_no_long_connection(operator: Operator) -> None:
    operator.host.public_url = "https://bot.example.com"
    rows = await operator.check(mode="webhook", verification_token="v")
    assert all(row.ok for row in rows)
    assert "https://bot.example.com/hooks/fs" in text_of(rows)
    assert "encrypt_key" in text_of(rows)
    assert operator.platform.called("/callback/ws/endpoint") == []


# ------------------------------------------------------------------ permissions


async def test_a_missing_required_permission_is_a_fault_with_its_price(operator: Operator) -> None:
    operator.platform.scopes -= {"cardkit:card:write", "im:message.p2p_msg:readonly"}
    rows = await operator.faults()
    assert [row.text for row in rows] == [
        "without im:message.p2p_msg:readonly private messages do not come",
        "without cardkit:card:write answers do not stream",
    ]
    assert all("publish a version" in row.fix for row in rows)


async def test_a_missing_optional_permission_is_a_hint(operator: Operator) -> None:
    missing = {"contact:user.base:readonly", "contact:contact.base:readonly"}
    operator.platform.scopes -= missing
    rows = await operator.check()
    assert all(row.ok for row in rows)
    for scope in missing:
        assert f"without {scope} users have no names" in text_of(rows)


async def test_another_permission_for_the_same_thing_is_enough(operator: Operator) -> None:
    operator.platform.scopes -= {"im:message.group_at_msg:readonly", "im:message:send_as_bot"}
    operator.platform.scopes |= {"im:message.group_msg", "im:message"}
    assert await operator.faults() == []


async def test_without_the_list_of_permissions_they_are_tried_out(operator: Operator) -> None:
    operator.platform.fail("/scopes", 4711)
    operator.platform.scopes -= {"cardkit:card:write", "im:chat:readonly"}
    rows = await operator.check()
    assert [row.text for row in rows if not row.ok] == ["without cardkit:card:write answers do not stream"]
    assert "groups have no names" in text_of(rows)
    assert "granted: im:message:readonly" in text_of(rows)
    console = rows[-1].text
    for scope in (
        "im:message.p2p_msg:readonly",
        "im:message.group_at_msg:readonly",
        "im:message:send_as_bot",
        "im:resource",
        "contact:contact.base:readonly",
        "contact:user.base:readonly",
    ):
        assert scope in console
    assert "cardkit:card:write" not in console


async def test_a_limit_while_permissions_are_tried_out_ends_that(operator: Operator) -> None:
    operator.platform.fail("/scopes", 4711)
    operator.platform.fail("/im/v1/messages/om_0", 99991403, status=429)
    rows = await operator.check()
    assert [row.fix for row in rows if not row.ok] == ["wait for the next month, or ask for a larger plan"]
    assert operator.platform.called("/im/v1/chats/") == []
    assert "im:chat:readonly" in rows[-1].text
    assert "cardkit:card:write" not in rows[-1].text
