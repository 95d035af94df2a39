"""Telegram's renderer: what a reader sees, the entities' rules, and a peer."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
import telegramify_markdown
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.telegram.render import LIMIT, MAX_ENTITIES, Entity, fits, folded, joined, render, utf16_len
from adapters.telegram.table import width
from bridge.markdown import cut
from tests.markdown_texts import MARKDOWN, WORDS


def units(text: str, entity: Entity) -> str:
    """What the entity covers, read as Telegram reads it."""
    data = text.encode("utf-16-le")
    return data[2 * entity.offset : 2 * (entity.offset + entity.length)].decode("utf-16-le")


def seen(markdown: str) -> tuple[str, list[tuple[str, ...]]]:
    """The text, and of each entity its type, what it covers, and its address or language."""
    text, entities = render(markdown)
    return text, [(e.type, units(text, e), *filter(None, (e.url, e.language))) for e in entities]


# ------------------------------------------------------------------ what is seen


@pytest.mark.parametrize(
    ("markdown", "text", "entities"),
    [
        (
            "**a** *b* ~~c~~ `d`",
            "a b c d",
            [("bold", "a"), ("italic", "b"), ("strikethrough", "c"), ("code", "d")],
        ),
        ("😀 **粗** 👨‍👩‍👧 `x`", "😀 粗 👨‍👩‍👧 x", [("bold", "粗"), ("code", "x")]),
        ("**“粗体”**后面", "“粗体”后面", [("bold", "“粗体”")]),
        (
            "***both ~~three~~***",
            "both three",
            [("italic", "both three"), ("bold", "both three"), ("strikethrough", "three")],
        ),
        ("**a `b` c**", "a b c", [("bold", "a"), ("code", "b"), ("bold", "c")]),
        ("**`b`**", "b", [("code", "b")]),
        ("# T `x`\n## U\ntext", "T x\n\nU\n\ntext", [("bold", "T"), ("code", "x"), ("bold", "U")]),
        ("# **T**", "T", [("bold", "T")]),
        ("a\n\nb\nc  \nd", "a\n\nb\nc\nd", []),
        ("a\n\n---\nb", "a\n\n———\n\nb", []),
        ("```py\nx\n\n  y\n```", "x\n\n  y", [("pre", "x\n\n  y", "py")]),
        ("a\n```\n    x\n```\nb", "a\n\n    x\n\nb", [("pre", "    x")]),
        ("```py\n    return x\n```", "    return x", [("pre", "    return x", "py")]),
        ("```\n\n```\na", "a", []),
        ("```js\nopen", "open", [("pre", "open", "js")]),
        ("> q **b**\n> r\n\na", "q b\nr\n\na", [("blockquote", "q b\nr"), ("bold", "b")]),
        ("> a\n> > b\n> > `c`", "a\n\nb\nc", [("blockquote", "a\n\nb\nc"), ("code", "c")]),
        ("[t](http://x)", "t", [("text_link", "t", "http://x")]),
        ("[**u**](tg://user?id=1)", "u", [("text_link", "u", "tg://user?id=1"), ("bold", "u")]),
        ("[`c`](https://x)", "c", [("text_link", "c", "https://x")]),
        ("[t](foo.md) [t](javascript:x) [t](#a) [foo.md](foo.md)", "t (foo.md) t (javascript:x) t (#a) foo.md", []),
        ("<a@b.example>", "a@b.example", [("text_link", "a@b.example", "mailto:a@b.example")]),
        ("![alt](http://i/p.png)", "alt", [("text_link", "alt", "http://i/p.png")]),
        ("![](http://j)", "http://j", [("text_link", "http://j", "http://j")]),
        ("[![alt](http://i)](http://x)", "alt", [("text_link", "alt", "http://x")]),
        ("use the <div> tag, Vec<String>, <think>a</think>", "use the <div> tag, Vec<String>, <think>a</think>", []),
        ("- a\n- b\n  - c\n    - d\n      - e\n- f", "• a\n• b\n  ◦ c\n    ▪ d\n      ▪ e\n• f", []),
        ("3. a\n4. b\n   1. c\n\n   d", "3. a\n\n4. b\n\n  1. c\n\n  d", []),
        ("- a\n\n- b\n  c", "• a\n\n• b\n  c", []),
        ("- [ ] a\n- [x] **b**\n1. [x] c", "☐ a\n☑ b\n\n1. ☑ c", [("bold", "b")]),
        ("- 1. a\n  2. b", "• 1. a\n  2. b", []),
        ("1. a\n   ```sh\n   ls\n   ```\n2. b", "1. a\nls\n2. b", [("pre", "ls", "sh")]),
        ("a[^1]\n\n[^1]: n", "a[1]\n\n[1] n", []),
        ("$\\frac{a}{b}$ costs $5", "$\\frac{a}{b}$ costs $5", []),
        ("", "", []),
        (" \n", "", []),
        ("**", "**", []),
        ("**bo", "**bo", []),
    ],
)  # fmt: skip
def test_seen(markdown: str, text: str, entities: list[tuple[str, ...]]) -> None:
    assert seen(markdown) == (text, entities)


def test_a_small_table_stands_in_columns() -> None:
    text, entities = seen("a\n\n| 平台 | n |\n|---|--:|\n| Telegram | 1 |\n| 飞书 | **20** |\n\nb")
    table = "平台     |  n\n---------+---\nTelegram |  1\n飞书     | 20"
    assert text == f"a\n\n{table}\n\nb"
    assert entities == [("pre", table)]
    assert len({width(line) for line in table.split("\n")}) == 1


def test_a_huge_table_whose_rows_are_short_is_shown_all_the_same() -> None:
    text, _ = seen(f"|{'a|' * 1000}\n|{'-|' * 1000}\n" + "|x|\n" * 1000)
    assert text.count("x") >= 1000


def test_a_wide_table_is_a_line_for_each_cell() -> None:
    head = "| Name | What it may be good for | Cost |\n|---|---|---|\n"
    text, entities = seen(head + "| **A** | a rather long explanation of it | 1 |\n| `B` | y<br>x |  |")
    assert text == (
        "Name: A\nWhat it may be good for: a rather long explanation of it\nCost: 1\n\n"
        "Name: B\nWhat it may be good for: y\nx"
    )
    assert entities == [("bold", "A"), ("code", "B")]


def test_links_in_a_table_stay_links() -> None:
    assert seen("|a|\n|-|\n|[x](http://y)|") == ("a: x", [("text_link", "x", "http://y")])


def test_a_table_of_a_header_only() -> None:
    assert seen("|a|b|\n|-|-|")[0] == "a | b\n--+--"
    assert seen("|a|" + "b" * 50 + "|\n|-|-|")[0] == "a  " + "b" * 50


def test_folded_and_joined() -> None:
    answer = render("**b** 🙂")
    assert folded(" ") == ("", [])
    assert joined(folded("think 🙂\n"), ("", []), answer) == (
        "think 🙂\n\nb 🙂",
        [Entity("expandable_blockquote", 0, 8), Entity("bold", 10, 1)],
    )


# ------------------------------------------------------------------ the rules of entities


def check(text: str, entities: list[Entity]) -> None:
    """The Bot API's rules for entities."""
    assert text == text.rstrip()
    assert text.lstrip() == text or entities[0].type == "pre"
    inside: list[Entity] = []
    for entity in entities:
        covered = units(text, entity)  # raises when a surrogate pair is split
        assert covered
        assert covered.rstrip() == covered
        assert covered.lstrip("\n" if entity.type == "pre" else None) == covered
        assert entity.offset + entity.length <= utf16_len(text)
        while inside and inside[-1].offset + inside[-1].length <= entity.offset:
            inside.pop()
        types = [outer.type for outer in inside]
        if inside:
            assert entity.offset + entity.length <= inside[-1].offset + inside[-1].length, "they overlap"
            assert entity.type not in types
            assert not {"code", "pre"} & set(types)
        if entity.type in ("code", "pre"):
            assert set(types) <= {"blockquote"}
        if entity.type == "blockquote":
            assert "text_link" not in types
        assert bool(entity.url) == (entity.type == "text_link")
        inside.append(entity)
    assert all((a.offset, -a.length) <= (b.offset, -b.length) for a, b in pairwise(entities))


