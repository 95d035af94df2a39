"""bridge.quotes: sources out of node records of every generation (facts 4)."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.model import Source
from bridge.quotes import Quotes


def sources(*records: Any) -> list[Source]:
    quotes = Quotes()
    for record in records:
        quotes.add(record)
    return list(quotes.sources())


@pytest.mark.parametrize(
    ("quote", "source"),
    [
        (
            {"id": "65bb346a", "q": "问", "a": "答", "chunkIndex": 0, "datasetId": "d", "collectionId": "c",
             "sourceName": "a.csv", "sourceId": "s",
             "score": [{"type": "rrf", "value": 0.065, "index": 0}, {"type": "embedding", "value": 0.93, "index": 0}]},
            Source("65bb346a", "a.csv", "问", "答", 0.93),
        ),
        ({"id": "1", "q": "问", "a": "", "sourceName": "b", "score": 0.5}, Source("1", "b", "问", "", 0.5)),
        ({"kb_id": "k", "id": "1", "q": "问", "a": "答", "source": "c"}, Source("1", "c", "问", "答")),
        ({"id": None, "q": 1, "score": "high"}, Source("", "")),
        ({"id": "1", "score": [{"type": "odd", "value": 0.1}, None, {"type": "rrf"}]}, Source("1", "", score=0.1)),
    ],
)  # fmt: skip
def test_a_quote(quote: Any, source: Source) -> None:
    assert sources([{"quoteList": [quote]}]) == [source]


def test_each_id_once_in_order_wherever_it_is() -> None:
    records = [
        {"moduleType": "datasetSearchNode", "quoteList": [{"id": "2"}, {"id": "1"}]},
        {
            "pluginDetail": [{"quoteList": [{"id": "3"}]}],
            "childrenResponses": [{"toolDetail": [{"quoteList": [{"id": "4"}]}]}],
        },
        {"moduleType": "chatNode", "quoteList": [{"id": "1"}, {"id": "5"}]},
    ]
    assert [source.id for source in sources(records)] == ["2", "1", "3", "4", "5"]
    assert [source.id for source in sources(*records)] == ["2", "1", "3", "4", "5"]


def test_quotes_without_id_are_told_apart_by_their_text() -> None:
    assert len(sources([{"quoteList": [{"q": "a"}, {"q": "b"}, {"q": "a"}]}])) == 2


def test_odd_records_are_passed_over() -> None:
    deep: Any = {"quoteList": [{"id": "deep"}]}
    for _ in range(10_000):
        deep = {"toolDetail": [deep]}
    assert (
        sources(None, [], {}, "x", [None, 1, {"quoteList": None}, {"quoteList": ["x"]}, {"toolDetail": 1}], deep) == []
    )
