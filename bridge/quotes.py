"""The sources of an answer, out of the node records of a FastGPT workflow run.

Rules of this file:
- pure; the records come as ``flowResponses`` or ``appStreamResponse`` (a list), ``flowNodeResponse`` (one of them) or
  ``responseData`` of a whole reply (a list), and every server generation names some fields differently;
- a record that is not as expected is passed over, never an error: the answer itself is complete;
- nothing from a record is logged: it holds prompts and knowledge.
"""

from __future__ import annotations

from typing import Any

from bridge.model import Source

_NESTED = ("childrenResponses", "pluginDetail", "toolDetail", "loopDetail")
_DEPTH = 20
_SCORES = ("reRank", "embedding", "fullText", "rrf")
"""Which of several scores says most about the passage, best first."""


class Quotes:
    """Collects the sources of one answer: each id once, in the order of their first appearance."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[str, Source] = {}

    def add(self, nodes: object) -> None:
        """Takes a node record or a list of them."""
        self._walk(nodes, _DEPTH)

    def sources(self) -> tuple[Source, ...]:
        return tuple(self._found.values())

    def _walk(self, nodes: object, depth: int) -> None:
        for node in nodes if isinstance(nodes, list) else (nodes,):
            if not isinstance(node, dict) or not depth:
                continue
            quotes = node.get("quoteList")
            for quote in quotes if isinstance(quotes, list) else ():
                if isinstance(quote, dict):
                    source = _source(quote)
                    self._found.setdefault(source.id or f"{source.name}\0{source.text}", source)
            for key, nested in node.items():
                if key in _NESTED:
                    self._walk(nested, depth - 1)


def _source(quote: dict[str, Any]) -> Source:
    return Source(
        id=_text(quote, "id", "_id"),
        name=_text(quote, "sourceName", "source"),
        text=_text(quote, "q"),
        answer=_text(quote, "a"),
        score=_score(quote.get("score")),
    )


def _text(quote: dict[str, Any], *keys: str) -> str:
    return next((value for key in keys if isinstance(value := quote.get(key), str) and value), "")


def _score(score: object) -> float:
    """A number (2023, 2024), or a list of ``{"type": "embedding", "value": 0.93}`` (later); 0 = unknown."""
    if isinstance(score, (int, float)):
        return float(score)
    if not isinstance(score, list):
        return 0.0
    values = {
        str(item.get("type")): float(item["value"])
        for item in score
        if isinstance(item, dict) and isinstance(item.get("value"), (int, float))
    }
    return next((values[kind] for kind in _SCORES if kind in values), next(iter(values.values()), 0.0))
