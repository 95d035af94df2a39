"""Every oddity of real servers as a ready script, with what a client must make of it.

Rules of this file:
- a name per oddity of fact sheet 2.8, per scenario of 10.3 and per line of section 10's tolerant list;
- where only the bytes matter the body is literal, otherwise the script is played by the era it belongs to;
- expectations hold for a request with stream=true, detail=true, retainDatasetCite=true from a client of kind fastgpt,
  whatever era the server has.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from tests.fakes.fastgpt_script import SSE_TYPE, Fail, Quote, Reply, Script, Tool, many_quotes


class Oddity(Script, frozen=True, kw_only=True):
    """A Script that says what must come of it."""

    expect: str = ""
    """The text that the user must end up seeing, citation marks and ``<think>`` parts taken out. It is the answer's
    own text: the description of an interactive node (``asks``) is not in it."""
    sources: tuple[str, ...] = ()
    """Ids of the quotes, in order."""
    error: bool = False
    """The answer must be marked as failed or cut; ``expect`` is what came before and stays."""
    reason: str = ""
    """What the operator must find in the error's detail: statusText or message. (Shadows Script.reason: expectations
    are literal here.)"""
    finish: str = "stop"
    """The finish_reason to be understood; empty = none was sent."""
    thought: str = ""
    """The thinking, apart from the text."""
    asks: str = ""
    """Description of the interactive node; to be seen once, though E24 streams it as text as well."""
    choices: tuple[str, ...] = ()
    """Values of the options offered."""
    fields: tuple[str, ...] = ()
    """Keys of the form's fields."""


ID1, ID2 = "65bb346a24d8f2c1e9a0b3d4", "65bb346a24d8f2c1e9a0b3d5"
QUOTES = (Quote(id=ID1), Quote(id=ID2, q="上映日期", a="2022年11月11日"))
HUGE = many_quotes()
MANY = tuple(quote.id for quote in HUGE)
HTML = '<!DOCTYPE html><html><head><title>FastGPT</title></head><body><div id="__next"></div></body></html>'
HTML_TYPE = "text/html; charset=utf-8"
BAD_KEY = {"code": 514, "statusText": "unAuthApiKey", "message": "Api Key 不合法", "data": None}
SELECT = {
    "type": "userSelect",
    "params": {"description": "请选择", "userSelectOptions": [{"key": "option1", "value": "Confirm"}]},
}
FORM = {
    "type": "userInput",
    "params": {
        "description": "请填写",
        "inputForm": [
            {"type": "input", "key": "测试 1", "label": "测试 1", "value": "", "valueType": "string", "required": True},
            {"type": "numberInput", "key": "测试 2", "label": "测试 2", "valueType": "number", "required": False},
        ],
    },
}
ASK = {
    "type": "agentAsk",
    "params": {
        "description": "两个问题",
        "questions": [
            {"question": "给谁用?", "options": [{"summary": "开发者", "value": "Developers"}], "answer": ""},
            {"question": "何时?", "options": [], "answer": ""},
        ],
    },
    "askId": "ask-1",
    "responseMode": "submit",
}
PAUSE = {"type": "paymentPause", "params": {"description": "积分不足"}}
NESTED = {
    "type": "childrenInteractive",
    "params": {"childrenResponse": {"type": "loopInteractive", "params": {"childrenResponse": SELECT}}},
    "entryNodeIds": ["n1"],
    "memoryEdges": [],
    "nodeOutputs": [],
}


def dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def frame(data: Any, event: str = "") -> str:
    """One SSE frame; a str goes out as it is."""
    label = f"event: {event}\n" if event else ""
    return f"{label}data: {data if isinstance(data, str) else dump(data)}\n\n"


def chunk(delta: Any, finish: str | None = None) -> dict[str, Any]:
    choice = {"delta": delta, "index": 0, "finish_reason": finish}
    return {"id": "", "object": "", "created": 0, "model": "", "choices": [choice]}


def said(text: str, event: str = "answer") -> str:
    return frame(chunk({"role": "assistant", "content": text}), event)


STOP = frame(chunk({}, "stop"), "answer")
DONE = frame("[DONE]", "answer")
PLAIN_STOP, PLAIN_DONE = frame(chunk({}, "stop")), frame("[DONE]")


def body(*parts: str, status: int = 200, content_type: str | None = SSE_TYPE) -> Reply:
    """A literal reply."""
    return Reply(status=status, body="".join(parts), content_type=content_type)


def refusal(status: int, payload: Any, reason: str, content_type: str | None = "application/json") -> Oddity:
    """An HTTP error in place of an answer."""
    text = payload if isinstance(payload, str) else dump(payload)
    return Oddity(instead=body(text, status=status, content_type=content_type), error=True, reason=reason, finish="")


