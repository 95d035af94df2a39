"""`check --online`: what only the servers know about a config.

Rules of this file: nothing is taken in, changed or paid for. Bots are tried by their adapters (``Adapter.probe``), apps
here: by a question without words, which costs nothing and which FastGPT refuses only after it has looked at the key.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

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
    try:
        return await (_openai if config.kind == "openai" else _fastgpt)(config, client)
    except FAILURES:
        return Finding(False, "cannot be reached", _FIXES["unreachable"])


async def _openai(config: App, client: httpx.AsyncClient) -> Finding:
    url = completions_url(config.base_url).removesuffix("/chat/completions") + "/models"
    reply = await client.get(url, headers=_headers(config), timeout=_PATIENCE)
    error, payload = _read(reply)
    if error is None:
        rows = payload.get("data")
        known = [row.get("id") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        lacks = f", but does not list the model {config.model!r}" if known and config.model not in known else ""
        return Finding(True, f"answers, and takes the key{lacks}")
    if reply.status_code in (404, 405):
        return Finding(True, "answers; it lists no models, so the key is tried with the first question")
    return _refused(error)


async def _fastgpt(config: App, client: httpx.AsyncClient) -> Finding:
    headers = {**_headers(config), "Content-Type": "application/json"}
    body = {"messages": [], "stream": False, **({"appId": config.app_id} if config.app_id else {})}
    url = completions_url(config.base_url)
    reply = await client.post(url, content=msgspec.json.encode(body), headers=headers, timeout=_PATIENCE)
    error, _ = _read(reply)
    later = bool(config.app_id) and error is not None and error.reason == "server"  # a plugin runs even without words
    if error is not None and not later and not _expected(reply, error):
        return _refused(error)
    if not config.app_id:
        return Finding(True, "answers; set app_id for the welcome text, uploads and /stop on the server")
    query = {"appId": config.app_id, "chatId": "check"}
    url = f"{api_root(config.base_url)}/core/chat/init"
    error, payload = _read(await client.get(url, params=query, headers=_headers(config), timeout=_PATIENCE))
    if error is not None:
        return Finding(
            False, f"takes the key, but not the app_id: {error.reason}", "app_id: copy it from the app's page"
        )
    data = payload.get("data")
    name = data["app"].get("name") if isinstance(data, dict) and isinstance(data.get("app"), dict) else ""
    return Finding(True, f"answers{f' as {name!r}' if name else ''}, and takes the key")


def _headers(config: App) -> dict[str, str]:
    return {"Authorization": f"Bearer {config.api_key}"} if config.api_key else {}


def _expected(reply: httpx.Response, error: UpstreamError) -> bool:
    """Is it "messages is empty", and from an app? A gateway has other words, or a page."""
    payload = _object(reply)
    return error.reason == "bad_request" and (
        {"code", "message"} <= payload.keys() or (reply.status_code < 500 and "error" in payload)
    )


def _object(reply: httpx.Response) -> dict[str, Any]:
    """The JSON object that a reply is; empty when it is none."""
    try:
        payload = msgspec.json.decode(reply.content)
    except (ValueError, RecursionError):
        return {}
    return payload if isinstance(payload, dict) else {}


def _read(reply: httpx.Response) -> tuple[UpstreamError | None, dict[str, Any]]:
    """The error in a reply (FastGPT puts some into a 200), or its JSON."""
    payload = _object(reply)
    if reply.is_success and payload and not payload.get("error") and payload.get("code", 200) == 200:
        return None, payload
    return faults.of_response(reply.status_code, reply.headers, reply.content, time.time()), {}


def _refused(error: UpstreamError) -> Finding:
    return Finding(False, f"refuses: {error.reason}", _FIXES.get(error.reason, "see the server's log"))
