"""How the scripted FastGPT server behaves: keys, locks, memory, helper calls, and what it offers to a test."""

from __future__ import annotations

import asyncio
import re
import sys
from typing import Any

import httpx
import pytest

from tests.fakes.fastgpt import Era, Fail, FakeFastGPT, Gate, Quote, Reply, Script, answer_to, serve
from tests.fakes.fastgpt_oddities import SELECT
from tests.fakes.fastgpt_reader import Client, quotes, read

ID = "65bb346a24d8f2c1e9a0b3d4"


# ------------------------------------------------------------------ who may ask


@pytest.mark.parametrize("stream", [True, False])
async def test_keys(client: Client, stream: bool) -> None:
    wrong = '{"code":514,"statusText":"unAuthApiKey","message":"Api Key 不合法","data":null}'
    account = (
        '{"code":500,"statusText":"error","message":"Key is error. You need to use the app key rather than the '
        'account key.","data":null}'
    )
    for key, payload in (("nobody", wrong), (client.gpt.account_key, account)):
        reply = await client.ask(key=key, stream=stream)
        if stream:
            assert (reply.status_code, reply.text) == (200, f"event: error\ndata: {payload}\n\n")
            assert "content-type" not in reply.headers
        else:
            assert (reply.status_code, reply.text) == (500, payload)
    assert [asked.refused[:12] for asked in client.gpt.asked] == ["unAuthApiKey", "Key is error"]
    assert all("authorization" not in asked.headers for asked in client.gpt.asked)
    assert client.gpt.key not in client.gpt.dump()


async def test_the_account_key_works_with_the_app_id_in_e26(client: Client) -> None:
    gpt = client.gpt
    assert read(200, "", (await client.ask("a", key=gpt.account_key, appId=gpt.app_id)).content).error is None
    assert read(200, "", (await client.ask("a", key=f"{gpt.account_key}-{gpt.app_id}")).content).error is None


async def test_the_frequency_limit_is_json_even_for_a_stream(http: httpx.AsyncClient) -> None:
    async with FakeFastGPT("e26", limit=(2, 60)) as gpt:
        client = Client(gpt, http)
        first = await client.ask("a")
        await client.ask("b")
        reply = await client.ask("c")
        assert first.headers["x-ratelimit-remaining"] == "1"
        assert reply.status_code == 500
        answer = reply.json()
        assert answer["code"] == 429
        assert re.fullmatch(
            r"Rate limit exceeded\. Maximum 2 requests per 60 seconds for this team\. "
            r"Please try again in \d+ seconds\.",
            answer["message"],
        )
        assert gpt.asked[2].refused == answer["message"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"messages": []}, "messages is empty"),
        ({"messages": [{"role": "user", "content": ""}]}, "User question is empty"),
    ],
)
async def test_empty_questions_are_refused(client: Client, fields: dict[str, Any], message: str) -> None:
    reply = await client.ask(stream=False, **fields)
    assert (reply.status_code, reply.json()["message"]) == (500, message)


async def test_a_wrong_path_answers_with_a_page(client: Client) -> None:
    reply = await client.http.post(f"{client.gpt.url}/v1/chat/completions", json={}, headers=client.headers())
    assert reply.status_code == 404
    assert reply.text.startswith("<!DOCTYPE html>")


# ------------------------------------------------------------------ runs, locks, stopping


async def test_e26_holds_the_lock_after_a_hang_up_until_the_run_ends(client: Client) -> None:
    gpt, gate = client.gpt, Gate(after=1)
    gpt.next(Script(tokens=("你", "好"), gate=gate))
    lost = asyncio.create_task(client.ask("一", chatId="c1", responseChatItemId="m1"))
    await gate.reached()
    busy = await client.ask("二", chatId="c1")
    assert busy.text == (
        'event: error\ndata: {"code":409,"statusText":"error","message":"chatIsGenerating","data":null}\n\n'
    )
    other = await client.ask("三", chatId="c2")
    assert read(200, "", other.content).text == answer_to("三")
    lost.cancel()
    await gpt.until(lambda: gpt.asked[0].hung_up)
    assert gpt.running == 1
    assert (await client.ask("四", chatId="c1", stream=False)).json()["message"] == "chatIsGenerating"
    gate.open()
    await gpt.until(lambda: gpt.asked[0].finished)
    assert gpt.running == 0
    assert [item.text for item in gpt.chats["c1"].items] == ["一", "你好"]
    assert read(200, "", (await client.ask("五", chatId="c1")).content).error is None


