"""The one parse of Markdown: what a text consists of, as events that every renderer walks.

Rules of this file:
- pure: no asyncio, HTTP library or SDK; every function depends on its arguments alone;
- no Markdown parser of its own: pyromark (pulldown-cmark) decides what is bold. Where CommonMark serves chat answers
  badly, its *input* is prepared with characters that are taken out of its output again (``masked``, ``_flanked``);
- no visible character is lost: tags, formulas and unfinished constructs come out as the text that they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pyromark import Markdown, Options

Event = tuple[str, str]
"""(kind, argument). The kinds below the line enclose others: ``("/" + kind, "")`` ends them, and they nest properly.

========================  ===================================================================
text, code                the characters, verbatim; inside ``pre`` there is only text
break                     a new line within a paragraph (soft and hard alike: chats show both)
rule                      a horizontal line
ref                       a footnote reference; its label
task                      the first thing in an item; ``x`` or a space
------------------------  -------------------------------------------------------------------
p, quote, item            paragraph, block quote, list item. Tight items have no ``p``
h                         heading; ``1`` to ``6``
pre                       code block; its language or nothing
ul, ol                    list; ``ol`` has the first number
note                      footnote; its label
table, head, row, cell    ``table`` has a letter a column: l, c, r, or - for no alignment
strong, em, del           marked text
link, image               the address (an e-mail address has ``mailto:``); may enclose each other
========================  ===================================================================
"""

_OPTIONS = Options.ENABLE_TABLES | Options.ENABLE_STRIKETHROUGH | Options.ENABLE_TASKLISTS | Options.ENABLE_FOOTNOTES
_PARSER = Markdown(options=_OPTIONS)
_MATH_PARSER = Markdown(options=_OPTIONS | Options.ENABLE_MATH)
_MATH = re.compile(r"\$[^$]*\\[A-Za-z{}\\]")
"""Only a text with a LaTeX command has formulas: elsewhere a dollar is a price or a shell variable."""

# Two noncharacters and a space that no text has a use for; a text that does hold them gets a stand-in of the same look.
_LT, _STAR, _GAP = "\ufdd0", "\ufdd1", "\u205f"
_RESERVED = str.maketrans({_LT: "\ufffd", _STAR: "\ufffd", _GAP: " "})
_TAG = re.compile(r"<(?<!\(<)(?=[A-Za-z/!?])(?!(?:https?|mailto|tg):|[^\s<>@]+@[^\s<>@]+>)", re.IGNORECASE)
"""A ``<`` that would start HTML: not an autolink's, not the one in ``[x](<...>)``."""
_LITERAL_STAR = re.compile(r"\*(?:(?<=[A-Za-z0-9]\*)(?=[A-Za-z0-9])|(?<!\*\*)(?=\.[A-Za-z0-9]))")
"""2*3*4 and *.py are not emphasis. (Beginning with a literal, the search is 20 times as fast.)"""
_CRAMPED = re.compile(r"\w(?:\*{2,3}|~~)[^\w\s*~]|[^\w\s*~](?:\*{2,3}|~~)\w")
_PAIR = re.compile(
    r"(`+)(?!`)[^\n]*?(?<!`)\1(?!`)|\\."  # passed over: code spans, escapes
    r"|(\*{2,3}|~~)(?=[^\s*~])((?:`[^`\n]*`|\\.|[^*~`\\\n])+)(?<!\s)\2(?![*~])"
)
_TABLE_BREAK = re.compile(_LT + r"br\s*/?>", re.IGNORECASE)

_TAGS = {
    "Paragraph": "p",
    "BlockQuote": "quote",
    "Item": "item",
    "CodeBlock": "pre",
    "FootnoteDefinition": "note",
    "Heading": "h",
    "Table": "table",
    "TableHead": "head",
    "TableRow": "row",
    "TableCell": "cell",
    "Strong": "strong",
    "Emphasis": "em",
    "Strikethrough": "del",
    "Link": "link",
    "Image": "image",
}
_STARTS: dict[str, Event] = {name: (kind, "") for name, kind in _TAGS.items()}
_ENDS: dict[str, Event] = {name: ("/" + kind, "") for name, kind in _TAGS.items()}
_BARE: dict[str, Event] = {"SoftBreak": ("break", ""), "HardBreak": ("break", ""), "Rule": ("rule", "")}
_COLUMNS = {"None": "-", "Left": "l", "Center": "c", "Right": "r"}
_TEXTS = frozenset(("Text", "Html", "InlineHtml"))


