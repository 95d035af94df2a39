"""The tenant's directory: the app's token and permissions, the bot itself, chats and people.

Rules of this file: only what the app may know of its tenant; answers carry a few of the platform's fields, never wrong
ones.

Source: fact sheet 4 and 6.4.
"""

from __future__ import annotations

import secrets
from typing import Any

from tests.fakes.feishu.rules import Json, Refused, text_of
from tests.fakes.feishu.state import State

TOKEN_KEPT = 1800
"""Seconds: a token that lives longer is given again, a shorter one gets a successor, and both are good."""


def tenant_token(state: State, request: Any) -> Json:
    """POST /auth/v3/tenant_access_token/internal"""
    if text_of(request.body, "app_id") != state.app_id:
        raise Refused(10003, "invalid param", 200)
    if text_of(request.body, "app_secret") != state.app_secret:
        raise Refused(10014, "app secret invalid", 200)
    now = state.clock.now()
    for token, end in state.tokens.items():
        if end - now >= TOKEN_KEPT and state.token_life > TOKEN_KEPT:
            return {"expire": int(end - now), "tenant_access_token": token}
    token = f"t-g10{secrets.token_hex(18)}"
    state.tokens[token] = now + state.token_life
    return {"expire": state.token_life, "tenant_access_token": token}


def bot_info(state: State, request: Any) -> Json:
    """GET /bot/v3/info: the fields stand in ``bot``, beside the code."""
    if not state.bot_enabled:
        raise Refused(11205, "app do not have bot", 200)
    return {
        "bot": {
            "activate_status": 2,
            "app_name": state.app_name,
            "avatar_url": "",
            "ip_white_list": [],
            "open_id": state.open_id,
        }
    }


def granted(state: State, request: Any) -> Json:
    """GET /application/v6/scopes: what the tenant has granted."""
    scopes = [{"scope_name": name, "grant_status": 1, "scope_type": "tenant"} for name in sorted(state.scopes)]
    return {"data": {"scopes": scopes}}


def chat(state: State, request: Any) -> Json:
    """GET /im/v1/chats/{chat_id}"""
    found = state.chats.get(request.parts["chat_id"])
    if found is None:
        raise Refused(232006, "Your request specifies a chat_id which is invalid.")
    if not found.member:
        raise Refused(232011, "Operator can NOT be out of the chat.")
    mode = "topic" if found.kind == "topic" else found.kind
    return {"data": {"name": found.name, "chat_mode": mode, "chat_type": "private", "chat_status": "normal"}}


def person(state: State, request: Any) -> Json:
    """GET /contact/v3/users/{open_id}: the name is a field with a permission of its own."""
    open_id = request.parts["open_id"]
    if open_id not in state.people:
        raise Refused(41050, "no user authority error")
    user = {"open_id": open_id, "union_id": "on" + open_id[2:]}
    if "contact:user.base:readonly" in state.scopes:
        user |= {"name": state.people[open_id], "en_name": ""}
    return {"data": {"user": user}}
