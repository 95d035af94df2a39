"""The web chat's door: who may come in, and who is who."""

from __future__ import annotations

import msgspec
import pytest

from adapters.web import Options, visitor
from tests.adapters.web_double import NAME, PUBLIC, Bot, question

KEYS = Options(keys=["key one", "key-two"])
REMOTE = {"X-Forwarded-For": "203.0.113.7"}  # through a proxy: not this machine


@pytest.mark.parametrize(
    ("options", "remote", "key", "status"),
    [
        (Options(), False, None, 200),
        (Options(), True, None, 401),
        (Options(), True, "", 401),
        (Options(keys=[""]), True, "", 401),
        (KEYS, False, None, 401),
        (KEYS, True, None, 401),
        (KEYS, True, "key one", 200),
        (KEYS, True, "key-two", 200),
        (KEYS, False, "key-tw", 401),
        (PUBLIC, True, None, 200),
        (Options(public=True, keys=["k"]), True, "wrong", 200),
    ],
)
async def test_access(options: Options, remote: bool, key: str | None, status: int) -> None:
    headers = {**(REMOTE if remote else {}), **({} if key is None else {"Authorization": f"Bearer {key}"})}
    async with Bot(options).running() as bot, bot.visitor(**headers) as page:
        posted, _ = await page.post("/messages", {"id": "question-1", "text": "Hello"})
        pressed, _ = await page.post("/presses", {"id": "press-001", "target": "t.0", "key": "stop"})
        async with page.get() as whole, page.get("/events") as events:
            assert (whole.status, events.status) == (status, status)
        assert (posted, pressed) == ((204, 200) if status == 200 else (401, 401))
        assert bot.events.empty() == (status == 401)


async def test_a_host_header_that_is_not_this_machine_is_remote() -> None:
    async with Bot(Options()).running() as bot, bot.visitor(Host="rebound.example") as page, page.get() as whole:
        assert whole.status == 401


async def test_the_closed_page_says_which_line_opens_it() -> None:
    async with Bot(Options()).running() as bot, bot.visitor(**REMOTE) as page, page.get() as whole:
        text = await whole.text()
        assert "bots.site" in text and "public: true" in text and "只对本机开放" in text and "<form" not in text
        assert "Set-Cookie" not in whole.headers


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
@pytest.mark.parametrize("options", [PUBLIC, KEYS, Options()])
async def test_another_site_changes_nothing(options: Options, origin: str) -> None:
    async with Bot(options).running() as bot, bot.visitor(Authorization="Bearer key one") as page:
        assert await page.say("Hello", Origin=origin) == 403
        press = {"id": "press-001", "target": "t.0", "key": "stop"}
        assert (await page.post("/presses", press, Origin=origin))[0] == 403
        assert await page.login("key one", Origin=origin) == 403
        assert bot.events.empty()


async def test_our_own_origin_is_let_in() -> None:
    async with Bot().running() as bot, bot.visitor() as page:
        assert await page.say("Hello", Origin=bot.address.removesuffix(f"/chat/{NAME}")) == 204


async def test_login_lasts_over_a_restart_until_its_key_is_gone() -> None:
    store: dict[str, bytes] = {}
    async with Bot(KEYS, store).running() as bot, bot.visitor(**{**REMOTE, "Accept-Language": "en"}) as page:
        async with page.get() as whole:
            assert whole.status == 401 and 'type="password"' in await whole.text()
            assert whole.headers["Referrer-Policy"] == "same-origin"  # else the form's Origin would be null
        assert await page.login("key three") == 401
        assert await page.login("key-two", Origin=bot.address.removesuffix(f"/chat/{NAME}")) == 200
        assert await page.say("Hello") == 204
        first = question(await bot.events.get())
        cookies = page.session.cookie_jar
        async with Bot(KEYS, store).running() as again:
            page.address = again.address
            assert await page.say("Hello", "question-2") == 204
            assert question(await again.events.get()).conversation == first.conversation
        async with Bot(Options(keys=["key one"]), store).running() as changed:
            page.address = changed.address
            assert await page.say("Hello", "question-3") == 401
        assert len(cookies) == 1


@pytest.mark.parametrize("by", ["login", "bearer"])
async def test_wrong_keys_are_counted(by: str) -> None:
    now = 0.0
    async with Bot(KEYS).running() as bot, bot.visitor() as page:
        bot.adapter._site._door.tries = visitor.Tries(lambda: now)

        async def send(key: str) -> int:
            return await page.login(key) if by == "login" else await page.say("Hi", Authorization=f"Bearer {key}")

        assert [await send("wrong") for _ in range(visitor.TRIES + 1)] == [401] * visitor.TRIES + [429]
        assert await send("key one") == 429
        now = 60.0
        assert await send("key one") in (200, 204)


async def test_the_cookie() -> None:
    async with Bot().running() as bot, bot.visitor() as page:
        async with page.get() as plain, page.get(**{"X-Forwarded-Proto": "https"}) as behind_tls:
            first, second = plain.headers["Set-Cookie"], behind_tls.headers["Set-Cookie"]
        assert "HttpOnly" in first and "SameSite=Lax" in first and "Secure" not in first
        assert "Secure" in second


async def test_a_forged_cookie_is_nobody() -> None:
    async with Bot(KEYS).running() as bot, bot.visitor(**REMOTE) as page:
        assert await page.login("key one") == 200
        (cookie,) = page.session.cookie_jar
        who, mark, signature = cookie.value.split(".")
    async with Bot(KEYS, bot.store).running() as bot, bot.visitor() as page:
        other = signature[:-1] + ("0" if signature[-1] != "0" else "1")
        forged = (
            f"{who}.{mark}.{other}",
            f"{'A' * 22}.{mark}.{signature}",
            f"{who}..{signature}",
            "x",
            f"{who}.{mark}.",
        )
        for value in forged:
            assert await page.say("Hello", Cookie=f"bridge_{NAME}={value}") == 401, value
        assert await page.say("Hello", Cookie=f"bridge_{NAME}={cookie.value}") == 204
    async with Bot(PUBLIC, bot.store).running() as bot, bot.visitor() as page:
        assert await page.say("Hello", Cookie=f"bridge_{NAME}={forged[1]}") == 204
        assert question(await bot.events.get()).conversation.chat not in (who, "A" * 22)


async def test_headers_of_every_kind_of_answer() -> None:
    async with Bot().running() as bot, bot.visitor() as page:
        for path in ("", "/page.js", "/page.css", "/events"):
            async with page.get(path) as response:
                assert response.status == 200
                policy = response.headers["Content-Security-Policy"]
                assert "default-src 'none'; script-src 'self'" in policy and "unsafe" not in policy
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                assert response.headers["Referrer-Policy"] == "no-referrer"


def test_the_options() -> None:
    options = Options(keys=["secret-key"], public=True)
    assert options == Options(keys=["secret-key"], public=True)
    assert "secret" not in repr(options) + str(options) + repr(list(options.__rich_repr__()))
    with pytest.raises(msgspec.ValidationError, match="kyes"):
        msgspec.convert({"kyes": []}, Options)