async def test_stop_ends_the_answer_in_order_and_frees_the_chat(client: Client) -> None:
    gpt, gate = client.gpt, Gate(after=1)
    gpt.next(Script(tokens=("你", "好"), gate=gate))
    task = asyncio.create_task(client.ask("一", chatId="c1", responseChatItemId="m1"))
    await gate.reached()
    assert await client.post("/v2/chat/stop", chatId="c1") == {"success": True}
    seen = read(200, "", (await task).content)
    assert (seen.text, seen.finish, seen.done) == ("你", "stop", True)
    assert (gpt.asked[0].stopped, gpt.asked[0].finished, gpt.asked[0].hung_up) == (True, False, False)
    assert [(stop.chat_id, stop.running) for stop in gpt.stopped] == [("c1", True)]
    assert gpt.chats["c1"].items[1].text == "你"
    await client.post("/v2/chat/stop", chatId="c1")
    assert not gpt.stopped[1].running


async def test_older_servers_have_no_lock_and_end_with_their_client(http: httpx.AsyncClient) -> None:
    async with FakeFastGPT("e24") as gpt:
        client, gate = Client(gpt, http), Gate(after=1)
        gpt.next(Script(tokens=("你", "好"), gate=gate))
        task = asyncio.create_task(client.ask("一", chatId="c1"))
        await gate.reached()
        assert read(200, "", (await client.ask("二", chatId="c1")).content).text == answer_to("二")
        task.cancel()
        await gpt.until(lambda: gpt.running == 0)
        assert (gpt.asked[0].hung_up, gpt.asked[0].finished, gpt.asked[0].sent) == (True, False, 1)
        assert (await client.http.post(f"{gpt.base_url}/v2/chat/stop")).status_code == 404


async def test_e26_refuses_an_id_that_the_chat_has_seen(client: Client) -> None:
    assert read(200, "", (await client.ask("一", chatId="c1", responseChatItemId="m1")).content).error is None
    again = await client.ask("一", chatId="c1", responseChatItemId="m1")
    assert "responseChatItemId" in (read(200, "", again.content).error or "")
    assert read(200, "", (await client.ask("一", chatId="c2", responseChatItemId="m1")).content).error is None
    assert [asked.item_id for asked in client.gpt.asked] == ["m1"] * 3


async def test_a_cut_connection_leaves_the_run_of_e26_going(client: Client) -> None:
    gpt = client.gpt
    gpt.next(Script(tokens=("你", "好"), fail=Fail(how="reset")))
    with pytest.raises(httpx.HTTPError):
        await client.ask("一", chatId="c1", responseChatItemId="m1")
    await gpt.until(lambda: gpt.asked[0].finished)
    assert not gpt.asked[0].hung_up
    records = await client.post("/core/chat/record/getPaginationRecords", chatId="c1", offset=0, pageSize=10)
    assert records["list"][1]["value"] == [{"text": {"content": "你好"}, "type": "text"}]


async def test_an_error_event_ends_the_run(client: Client) -> None:
    client.gpt.next(Script(tokens=("你", "好"), fail=Fail()), Script(tokens=("你", "好"), fail=Fail()))
    reply = await client.ask("一", chatId="c1")
    assert reply.text.endswith('event: error\ndata: {"message":"boom"}\n\n')
    assert read(200, "", reply.content).text == "你"
    whole = await client.ask("二", chatId="c1", stream=False)
    assert (whole.status_code, whole.json()["message"]) == (500, "boom")
    assert [asked.finished for asked in client.gpt.asked] == [False, False]


