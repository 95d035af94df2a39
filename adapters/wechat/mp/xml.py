"""The XML that an official account and WeChat exchange: one element with texts in it, and nothing else.

Rules of this file:
- pure; nothing is expanded, declared or fetched on the way (defusedxml);
- what XML cannot hold (control characters) is left out of what we write.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree.ElementTree import ParseError
from xml.sax.saxutils import escape

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read(data: bytes) -> dict[str, str]:
    """The texts by their names; what is nested is left out. Raises ValueError."""
    try:
        root = fromstring(data, forbid_dtd=True)
    except (ParseError, DefusedXmlException, LookupError, ValueError) as error:
        raise ValueError(f"it is not XML as WeChat writes it ({type(error).__name__})") from None
    return {child.tag: child.text or "" for child in root if not len(child)}


def write(texts: Mapping[str, str]) -> bytes:
    inner = "".join(f"<{name}>{escape(_NOT_XML.sub('', text))}</{name}>" for name, text in texts.items())
    return f"<xml>{inner}</xml>".encode()
