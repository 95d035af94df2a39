"""How the fake open platform brings events to an app: long connection, webhook, presses, and what can go wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from tests.fakes.feishu import OpenPlatform
from tests.fakes.feishu.client import CARDS, Client, Socket, address, button, card, compact, connected, markdown
from tests.fakes.feishu.codec import BadFrame, Frame, decode, encode
from tests.fakes.feishu.events import MESSAGE
from tests.fakes.feishu.gateway import CONNECTIONS_MOST, SERVICE
from tests.fakes.feishu.rules import Json
from tests.fakes.feishu.webhook import signature


@pytest.fixture
async def platform() -> AsyncIterator[OpenPlatform]:
    async with OpenPlatform() as server:
        yield server


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as plain:
        yield plain


@pytest.fixture
async def socket(platform: OpenPlatform, session: aiohttp.ClientSession) -> AsyncIterator[Socket]:
    async with connected(platform, session) as one:
        yield one


@pytest.fixture
async def client(platform: OpenPlatform, session: aiohttp.ClientSession) -> Client:
    plain = Client(platform, session)
    await plain.login()
    return plain


# ------------------------------------------------------------------ long connection


def test_frames_survive_the_codec_and_broken_ones_do_not() -> None:
    frame = Frame(2**63, 0, SERVICE, 1, [("type", "event"), ("空", "")], b"\0payload")
    assert decode(encode(frame)) == frame
    unknown_field = b"\x4a\x02hi"
    assert decode(encode(frame) + unknown_field) == frame
    for broken in (b"", encode(frame)[2:], encode(frame)[:-1], b"\x0d1234"):
        with pytest.raises(BadFrame):
            decode(broken)


async def test_a_ping_gets_the_clients_config(platform: OpenPlatform, socket: Socket) -> None:
    platform.client_config["PingInterval"] = 7
    pong = await socket.ping(Frame(0, 0, SERVICE, 0, [("type", "ping")]))
    assert pong.header("type") == "pong" and b'"PingInterval":7' in pong.payload
    assert platform.pings == 1 and platform.complaints == []


async def test_an_event_comes_in_as_many_frames_as_the_test_likes(platform: OpenPlatform, socket: Socket) -> None:
    for parts in (1, 3, 50):
        said = platform.say("你好 " * 40, parts=parts)
        frame, event = await socket.event()
        assert event["event"]["message"]["message_id"] == said.message_id
        await socket.ack(frame)
    await platform.until(lambda: len(platform.acks) == 3)
    assert platform.unacked == [] and platform.complaints == []


async def test_each_event_goes_to_one_of_the_connections(
    platform: OpenPlatform, session: aiohttp.ClientSession
) -> None:
    async with connected(platform, session) as first, connected(platform, session) as second:
        await platform.connected(2)
        for number in (1, 2):
            platform.say("x", connection=number)
        for socket in (first, second):
            await socket.ack((await socket.event())[0])
        await platform.until(lambda: not platform.unacked)
        assert sorted(ack.connection for ack in platform.acks) == [1, 2]


async def test_wrong_credentials_get_no_address(platform: OpenPlatform, session: aiohttp.ClientSession) -> None:
    assert (await address(platform, session, "wrong"))["code"] == 1000040344
    platform.fail("/callback", 514)
    assert (await address(platform, session))["code"] == 514


async def test_a_ticket_is_for_one_connection(platform: OpenPlatform, session: aiohttp.ClientSession) -> None:
    url = (await address(platform, session))["data"]["URL"]
    async with session.ws_connect(url):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(url)
    assert refused.value.headers and refused.value.headers["handshake-status"] == "514"


async def test_an_app_has_at_most_fifty_connections(platform: OpenPlatform, session: aiohttp.ClientSession) -> None:
    urls = [(await address(platform, session))["data"]["URL"] for _ in range(CONNECTIONS_MOST)]
    sockets = [await session.ws_connect(url) for url in urls]
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with connected(platform, session):
            pass
    assert refused.value.headers and refused.value.headers["handshake-autherrcode"] == "1000040350"
    assert platform.drop_connections() == CONNECTIONS_MOST
    for socket in sockets:
        await socket.close()


async def test_a_handshake_is_refused_on_request(platform: OpenPlatform, session: aiohttp.ClientSession) -> None:
    platform.refuse_handshake(403, "forbidden")
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with connected(platform, session):
            pass
    assert refused.value.headers and refused.value.headers["handshake-msg"] == "forbidden"
    async with connected(platform, session):
        assert len(platform.connections) == 1


# ------------------------------------------------------------------ redelivery


async def test_an_event_comes_five_times_and_no_more(platform: OpenPlatform, socket: Socket) -> None:
    said = platform.say("hi")
    await socket.event()
    for wait in (15, 300, 3600, 21600):
        attempts = platform.deliveries[said.event_id].attempts
        platform.clock.advance(3)
        platform.clock.advance(wait - 1)
        assert platform.deliveries[said.event_id].attempts == attempts
        platform.clock.advance(1)
        assert platform.deliveries[said.event_id].attempts == attempts + 1
        _, event = await socket.event()
        assert event["header"]["event_id"] == said.event_id
    platform.clock.advance(30 * 86400)
    assert platform.deliveries[said.event_id].attempts == 5 and platform.unacked == [said.event_id]


async def test_a_refused_event_comes_again_and_an_acknowledged_one_does_not(
    platform: OpenPlatform, socket: Socket
) -> None:
    said = platform.say("hi")
    await socket.ack((await socket.event())[0], 500)
    await platform.until(lambda: platform.acks)
    platform.clock.advance(15)
    await socket.ack((await socket.event())[0])
    await platform.until(lambda: not platform.unacked)
    platform.clock.advance(30 * 86400)
    assert [ack.code for ack in platform.acks] == [500, 200]
    assert platform.redeliver() == [] and platform.redeliver(said.event_id) == [said.event_id]
    _, event = await socket.event()
    assert event["event"]["message"]["message_id"] == said.message_id


async def test_an_event_that_nobody_heard_comes_later(platform: OpenPlatform, session: aiohttp.ClientSession) -> None:
    said = platform.say("hi")
    async with connected(platform, session) as socket:
        assert platform.unacked == [said.event_id]
        platform.clock.advance(15)
        assert (await socket.event())[1]["header"]["event_id"] == said.event_id


async def test_an_outage_ends_connections_and_forgets_nothing(
    platform: OpenPlatform, session: aiohttp.ClientSession
) -> None:
    async with connected(platform, session):
        url = platform.url
        await platform.down()
        with pytest.raises(aiohttp.ClientConnectionError):
            await address(platform, session)
        await platform.up()
        assert platform.url == url
    async with connected(platform, session) as socket:
        platform.say("hi")
        assert (await socket.event())[1]["header"]["event_type"] == MESSAGE


async def test_an_app_gets_only_what_it_may_have(platform: OpenPlatform, socket: Socket) -> None:
    team = platform.group()
    platform.say("not for the bot", team)
    platform.subscribed.discard("im.message.recalled_v1")
    platform.recall(platform.say("withdrawn", team).message_id)
    heard = platform.say("for the bot", team, mention=True)
    assert (await socket.event())[1]["header"]["event_id"] == heard.event_id
    assert len(platform.screen(team)) == 3


async def test_events_of_all_kinds_are_worded_as_the_platform_does(
    platform: OpenPlatform, socket: Socket, client: Client
) -> None:
    first = platform.say("hi", mention=True)
    platform.say("and then?", parent=first.message_id, thread="omt_1")
    platform.react(first.message_id)
    platform.enter()
    platform.enter()
    platform.add_bot("oc_team", "Team")
    platform.remove_bot("oc_team")
    platform.read_messages([first.message_id])
    platform.push("drive.file.edit_v1", {"any": "thing"})
    await client.code("POST", f"im/v1/messages/{first.message_id}/reactions", {"reaction_type": {"emoji_type": "OK"}})
    got = [(await socket.event())[1] for _ in range(10)]
    text, reply, reaction, visit, again, added, _, read, other, own = (one["event"] for one in got)
    assert text["message"]["content"] == '{"text":"@_user_1 hi"}'
    assert text["message"]["mentions"][0]["id"]["open_id"] == platform.open_id
    assert (reply["message"]["root_id"], reply["message"]["thread_id"]) == (first.message_id, "omt_1")
    assert reaction["operator_type"] == "user" and own["operator_type"] == "app"
    assert visit["last_message_id"] == "" and again["last_message_id"] != ""
    assert added["name"] == "Team" and read["message_id_list"] == [first.message_id] and other == {"any": "thing"}
    assert platform.answers() == [] and platform.screen()[0].reactions == ["OK"]


# ------------------------------------------------------------------ presses


async def shown(client: Client, value: Json) -> tuple[str, str]:
    """card_id and message_id of a card on Ann's screen."""
    card_id = await client.make(value)
    return card_id, await client.show(card_id)


