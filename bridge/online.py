"""`check --online`: what only the servers know about a config.

Rules of this file: nothing is taken in, changed or paid for. Bots are tried by their adapters (``Adapter.probe``), apps
here: by a call that asks for settings, else by a question without words, which a server refuses only after the key.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import httpx
import msgspec

from bridge import faults
from bridge.config import App
from bridge.fastgpt import api_root, completions_url
from bridge.faults import UpstreamError
from bridge.model import Finding
from bridge.wire import FAILURES

_PATIENCE = 15.0
_FIXES: Mapping[str, str] = {
    "key": "api_key: the server does not accept it; make a new one under the app's API access",
    "wrong_key": "api_key: this is an account's key; the app's own is needed, or set app_id beside a personal key",
    "permission": "api_key: it may not use this app; check app_id and the key's owner",
    "not_found": "app_id (or model): the server does not know it",
    "wrong_path": "base_url: something else answers there; FastGPT's usually ends in /api",
    "unreachable": "base_url or proxy: no connection",
    "points": "the team has used up its AI points",
    "quota": "the key's limit is used up, or its date has passed",
    "rate": "the server asks to wait; try again in a while",
}


async def app(config: App, client: httpx.AsyncClient) -> Finding:
    """Is the app there, and does it take the key?"""
    headers = {"Authorization": f"Bearer {config.api_key}"} if config.api_key else {}
    root, empty = api_root(config.base_url), b'{"messages":[],"stream":false}'
    try:
        if config.kind == "openai":
            models = completions_url(config.base_url).removesuffix("/chat/completions") + "/models"
            reply = await client.get(models, headers=headers, timeout=_PATIENCE)
        elif config.app_id:
            query = {"appId": config.app_id, "chatId": "check"}
            reply = await client.get(f"{root}/core/chat/init", params=query, headers=headers, timeout=_PATIENCE)
        else:
            json = {**headers, "Content-Type": "application/json"}
            url = completions_url(config.base_url)
            reply = await client.post(url, content=empty, headers=json, timeout=_PATIENCE)
    except FAILURES as error:
        return Finding(False, f"cannot be reached ({type(error).__name__})", _FIXES["unreachable"])
    return _judged(config, reply)


def _judged(config: App, reply: httpx.Response) -> Finding:
    error = _error(reply)
    if error is None:
        return Finding(True, f"answers{_name(config, reply)}, and takes the key")
    if config.kind == "openai" and reply.status_code in (404, 405):
        return Finding(True, "answers; it lists no models, so the key is tried with the first question")
    if not config.app_id and config.kind == "fastgpt" and error.reason in ("bad_request", "server"):
        return Finding(True, "answers; set app_id for the welcome text, uploads and /stop on the server")
    return Finding(False, f"refuses: {error.reason}", _FIXES.get(error.reason, "see the server's log"))


def _error(reply: httpx.Response) -> UpstreamError | None:
    """The error in a reply; FastGPT puts some into a 200."""
    try:
        payload = msgspec.json.decode(reply.content)
    except msgspec.DecodeError:
        payload = None
    fine = reply.is_success and isinstance(payload, dict) and not payload.get("error")
    if fine and payload.get("code", 200) == 200:
        return None
    return faults.of_response(reply.status_code, reply.headers, reply.content, time.time())


def _name(config: App, reply: httpx.Response) -> str:
    if config.kind == "openai":
        rows = msgspec.json.decode(reply.content).get("data")
        known = [row.get("id") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        return f", but does not list the model {config.model!r}" if known and config.model not in known else ""
    data = msgspec.json.decode(reply.content).get("data")
    named = data.get("app", {}).get("name") if isinstance(data, dict) and isinstance(data.get("app"), dict) else ""
    return f" as {named!r}" if isinstance(named, str) and named else ""
