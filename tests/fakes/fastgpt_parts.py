"""The parts of a question: which are taken, which are dropped, and what the scripted server learns of the files.

Rules of this file:
- FastGPT takes text, image_url and file_url, and drops every other type without a word (core/chat/adapt.ts@02b302cc);
- a part that lacks what it needs is refused. The texts are made up after zod's; whether real servers look is not known;
- a file by key is looked up in the object store, one in a data: URL is decoded, an address is fetched when the server
  fetches at all. A key is never fetched: FastGPT reads its own store.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

import aiohttp

from tests.fakes.fastgpt_script import Received

if TYPE_CHECKING:
    from tests.fakes.fastgpt_files import ObjectStore

Part = dict[str, Any]
FILES = ("image_url", "file_url")
OPENAI_NEEDS = {"text": ("text",), "image_url": ("image_url",), "input_audio": ("input_audio",), "file": ("file",)}
"""Type of a part and the key that it must have, in a message to an OpenAI-compatible server."""
UNREADABLE = {"code": 513, "statusText": "unAuthFile", "message": "无权阅读该文件", "data": None}
"""packages/global/common/error/errorCode.ts@008c1e53"""
BAD_IMAGE = {"code": 500, "statusText": "error", "message": "400 Invalid base64 image_url.", "data": None}
"""The model's own words; how FastGPT wraps them is made up."""


class Fetched(NamedTuple):
    """What an address gave. ``status`` 0: no answer."""

    url: str
    status: int
    headers: dict[str, str]
    """Names in lower case."""
    data: bytes


# ------------------------------------------------------------------ what is taken


def taken(content: str | list[Part], everything: bool = False) -> list[Part]:
    """The parts that the server goes on with; ``everything``: of any type (era openai)."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return [part for part in content if everything or part["type"] in ("text", *FILES)]


def text_of(content: str | list[Part] | None) -> str:
    """The text parts, joined without anything between."""
    return "".join(part.get("text") or "" for part in taken(content or "") if part["type"] == "text")


def fault(messages: Sequence[Part]) -> str:
    """Why FastGPT refuses these messages; empty = it does not."""
    for at, message in enumerate(messages):
        content = message.get("content")
        if content is None or isinstance(content, str):
            continue
        if not isinstance(content, list):
            return f"messages.{at}.content: Invalid input"
        for number, part in enumerate(content):
            if not isinstance(part, dict) or not isinstance(part.get("type"), str):
                return f"messages.{at}.content.{number}.type: Invalid input"
            if missing := _lacks(part):
                return f"messages.{at}.content.{number}.{missing}: Invalid input"
    return ""


def _lacks(part: Part) -> str:
    match part["type"]:
        case "text":
            return "" if isinstance(part.get("text"), str) else "text"
        case "image_url":
            return "" if address_of(part) or part.get("key") else "image_url.url"
        case "file_url":
            if not isinstance(part.get("name"), str) or not part["name"]:
                return "name"
            return "" if address_of(part) or part.get("key") else "url"
    return ""


def openai_fault(messages: Sequence[Part]) -> str:
    """Why a strict OpenAI-compatible server refuses these messages; empty = it does not."""
    for at, message in enumerate(messages):
        content = message.get("content")
        if content is None or isinstance(content, str):
            continue
        if not content:
            return f"Invalid 'messages[{at}].content': empty array. Expected an array with minimum length 1."
        for number, part in enumerate(content):
            where, kind = f"messages[{at}].content[{number}]", part.get("type")
            if kind not in OPENAI_NEEDS:
                known = ", ".join(f"'{name}'" for name in OPENAI_NEEDS)
                return f"Invalid value: '{kind}'. Supported values are: {known}."
            for name in OPENAI_NEEDS[kind]:
                if not part.get(name):
                    return f"Missing required parameter: '{where}.{name}'."
            for name in part:
                if name not in ("type", *OPENAI_NEEDS[kind]):
                    return f"Unknown parameter: '{where}.{name}'."
            if kind == "image_url" and not address_of(part):
                return f"Missing required parameter: '{where}.image_url.url'."
    return ""


def address_of(part: Part) -> str:
    """The URL of a file part, or empty."""
    holder = part.get("image_url") if part["type"] == "image_url" else part
    url = holder.get("url") if isinstance(holder, dict) else None
    return url if isinstance(url, str) else ""


# ------------------------------------------------------------------ what is read


class Reader:
    """The files of one question. ``received`` has a row for each, better known with every step."""

    def __init__(self, files: Sequence[Part], received: list[Received], fetched: list[Fetched]) -> None:
        self._files, self._received, self._fetched = files, received, fetched
        received += [Received(_name(part), part["type"]) for part in files]

    def look(self, store: ObjectStore, app_id: str, chat_id: str) -> Part | None:
        """Whatever needs no network. The return value is the payload of the error that ends the run."""
        for at, part in enumerate(self._files):
            url = address_of(part)
            if key := part.get("key"):
                stored = store.find(str(key), app_id, chat_id)
                if stored is None:
                    return UNREADABLE
                self._received[at] = Received(stored.filename, stored.content_type, len(stored.data))
            elif url.startswith("data:"):
                head, _, text = url.removeprefix("data:").partition(";base64,")
                try:
                    data = base64.b64decode(text, validate=True)
                except binascii.Error:
                    return BAD_IMAGE
                if not data or not head.startswith("image/"):
                    return BAD_IMAGE
                self._keep(at, Fetched(url, 200, {"content-type": head}, data))
        return None

    def addresses(self) -> list[tuple[int, str]]:
        """(row, URL) of what has to be fetched."""
        urls = [(at, address_of(part)) for at, part in enumerate(self._files) if not part.get("key")]
        return [(at, url) for at, url in urls if url.startswith(("http://", "https://"))]

    async def fetch(self) -> None:
        """GET every address, all at once. One that gives nothing is no error: the run goes on without it."""
        wanted = self.addresses()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            found = await asyncio.gather(*(_get(session, url) for _, url in wanted))
        for (at, _), fetched in zip(wanted, found, strict=True):
            self._keep(at, fetched)

    def _keep(self, at: int, fetched: Fetched) -> None:
        self._fetched.append(fetched)
        if fetched.status == 200:
            kind = fetched.headers.get("content-type", "").partition(";")[0]
            self._received[at] = Received(self._received[at].name, kind, len(fetched.data))


async def _get(session: aiohttp.ClientSession, url: str) -> Fetched:
    try:
        async with session.get(url) as reply:
            headers = {name.lower(): value for name, value in reply.headers.items()}
            return Fetched(url, reply.status, headers, await reply.read())
    except (aiohttp.ClientError, TimeoutError):
        return Fetched(url, 0, {}, b"")


def _name(part: Part) -> str:
    if name := part.get("name"):
        return str(name)
    url = address_of(part)
    return "" if url.startswith("data:") else unquote(PurePosixPath(urlsplit(url).path).name)
