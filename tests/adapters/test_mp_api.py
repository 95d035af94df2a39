"""The official account's API: its token, and what its refusals mean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.wechat.mp import Door
from adapters.wechat.mp.api import Api, NotAllowed, Refused, Unverified
from adapters.wechat.options import Options
from bridge.model import (
    BridgeError,
    Conversation,
    Download,
    Exhausted,
    Fatal,
    File,
    Gone,
    Message,
    Overfull,
    RateLimited,
    Show,
    Unreachable,
    Unsure,
    User,
)
from bridge.wire import Wire
from tests.adapters.host import Double
from tests.fakes.wechat.mp import Mp

SEND = "message/custom/send"
ASKED = Message(id="1", conversation=Conversation("wx", "openid-1", "private"), user=User("openid-1"), at=1e9)


class Stage:
    def __init__(self, account: Mp, wire: Wire) -> None:
        self.account = account
        self.host = Double({}, wire)
        self.door = self.made()

    def made(self, **options: object) -> Door:
        account = self.account
        given = {"app_secret": account.app_secret, "api_base": account.url, **options}
        self.host = Double({}, self.host._wire)
        return Door(
            "wx",
            Options(gateway="mp", app_id=account.app_id, token=account.token, **given),  # type: ignore[arg-type]
            self.host,
        )

    @property
    def api(self) -> Api:
        assert self.door._api
        return self.door._api

    async def send(self, text: str = "hello") -> object:
        return await self.api.call(SEND, {"touser": "openid-1", "msgtype": "text", "text": {"content": text}})


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    wire = Wire({})
    async with Mp() as account:
        account.phone().left = 100
        yield Stage(account, wire)
        await wire.close()


async def test_one_access_token_serves_all_who_wait_for_it(stage: Stage) -> None:
    await asyncio.gather(*(stage.send() for _ in range(5)))
    assert stage.account.tokens == 1
    assert len(stage.account.screen()) == 5


async def test_a_token_that_is_not_taken_any_more_is_had_anew_and_the_message_sent_once(stage: Stage) -> None:
    await stage.send("first")
    stage.account.expire_token()
    await stage.send("second")
    assert stage.account.screen() == ["first", "second"]
    assert stage.account.tokens == 2


async def test_a_token_that_is_never_taken_is_not_asked_for_without_end(stage: Stage) -> None:
    stage.account.fail(SEND, 40001, times=10)
    with pytest.raises(RateLimited):
        await stage.send()
    assert stage.account.tokens == 2


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (-1, RateLimited),
        (45009, RateLimited),
        (45011, RateLimited),
        (45015, Exhausted),
        (45047, Exhausted),
        (48001, Unverified),
        (40003, Gone),
        (43004, Gone),
        (45002, Overfull),
        (40008, Refused),
    ],
)
async def test_each_refusal_has_its_meaning(stage: Stage, code: int, error: type[BridgeError]) -> None:
    stage.account.fail(SEND, code)
    with pytest.raises(BridgeError) as caught:
        await stage.send("a secret text")
    assert type(caught.value) is error
    assert "secret text" not in str(caught.value)
    assert stage.account.screen() == []


async def test_an_address_that_is_not_allowed_is_named(stage: Stage) -> None:
    stage.account.denied_address = "203.0.113.7"
    with pytest.raises(NotAllowed, match=r"203\.0\.113\.7"):
        await stage.send()


async def test_whatever_becomes_of_the_call_for_a_token_nothing_was_sent(stage: Stage) -> None:
    stage.account.fault("stable_token", "drop_after")
    with pytest.raises(Unreachable):
        await stage.send()
    stage.account.fault(SEND, "502")
    with pytest.raises(Unsure):
        await stage.send()


async def test_wrong_credentials_end_the_bot_and_an_address_only_keeps_it_waiting(stage: Stage) -> None:
    with pytest.raises(Fatal, match="app_secret"):
        await stage.made(app_secret="wrong").run(stage.host.receive)
    stage.account.denied_address = "203.0.113.7"
    running = asyncio.create_task(stage.made().run(stage.host.receive))
    await stage.host.until_state("connecting", "IP allow list")
    stage.account.denied_address = ""
    stage.host.states.clear()
    await stage.host.until_state("connected")
    running.cancel()
    await asyncio.wait([running])


async def test_a_message_that_arrived_unheard_is_not_sent_where_it_is_refused(stage: Stage) -> None:
    surface = stage.door.answer(ASKED, "turn")
    stage.account.phone().left = 1
    stage.account.fault(SEND, "drop_after")
    with pytest.raises(Unsure):
        await surface.show(Show(text="the last", final=True))
    shown = await surface.show(Show(text="the last", final=True, again=True))
    assert shown.ids == ("turn#0",)
    assert stage.account.screen() == ["the last"]


async def test_pictures_of_an_answer_are_sent_and_others_left_out(stage: Stage) -> None:
    png, page = (File(url=f"https://example.com/{name}", name=name, image=True) for name in ("a.png", "b.svg"))
    stage.host.downloads[png.url] = Download(b"\x89PNG", "a.png", "image/png")
    stage.host.downloads[page.url] = Download(b"<svg>", "b.svg", "image/svg+xml")
    surface = stage.door.answer(ASKED, "turn")
    for part, file in enumerate([page, png, File(url="https://example.com/gone", name="c", image=True)]):
        await surface.show(Show(part=part, files=(file,), final=True))
    assert stage.account.screen() == ["[image]"]


async def test_an_account_that_is_not_verified_sends_nothing(stage: Stage) -> None:
    door = stage.made(verified=False)
    surface = door.answer(ASKED, "turn")
    with pytest.raises(Exhausted):
        await surface.show(Show(text="late", final=True))
    await door.typing(ASKED)
    assert stage.account.calls == []


async def test_the_sign_is_not_given_again_where_it_is_not_allowed(stage: Stage) -> None:
    await stage.door.typing(ASKED)
    stage.account.verified = False
    await stage.door.typing(ASKED)
    await stage.door.typing(ASKED)
    assert stage.account.calls.count("message/custom/typing") == 2
    assert stage.account.typing == ["openid-1"]
