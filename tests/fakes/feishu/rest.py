"""The REST API: which path is which call, and what every call must pass before it is carried out.

Rules of this file:
- in this order: the token, the permission, the month's quota, the frequency limits, the call itself;
- a handler gets the state and the ``Request`` and gives the fields of the answer beside code and msg; it raises
  ``Refused``;
- an unknown path is answered as the gateway does: 404, not JSON of the API.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from tests.fakes.feishu import cards, directory, interaction, messages, sending, uploads
from tests.fakes.feishu.rules import Json, Refused, too_often
from tests.fakes.feishu.state import State
from tests.fakes.feishu.things import File

Handler = Callable[[State, Any], Any]

CARDS = ("cardkit:card:write",)
SENDS = ("im:message", "im:message:send_as_bot", "im:message:send")
CHANGES = ("im:message", "im:message:send_as_bot", "im:message:update")
READS = ("im:message", "im:message:readonly", "im:message.history:readonly")
FILES = ("im:resource", "im:resource:upload")
DOWNLOADS = ("im:resource", *READS)
"""Unverified: the fact sheet names im:resource, the platform's page those for reading messages. Any will do."""
REACTIONS = ("im:message", "im:message.reactions:write_only")
CHATS = ("im:chat", "im:chat:readonly", "im:chat:read")
PEOPLE = (
    "contact:contact.base:readonly",
    "contact:contact:access_as_app",
    "contact:contact:readonly",
    "contact:contact:readonly_as_app",
)


class Request(msgspec.Struct):
    """One call, decoded."""

    parts: dict[str, str]
    """The variable parts of the path."""
    query: dict[str, str]
    body: Json
    """JSON, or the plain fields of a multipart body."""
    files: dict[str, File]


class Route(msgspec.Struct, frozen=True):
    method: str
    pattern: re.Pattern[str]
    handler: Handler
    scopes: tuple[str, ...]
    """Any one of them will do; none are needed when empty."""

    @property
    def name(self) -> str:
        """The API, for the limits: the path without its ids."""
        return f"{self.method} {self.pattern.pattern}"


def _route(line: str, handler: Handler, scopes: tuple[str, ...] = ()) -> Route:
    method, path = line.split()
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)
    return Route(method, re.compile(f"/open-apis/{pattern}"), handler, scopes)


TOKEN_PATH = "/open-apis/auth/v3/tenant_access_token/internal"
ROUTES = [
    _route("GET bot/v3/info", directory.bot_info),
    _route("GET application/v6/scopes", directory.granted),
    _route("GET im/v1/chats/{chat_id}", directory.chat, CHATS),
    _route("GET contact/v3/users/{open_id}", directory.person, PEOPLE),
    _route("POST im/v1/messages", sending.create, SENDS),
    _route("POST im/v1/messages/{message_id}/reply", sending.reply, SENDS),
    _route("PATCH im/v1/messages/{message_id}", messages.patch, CHANGES),
    _route("PUT im/v1/messages/{message_id}", messages.edit, CHANGES),
    _route("GET im/v1/messages/{message_id}", messages.get, READS),
    _route("DELETE im/v1/messages/{message_id}", messages.delete, SENDS),
    _route("GET im/v1/messages/{message_id}/resources/{key}", uploads.resource, DOWNLOADS),
    _route("POST im/v1/messages/{message_id}/reactions", messages.react, REACTIONS),
    _route("DELETE im/v1/messages/{message_id}/reactions/{reaction_id}", messages.unreact, REACTIONS),
    _route("POST im/v1/images", uploads.upload_image, FILES),
    _route("POST im/v1/files", uploads.upload_file, FILES),
    _route("POST cardkit/v1/cards", cards.create, CARDS),
    _route("PUT cardkit/v1/cards/{card_id}", cards.replace, CARDS),
    _route("PATCH cardkit/v1/cards/{card_id}/settings", cards.settings, CARDS),
    _route("POST cardkit/v1/cards/{card_id}/batch_update", cards.batch_update, CARDS),
    _route("POST cardkit/v1/cards/{card_id}/elements", cards.add_elements, CARDS),
    _route("PUT cardkit/v1/cards/{card_id}/elements/{element_id}/content", cards.content, CARDS),
    _route("PUT cardkit/v1/cards/{card_id}/elements/{element_id}", cards.update_element, CARDS),
    _route("PATCH cardkit/v1/cards/{card_id}/elements/{element_id}", cards.patch_element, CARDS),
    _route("DELETE cardkit/v1/cards/{card_id}/elements/{element_id}", cards.delete_element, CARDS),
    _route("POST interactive/v1/card/update", interaction.delayed_update),
]


def route_of(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """The call of a path, and the ids in it."""
    for route in ROUTES:
        if route.method == method and (match := route.pattern.fullmatch(path)):
            return route, match.groupdict()
    return None


def carry_out(state: State, route: Route, authorization: str, request: Request) -> Any:
    """The fields of the answer, or a File. Raises Refused."""
    check_token(state, authorization)
    if route.scopes and not state.scopes.intersection(route.scopes):
        raise missing_scope(state, route.scopes)
    if state.quota is not None:
        if state.quota <= 0:
            raise Refused(99991403, "This month's API call quota has been exceeded.", 429)
        state.quota -= 1
    if left := state.spend(route.name, state.api_limits):
        raise too_often(left, state.limited_status)
    return route.handler(state, request)


def check_token(state: State, authorization: str) -> None:
    """Raises Refused unless the header carries a tenant token that is valid now."""
    if not authorization.startswith("Bearer "):
        raise Refused(99991661, "Missing access token for authorization. Please make a request with token attached.")
    if state.tokens.get(authorization.removeprefix("Bearer "), 0.0) <= state.clock.now():
        raise Refused(99991663, "Invalid access token for authorization. Please make a request with token attached.")


def missing_scope(state: State, scopes: tuple[str, ...]) -> Refused:
    """The refusal for a permission that is not granted, in both languages, as the platform words it."""
    names = ", ".join(scopes)
    link = f"https://open.feishu.cn/app/{state.app_id}/auth?q={','.join(scopes)}&op_from=openapi&token_type=tenant"
    words = (
        f"Access denied. One of the following scopes is required: [{names}]."
        f"应用尚未开通所需的应用身份权限：[{names}]，点击链接申请并开通任一权限即可：{link}"
    )
    violations = [{"type": "action_scope_required", "subject": scope} for scope in scopes]
    return Refused(99991672, words, error={"permission_violations": violations})