def plain(*parts: str, expect: str, **more: Any) -> Oddity:
    """A literal body that ends as every server ends it."""
    return Oddity(instead=body(*parts, PLAIN_STOP, PLAIN_DONE), expect=expect, **more)


_SCENARIOS: dict[str, Oddity] = {  # 10.3
    "old": Oddity(era="e24", tokens=("电影", "新海诚"), quotes=HUGE, chunk=4093, expect="电影新海诚", sources=MANY),
    "new": Oddity(era="e26", tokens=("电影", "新海诚"), quotes=HUGE, chunk=4093, expect="电影新海诚", sources=MANY),
    "u2028": Oddity(
        instead=body(said("a\u2028b"), said("c\u0085d", event=""), DONE),
        chunk=7,
        expect="a\u2028bc\u0085d",
        finish="",
    ),
    "nodetail": Oddity(
        instead=body(said("电", ""), said("影", ""), frame({"title": "t"}, "chatTitle"), PLAIN_STOP, PLAIN_DONE),
        chunk=7,
        expect="电影",
    ),
    "junk": Oddity(
        instead=body(
            ": ping\n\n",
            "data: : OPENROUTER PROCESSING\n\n",
            f"data:{dump(chunk({'content': '电影'}))}\n\n",
            frame({"choices": [], "usage": {"total_tokens": 3}}),
            frame({"choices": [{"delta": {"content": None, "reasoning_content": "r"}}]}),
            frame({"choices": [{"index": 0, "delta": None}]}),
            "data: \n\n",
            PLAIN_DONE,
        ),
        chunk=7,
        expect="电影",
        thought="r",
        finish="",
    ),
    "err": Oddity(
        instead=body(frame(BAD_KEY, "error"), content_type=None), chunk=7, error=True, reason="unAuthApiKey", finish=""
    ),
    "mid": Oddity(
        instead=body(said("电影"), frame({"message": "boom"}, "error")),
        chunk=7,
        expect="电影",
        error=True,
        reason="boom",
        finish="",
    ),
}
_TAILS: dict[str, Oddity] = {  # 2.8.1, 2.8.2, 2.8.11
    "tail_e23": Oddity(era="e23", text="你好", quotes=QUOTES, expect="你好", sources=(ID1, ID2)),
    "tail_e24": Oddity(era="e24", text="你好", quotes=QUOTES, expect="你好", sources=(ID1, ID2)),
    "tail_e26": Oddity(era="e26", text="你好", quotes=QUOTES, expect="你好", sources=(ID1, ID2)),
    "tail_v2": Oddity(era="v2", text="你好", quotes=QUOTES, expect="你好", sources=(ID1, ID2)),
    "tail_openai": Oddity(era="openai", text="你好", expect="你好"),
    "flow_without_done": Oddity(
        era="e24", text="你好", quotes=QUOTES, tail=("stop", "flow"), expect="你好", sources=(ID1, ID2)
    ),
    "stop_delta_empty": Oddity(era="e24", text="你好", expect="你好"),
    "stop_content_null": Oddity(era="e26", text="你好", expect="你好"),
    "reasoning_only_chunks": Oddity(era="e26", thinking=("用户", "想…"), text="你好", expect="你好", thought="用户想…"),
    "response_value_id": Oddity(era="e26", tokens=("电", "影"), expect="电影"),
    "open_after_done": Oddity(era="e24", text="你好", tail=("stop", "done"), linger=True, expect="你好"),
    "no_done": Oddity(era="openai", text="你好", tail=("stop",), expect="你好"),
    "no_finish_no_done": Oddity(era="openai", text="你好", tail=(), expect="你好", error=True, finish=""),
    "length": Oddity(era="openai", text="很长的", finish_reason="length", expect="很长的", finish="length"),
    "content_filter": Oddity(
        era="openai", text="我不", finish_reason="content_filter", expect="我不", finish="content_filter"
    ),
    "tool_calls": Oddity(era="openai", text="", finish_reason="tool_calls", expect="", finish="tool_calls"),
    "empty": Oddity(era="e26", text="", expect=""),
}
_BYTES: dict[str, Oddity] = {  # 2.8.6, 2.8.7, 2.8.4
    "split_utf8": Oddity(era="e26", text="新海诚🎬", chunk=1, expect="新海诚🎬"),
    "crlf": Oddity(era="e24", text="你好", quotes=QUOTES, eol="\r\n", chunk=7, expect="你好", sources=(ID1, ID2)),
    "cr": Oddity(era="e24", text="你好", eol="\r", chunk=7, expect="你好"),
    "bom": Oddity(era="e24", text="你好", bom=True, chunk=1, expect="你好"),
    "ragged": Oddity(era="e24", text="你好", quotes=QUOTES, ragged=True, expect="你好", sources=(ID1, ID2)),
    "no_space": Oddity(era="e24", text="你好", space=False, expect="你好"),
    "no_content_type": Oddity(era="e24", text="你好", content_type=None, expect="你好"),
    "heartbeats": Oddity(era="e26", tokens=("", "你", "", "", "好", ""), expect="你好"),
    "comments": Oddity(
        era="e26",
        text="你好世界你好",
        junk=(": ping", ": keep-alive", ": OPENROUTER PROCESSING", "data: : keepalive", "data: ", "data:"),
        expect="你好世界你好",
    ),
}
_CHUNKS: dict[str, Oddity] = {  # section 10
    "azure_preamble": plain(
        frame({"choices": [], "prompt_filter_results": [{"prompt_index": 0}]}), said("好", ""), expect="好"
    ),
    "choices_missing": plain(frame({"id": "x", "object": "ping"}), said("好", ""), expect="好"),
    "choices_null": plain(frame({"choices": None}), said("好", ""), expect="好"),
    "delta_null": plain(frame({"choices": [{"delta": None}]}), said("好", ""), expect="好"),
    "content_null": plain(frame(chunk({"content": None})), said("好", ""), expect="好"),
    "content_parts": plain(
        frame(chunk({"content": [{"type": "text", "text": "你"}, {"type": "text", "text": "好"}]})), expect="你好"
    ),
    "message_for_delta": plain(frame({"choices": [{"message": {"content": "你好"}}]}), expect="你好"),
    "reasoning_openrouter": plain(frame(chunk({"reasoning": "想"})), said("好", ""), expect="好", thought="想"),
    "think_tags": plain(said("<thi", ""), said("nk>想</th", ""), said("ink>好", ""), expect="好", thought="想"),
    "raw_json_line": plain(f"{dump(chunk({'content': '你好'}))}\n\n", expect="你好"),
    "double_encoded": plain(frame(dump(dump(chunk({"content": "你好"})))), expect="你好"),
    "unknown_events": Oddity(
        era="e26",
        text="你好",
        events=(
            ("plan", '{"plan":{"planId":"p1","task":"t","description":"d","background":"b","steps":[]}}'),
            ("stepTitle", '{"stepId":"s1","title":"第一步"}'),
            ("sandboxStatus", '{"phase":"ready"}'),
            ("workflowBuilderApplied", "{}"),
            ("resumePhase", "catchup"),
        ),
        expect="你好",
    ),
}
_WHOLE: dict[str, Oddity] = {  # 2.8.8 and "application/json although stream=true was asked"
    "json_for_stream": Oddity(era="e26", text="你好", as_json=True, quotes=QUOTES, expect="你好", sources=(ID1, ID2)),
    "json_list_content": Oddity(
        era="e26", text="今天晴", as_json=True, content="list", thinking=("想…",), expect="今天晴", thought="想…"
    ),
    "json_list_without_type": Oddity(era="v2", text="今天晴", as_json=True, tools=(Tool(),), expect="今天晴"),
    "json_content_missing": Oddity(era="v2", text="", as_json=True, content="missing", expect=""),
    "json_error_beside": Oddity(
        era="e26", text="", as_json=True, beside={"message": "模型超时"}, error=True, reason="模型超时"
    ),
    "json_interactive": Oddity(
        era="e26", text="", as_json=True, interactive=SELECT, asks="请选择", choices=("Confirm",), expect=""
    ),
}
_RICH: dict[str, Oddity] = {  # 2.5, 3, 4
    "thinking_and_tools": Oddity(
        era="e26", thinking=("想",), tools=(Tool(),), text="今天晴", expect="今天晴", thought="想"
    ),
    "fast_answer": Oddity(era="e24", fast="\n固定回复", text="", expect="\n固定回复"),
    "select": Oddity(era="e26", text="", interactive=SELECT, asks="请选择", choices=("Confirm",), expect=""),
    "select_e24": Oddity(era="e24", text="", interactive=SELECT, asks="请选择", choices=("Confirm",), expect=""),
    "select_nested": Oddity(era="e26", text="", interactive=NESTED, asks="请选择", choices=("Confirm",), expect=""),
    "form": Oddity(
        era="e26", text="先填表", interactive=FORM, asks="请填写", fields=("测试 1", "测试 2"), expect="先填表"
    ),
    "agent_ask": Oddity(era="e26", text="", interactive=ASK, asks="两个问题", expect=""),
    "payment_pause": Oddity(era="e26", text="", interactive=PAUSE, asks="积分不足", expect=""),
    "cites": Oddity(
        era="e26",
        tokens=(
            "导演是",
            "新海诚[65bb346a24d8",
            "f2c1e9a0b3d4](CI",
            f"TE)。[{ID2}](QUOTE)",
            "[id](CITE)",
            f"【{ID1}】",
        ),
        quotes=QUOTES,
        leaks=True,
        expect="导演是新海诚。",
        sources=(ID1, ID2),
    ),
    "quotes_on_chat": Oddity(era="e24", text="好", quotes=QUOTES, quotes_at="chat", expect="好", sources=(ID1, ID2)),
    "quotes_in_children": Oddity(
        era="e26", text="好", quotes=QUOTES, quotes_at="childrenResponses", expect="好", sources=(ID1, ID2)
    ),
    "quotes_in_plugin": Oddity(
        era="e24", text="好", quotes=QUOTES, quotes_at="pluginDetail", expect="好", sources=(ID1, ID2)
    ),
    "quotes_in_tool": Oddity(
        era="v2", text="好", quotes=QUOTES, quotes_at="toolDetail", expect="好", sources=(ID1, ID2)
    ),
    "score_is_number": Oddity(era="e24", text="好", quotes=QUOTES, plain_score=True, expect="好", sources=(ID1, ID2)),
}
_ERRORS: dict[str, Oddity] = {  # 2.7, 2.8.5, 2.8.9, 2.8.10, section 10
    "error_json_500": refusal(500, BAD_KEY, "unAuthApiKey"),
    "error_message_empty": refusal(
        500, {"code": 500005, "statusText": "aiPointsNotEnough", "message": "", "data": None}, "aiPointsNotEnough"
    ),
    "error_message_i18n": refusal(
        500,
        {
            "code": 403,
            "statusText": "unAuthorization",
            "message": "common:code_error.error_message.403",
            "data": None,
        },
        "unAuthorization",
    ),
    "error_generating": Oddity(
        instead=body(
            frame({"code": 409, "statusText": "error", "message": "chatIsGenerating", "data": None}, "error"),
            content_type=None,
        ),
        error=True,
        reason="chatIsGenerating",
        finish="",
    ),
    "error_frequency": refusal(
        500,
        {
            "code": 429,
            "statusText": "error",
            "message": "Rate limit exceeded. Maximum 30 requests per 60 seconds for this team. "
            "Please try again in 42 seconds.",
            "data": None,
        },
        "in 42 seconds",
    ),
    "error_text_plain": refusal(200, frame(BAD_KEY, "error"), "unAuthApiKey", "text/plain"),
    "error_envelope_200": refusal(200, BAD_KEY, "unAuthApiKey"),
    "error_http_409": refusal(
        409, {"code": 504004, "statusText": "chatIsGenerating", "message": "", "data": None}, "chatIsGenerating"
    ),
    "error_http_429": refusal(429, {"error": {"message": "slow down", "type": "rate_limit"}}, "slow down"),
    "error_object_401": refusal(
        401, {"error": {"message": "Incorrect API key", "type": "auth", "code": "invalid_api_key"}}, "Incorrect API key"
    ),
    "error_object_200": refusal(200, {"error": {"message": "no channel", "code": None}}, "no channel"),
    "error_string_400": refusal(400, {"error": "model not found"}, "model not found"),
    "error_code_msg": refusal(200, {"code": 500, "msg": "内部错误"}, "内部错误"),
    "error_plain_502": refusal(502, "upstream connect error", "upstream connect error", "text/plain"),
    "error_html_200": refusal(200, HTML, "", HTML_TYPE),
    "error_html_404": refusal(404, HTML, "", HTML_TYPE),
    "error_html_502": refusal(502, "<html><h1>502 Bad Gateway</h1></html>", "", "text/html"),
    "error_object_midway": Oddity(
        instead=body(said("电影", ""), frame({"error": {"message": "overloaded", "type": "server_error"}})),
        expect="电影",
        error=True,
        reason="overloaded",
        finish="",
    ),
    "error_text_event": Oddity(
        instead=body(said("电影"), frame('"boom"', "error")), expect="电影", error=True, reason="boom", finish=""
    ),
}
_FAULTS: tuple[Literal["eof", "close", "reset"], ...] = ("eof", "close", "reset")
_CUTS = {
    f"cut_{how}": Oddity(era="e26", tokens=("电影", "新海诚"), fail=Fail(how=how), expect="电影", error=True, finish="")
    for how in _FAULTS
}

ODDITIES: dict[str, Oddity] = {
    **{**_SCENARIOS, **_TAILS, **_BYTES, **_CHUNKS},
    **{**_WHOLE, **_RICH, **_ERRORS, **_CUTS},
}
