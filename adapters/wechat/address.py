"""Addresses in a message: WeChat makes links of them by itself, and must see where they end.

Rules of this file (pure): what is not an address stays as it is; an address is only changed in ways that lead to the
same place.
"""

from __future__ import annotations

import re
import string
from urllib.parse import quote

_HTTP = re.compile(r"https?://[!-~]*", re.IGNORECASE)
_HOST = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_PUNCTUATION = re.compile("[\u2010-\u2027\u3001-\u303f\uff01-\uffef]")
_CHINESE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_ENDINGS = frozenset(")]}>\"'`")
"""They end an address for the client as well, or stand for one that is in brackets."""


def shown(address: str) -> str:
    """A link's address as it is written out; empty when it says nothing to a reader (a picture in letters)."""
    if address[:5].lower() == "data:":
        return ""
    if host := _HOST.match(address):  # the rest in ASCII: so the client takes it whole
        return host[0] + quote(address[host.end() :], safe=string.punctuation)
    return address.removeprefix("mailto:")


def apart(text: str) -> str:
    """The text with a space behind each address that the client would take to go on: ``https://x.cn。``, ``…/a是``.

    Words behind a slash or the like are left alone: they may be the address (``…/wiki/微信``).
    """
    return _HTTP.sub(_with_space, text) if "://" in text else text


def _with_space(found: re.Match[str]) -> str:
    address, after = found[0], found.string[found.end() : found.end() + 1]
    goes_on = (_PUNCTUATION.match(after) and address[-1] not in _ENDINGS) or (
        _CHINESE.match(after) and address[-1].isalnum()
    )
    return address + " " if goes_on else address