async def test_heartbeats_go_on_while_the_gate_holds(client: Client) -> None:
    gpt, gate = client.gpt, Gate(after=0)
    gpt.next(Script(text="好", gate=gate, heartbeat=0.01, nodes=()))
    body = {"messages": [{"role": "user", "content": "q"}], "stream": True, "detail": True}
    url, raw = f"{gpt.base_url}/v1/chat/completions", b""
    async with client.http.stream("POST", url, json=body, headers=client.headers()) as reply:
        async for piece in reply.aiter_bytes():
            raw += piece
            if raw.count(b'"content":""') >= 2:
                gate.open()
    assert gpt.asked[0].finished
    assert read(200, "", raw).text == "好"


async def test_a_rated_stream_comes_token_by_token(client: Client) -> None:
    client.gpt.next(Script(tokens=("你", "好", "吗"), rate=200, delay=0.005))
    url, pieces = f"{client.gpt.base_url}/v1/chat/completions", 0
    body = {"messages": [{"role": "user", "content": "q"}], "stream": True}
    async with client.http.stream("POST", url, json=body, headers=client.headers()) as reply:
        raw = b""
        async for piece in reply.aiter_raw():
            raw += piece
            pieces += 1
    assert pieces >= 2
    assert read(200, "", raw).text == "你好吗"
    assert client.gpt.asked[0].sent == 3


# ------------------------------------------------------------------ memory and helper calls


async def test_history_variables_and_the_prompt(client: Client) -> None:
    gpt = client.gpt
    gpt.next(Script(text="一答", variables={"mood": "gut"}))
    await client.ask("一", chatId="c1", variables={"name": "张三", "cTime": "old"}, customUid="u1")
    parts = [
        {"type": "text", "text": "二"},
        {"type": "image_url", "image_url": {"url": "https://x/a.png"}},
        {"type": "input_audio", "input_audio": {}},
    ]
    messages = [{"role": "user", "content": "extra"}, {"role": "system", "content": "s"}]
    await client.ask(chatId="c1", variables={"age": 3}, messages=[*messages, {"role": "user", "content": parts}])
    first, second = gpt.asked
    assert first.variables["name"] == "张三"
    assert first.variables["userId"] == "u1"
    assert first.variables["cTime"] != "old"
    assert {key: second.variables[key] for key in ("name", "age", "mood")} == {"name": "张三", "age": 3, "mood": "gut"}
    assert second.prompt == [
        ("user", "一"),
        ("assistant", "一答"),
        ("system", "s"),
        ("user", "extra"),
        ("user", "二"),
    ]
    assert second.files == [parts[1]]


async def test_unrecorded_and_nameless_chats(client: Client) -> None:
    await client.ask("一", chatId="NO_RECORD_HISTORIES")
    assert client.gpt.chats == {}
    await client.ask("二", chatId=None)
    assert [len(chat_id) for chat_id in client.gpt.chats] == [24]


async def test_records_and_node_results_by_the_id_that_was_sent(client: Client) -> None:
    client.gpt.next(Script(text="答", quotes=(Quote(id=ID),)))
    await client.ask("问", chatId="c1", responseChatItemId="m1")
    for path in ("/core/chat/record/getPaginationRecords", "/core/chat/getPaginationRecords"):
        records = await client.post(path, chatId="c1", offset=0, pageSize=10)
        assert records["total"] == 2
        assert [(row["obj"], row["dataId"]) for row in records["list"]] == [("Human", "m1"), ("AI", "m1")]
    newest = await client.post("/core/chat/getPaginationRecords", chatId="c1", offset=0, pageSize=1)
    assert [row["obj"] for row in newest["list"]] == ["AI"]
    data = await client.get("/core/chat/getResData", appId=client.gpt.app_id, chatId="c1", dataId="m1")
    assert quotes(data.json()["data"]) == [ID]