async def test_a_press_gets_the_apps_toast_and_card(platform: OpenPlatform, client: Client, socket: Socket) -> None:
    card_id, message_id = await shown(client, card(markdown("a"), button(element_id="stop")))
    for name in ("Stop", "stop", {"k": "stop"}):
        pressing = asyncio.create_task(platform.press(message_id, name))
        frame, event = await socket.event()
        assert event["event"]["action"] == {"tag": "button", "value": {"k": "stop"}}
        assert await client.stream(card_id, 1) == 200810
        toast = {"type": "warning", "content": "Noted"}
        new = {"type": "raw", "data": card(markdown("b"), button(element_id="stop"))}
        await socket.ack(frame, answer={"toast": toast, "card": new})
        pressed = await pressing
        assert (pressed.code, pressed.toast, pressed.toast_type, pressed.updated) == (0, "Noted", "warning", True)
    assert platform.answers()[0].text == "b"


@pytest.mark.parametrize(
    ("code", "answer", "shows"),
    [
        (500, None, 200671),
        (200, {"toast": {"type": "loud", "content": "x"}}, 200672),
        (200, {"message": "x"}, 200672),
        (200, {"card": {"type": "raw", "data": {"schema": "1.0"}}}, 200673),
        (200, {}, 0),
        (200, None, 0),
    ],
)
async def test_a_bad_answer_to_a_press_shows_a_code(
    platform: OpenPlatform, client: Client, socket: Socket, code: int, answer: Json | None, shows: int
) -> None:
    _, message_id = await shown(client, card(markdown("a"), button()))
    pressing = asyncio.create_task(platform.press(message_id, "Stop"))
    await socket.ack((await socket.event())[0], code, answer)
    assert (await pressing).code == shows
    assert platform.answers()[0].text == "a"


