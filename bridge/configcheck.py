"""What is wrong with a config that one key alone cannot tell.

Rules of this file: pure; a fault is the path of its key and a message. A message never shows what may be a secret.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from bridge.config import App, Bot, Config, is_proxy, rate, span

Fault = tuple[str, str]
"""(path, message)"""


DEBOUNCE_MOST = 60.0


def faults(config: Config) -> Iterator[Fault]:
    for name, app in config.fastgpt.items():
        yield from _of_app(f"fastgpt.{name}", app)
    accounts: dict[tuple[str, str], str] = {}
    for name, bot in config.bots.items():
        yield from _of_bot(f"bots.{name}", bot, config)
        key = getattr(bot.options, "identity", "")
        account = getattr(bot.options, key, "") if key else ""
        first = accounts.setdefault((bot.platform, account), name)
        if account and first != name:
            yield f"bots.{name}.{key}", f"is that of bots.{first} too: each would take messages from the other"
    try:
        span(config.retention)
    except ValueError as error:
        yield "retention", f"{config.retention!r}: {error}"
    if not re.match("sqlite:.", config.store):
        yield "store", "must be sqlite:PATH"
    public_url = config.http.public_url
    if public_url and not (re.fullmatch(r"https?://[^/@?#]+(/[^?#]*)?", public_url) and _is_address(public_url)):
        yield "http.public_url", f"{public_url!r}: write it as https://bot.example.com"
    try:
        config.http.address  # noqa: B018 - it parses
    except ValueError:
        yield "http.listen", f"{config.http.listen!r}: write it as 127.0.0.1:8080"


def _of_app(path: str, app: App) -> Iterator[Fault]:
    if not re.match(r"https?://[^/]", app.base_url):
        yield f"{path}.base_url", "must begin with http:// or https://"
    elif not _is_address(app.base_url):
        yield f"{path}.base_url", f"{app.base_url!r} is no address"
    elif "@" in app.base_url.split("/")[2]:
        yield f"{path}.base_url", "must not hold a user and a password; the key goes into api_key"
    if not (app.api_key.isascii() and app.api_key.isprintable()):
        yield f"{path}.api_key", "holds characters that no key has; copy it again"
    if app.kind == "openai" and not app.model:
        yield f"{path}.model", "is needed with kind: openai"
    yield from _of_proxy(path, app.proxy)


def _of_bot(path: str, bot: Bot, config: Config) -> Iterator[Fault]:
    if bot.app not in config.fastgpt:
        near = difflib.get_close_matches(bot.app, config.fastgpt, n=1, cutoff=0.0)
        yield f"{path}.app", f"{bot.app!r} is not under fastgpt:; did you mean {near[0]!r}?"
    if bot.debounce > DEBOUNCE_MOST:
        yield f"{path}.debounce", f"{bot.debounce:g}: more than {DEBOUNCE_MOST:g} seconds would only keep users waiting"
    try:
        rate(bot.per_user)
    except ValueError as error:
        yield f"{path}.per_user", f"{bot.per_user!r}: {error}"
    if getattr(bot.options, "needs_public_url", False) and not config.http.public_url:
        yield "http.public_url", f"is needed by {path}: the platform calls the bot there"
    yield from _of_proxy(path, bot.proxy)


def _of_proxy(path: str, proxy: str) -> Iterator[Fault]:
    if proxy and not (_is_address(proxy) and is_proxy(proxy) and urlsplit(proxy).path in ("", "/")):
        yield f"{path}.proxy", "write it as http://host:port or socks5://host:port"


def _is_address(text: str) -> bool:
    try:
        return urlsplit(text).port != 0
    except ValueError:  # a host or a port that cannot be one
        return False