async def test_init(client: Client) -> None:
    client.gpt.chat_config = {"welcomeText": "欢迎"}
    nothing = await client.get("/core/chat/init")
    assert (nothing.status_code, nothing.json()["code"]) == (501, 501)
    reply = (await client.get("/core/chat/init", appId=client.gpt.app_id, chatId="c1")).json()
    assert (reply["code"], reply["statusText"]) == (200, "")
    assert reply["data"]["app"]["chatConfig"]["welcomeText"] == "欢迎"
    assert reply["data"]["chatGenerateStatus"] == "done"


async def test_a_wrong_key_for_a_helper_call(client: Client) -> None:
    url = f"{client.gpt.base_url}/core/chat/init"
    reply = await client.http.get(url, params={"appId": client.gpt.app_id}, headers=client.headers("nobody"))
    assert reply.status_code == 500
    assert reply.text == (
        '{"code":403,"statusText":"unAuthorization","message":"common:code_error.error_message.403","data":null}'
    )


async def test_feedback_suggestions_and_deletion(client: Client) -> None:
    await client.ask("问", chatId="c1", responseChatItemId="m1")
    await client.post("/core/chat/feedback/updateUserFeedback", chatId="c1", dataId="m1", userGoodFeedback="yes")
    await client.post("/core/chat/feedback/updateUserFeedback", chatId="c1", dataId="m2", userBadFeedback="yes")
    assert [(entry.data_id, entry.good, entry.bad, entry.known) for entry in client.gpt.feedback] == [
        ("m1", "yes", None, True),
        ("m2", None, "yes", False),
    ]
    assert client.gpt.chats["c1"].items[1].good == "yes"
    assert len(await client.post("/core/ai/agent/v2/createQuestionGuide", chatId="c1")) == 3
    url = f"{client.gpt.base_url}/core/chat/delHistory"
    query = {"appId": client.gpt.app_id, "chatId": "c1"}
    assert (await client.http.delete(url, params=query, headers=client.headers())).json()["code"] == 200
    assert client.gpt.chats == {}


@pytest.mark.parametrize(("era", "ids"), [("e26", ["m1"]), ("e24", ["m1", "m2"])])
async def test_an_interactive_submit(era: Era, ids: list[str], http: httpx.AsyncClient) -> None:
    async with FakeFastGPT(era) as gpt:
        client = Client(gpt, http)
        gpt.next(Script(text="", interactive=SELECT))
        await client.ask("一", chatId="c1", responseChatItemId="m1")
        gpt.next(Script(text="好的"))
        seen = read(200, "", (await client.ask("Confirm", chatId="c1", responseChatItemId="m2")).content)
        assert seen.text == "好的"
        assert gpt.asked[1].answers == "userSelect"
        assert [item.data_id for item in gpt.chats["c1"].items if item.obj == "AI"] == ids


async def test_a_wrong_choice_gives_an_empty_answer(client: Client) -> None:
    client.gpt.next(Script(text="", interactive=SELECT), Script(text="好的"))
    await client.ask("一", chatId="c1")
    assert read(200, "", (await client.ask("1", chatId="c1")).content).text == ""


async def test_citation_marks_stay_only_when_asked_for(client: Client) -> None:
    client.gpt.default = Script(text=f"答[{ID}](CITE)。")
    kept = await client.ask("q", chatId="c1", retainDatasetCite=True, stream=False, detail=False)
    gone = await client.ask("q", chatId="c1", stream=False, detail=False)
    content = [reply.json()["choices"][0]["message"]["content"] for reply in (kept, gone)]
    assert content == [f"答[{ID}](CITE)。", "答。"]


# ------------------------------------------------------------------ the test's side


async def test_which_script_answers(client: Client) -> None:
    gpt = client.gpt
    gpt.when("天气", Script(text="晴"))
    gpt.next(Script(text="排队"))
    texts = [read(200, "", (await client.ask(question)).content).text for question in ("天气?", "天气?", "别的")]
    assert texts == ["排队", "晴", answer_to("别的")]
    assert Script(length=9).says("x") == "".join(Script(length=9).words("x"))
    assert len(Script(length=9).words("x")) == 9


