"""POST /chat/completions of the scripted server: who may ask, what is remembered, which run is started.

Rules of this file:
- the order of the checks is the servers': input, key, frequency, messages, generation lock, id conflict, and only then
  is a Script taken;
- files are read (fastgpt_parts) under the generation lock, before the first byte leaves; a key that is not of this
  chat ends the run with an error event;
- a refusal is ``event: error`` with HTTP 200 and without a Content-Type when stream=true was asked, else HTTP 500
  with the envelope; refusals before the handler (input, frequency) are always the envelope;
- FastGPT's memory lives in Chat, the wire forms in fastgpt_wire, the clock in Run.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from tests.fakes.fastgpt_http import Body, Connection, Request
from tests.fakes.fastgpt_memory import Asked, Chat, Record
from tests.fakes.fastgpt_parts import FILES, Reader, fault, openai_fault, taken, text_of
from tests.fakes.fastgpt_run import Run, Whole
from tests.fakes.fastgpt_script import JSON_TYPE, Era, Fail, Script
from tests.fakes.fastgpt_wire import (
    NEW,
    Frames,
    Turn,
    completion,
    envelope,
    frames,
    sse_error,
    title_of,
)

if TYPE_CHECKING:
    from tests.fakes.fastgpt import FakeFastGPT

V2 = "/api/v2/chat/completions"
UNRECORDED = "NO_RECORD_HISTORIES"
"""chatId that runs without memory and without lock."""
RESERVED = ("userId", "appId", "chatId", "responseChatItemId", "histories", "cTime")
OPENAI_FIELDS = (
    *("messages", "model", "stream", "stream_options", "temperature", "top_p", "max_tokens", "max_completion_tokens"),
    *("frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs", "n", "seed", "stop", "user"),
    *("tools", "tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort", "metadata"),
)
STREAM_HEADERS = {"X-Accel-Buffering": "no", "Cache-Control": "no-cache, no-transform"}


class Refused(Exception):
    """An envelope in place of an answer."""

    def __init__(self, code: int, status_text: str, message: str, *, before_handler: bool = False) -> None:
        super().__init__(message)
        self.reason = message if status_text == "error" else status_text
        self.payload = envelope(code, status_text, message)
        self.before_handler = before_handler


class OpenAIRefused(Exception):
    """An error of the OpenAI form."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
        self.status, self.payload = status, msgspec.json.encode({"error": error})


def fail(message: str, code: int = 500) -> NoReturn:
    """Refuse with a free text, as a plain ``throw new Error`` in a handler comes out."""
    raise Refused(code, "error", message)


def completions(fake: FakeFastGPT, request: Request, connection: Connection) -> None:
    era = "v2" if request.path == V2 and fake.era != "openai" else fake.era
    headers = {name: value for name, value in request.headers.items() if name != "authorization"}
    try:
        body = msgspec.json.decode(request.body, type=dict[str, Any])
    except msgspec.DecodeError:
        connection.reply(400, b"Invalid JSON", "text/plain; charset=utf-8", {})
        return
    asked = Asked(time.time(), request.path, headers, body)
    fake.asked.append(asked)
    stream = body.get("stream") is True
    try:
        if era == "openai":
            _admit_openai(fake, request, body)
        else:
            _admit(fake, era, request, body)
        _understand(asked, era)
        if era == "openai":
            _start(fake, era, asked, None, connection, stream)
        else:
            _start(fake, era, asked, _chat_for(fake, era, asked), connection, stream)
    except OpenAIRefused as refusal:
        asked.refused = str(refusal)
        connection.reply(refusal.status, refusal.payload, "application/json", {})
    except Refused as refusal:
        asked.refused = refusal.reason
        if stream and not refusal.before_handler:
            connection.stream(200, None, {}, 0).write(sse_error(refusal.payload))
            connection.send(b"0\r\n\r\n")
            connection.end("eof")
        else:
            connection.reply(500, refusal.payload, JSON_TYPE, {})
    fake.changed()


# ------------------------------------------------------------------ who may ask


