"""The bytes of the scripted FastGPT server against the literal examples of the fact sheet, and every oddity played."""

from __future__ import annotations

import json
import re
from typing import Any

import aiohttp
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.fastgpt import ODDITIES, Era, FakeFastGPT, Oddity, Quote, Script, Tool
from tests.fakes.fastgpt_memory import innermost
from tests.fakes.fastgpt_oddities import SELECT
from tests.fakes.fastgpt_reader import Client, quotes, read, sse
from tests.fakes.fastgpt_wire import CITE, Dialect, Turn, frames

ID = "65bb346a24d8f2c1e9a0b3d4"


# ------------------------------------------------------------------ literal shapes


def answer(delta: str, finish: str = "null", more: str = "", event: str = "event: answer\n") -> str:
    """2.4, byte by byte."""
    return (
        f'{event}data: {{"id":"","object":"","created":0,"model":"","choices":[{{"delta":{delta},"index":0,'
        f'"finish_reason":{finish}}}]}}\n\n'.replace("]}\n", f"]{more}}}\n")
    )


TOKEN = '{"role":"assistant","content":"电影"}'
STATUS = 'event: flowNodeStatus\ndata: {"status":"running","name":"AI 对话"}\n\n'
DONE = "event: answer\ndata: [DONE]\n\n"
NODE = (
    '"moduleName":"AI 对话","moduleType":"chatNode","runningTime":1.78,%s,"model":"gpt-4o-mini","query":"q",'
    '"historyPreview":[{"obj":"Human","value":"q"},{"obj":"AI","value":"电影"}]}'
)
E23_NODE = "{" + NODE % '"price":450'
OLD_NODE = '{"nodeId":"node-2",' + NODE % '"totalPoints":0.45'
NEW_NODE = '{"id":"run-2","nodeId":"node-2",' + NODE % '"totalPoints":0.45'
TITLE = 'event: chatTitle\ndata: {"title":"q"}\n\n'
DURATION = 'event: workflowDuration\ndata: {"durationSeconds":3.27}\n\n'
VALUE_ID = ',"responseValueId":"value-1"'
NULL = '{"role":"assistant","content":null}'
E23 = 'event: answer\ndata: {"id":"","object":"","created":0,"choices":[{"delta":%s,"index":0,"finish_reason":%s}]}\n\n'
STREAMS: dict[Era, str] = {
    "e23": (
        E23 % ('{"content":"电影"}', "null")
        + E23 % ("{}", '"stop"')
        + DONE
        + f"event: appStreamResponse\ndata: [{E23_NODE}]\n\n"
    ),
    "e24": STATUS + answer(TOKEN) + answer("{}", '"stop"') + DONE + f"event: flowResponses\ndata: [{OLD_NODE}]\n\n",
    "e26": (
        STATUS
        + answer(TOKEN, more=VALUE_ID)
        + DURATION
        + TITLE
        + answer(NULL, '"stop"', VALUE_ID)
        + f"event: flowResponses\ndata: [{NEW_NODE}]\n\n"
        + DONE
    ),
    "v2": (
        STATUS
        + answer(TOKEN)
        + f"event: flowNodeResponse\ndata: {NEW_NODE}\n\n"
        + DURATION
        + TITLE
        + answer(NULL, '"stop"')
        + DONE
    ),
}


@pytest.mark.parametrize("era", STREAMS)
async def test_the_stream_of_every_era_is_literal(era: Era, http: httpx.AsyncClient) -> None:
    async with FakeFastGPT(era) as gpt:
        gpt.next(Script(tokens=("电影",)))
        reply = await Client(gpt, http).ask("q", chatId="c1")
    assert reply.text == STREAMS[era]
    assert reply.headers["content-type"] == "text/event-stream;charset=utf-8"
    assert reply.headers["x-accel-buffering"] == "no"


async def test_the_v2_path_is_v2_in_every_era(http: httpx.AsyncClient) -> None:
    async with FakeFastGPT("e24") as gpt:
        gpt.next(Script(tokens=("电影",)))
        reply = await Client(gpt, http).ask("q", chatId="c1", v2=True)
    assert reply.text == STREAMS["v2"]


async def test_without_detail_only_the_title_has_an_event_line(client: Client) -> None:
    client.gpt.next(Script(tokens=("电",), title="导演提问", quotes=(Quote(id=ID),), tools=(Tool(),)))
    reply = await client.ask("q", chatId="c1", detail=False)
    assert reply.text == (
        answer('{"role":"assistant","content":"电"}', event="")
        + 'event: chatTitle\ndata: {"title":"导演提问"}\n\n'
        + answer(NULL, '"stop"', event="")
        + "data: [DONE]\n\n"
    )


