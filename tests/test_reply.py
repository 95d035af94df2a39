"""bridge.reply and bridge.events: every form of a reply, every generation of servers, every split (facts 2 and 10)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.faults import UpstreamError
from bridge.model import Field, Form, Source
from bridge.pieces import Choices, Delta, Done, Piece, Sources, Status
from bridge.reply import Reply

SSE = {"content-type": "text/event-stream;charset=utf-8"}
STOP = '{"id":"","object":"","created":0,"model":"","choices":[{"delta":%s,"index":0,"finish_reason":"stop"}]}'


def chunk(text: str, **more: Any) -> str:
    delta = {"role": "assistant", "content": text, **more}
    return json.dumps({"id": "", "choices": [{"delta": delta, "index": 0, "finish_reason": None}]}, ensure_ascii=False)


def event(name: str, data: str) -> str:
    return f"event: {name}\ndata: {data}\n\n" if name else f"data: {data}\n\n"


def answer(*texts: str) -> str:
    return "".join(event("answer", chunk(text)) for text in texts)


QUOTES = [
    {
        "id": f"{n:024x}",
        "q": "电" * 400,
        "a": "影" * 400,
        "sourceName": "a.csv",
        "score": [{"type": "embedding", "value": 0.9}],
    }
    for n in range(600)
]
FLOW = event(
    "flowResponses", json.dumps([{"moduleType": "datasetSearchNode", "quoteList": QUOTES}], ensure_ascii=False)
)
DONE = event("answer", "[DONE]")
SOURCES = Sources(tuple(Source(q["id"], "a.csv", q["q"], q["a"], 0.9) for q in QUOTES))  # type: ignore[arg-type]

ERROR = '{"code":514,"statusText":"unAuthApiKey","message":"Api Key 不合法","data":null}'

SCENARIOS: dict[str, tuple[dict[str, str], str, str, str, list[Piece]]] = {
    # name: headers, body, answer, thinking, what else
    "old": (
        SSE,
        answer("电影", "《铃芽之旅》") + event("answer", STOP % "{}") + DONE + FLOW,
        "电影《铃芽之旅》",
        "",
        [SOURCES, Done(finish="stop")],
    ),
    "new": (
        SSE,
        answer("电影", "《铃芽之旅》") + event("answer", STOP % '{"role":"assistant","content":null}') + FLOW + DONE,
        "电影《铃芽之旅》",
        "",
        [SOURCES, Done(finish="stop")],
    ),
    "u2028": (SSE, answer("a\u2028b") + event("", chunk("c\u0085d")) + DONE, "a\u2028bc\u0085d", "", [Done()]),
    "nodetail": (
        SSE,
        event("", chunk("电")) + event("chatTitle", '{"title":"t"}') + event("", STOP % "{}") + event("", "[DONE]"),
        "电",
        "",
        [Done(finish="stop")],
    ),
    "junk": (
        SSE,
        ": ping\n\ndata: : OPENROUTER PROCESSING\n\ndata:"
        + chunk("a")
        + "\n\n"
        + event("", '{"choices":[],"usage":{"total_tokens":3}}')
        + event("", '{"choices":[{"delta":{"content":null,"reasoning_content":"r"}}]}')
        + event("", '{"choices":[{"index":0,"delta":null}]}')
        + "data: \n\n"
        + event("", "[DONE]"),
        "a",
        "r",
        [Done()],
    ),
    "err": ({}, event("error", ERROR), "", "", []),
    "mid": (SSE, answer("half") + event("error", '{"message":"boom"}'), "half", "", []),
}
FAULTS = {"err": ("key", "unAuthApiKey: Api Key 不合法"), "mid": ("server", "boom")}


def read(body: str | bytes, headers: dict[str, str] | None = None, status: int = 200, size: int = 0) -> Read:
    raw = body.encode() if isinstance(body, str) else body
    reply = Reply(status, SSE if headers is None else headers, now=1_700_000_000.0)
    pieces: list[Piece] = []
    step = size or len(raw) or 1
    for at in range(0, len(raw), step):
        pieces += reply.feed(raw[at : at + step])
    return Read(pieces + reply.end(), reply.events.fault)


class Read:
    """What became of a reply."""

    def __init__(self, pieces: list[Piece], fault: UpstreamError | None) -> None:
        self.pieces = pieces
        self.fault = fault
        self.text = "".join(piece.text for piece in pieces if isinstance(piece, Delta))
        self.thinking = "".join(piece.thinking for piece in pieces if isinstance(piece, Delta))
        self.rest = [piece for piece in pieces if not isinstance(piece, Delta)]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("size", [1, 7, 4093])
@pytest.mark.parametrize("name", SCENARIOS)
def test_the_seven_scenarios(name: str, size: int, end: str) -> None:
    headers, body, text, thinking, rest = SCENARIOS[name]
    if size == 1 and len(body) > 100_000:
        size = 4099
    found = read(body.replace("\n", end), headers, size=size)
    assert (found.text, found.thinking) == (text, thinking)
    assert found.rest == rest
    if name in FAULTS:
        assert found.fault is not None
        assert (found.fault.reason, found.fault.detail) == FAULTS[name]
    else:
        assert found.fault is None


# ---------------------------------------------------------------- the forms of stream x detail

PLAIN = (
    '{"id":"my_chatId","model":"","usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":1},'
    '"choices":[{"message":{"role":"assistant","content":"电影《铃芽之旅》的导演是新海诚。"},"finish_reason":"stop","index":0}]}'
)
DETAIL = """{"responseData":[
 {"nodeId":"n1","moduleName":"知识库搜索","moduleType":"datasetSearchNode","runningTime":1.78,
  "quoteList":[{"id":"65bb346a0123456789abcdef","q":"问","a":"答","sourceName":"a.csv","score":0.5}]},
 {"moduleName":"AI 对话","moduleType":"chatNode","query":"导演是谁","historyPreview":[{"obj":"Human","value":"…"}]}],
 "newVariables":{"name":"张三"},"title":"…","error":null,"id":"c1","model":"",
 "choices":[{"message":{"role":"assistant","content":"新海诚[65bb346a0123456789abcdef](CITE)","reasoning_content":"想"},
             "finish_reason":"stop","index":0}]}"""
VALUES = """{"choices":[{"message":{"role":"assistant","content":[
 {"reasoning":{"content":"想…"},"type":"reasoning"},
 {"tools":[{"id":"call_1","toolName":"天气","functionName":"weather","params":"{}","response":"{}"}],"type":"tool"},
 {"text":{"content":"今天晴"},"type":"text"},{"text":{"content":"明天雨"}},
 {"interactive":{"type":"userSelect","params":{"description":"请选择",
   "userSelectOptions":[{"key":"option1","value":"Confirm"}]}},"type":"interactive"}]},
 "finish_reason":"stop","index":0}]}"""
JSON = {"content-type": "application/json; charset=utf-8"}


@pytest.mark.parametrize("headers", [JSON, {}])
@pytest.mark.parametrize("size", [0, 7])
def test_a_whole_answer(headers: dict[str, str], size: int) -> None:
    found = read(PLAIN, headers, size=size)
    assert found.pieces == [Delta("电影《铃芽之旅》的导演是新海诚。"), Done(finish="stop")]


def test_a_whole_answer_with_records() -> None:
    found = read(DETAIL, JSON)
    assert (found.text, found.thinking) == ("新海诚", "想")
    source = Source("65bb346a0123456789abcdef", "a.csv", "问", "答", 0.5)
    assert found.rest == [Sources((source,)), Done(finish="stop")]


def test_a_whole_answer_of_several_values() -> None:
    found = read(VALUES, JSON)
    assert (found.text, found.thinking) == ("今天晴\n明天雨", "想…")
    assert found.rest == [Status("天气"), Choices("请选择", (("Confirm", "Confirm"),)), Done(finish="stop")]


@pytest.mark.parametrize("content", ["", '"content":"",', '"content":null,', '"content":[],'])
def test_an_error_beside_empty_content(content: str) -> None:
    body = '{"choices":[{"message":{%s"role":"assistant"},"finish_reason":"stop"}],"error":"AI points not enough"}'
    found = read(body % content, JSON)
    assert found.pieces == []
    assert found.fault is not None
    assert (found.fault.reason, found.fault.detail) == ("points", "AI points not enough")


def test_an_error_beside_an_answer_leaves_the_answer() -> None:
    found = read('{"choices":[{"message":{"content":"a"}}],"error":{"message":"last node"}}', JSON)
    assert found.pieces == [Delta("a"), Done()]


@pytest.mark.parametrize("body", ['{"choices":[{"message":{"role":"assistant"}}]}', '{"choices":[]}'])
def test_an_answer_without_content(body: str) -> None:
    assert read(body, JSON).pieces == [Done()]


def test_the_records_of_a_stream_without_detail_names() -> None:
    records = '[{"quoteList":[{"id":"1","q":"q","a":"a","source":"s","kb_id":"k"}]}]'
    found = read(answer("a") + DONE + event("appStreamResponse", records))
    assert found.rest == [Sources((Source("1", "s", "q", "a"),)), Done()]


def test_the_records_of_a_run_say_that_it_is_complete() -> None:
    assert read(answer("a") + event("flowResponses", "[]")).pieces == [Delta("a"), Done()]


def test_v2_sends_a_record_for_each_node() -> None:
    def node(**more: Any) -> str:
        return event("flowNodeResponse", json.dumps({"id": "r", "nodeId": "n", "moduleName": "搜索", **more}))

    one, two = {"id": "1", "q": "x", "a": ""}, {"id": "2", "q": "y", "a": ""}
    body = (
        event("flowNodeStatus", '{"status":"running","name":"知识库搜索"}')
        + node(quoteList=[one])
        + answer("a")
        + node(toolDetail=[{"quoteList": [two, one]}])
        + event("workflowDuration", '{"durationSeconds":3.27}')
    )
    expected = Sources((Source("1", "", "x"), Source("2", "", "y")))
    assert read(body + event("answer", STOP % "{}") + DONE).rest == [
        Status("知识库搜索"),
        expected,
        Done(finish="stop"),
    ]
    assert read(body).rest[-1] == Done(cut=True)  # a record in the middle of a run says nothing of its end


def test_every_other_event_is_passed_over() -> None:
    names = "toolParams toolResponse updateVariables plan planStatus sandboxStatus skillCall stepTitle resumePhase new"
    body = "".join(event(name, '{"a":{"code":500}}') for name in names.split()) + event("resumePhase", "catchup")
    assert read(body + answer("a") + DONE).pieces == [Delta("a"), Done()]


def test_tools_are_progress() -> None:
    tool = (
        '{"tool":{"id":"call_1","toolName":"天气","toolAvatar":"","functionName":"weather","params":"","response":""}}'
    )
    assert read(event("toolCall", tool) + DONE).pieces == [Status("天气"), Done()]


# ---------------------------------------------------------------- what chunks look like elsewhere


@pytest.mark.parametrize(
    ("data", "text", "thinking"),
    [
        ('{"choices":[{"delta":{"content":"a","reasoning":"r"}}]}', "a", "r"),
        ('{"choices":[{"delta":{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}}]}', "ab", ""),
        ('{"choices":[{"message":{"content":"a"}}]}', "a", ""),
        ('{"choices":[{"delta":{"content":"a"},"index":0}],"error":null,"responseValueId":"x","stepId":"y"}', "a", ""),
        ('{"choices":[{"delta":{"content":"a","reasoning":{"odd":1}}}]}', "a", ""),
        ('{"choices":[null,{"delta":{"content":"a"}}]}', "a", ""),
        ('{"choices":null}', "", ""),
        (json.dumps('{"choices":[{"delta":{"content":"a"}}]}'), "a", ""),
        ('{"choices":[{"delta":{"content":"a\\ud83d"}}]}', "a?", ""),
        ("not json", "", ""),
        ('"a string"', "", ""),
        ("[" * 100_000, "", ""),
    ],
)
def test_odd_chunks(data: str, text: str, thinking: str) -> None:
    found = read(event("", data) + event("", "[DONE]"))
    assert (found.text, found.thinking, found.rest) == (text, thinking, [Done()])


def test_done_may_be_a_json_string() -> None:
    assert read(answer("a") + event("", '"[DONE]"')).rest == [Done()]


def test_raw_json_lines() -> None:
    body = chunk("a") + "\n" + chunk("b") + "\n" + '{"choices":[{"finish_reason":"stop"}]}\n'
    for headers in (JSON, {}):
        found = read(body, headers, size=7)
        assert (found.text, found.rest) == ("ab", [Done(finish="stop")])
    spaced = body.replace("\n", "\n\n")
    assert read(spaced, SSE, size=7).text == "ab"


@pytest.mark.parametrize("headers", [{}, {"content-type": "text/plain"}])
def test_a_stream_without_its_content_type(headers: dict[str, str]) -> None:
    for start in ("", "\n\n", "\ufeff", ": ping\n\n"):
        assert read(start + answer("a") + DONE, headers, size=1).pieces == [Delta("a"), Done()]


def test_thinking_in_tags_and_marks_over_chunks() -> None:
    body = answer("<th", "ink>想[65bb346a01234567", "89abcdef](CITE)</thi", "nk>答[", "id](", "CITE)", "案[")
    found = read(body + DONE)
    assert (found.text, found.thinking) == ("答案[", "想")


@pytest.mark.parametrize(("finish", "cut"), [("length", False), ("content_filter", False), ("", True)])
def test_how_an_answer_ends(finish: str, cut: bool) -> None:
    last = json.dumps({"choices": [{"delta": {}, "finish_reason": finish}]})
    assert read(answer("a") + event("", last)).rest == [Done(cut=cut, finish=finish)]


def test_an_empty_body_is_cut() -> None:
    assert read(b"", {}).pieces == [Done(cut=True)]
    assert read(b"", SSE).pieces == [Done(cut=True)]


# ---------------------------------------------------------------- interactive nodes

SELECT = """{"interactive":{"type":"userSelect","params":{
  "description":"请选择","userSelectOptions":[{"key":"o","value":"A"}]}}}""".replace("\n", "")
INPUT = """{"interactive":{"type":"userInput","params":{
  "description":"请填写","inputForm":[{"type":"input","key":"k","label":"l"}]}}}""".replace("\n", "")


def test_interactive_nodes() -> None:
    found = read(event("interactive", SELECT) + event("interactive", INPUT) + event("interactive", "{}") + DONE)
    form = Form("userInput", "请填写", (Field("k", "l"),))
    assert found.pieces == [Choices("请选择", (("A", "A"),)), form, Done()]


def test_words_that_were_streamed_are_not_said_twice() -> None:
    fixed = event("fastAnswer", chunk("\n请选择")) + event("fastAnswer", chunk("\n请填写"))
    found = read(fixed + event("interactive", SELECT) + event("interactive", INPUT) + DONE)
    assert found.text == "\n请选择\n请填写"
    assert found.rest == [Choices("", (("A", "A"),)), Form("userInput", "", (Field("k", "l"),)), Done()]


# ---------------------------------------------------------------- errors

HTML = "<!DOCTYPE html><html><head><title>FastGPT</title></head><body></body></html>"


@pytest.mark.parametrize(
    ("status", "headers", "body", "reason", "detail"),
    [
        (500, JSON, ERROR, "key", "unAuthApiKey: Api Key 不合法"),
        (
            500,
            JSON,
            '{"code":409,"statusText":"error","message":"chatIsGenerating","data":null}',
            "busy",
            "chatIsGenerating",
        ),
        (200, JSON, ERROR, "key", "unAuthApiKey: Api Key 不合法"),
        (200, {}, "event: error\ndata: {}\n\n", "server", "HTTP 200"),
        (200, {}, "event: error\ndata: 网络连接异常\n\n", "server", "网络连接异常"),
        (500, SSE, event("error", ERROR), "key", "unAuthApiKey: Api Key 不合法"),
        (200, {"content-type": "text/html"}, HTML, "wrong_path", "HTTP 200, a web page: FastGPT"),
        (404, {"content-type": "text/html; charset=utf-8"}, HTML, "wrong_path", "HTTP 404, a web page: FastGPT"),
        (502, {}, "<html><title>502 Bad Gateway</title>", "server", "HTTP 502, a web page: 502 Bad Gateway"),
        (308, {"location": "https://b.example/api"}, "", "wrong_path", "HTTP 308, redirected to https://b.example/api"),
        (200, {"content-type": "text/plain"}, "messages is empty", "bad_request", "messages is empty"),
        (200, {}, "Internal failure", "protocol", "Internal failure"),
        (404, {"content-type": "text/plain"}, "404 page not found", "wrong_path", "404 page not found"),
        (503, {}, "", "server", "HTTP 503"),
        (200, JSON, '{"error":{"message":"boom","type":"x"}}', "server", "x: boom"),
        (200, JSON, '{"data":{}}', "protocol", "HTTP 200"),
        (200, SSE, event("", '{"error":"boom"}'), "server", "boom"),
        (200, SSE, event("", '{"code":500,"msg":"boom"}'), "server", "boom"),
        (
            200,
            SSE,
            event("", '{"error":{"message":"m","code":429},"choices":[{"finish_reason":"error"}]}'),
            "rate",
            "m",
        ),
    ],
)
@pytest.mark.parametrize("size", [0, 7])
def test_errors(status: int, headers: dict[str, str], body: str, reason: str, detail: str, size: int) -> None:
    found = read(body, headers, status, size=size)
    assert found.pieces == []
    assert found.fault is not None
    assert (found.fault.reason, found.fault.detail) == (reason, detail)


def test_nothing_is_read_behind_an_error() -> None:
    found = read(answer("a") + event("error", '{"message":"boom"}') + answer("b") + DONE)
    assert found.pieces == [Delta("a")]


def test_text_that_waited_comes_before_the_error() -> None:
    assert read(answer("a[6") + event("error", '{"message":"boom"}')).text == "a[6"


def test_of_an_error_page_not_all_is_read() -> None:
    reply = Reply(500, {}, 0.0)
    reply.feed(b"x" * 60_000)
    assert not reply.full
    reply.feed(b"x" * 60_000)
    assert reply.full


def test_a_body_without_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.reply.LIMIT", 100)
    reply = Reply(200, JSON)
    reply.feed(b"{" + b" " * 100)
    assert reply.full
    assert reply.events.fault is not None
    assert reply.events.fault.reason == "protocol"