def _admit_openai(fake: FakeFastGPT, request: Request, body: dict[str, Any]) -> None:
    if request.headers.get("authorization") != f"Bearer {fake.key}":
        raise OpenAIRefused(401, "Incorrect API key provided.", "invalid_api_key")
    for name in body:
        if name not in OPENAI_FIELDS:
            raise OpenAIRefused(400, f"Unrecognized request argument supplied: {name}")
    if not body.get("model"):
        raise OpenAIRefused(400, "you must provide a model parameter")
    if not body.get("messages"):
        raise OpenAIRefused(400, "[] is too short - 'messages'")
    if wrong := openai_fault(body["messages"]):
        raise OpenAIRefused(400, wrong)


def _admit(fake: FakeFastGPT, era: Era, request: Request, body: dict[str, Any]) -> None:
    if era in NEW:
        for name in [name for name, value in body.items() if value is None]:
            del body[name]  # nullishToUndefined
        for name in ("chatId", "customUid"):
            if not isinstance(body.get(name, ""), str) or len(body.get(name, "")) > 1024:
                raise Refused(500, "error", f"{name}: Invalid input", before_handler=True)
        if wrong := fault(body.get("messages") or ()):
            raise Refused(500, "error", wrong, before_handler=True)
    kind = fake.kind_of_key(request, body)
    if kind == "account" and not (era in NEW and body.get("appId") == fake.app_id):
        fail("Key is error. You need to use the app key rather than the account key.")
    if kind == "wrong":
        raise Refused(514, "unAuthApiKey", "Api Key 不合法")
    wait = fake.take_from_limit()
    if wait and fake.limit is not None:
        calls, seconds = fake.limit
        message = (
            f"Rate limit exceeded. Maximum {calls} requests per {seconds:g} seconds for this team. "
            f"Please try again in {wait} seconds."
        )
        raise Refused(429, "error", message, before_handler=True)


def _understand(asked: Asked, era: Era) -> None:
    """Take the question out of the messages: the last one, whatever its role."""
    messages = asked.body.get("messages") or []
    if not messages:
        fail("messages is empty")
    if era != "openai" and (wrong := fault(messages)):
        fail(wrong)
    asked.parts = taken(messages[-1].get("content") or "", everything=era == "openai")
    asked.question = text_of(asked.parts)
    asked.files = [part for part in asked.parts if part["type"] in FILES]
    if not asked.question and not asked.files and era != "openai":
        fail("User question is empty")
    ordered = sorted(messages[:-1], key=lambda message: message.get("role") != "system")
    asked.prompt = [(message.get("role", ""), text_of(message.get("content"))) for message in ordered]
    asked.prompt.append(("user", asked.question))


# ------------------------------------------------------------------ what is remembered


