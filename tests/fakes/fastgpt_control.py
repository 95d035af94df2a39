"""The control API of the server run as a program: what a test does in-process, over HTTP under ``/_control/``.

    POST /_control/next      {"script": {…}} or {"oddity": "old"}     a Script for the next request
    POST /_control/when      {"substring": "…", "script": {…}}
    POST /_control/default   {"script": {…}}
    POST /_control/set       {"era": "e24", "limit": [30, 60], "chat_config": {…}, "suggestions": […],
                              "presign": "form", "fetches": true}
    POST /_control/open      {}                                       open every gate ("gate": 3 in a script makes one)
    POST /_control/down      {"seconds": 2}                           refuse connections for so long
    POST /_control/clear     {}                                       forget what was asked, chats and files
    GET  /_control/state                                              asked, calls, stopped, feedback, running, cpu

Rules of this file:
- it sees nothing of a test; field names are those of Script and of the records;
- ``cpu`` is the CPU time of this process in seconds, so that a benchmark can subtract the fake.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from tests.fakes.fastgpt_http import Connection, Request
from tests.fakes.fastgpt_oddities import ODDITIES
from tests.fakes.fastgpt_script import Script, script_of

if TYPE_CHECKING:
    from tests.fakes.fastgpt import FakeFastGPT


def control(fake: FakeFastGPT, request: Request, connection: Connection) -> None:
    action = f"{request.method} {request.path.removeprefix('/_control/')}"
    try:
        sent = msgspec.json.decode(request.body, type=dict[str, Any]) if request.body else {}
        answer = _act(fake, action, sent)
    except (msgspec.MsgspecError, LookupError) as error:
        connection.reply(400, f"{type(error).__name__}: {error}".encode(), "text/plain; charset=utf-8", {})
    else:
        connection.reply(200, msgspec.json.encode(answer), "application/json", {})
        if action == "POST down":
            fake.away(float(sent["seconds"]))


def _script(fake: FakeFastGPT, sent: dict[str, Any]) -> Script:
    script = ODDITIES[sent["oddity"]] if "oddity" in sent else script_of(sent["script"])
    if script.gate is not None:
        fake.gates.append(script.gate)
    return script


def _act(fake: FakeFastGPT, action: str, sent: dict[str, Any]) -> dict[str, Any]:
    match action:
        case "POST next":
            fake.next(_script(fake, sent))
        case "POST when":
            fake.when(sent["substring"], _script(fake, sent))
        case "POST default":
            fake.default = _script(fake, sent)
        case "POST set":
            for name in sent:
                if name not in ("era", "limit", "chat_config", "suggestions", "presign", "fetches"):
                    raise KeyError(name)
                setattr(fake, name, tuple(sent[name]) if name == "limit" and sent[name] else sent[name])
        case "POST open":
            for gate in fake.gates:
                gate.open()
            fake.gates.clear()
        case "POST down":
            float(sent["seconds"])
        case "POST clear":
            for records in (fake.asked, fake.calls, fake.stopped, fake.feedback, fake.chats, fake.fetched):
                records.clear()
            fake.store.objects.clear()
        case "GET state":
            return {
                "asked": fake.asked,
                "calls": fake.calls,
                "stopped": fake.stopped,
                "feedback": fake.feedback,
                "running": fake.running,
                "cpu": time.process_time(),
            }
        case _:
            raise LookupError(action)
    return {"ok": True}