@settings(max_examples=200)
@given(MARKDOWN)
@example("> **a\n> > `b`** c")
@example("*a [**b](http://x)** `c`*")
@example("![[a](http://b)](http://c)")
def test_entities_are_valid_whatever_the_text(markdown: str) -> None:
    check(*render(markdown))


@given(st.text())
def test_any_text_can_be_rendered(text: str) -> None:
    check(*render(text))


@given(st.lists(WORDS, min_size=1, max_size=4))
def test_every_word_of_plain_paragraphs_is_there(paragraphs: list[list[str]]) -> None:
    text, entities = render("\n\n".join(map(" ".join, paragraphs)))
    assert text == "\n\n".join(map(" ".join, paragraphs))
    assert entities == []


# ------------------------------------------------------------------ limits


@settings(max_examples=100)
@given(MARKDOWN, st.integers(1, 60))
@example("- a\n", 1000)
@example("`a` ", 51)
@example("***~~a`b`c~~*** ", 14)
@example("\n\n---\n", 700)
@example("- - - - - a\nb\n", 140)
@example("9999999. a\n1. b\n", 250)
@example("[r]: /" + "long" * 20 + "\n\n" + "[r]" * 40, 1)
@example("|a|" + "b" * 100 + "|\n|-|-|\n" + "|c|d|\n" * 60, 1)
@example("x" * LIMIT, 1)
@example("x" * (LIMIT + 1), 1)
@example("🙂" * (LIMIT // 2 + 1), 1)
@example(" " * 3000 + "[x](http://" + "u" * 3000 + ")", 1)
def test_fits_says_what_rendering_says(markdown: str, times: int) -> None:
    markdown *= times
    text, entities = render(markdown)
    assert fits(markdown) == (utf16_len(text) <= LIMIT and len(entities) <= MAX_ENTITIES)


SAMPLE = """# 部署说明 Deployment

先确认 **Docker** 与 **Compose** 已安装，不低于 `24.0`。*macOS* 用户看 [OrbStack](https://orbstack.dev) 😀。

- 复制 `config.yaml`
- 填写 **API Key**
  - 从 [控制台](https://cloud.fastgpt.example/app?a=1) 获取

```python
async def main() -> None:
    await bridge.run()  # 直到收到 SIGTERM
```

1. 第一步 **务必** 看日志
2. 再运行 `make run`

> **注意**：请使用 HTTPS。Use `HTTPS` always.
"""


def test_long_answers_are_cut_into_messages() -> None:
    rest, prefix, parts = SAMPLE * 40, "", 0
    table = "| a | b |\n|---|---|\n" + "| 一些文字 | " + "x" * 30 + " |\n" * 200
    rest += table
    while part := cut(rest, fits, prefix):
        text, entities = render(part.shown)
        check(text, entities)
        assert fits(part.shown)
        assert utf16_len(text) > LIMIT // 2 or len(entities) > MAX_ENTITIES // 2
        rest, prefix, parts = rest[part.used :], part.prefix, parts + 1
    assert parts >= 4


def test_the_same_spans_as_a_peer() -> None:
    """telegramify-markdown sees the same; where it differs by design (headings, quotes in code) is left out."""
    body = SAMPLE.split("\n", 1)[1]
    theirs_text, theirs = telegramify_markdown.convert(body)
    kinds = ("bold", "code", "pre", "text_link", "italic")
    peer = Counter(
        (e.type, units(theirs_text, Entity(e.type, e.offset, e.length)).strip(), e.url or "", e.language or "")
        for e in theirs
        if e.type in kinds
    )
    text, entities = render(body)
    ours = Counter((e.type, units(text, e), e.url, e.language) for e in entities if e.type in kinds)
    assert ours == peer
    assert len(ours) > 8


def test_a_picture_in_letters_is_not_printed() -> None:
    text, entities = render(f"See ![the chart](data:image/png;base64,{'A' * 5000}) here")
    assert text == "See the chart here"
    assert entities == []