async def test_a_whole_answer_without_detail_is_literal(http: httpx.AsyncClient) -> None:
    async with FakeFastGPT("e24") as gpt:
        gpt.next(Script(text="电影《铃芽之旅》的导演是新海诚。"))
        reply = await Client(gpt, http).ask(chatId="my_chatId", stream=False, detail=False)
    assert reply.text == (
        '{"id":"my_chatId","model":"","usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":1},'
        '"choices":[{"message":{"role":"assistant","content":"电影《铃芽之旅》的导演是新海诚。"},'
        '"finish_reason":"stop","index":0}]}'
    )


async def test_a_whole_answer_with_detail(client: Client) -> None:
    script = Script(text="今天晴", thinking=("想…",), quotes=(Quote(id=ID),), variables={"name": "张三"}, title="天气")
    client.gpt.next(script)
    whole = (await client.ask(chatId="c1", stream=False)).json()
    assert list(whole) == ["responseData", "newVariables", "title", "error", "id", "model", "usage", "choices"]
    assert whole["choices"][0]["message"] == {"role": "assistant", "content": "今天晴", "reasoning_content": "想…"}
    assert whole["newVariables"] == {"name": "张三"}
    assert quotes(whole["responseData"]) == [ID]


async def test_tools_turn_content_into_a_list(client: Client) -> None:
    client.gpt.next(Script(text="今天晴", tools=(Tool(),), interactive=SELECT))
    content = (await client.ask(chatId="c1", stream=False)).json()["choices"][0]["message"]["content"]
    call = {
        "id": "call_1",
        "toolName": "天气",
        "toolAvatar": "",
        "functionName": "weather",
        "params": '{"city":"杭州"}',
        "response": '{"t":20}',
    }
    assert content == [
        {"tools": [call], "type": "tool"},
        {"text": {"content": "今天晴"}, "type": "text"},
        {"interactive": SELECT, "type": "interactive"},
    ]


async def test_content_is_missing_when_only_a_question_is_left(client: Client) -> None:
    client.gpt.next(Script(text="", interactive=SELECT))
    whole = (await client.ask(chatId="c1", stream=False, detail=False)).json()
    assert whole["choices"][0]["message"] == {"role": "assistant"}


@given(st.text())
def test_a_token_is_encoded_as_json_stringify_does(token: str) -> None:
    for era in ("e23", "e24", "e26", "v2", "openai"):
        (frame,) = Dialect(era, True, Turn(model="m")).texts((token,))
        data = frame.decode().partition("data: ")[2].removesuffix("\n\n")
        assert "\n" not in data
        assert json.loads(data)["choices"][0]["delta"]["content"] == token


@given(st.lists(st.text(min_size=1), min_size=1), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans(), st.booleans())
def test_line_ends_and_spaces_change_nothing(tokens: list[str], eol: Any, bom: bool, space: bool) -> None:
    script = Script(tokens=tuple(tokens), eol=eol, bom=bom, space=space, quotes=(Quote(id=ID),))
    played = frames(script, "e24", True, Turn())
    seen = read(200, "", played.head + b"".join(played.tokens) + played.tail)
    assert seen.error is None
    assert seen.sources == [ID]
    assert seen.text == CITE.sub("", re.sub("<think>.*?</think>", "", "".join(tokens)))


# ------------------------------------------------------------------ the OpenAI profile


async def test_the_openai_stream(http: httpx.AsyncClient) -> None:
    async with FakeFastGPT("openai") as gpt:
        gpt.next(Script(tokens=("电", "影")))
        body = {"model": "m1", "stream": True, "messages": [{"role": "user", "content": "q"}]}
        headers = {"Authorization": f"Bearer {gpt.key}"}
        reply = await http.post(f"{gpt.base_url}/chat/completions", json=body, headers=headers)
        models = await http.get(f"{gpt.base_url}/models")
    *chunks, last = [data for _, data in sse(reply.content)]
    assert last == "[DONE]"
    choices = [json.loads(chunk)["choices"] for chunk in chunks]
    assert [choice[0]["delta"] if choice else None for choice in choices] == [
        {"role": "assistant", "content": ""},
        {"content": "电"},
        {"content": "影"},
        {},
        None,
    ]
    assert choices[-2][0]["finish_reason"] == "stop"
    assert json.loads(chunks[0])["object"] == "chat.completion.chunk"
    assert json.loads(chunks[0])["model"] == "m1"
    assert json.loads(chunks[-1])["usage"]["total_tokens"] == 2
    assert models.json()["data"][0]["object"] == "model"