def _chat_for(fake: FakeFastGPT, era: Era, asked: Asked) -> Chat:
    """The chat of this request, checked for the lock and for the id, with history and variables merged in."""
    body = asked.body
    asked.chat_id = body.get("chatId") or ""
    asked.item_id = body.get("responseChatItemId") or ""
    chat_id = asked.chat_id or secrets.token_urlsafe(18)  # 24 characters, as nanoid(24)
    chat = fake.chats.get(chat_id) or Chat(chat_id)
    if era in NEW and chat_id != UNRECORDED:
        if chat.run is not None:
            fail("chatIsGenerating", 409)
        if asked.item_id and (chat.item(asked.item_id) or chat.item(asked.item_id, "Human")):
            fail("responseChatItemId already exists")  # the real text is not known
    roles = {"Human": "user", "AI": "assistant"}
    asked.prompt[:0] = [(roles[item.obj], item.text) for item in chat.items]
    sent = {name: value for name, value in (body.get("variables") or {}).items() if name not in RESERVED}
    asked.variables = {
        **chat.variables,
        **sent,
        "userId": body.get("customUid", ""),
        "appId": fake.app_id,
        "chatId": chat_id,
        "responseChatItemId": asked.item_id,
        "histories": [],
        "cTime": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    return chat


# ------------------------------------------------------------------ the run


def _start(fake: FakeFastGPT, era: Era, asked: Asked, chat: Chat | None, connection: Connection, stream: bool) -> None:
    script = fake.choose(asked.question)
    if script.instead is not None:
        _instead(fake, asked, script, connection)
        return
    if chat is not None:
        chat.variables = {name: value for name, value in asked.variables.items() if name not in RESERVED}
        if chat.chat_id != UNRECORDED and (era != "e23" or asked.chat_id):
            fake.chats[chat.chat_id] = chat
    record = Record(chat, era, asked) if chat is not None else None
    if asked.answers == "userSelect" and record is not None and asked.question not in record.options:
        # every branch of the workflow is skipped
        script = msgspec.structs.replace(script, tokens=(), text="", fast="", thinking=(), interactive=None)
    reader = Reader(asked.files, asked.received, fake.fetched)
    if error := reader.look(fake.store, fake.app_id, asked.chat_id):
        script = msgspec.structs.replace(script, fail=Fail(after=0, payload=error))
    spoke = script.era or era
    body = asked.body
    turn = Turn(
        question=asked.question,
        chat_id=asked.chat_id or (chat.chat_id if chat else ""),
        model=str(body.get("model") or ""),
        variables=chat.variables if chat else None,
        keep_cites=body.get("retainDatasetCite") is True,
        first=chat is not None and not chat.title,
        value_id="value-1",
        files=asked.received,
    )
    detail = body.get("detail") is True
    if chat is not None:
        chat.title = chat.title or title_of(script, turn)
    headers = fake.limit_headers()

    def reply() -> None:
        if run.outcome == "failed" and script.fail is not None:
            payload = {"code": 500, "statusText": "error", "message": "", "data": None, **script.fail.payload}
            connection.reply(500, msgspec.json.encode(payload), JSON_TYPE, headers)
        else:
            whole = completion(script, spoke, detail, turn)
            connection.reply(200, msgspec.json.encode(whole), JSON_TYPE, headers)

    def open_sink() -> Body | Whole:
        if stream and not script.as_json:
            return connection.stream(200, script.content_type, {**STREAM_HEADERS, **headers}, script.chunk)
        return Whole(connection, reply)

    def moved() -> None:
        asked.sent = run.sent
        fake.changed()

    def ended(run: Run) -> None:
        fake.runs.discard(run)
        if record is not None and chat is not None:
            record.save(script, spoke, turn, run)
            if chat.run is run:
                chat.run = None
        asked.finished, asked.stopped = run.outcome == "done", run.outcome == "stopped"
        fake.changed()

    def lost() -> None:
        asked.hung_up = True
        run.hang_up()
        fake.changed()

    def encode() -> Frames:
        return frames(script, spoke, detail, turn)

    async def read_first() -> None:
        await reader.fetch()
        run.start()
        fake.changed()

    run = Run(script, encode, open_sink, outlives_client=era in NEW, moved=moved, ended=ended)
    fake.runs.add(run)
    if chat is not None and chat.chat_id != UNRECORDED:
        chat.run = run
    connection.on_lost = lost
    if fake.fetches and reader.addresses():
        fake.spawn(read_first())
    else:
        run.start()


def _instead(fake: FakeFastGPT, asked: Asked, script: Script, connection: Connection) -> None:
    """Send the script's own HTTP reply; nothing runs and nothing is remembered."""
    reply = script.instead
    assert reply is not None
    asked.refused = f"scripted HTTP {reply.status}"

    def lost() -> None:
        asked.hung_up = True
        fake.changed()

    def send() -> None:
        if asked.hung_up:
            return
        data = reply.body.encode()
        if script.chunk:
            body = connection.stream(reply.status, reply.content_type, reply.headers, script.chunk)
            body.write(data)
            body.finish("eof")
        else:
            connection.reply(reply.status, data, reply.content_type, reply.headers)
        asked.finished = True
        fake.changed()

    connection.on_lost = lost
    if script.delay:
        asyncio.get_running_loop().call_later(script.delay, send)
    else:
        send()