async def test_a_card_that_streams_is_not_changed_by_an_answer(
    platform: OpenPlatform, client: Client, socket: Socket
) -> None:
    _, message_id = await shown(client, card(markdown("a"), button(), streaming=True))
    pressing = asyncio.create_task(platform.press(message_id, "Stop"))
    answer = {"toast": {"content": "ok"}, "card": {"type": "raw", "data": card(markdown("b"))}}
    await socket.ack((await socket.event())[0], answer=answer)
    pressed = await pressing
    assert (pressed.toast, pressed.updated, platform.answers()[0].text) == ("ok", False, "a")


async def test_a_press_is_answered_in_three_seconds_or_never(
    platform: OpenPlatform, client: Client, socket: Socket
) -> None:
    _, message_id = await shown(client, card(markdown("a"), button()))
    pressing = asyncio.create_task(platform.press(message_id, "Stop"))
    frame, _ = await socket.event()
    platform.clock.advance(3.1)
    assert (await pressing).code == 200341
    await socket.ack(frame, answer={"toast": {"content": "late"}})
    await platform.until(lambda: platform.acks)
    platform.clock.advance(86400)
    assert [one.attempts for one in platform.deliveries.values()] == [1]
    platform.subscribed.discard("card.action.trigger")
    assert (await platform.press(message_id, "Stop")).code == 200340


async def test_a_form_is_submitted_with_its_values(platform: OpenPlatform, client: Client, socket: Socket) -> None:
    menu = {
        "tag": "select_static",
        "name": "m",
        "options": [{"text": {"tag": "plain_text", "content": "Red"}, "value": "r"}],
    }
    fields = [
        {"tag": "input", "name": "x", "required": True},
        menu,
        button("Send", form_action_type="submit", name="b"),
    ]
    _, message_id = await shown(client, card({"tag": "form", "name": "f", "elements": fields}))
    with pytest.raises(ValueError, match="x is required"):
        await platform.submit(message_id, {"m": "Red"})
    with pytest.raises(LookupError):
        await platform.press(message_id, "Stop")
    pressing = asyncio.create_task(platform.submit(message_id, {"x": "hi", "m": "Red"}))
    frame, event = await socket.event()
    assert event["event"]["action"]["form_value"] == {"x": "hi", "m": "r"}
    assert event["event"]["action"]["value"] == {"k": "send"}
    await socket.ack(frame)
    assert (await pressing).code == 0


async def test_a_menu_outside_a_form_calls_back_at_once(platform: OpenPlatform, client: Client, socket: Socket) -> None:
    calls = [{"type": "callback", "value": {"k": "menu"}}]
    options = [{"text": {"tag": "plain_text", "content": "Red"}, "value": "r"}]
    _, message_id = await shown(client, card({"tag": "select_static", "options": options, "behaviors": calls}))
    pressing = asyncio.create_task(platform.choose(message_id, "Red"))
    frame, event = await socket.event()
    assert event["event"]["action"] == {"tag": "select_static", "option": "r", "value": {"k": "menu"}}
    await socket.ack(frame)
    assert (await pressing).code == 0


