"""Markdown -> the HTML of the web chat.

Rules of this file:
- a fixed set of tags and attributes, written here and nowhere else; every character of the text is escaped;
- links lead to http, https and mailto only, and tell the target nothing about the page; any other address is text;
- pictures become links: the page's Content-Security-Policy forbids those of other hosts;
- the HTML of two texts with a blank line between them is the HTML of both, put together: no white space is added.
"""

from __future__ import annotations

import re
from html import escape

from bridge.markdown import events

_ADDRESS = re.compile(r"(?:https?://[^\s/]|mailto:)\S*", re.IGNORECASE)
_LANGUAGE = re.compile(r"[A-Za-z0-9_+#.-]{1,40}")
_FIXED = {
    "break": "<br>",
    "rule": "<hr>",
    "p": "<p>",
    "/p": "</p>",
    "quote": "<blockquote>",
    "/quote": "</blockquote>",
    "/pre": "</code></pre>",
    "ul": "<ul>",
    "/ul": "</ul>",
    "/ol": "</ol>",
    "item": "<li>",
    "/item": "</li>",
    "/note": "</blockquote>",
    "/head": "</tr></thead><tbody>",
    "/row": "</tr>",
    "/table": "</tbody></table>",
    "strong": "<strong>",
    "/strong": "</strong>",
    "em": "<em>",
    "/em": "</em>",
    "del": "<del>",
    "/del": "</del>",
}
_ALIGNED = {"l": ' align="left"', "c": ' align="center"', "r": ' align="right"', "-": ""}


def html(text: str) -> str:
    """The safe HTML for a Markdown text."""
    out: list[str] = []
    headings: list[str] = []
    links: list[tuple[str, int]] = []  # address, index in out
    aligns, column, cell = "", 0, "td"
    for kind, argument in events(text):
        if kind == "text":
            out.append(escape(argument))
        elif kind in _FIXED:
            out.append(_FIXED[kind])
        elif kind == "code":
            out.append(f"<code>{escape(argument)}</code>")
        elif kind == "pre":
            named = f' class="language-{argument}"' if _LANGUAGE.fullmatch(argument) else ""
            out.append(f"<pre><code{named}>")
        elif kind == "ol":
            out.append("<ol>" if argument == "1" else f'<ol start="{int(argument)}">')
        elif kind == "task":
            out.append("☑ " if argument == "x" else "☐ ")
        elif kind == "h":
            headings.append(f"h{int(argument)}")
            out.append(f"<{headings[-1]}>")
        elif kind == "/h":
            out.append(f"</{headings.pop()}>")
        elif kind in ("link", "image"):
            links.append((argument, len(out)))
        elif kind in ("/link", "/image"):
            address, index = links.pop()
            if not links:  # a link within a link is text
                out[index:] = [_linked(address, "".join(out[index:]))]
            elif len(out) == index:
                out.append(escape(address))
        elif kind == "table":
            aligns = argument
            out.append("<table>")
        elif kind in ("head", "row"):
            cell, column = ("th", 0) if kind == "head" else ("td", 0)
            out.append("<thead><tr>" if kind == "head" else "<tr>")
        elif kind == "cell":
            out.append(f"<{cell}{_ALIGNED[aligns[column]]}>")
        elif kind == "/cell":
            out.append(f"</{cell}>")
            column += 1
        elif kind == "ref":
            out.append(f"<sup>[{escape(argument)}]</sup>")
        elif kind == "note":
            out.append(f"<blockquote><sup>[{escape(argument)}]</sup> ")
    return "".join(out)


def _linked(address: str, label: str) -> str:
    """A link with its label, which is HTML already."""
    shown = escape(address)
    if _ADDRESS.fullmatch(address):
        return f'<a href="{shown}" target="_blank" rel="noopener noreferrer nofollow">{label or shown}</a>'
    return f"{label} ({shown})" if label and address and label != shown else label or shown
