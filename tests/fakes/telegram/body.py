"""The body of a call, as any client may send it: JSON, form or multipart, or all in the query.

Rules of this file:
- no limits but that of a whole body; a file comes out as an ``Upload``, whole;
- values stay as they came: ``params`` knows that a form has only strings.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import web
from yarl import URL

from tests.fakes.telegram.files import Upload
from tests.fakes.telegram.rules import Json, Refused, bad_request

MAX_BODY = 51 * 1024 * 1024
"""Bytes: the largest file, and the fields around it."""


def request_of(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    """A request that may carry a file; aiohttp's own limit is 1 MB."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY)


def _upload(field: web.FileField) -> Upload:
    with field.file as file:
        return Upload(file.read(), field.filename, field.content_type)


async def parameters(request: web.BaseRequest) -> Json:
    """The parameters of a call: of the query, and of a body as JSON, form or multipart."""
    params: Json = dict(request.query) if request.query_string else {}
    content = request.headers.get("Content-Type", "")
    try:
        if content.startswith("multipart/"):
            for name, field in (await request.post()).items():
                params[name] = _upload(field) if isinstance(field, web.FileField) else field
            return params
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise Refused(413, "Request Entity Too Large") from None
    try:
        if content.startswith("application/json"):
            params.update(msgspec.json.decode(body, type=Json))
        elif body:
            # Not urllib's parse_qsl: it needs 107 µs for a Chinese text of 900 characters, yarl (in C) 8 µs.
            params.update(URL.build(query_string=body.decode(), encoded=True).query)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad_request(f"can't parse the body of the request: {error}") from None
    return params
