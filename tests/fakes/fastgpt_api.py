"""The helper calls around a chat: init, records, node results, feedback, suggestions, stop, deletion.

Rules of this file:
- a handler gets (fake, query or body) and returns the ``data`` of the envelope, or raises Refused;
- E26 moved some calls under sub-folders and kept the old paths; older servers know the old ones only;
- whatever is not in the tables is answered with the HTML page of the web application, status 404.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from tests.fakes.fastgpt_files import FILE_CALLS
from tests.fakes.fastgpt_http import Connection, Request
from tests.fakes.fastgpt_memory import Call, Chat, Feedback, Item, Stopped
from tests.fakes.fastgpt_script import JSON_TYPE
from tests.fakes.fastgpt_turn import Refused, fail
from tests.fakes.fastgpt_wire import NEW, envelope

if TYPE_CHECKING:
    from tests.fakes.fastgpt import FakeFastGPT

PAGE = (
    '<!DOCTYPE html><html><head><meta charset="utf-8"/><title>FastGPT</title></head>'
    '<body><div id="__next">404: This page could not be found.</div></body></html>'
)
Handler = Callable[["FakeFastGPT", dict[str, Any]], Any]


def helper(fake: FakeFastGPT, request: Request, connection: Connection) -> None:
    """Answer any path that is not a chat completion."""
    try:
        sent = msgspec.json.decode(request.body, type=dict[str, Any]) if request.body else dict(request.query)
    except msgspec.DecodeError:
        connection.reply(400, b"Invalid JSON", "text/plain; charset=utf-8", {})
        return
    fake.calls.append(Call(time.time(), request.method, request.path, request.query, sent))
    handler = _handler(fake, request)
    if handler is None:
        connection.reply(404, PAGE.encode(), "text/html; charset=utf-8", {})
    elif fake.kind_of_key(request, sent) == "wrong":
        payload = envelope(403, "unAuthorization", "common:code_error.error_message.403")
        connection.reply(500, payload, JSON_TYPE, {})
    elif handler is _init and not sent.get("appId"):
        # built without an error object: then the code is the HTTP status as well
        connection.reply(501, envelope(501, "", "You don't have an app yet"), JSON_TYPE, {})
    else:
        try:
            connection.reply(200, envelope(200, "", "", handler(fake, sent)), JSON_TYPE, {})
        except Refused as refusal:
            connection.reply(500, refusal.payload, JSON_TYPE, {})
    fake.changed()


def _handler(fake: FakeFastGPT, request: Request) -> Handler | None:
    if fake.era == "openai":
        return None
    key = f"{request.method} {request.path}"
    if fake.presigns is not None and key in FILE_CALLS:
        return FILE_CALLS[key]
    if fake.era in NEW:
        return _MOVED.get(key) or _ALWAYS.get(key)
    return _ALWAYS.get(key)


def _chat(fake: FakeFastGPT, sent: dict[str, Any]) -> Chat:
    if not sent.get("appId"):
        fail("appId is empty")
    if sent["appId"] != fake.app_id:
        fail("app is empty")
    return fake.chats.get(sent.get("chatId") or "") or Chat(sent.get("chatId") or "")


def _init(fake: FakeFastGPT, sent: dict[str, Any]) -> dict[str, Any]:
    chat = _chat(fake, sent)
    if fake.era in NEW and not chat.chat_id:
        fail("chatId: Invalid input")
    config = {
        "welcomeText": "",
        "variables": [],
        "questionGuide": {"open": False, "model": "", "customPrompt": ""} if fake.era in NEW else False,
        "ttsConfig": {"type": "web"},
        "whisperConfig": {"open": False, "autoSend": False, "autoTTSResponse": False},
        "chatInputGuide": {"open": False, "customUrl": ""},
        "fileSelectConfig": {"canSelectFile": False, "canSelectImg": False, "maxFiles": 10},
        **fake.chat_config,
    }
    app = {"chatConfig": config, "chatModels": ["gpt-4o-mini"], "name": "客服", "avatar": "", "intro": ""}
    data: dict[str, Any] = {
        "chatId": chat.chat_id,
        "appId": fake.app_id,
        "title": chat.title or "新对话",
        "variables": chat.variables,
        "app": {**app, "type": "advanced", "pluginInputs": []},
    }
    if fake.era in NEW:
        data |= {"chatGenerateStatus": "done" if chat.run is None else "generating", "hasBeenRead": True}
    return data


def _records(fake: FakeFastGPT, sent: dict[str, Any]) -> dict[str, Any]:
    """Pages count from the newest item; within a page the order is that of the chat."""
    items = _chat(fake, sent).items
    end = len(items) - int(sent.get("offset", 0))
    page = items[max(0, end - int(sent.get("pageSize", 10))) : max(0, end)]
    return {"list": [_record(fake, item) for item in page], "total": len(items)}


def _record(fake: FakeFastGPT, item: Item) -> dict[str, Any]:
    row: dict[str, Any] = {"_id": f"{id(item):024x}", "dataId": item.data_id, "obj": item.obj, "value": item.value}
    if item.obj == "AI":
        quotes = [quote for node in item.nodes for quote in node.get("quoteList", ())]
        row |= {"llmModuleAccount": 1, "totalQuoteList": quotes, "totalRunningTime": 3.56, "historyPreviewLength": 2}
        if item.good is not None:
            row["userGoodFeedback"] = item.good
        if item.bad is not None:
            row["userBadFeedback"] = item.bad
    return row


def _nodes(fake: FakeFastGPT, sent: dict[str, Any]) -> list[dict[str, Any]]:
    item = _chat(fake, sent).item(str(sent.get("dataId")))
    return [] if item is None else item.nodes


def _feedback(fake: FakeFastGPT, sent: dict[str, Any]) -> None:
    chat = _chat(fake, sent)
    item = chat.item(str(sent.get("dataId")))
    good, bad = sent.get("userGoodFeedback"), sent.get("userBadFeedback")
    fake.feedback.append(Feedback(chat.chat_id, str(sent.get("dataId")), good, bad, item is not None))
    if item is not None:
        item.good, item.bad = good, bad


def _guide(fake: FakeFastGPT, sent: dict[str, Any]) -> list[str]:
    _chat(fake, sent)
    return list(fake.suggestions)


def _delete(fake: FakeFastGPT, sent: dict[str, Any]) -> None:
    chat = _chat(fake, sent)
    fake.chats.pop(chat.chat_id, None)


def _stop(fake: FakeFastGPT, sent: dict[str, Any]) -> dict[str, bool]:
    chat = _chat(fake, sent)
    run = chat.run
    fake.stopped.append(Stopped(time.time(), fake.app_id, chat.chat_id, run is not None))
    if run is not None:
        run.stop()
    return {"success": True}


_ALWAYS: dict[str, Handler] = {
    "GET /api/core/chat/init": _init,
    "POST /api/core/chat/getPaginationRecords": _records,
    "GET /api/core/chat/getResData": _nodes,
    "POST /api/core/chat/feedback/updateUserFeedback": _feedback,
    "POST /api/core/ai/agent/v2/createQuestionGuide": _guide,
    "DELETE /api/core/chat/delHistory": _delete,
}
_MOVED: dict[str, Handler] = {
    "POST /api/core/chat/record/getPaginationRecords": _records,
    "GET /api/core/chat/record/getResData": _nodes,
    "DELETE /api/core/chat/history/delHistory": _delete,
    "POST /api/v2/chat/stop": _stop,
}
"""Paths of E26."""