def events(text: str) -> Iterator[Event]:
    """What the Markdown ``text`` consists of, in order. Never raises, whatever the text."""
    source = _flanked(masked(text))
    clean = source == text
    in_table = False
    raw: Iterator[Any] = parser(source).events(source)
    for event in raw:
        if type(event) is str:
            yield _BARE[event]
            continue
        [(kind, value)] = event.items()
        if kind in _TEXTS:
            if clean:
                yield "text", value
            elif in_table and _LT in value:  # <br> is the only way to break a line in a cell
                first, *rest = _TABLE_BREAK.split(value)
                yield "text", _unmasked(first)
                for part in rest:
                    yield "break", ""
                    yield "text", _unmasked(part)
            else:
                yield "text", _unmasked(value)
        elif kind == "Start":
            if type(value) is str:
                if value != "HtmlBlock":
                    yield _STARTS[value]
                continue
            [(name, detail)] = value.items()
            in_table = in_table or name == "Table"
            start = _start(name, detail)
            yield start if clean else (start[0], _unmasked(start[1]))
        elif kind == "End":
            if type(value) is not str:
                [(name, detail)] = value.items()
                yield _ENDS[name] if name != "List" else ("/ol" if detail else "/ul", "")
            elif value != "HtmlBlock":
                in_table = in_table and value != "Table"
                yield _ENDS[value]
        elif kind == "Code":
            yield "code", value if clean else _unmasked(value)
        elif kind == "TaskListMarker":
            yield "task", "x" if value else " "
        elif kind == "FootnoteReference":
            yield "ref", _unmasked(value)
        else:
            dollars = "$" if kind == "InlineMath" else "$$"
            yield "text", dollars + _unmasked(value) + dollars


def _start(name: str, detail: Any) -> Event:
    """The event for a start tag with a detail, by its name and shape in pyromark."""
    if name == "CodeBlock":
        info = "" if detail == "Indented" else detail["Fenced"].strip()
        return "pre", info and info.split(maxsplit=1)[0]
    if name == "List":
        return ("ul", "") if detail is None else ("ol", str(detail))
    if name in ("Link", "Image"):
        url = detail["dest_url"]
        return _TAGS[name], "mailto:" + url if detail["link_type"] == "Email" else url
    if name == "Heading":
        return "h", detail["level"][1:]
    if name == "Table":
        return "table", "".join([_COLUMNS[column] for column in detail])
    return _TAGS[name], detail if name == "FootnoteDefinition" else ""


def parser(source: str) -> Markdown:
    """The settings of pyromark for a text."""
    return _MATH_PARSER if "$" in source and _MATH.search(source) else _PARSER


def masked(text: str) -> str:
    """The text as the parser gets it, character for character: tags and literal stars hidden from it."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()  # a lone surrogate cannot go to the parser
        if _LT in text or _STAR in text or _GAP in text:
            text = text.translate(_RESERVED)
    if "<" in text:
        text = _TAG.sub(_LT, text)
    return _LITERAL_STAR.sub(_STAR, text) if "*" in text else text


def _unmasked(value: str) -> str:
    return value.replace(_LT, "<").replace(_STAR, "*").replace(_GAP, "")


def _flanked(source: str) -> str:
    """Makes ``**“bold”**`` bold within Chinese text.

    By a rule of CommonMark that suits scripts with spaces, a mark between punctuation and a letter can only open, or
    only close. A space that is taken out again afterwards says which of the two is meant.
    """
    return _PAIR.sub(_with_gaps, source) if _CRAMPED.search(source) else source


def _with_gaps(found: re.Match[str]) -> str:
    pair, inner = found[0], found[3]
    if inner is None:
        return pair
    before = found.string[found.start() - 1 : found.start()]
    after = found.string[found.end() : found.end() + 1]
    left = before.isalnum() and not inner[0].isalnum()
    right = after.isalnum() and not inner[-1].isalnum()
    if left and (before + pair + after).isascii():
        return pair  # 2**(3)**4
    return (_GAP if left else "") + pair + (_GAP if right else "")
