"""Is the bot mentioned in a text? For messages whose list of mentions is missing or empty, as several puppets send.

Rules of this file (pure):
- a mention is ``@name`` as the client writes it, followed by U+2005, or as people type it, followed by white space,
  punctuation or the end: ``@Bot2`` does not mention ``Bot``;
- where U+2005 ends a longer name, ``@Bot Two``, it is somebody else's;
- ``me@Bot`` is an e-mail address or a word of its own, unless the client's U+2005 says that it is a mention.

Source: wechaty #1969, #2149; puppet-padlocal #193, #217 (empty mention lists).
"""

from __future__ import annotations

import re
from collections.abc import Iterable


def mentioned(text: str, names: Iterable[str]) -> bool:
    """Does the text mention one of these names (the bot's own, its alias in the room)? Empty names are ignored."""
    mention = _mention(names)
    return bool(mention and mention.search(text))


def unmentioned(text: str, names: Iterable[str]) -> str:
    """The text without the mentions of these names and the space behind each, stripped; line breaks stay."""
    mention = _mention(names)
    return (mention.sub("", text) if mention else text).strip()


def _mention(names: Iterable[str]) -> re.Pattern[str] | None:
    known = sorted(filter(None, {name.strip() for name in names}), key=len, reverse=True)
    if not known:
        return None
    name = f"[@＠](?:{'|'.join(map(re.escape, known))})"
    typed = rf"(?<![A-Za-z0-9._%+-]){name}(?=[\s,，:：、。!！?？]|\Z)(?![^@＠\n\u2005]*\u2005)"
    return re.compile(rf"(?:{name}(?=\u2005)|{typed})[^\S\r\n]*")