async def test_until_tells_what_was_there_when_it_gives_up(client: Client) -> None:
    await client.ask("问了什么", chatId="c1")
    with pytest.raises(AssertionError, match="问了什么"):
        await client.gpt.until(lambda: client.gpt.asked[1].finished, timeout=0.01)
    with pytest.raises(ZeroDivisionError):
        await client.gpt.until(lambda: 1 / 0)


async def test_down_and_up_on_the_same_port(client: Client) -> None:
    gpt, gate, port = client.gpt, Gate(after=1), client.gpt.port
    gpt.next(Script(tokens=("你", "好"), gate=gate))
    task = asyncio.create_task(client.ask("一", chatId="c1"))
    await gate.reached()
    await gpt.down()
    with pytest.raises(httpx.HTTPError):
        await task
    assert gpt.running == 0
    with pytest.raises(httpx.ConnectError):
        await client.ask("二")
    await gpt.up()
    assert gpt.port == port
    assert read(200, "", (await client.ask("三", chatId="c1")).content).text == answer_to("三")


async def test_a_scripted_reply_stands_for_the_whole_answer(client: Client) -> None:
    client.gpt.next(Script(instead=Reply(status=429, body="{}", headers={"Retry-After": "3"}), delay=0.001))
    reply = await client.ask("一", chatId="c1")
    assert (reply.status_code, reply.headers["retry-after"], reply.text) == (429, "3", "{}")
    assert client.gpt.chats == {}


async def test_serving_ends_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    gpt = FakeFastGPT("e26")
    await serve(gpt, lifetime=0.001)
    assert capsys.readouterr().out == f"{gpt.base_url}\n"


@pytest.mark.parametrize("fail", [Fail(after=2), Fail(after=99)])
async def test_a_gate_comes_before_a_fault_at_the_same_token(fail: Fail, client: Client) -> None:
    gate = Gate(after=fail.after)
    client.gpt.next(Script(tokens=("你", "好"), gate=gate, fail=fail))
    task = asyncio.create_task(client.ask("一", chatId="c1"))
    await gate.reached()
    assert client.gpt.running == 1
    gate.open()
    assert (await task).text.endswith('event: error\ndata: {"message":"boom"}\n\n')


async def test_as_a_program(http: httpx.AsyncClient) -> None:
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.fakes.fastgpt", "--era", "e24", "--lifetime", "30"),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert program.stdout is not None
        base = (await program.stdout.readline()).decode().strip()
        url = base.removesuffix("/api") + "/_control"
        await http.post(f"{url}/next", json={"script": {"text": "你好", "gate": 1, "piece": 1}})
        await http.post(f"{url}/next", json={"oddity": "err"})
        refused = await http.post(f"{url}/next", json={"script": {"nonsense": 1, "rate": "fast"}})
        assert refused.status_code == 400
        body = {"messages": [{"role": "user", "content": "q"}], "stream": True, "detail": True}
        headers = {"Authorization": f"Bearer {FakeFastGPT.key}"}
        async with http.stream("POST", f"{base}/v1/chat/completions", json=body, headers=headers) as reply:
            raw = b""
            async for piece in reply.aiter_bytes():
                raw += piece
                if "你".encode() in raw and "好".encode() not in raw:
                    await http.post(f"{url}/open", json={})
        assert read(200, "", raw).text == "你好"
        failed = await http.post(f"{base}/v1/chat/completions", json=body, headers=headers)
        assert "unAuthApiKey" in failed.text
        state = (await http.get(f"{url}/state")).json()
        assert [asked["question"] for asked in state["asked"]] == ["q", "q"]
        assert state["cpu"] > 0
        await http.post(f"{url}/down", json={"seconds": 0.05})
        async with asyncio.timeout(10):
            answers: list[str] = []
            while answers[-2:] != ["refused", "up"]:
                try:
                    await http.get(f"{url}/state")
                    answers.append("up")
                except httpx.HTTPError:
                    answers.append("refused")
    finally:
        program.terminate()
        assert await program.wait() == 0
