"""The files of the page, and the headers that go with them.

Rules of this file: nothing comes from another host, nothing inline runs, nobody may frame us. The scripts and styles
carry their hash in the address and are cached for good; what depends on the visitor is never cached.
"""

from __future__ import annotations

import hashlib
from html import escape
from pathlib import Path
from string import Template

import msgspec
from aiohttp import web

from adapters.web.visitor import Refused, chinese

_HERE = Path(__file__).parent
_SCRIPT = (_HERE / "page.js").read_bytes()
_STYLE = (_HERE / "page.css").read_bytes()
_PAGE = Template((_HERE / "page.html").read_text("utf-8"))
_DOOR = Template((_HERE / "door.html").read_text("utf-8"))
_VERSION = hashlib.sha256(_SCRIPT + _STYLE).hexdigest()[:12]

SAFE = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
"""On every response."""

_FORM = """<form method="post"><label for="key">{label}</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
<button class="primary">{button}</button></form>"""


def page(bot: str) -> web.Response:
    return _html(_PAGE.substitute(bot=bot, version=_VERSION))


async def script(request: web.Request) -> web.Response:
    return _file(_SCRIPT, "text/javascript")


async def style(request: web.Request) -> web.Response:
    return _file(_STYLE, "text/css")


def login(bot: str, request: web.Request, why: Refused) -> web.Response:
    """The form that asks for a key."""
    zh = chinese(request)
    note = "" if request.method == "GET" else f'<p class="wrong" role="alert">{escape(why.zh if zh else why.en)}</p>'
    form = _FORM.format(label="访问密钥" if zh else "Access key", button="进入" if zh else "Enter")
    response = _door(bot, note + form, why, "zh" if zh else "en")
    # A form sent under no-referrer carries "Origin: null", which would make our own page look like a stranger's.
    response.headers["Referrer-Policy"] = "same-origin"
    return response


def closed(bot: str, why: Refused) -> web.Response:
    """What a stranger sees of a bot that only this machine may use."""
    line = f"bots.{bot}"
    return _door(
        bot,
        f"<p>这个页面只对本机开放；要对外开放，请在 config.yaml 的 <code>{line}</code> 下设置 <code>keys</code> "
        "或 <code>public: true</code>。</p>"
        '<p lang="en">This page is open on its own machine only; to open it, set <code>keys</code> or '
        f"<code>public: true</code> under <code>{line}</code> in config.yaml.</p>",
        why,
        "zh",
    )


def refusal(request: web.Request, why: Refused) -> web.Response:
    """``{"error": sentence}``."""
    body = msgspec.json.encode({"error": why.zh if chinese(request) else why.en})
    return web.Response(status=why.status, body=body, content_type="application/json", headers=SAFE | why.headers)


def _door(bot: str, body: str, why: Refused, lang: str) -> web.Response:
    response = _html(_DOOR.substitute(bot=bot, version=_VERSION, body=body, lang=lang), why.status)
    response.headers.update(why.headers)
    return response


def _html(text: str, status: int = 200) -> web.Response:
    headers = {**SAFE, "Cache-Control": "no-store"}
    return web.Response(status=status, text=text, content_type="text/html", headers=headers)


def _file(body: bytes, kind: str) -> web.Response:
    headers = {**SAFE, "Cache-Control": "public, max-age=31536000, immutable"}
    return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)