async def test_a_delayed_update_works_twice_in_half_an_hour(
    platform: OpenPlatform, client: Client, socket: Socket
) -> None:
    _, message_id = await shown(client, card(markdown("a"), button()))
    pressing = asyncio.create_task(platform.press(message_id, "Stop"))
    frame, event = await socket.event()
    later = {"token": event["event"]["token"], "card": card(markdown("later"))}
    assert await client.code("POST", "interactive/v1/card/update", later) == 300090
    await socket.ack(frame)
    await pressing
    codes = [await client.code("POST", "interactive/v1/card/update", later) for _ in range(3)]
    assert codes == [0, 0, 300090] and platform.answers()[0].text == "later"


# ------------------------------------------------------------------ webhook


class App:
    """A webhook that keeps what it gets, and answers what it is told to."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status, self.answer = 200, b"{}"

    async def serve(self, request: web.BaseRequest) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        return web.Response(status=self.status, body=self.answer)


@pytest.fixture
async def app(platform: OpenPlatform) -> AsyncIterator[App]:
    served = App()
    runner = web.ServerRunner(web.Server(served.serve, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    platform.webhook_url = f"http://127.0.0.1:{runner.addresses[0][1]}/feishu"
    yield served
    await runner.cleanup()


async def test_a_webhook_gets_events_until_it_answers_200(platform: OpenPlatform, app: App) -> None:
    app.status = 500
    said = platform.say("hi")
    await platform.until(lambda: platform.acks)
    app.status = 200
    platform.clock.advance(15)
    await platform.until(lambda: not platform.unacked)
    assert [ack.code for ack in platform.acks] == [500, 200]
    assert all(said.message_id.encode() in body for _, body in app.got)


@pytest.mark.parametrize("case", ["canonical", "lower"])
async def test_with_a_key_events_are_encrypted_and_signed(platform: OpenPlatform, app: App, case: str) -> None:
    platform.encrypt_key, platform.header_case = "key", case
    platform.say("hi")
    await platform.until(lambda: not platform.unacked)
    [(headers, body)] = app.got
    names = [name for name in headers if name.lower().startswith("x-lark")]
    assert len(names) == 3 and all(name.islower() == (case == "lower") for name in names)
    signed = {name.lower(): value for name, value in headers.items()}
    stamp, nonce = signed["x-lark-request-timestamp"], signed["x-lark-request-nonce"]
    assert signed["x-lark-signature"] == signature("key", stamp, nonce, body)
    assert body.startswith(b'{"encrypt":"') and b"message" not in body


async def test_a_webhook_answers_presses_and_the_challenge(platform: OpenPlatform, client: Client, app: App) -> None:
    _, message_id = await shown(client, card(markdown("a"), button()))
    app.answer = b'{"toast":{"type":"info","content":"Noted"}}'
    assert (await platform.press(message_id, "Stop")).toast == "Noted"
    assert not await platform.verify_url()


# ------------------------------------------------------------------ faults


async def test_calls_go_wrong_as_scripted(platform: OpenPlatform, client: Client) -> None:
    card_id = await client.make(card(streaming=True))
    platform.fail("/content", 99991400, status=429, headers={"x-ogw-ratelimit-reset": "7"}, times=2)
    assert [await client.write(card_id, 1) for _ in range(3)] == [99991400, 99991400, 0]
    platform.fault("/content", "502")
    with pytest.raises(aiohttp.ContentTypeError):
        await client.write(card_id, 2)
    for kind, sequence in (("drop_before", 1), ("drop_after", 2)):
        platform.fault("/content", kind, times=2)  # type: ignore[arg-type]  # aiohttp tries a PUT again by itself
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await client.write(card_id, 2)
        assert platform.cards[card_id].sequence == sequence
    assert platform.tcp_connections == 4  # one for each drop


async def test_a_held_call_waits_for_the_test(platform: OpenPlatform, client: Client) -> None:
    gate = platform.hold(CARDS)
    body = {"type": "card_json", "data": compact(card())}
    creating = asyncio.create_task(client.code("POST", CARDS, body))
    await platform.until(lambda: platform.called(CARDS))
    assert not platform.cards and not creating.done()
    gate.set()
    assert await creating == 0 and platform.cards