@pytest.mark.parametrize(
    ("change", "status", "word"),
    [
        ({"chatId": "c1"}, 400, "chatId"),
        ({"detail": True}, 400, "detail"),
        ({"variables": {}}, 400, "variables"),
        ({"model": ""}, 400, "model"),
        ({"key": "nobody"}, 401, "API key"),
    ],
)
async def test_the_openai_profile_is_strict(
    change: dict[str, Any], status: int, word: str, http: httpx.AsyncClient
) -> None:
    async with FakeFastGPT("openai") as gpt:
        body = {"model": "m1", "messages": [{"role": "user", "content": "q"}], **change}
        headers = {"Authorization": f"Bearer {body.pop('key', gpt.key)}"}
        reply = await http.post(f"{gpt.base_url}/chat/completions", json=body, headers=headers)
    assert reply.status_code == status
    assert word in reply.json()["error"]["message"]


# ------------------------------------------------------------------ oddities


async def fetch(client: Client) -> tuple[int, str, bytes, bool]:
    """Status, Content-Type, body, and whether the connection broke. A body left open is read up to [DONE]."""
    body = {"messages": [{"role": "user", "content": "q"}], "stream": True, "detail": True, "retainDatasetCite": True}
    raw, broken = b"", False
    url = f"{client.gpt.base_url}/v1/chat/completions"
    async with client.http.stream("POST", url, json=body, headers=client.headers()) as reply:
        try:
            async for piece in reply.aiter_bytes():
                raw += piece
                if client.gpt.default.linger and b"[DONE]" in raw:
                    break
        except httpx.HTTPError:
            broken = True
        return reply.status_code, reply.headers.get("content-type", ""), raw, broken


@pytest.mark.parametrize("name", ODDITIES)
async def test_every_oddity_can_be_played_and_read(name: str, client: Client) -> None:
    oddity = ODDITIES[name]
    client.gpt.default = oddity
    status, content_type, raw, broken = await fetch(client)
    seen = read(status, content_type, raw, cut=broken)
    description = innermost(seen.interactive).get("params", {}).get("description", "")
    assert description == oddity.asks
    text = seen.text.removesuffix(f"\n{description}") if description else seen.text
    assert text == oddity.expect
    assert (seen.error is not None) == oddity.error
    assert oddity.reason in (seen.error or "")
    assert seen.sources == list(oddity.sources)
    assert seen.finish == oddity.finish
    assert seen.thought == oddity.thought
    params = innermost(seen.interactive).get("params", {})
    assert [option["value"] for option in params.get("userSelectOptions", ())] == list(oddity.choices)
    assert [entry["key"] for entry in params.get("inputForm", ())] == list(oddity.fields)


def test_oddities_are_what_their_names_say() -> None:
    def body(name: str) -> str:
        reply = ODDITIES[name].instead
        assert reply is not None
        return reply.body

    def flow(oddity: Oddity, era: Era) -> bytes:
        return frames(oddity, era, True, Turn()).tail

    assert len(flow(ODDITIES["old"], "e24")) > 1_400_000
    assert flow(ODDITIES["old"], "e24").find(b"[DONE]") < flow(ODDITIES["old"], "e24").find(b"flowResponses")
    assert flow(ODDITIES["new"], "e26").find(b"[DONE]") > flow(ODDITIES["new"], "e26").find(b"flowResponses")
    assert "\u2028" in body("u2028")
    assert "\u0085" in body("u2028")
    assert "event: answer" not in body("nodetail")
    assert "data: : OPENROUTER PROCESSING" in body("junk")
    err = ODDITIES["err"].instead
    assert err is not None
    assert err.content_type is None
    assert err.body == (
        'event: error\ndata: {"code":514,"statusText":"unAuthApiKey","message":"Api Key 不合法","data":null}\n\n'
    )
    assert "[DONE]" not in body("mid")


async def test_small_chunks_reach_a_client_one_by_one(gpt: FakeFastGPT) -> None:
    gpt.next(Script(text="新海诚🎬", chunk=7))
    body = {"messages": [{"role": "user", "content": "q"}], "stream": True}
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {gpt.key}"}) as session,
        session.post(f"{gpt.base_url}/v1/chat/completions", json=body) as reply,
    ):
        pieces = [piece async for piece in reply.content.iter_any()]
    assert max(map(len, pieces)) == 7
    assert read(200, "", b"".join(pieces)).text == "新海诚🎬"
