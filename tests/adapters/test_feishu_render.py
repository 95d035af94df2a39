"""Feishu's Markdown: what it says, that it does nothing but say it, and that it grows at its end only.

Feishu reads CommonMark, so a CommonMark parser that is not the renderer's own way of reading stands in for it.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyromark import Markdown, Options

from adapters.feishu.inline import NO_WIDTH
from adapters.feishu.render import TEXT_MOST, fenced, fits, pictures, plain_text, posted, rendered
from adapters.feishu.table import tables
from bridge.markdown import cut, settled
from tests.fakes.feishu.cardmarkdown import at_ids, image_targets, table_count
from tests.markdown_texts import MARKDOWN, PIECES, WORDS

TABLE = "| 平台 | n |\n|---|--:|\n| Telegram | 1 |\n| 飞书 | **20** |"
TAGS = [
    "<at id=all></at>",
    "</at>",
    "<AT id=ou_1>",
    "<person id='ou_1'></person>",
    "<font color='red'>",
    "<br>",
    "&lt;at id=all&gt;",
    "`<at id=all></at>`",
    "\\<at id=all>",
    "\n    <at id=all>",
    "\n```<at id=all>\n",
]
NASTY = st.lists(st.sampled_from([*PIECES, *TAGS]) | st.text(max_size=4), max_size=30).map("".join)
"""Any Markdown, with all that Feishu could take for a tag."""

SPANS = [
    "word",
    "中文",
    "**粗体**",
    "**“粗体”**",
    "~~del~~",
    "*it*",
    "`a<b>`",
    "`<at id=all></at>`",
    "[文档](https://e.example/a_b?x=1&y=2)",
    "[file](notes.md)",
    "![图](https://e.example/p.png)",
    "<div>",
    "<at id=all></at>",
    "$\\frac{a}{b}$",
    "R&D",
    "2*3*4",
    "*.py",
    "Vec<String>",
    "wow!",
    "a_b",
]
LINES = st.lists(st.sampled_from(SPANS), min_size=1, max_size=4).flatmap(
    lambda spans: st.sampled_from([" ", "，", " x "]).map(lambda between: between.join(spans))
)
BLOCKS = st.one_of(
    LINES,
    LINES.map("# {}".format),
    LINES.map("> {}\n> more".format),
    st.lists(LINES, min_size=1, max_size=3).map(lambda lines: "- " + "\n  - ".join(lines)),
    st.lists(LINES, min_size=1, max_size=3).map(lambda lines: "\n".join(f"{n}. {x}" for n, x in enumerate(lines, 1))),
    LINES.map("1. first\n   ```py\n   if a < b:\n       x = '<div>'\n   ```\n   - {}\n2. second".format),
    st.just("- [ ] open\n- [x] done"),
    st.just("```html\n<div>\n  `x`\n\n<at id=all></at>\n```"),
    st.just(TABLE),
    st.just("---"),
)
ANSWER = st.lists(BLOCKS, min_size=1, max_size=6).map("\n\n".join)
"""What a model writes: marks that are whole."""

_READER = Markdown(options=Options.ENABLE_TABLES | Options.ENABLE_STRIKETHROUGH)


def tags_and_images(markdown: str) -> list[Any]:
    """What a CommonMark reader takes for a tag or an image. ``<br>`` breaks a line in a row of a table."""
    found: list[Any] = [event for event in _READER.events(markdown) if isinstance(event, dict)]
    tags = [event for event in found if {"Html", "InlineHtml"} & event.keys() and "<br>" not in event.values()]
    return tags + [event for event in found if isinstance(event.get("Start"), dict) and "Image" in event["Start"]]


def letters(markdown: str) -> str:
    """The letters that a reader sees. (Digits may be numbers of a list, which the reader counts.)"""
    return re.sub(r"[\W\d_]+", "", plain_text(markdown))


# ------------------------------------------------------------------ what is said


@pytest.mark.parametrize(
    ("markdown", "card"),
    [
        ("# A\n## B\n###### C", "#### A\n##### B\n##### C"),
        ("#no heading", "#no heading"),
        ("**“粗体”**后面", "**“粗体”** 后面"),
        ("见**[文档](https://d)**。", "见 **[文档](https://d)**。"),
        ("**粗体**后面 2**(3)**4", "**粗体**后面 2**(3)**4"),
        ("2*3*4 and *.py, *it*", "2&#42;3&#42;4 and &#42;.py, *it*"),
        ("- a\n  - b\n    - c\n- d", "- a\n    - b\n        - c\n- d"),
        ("1. a\n   b\n   1. c", "1. a\n   b\n    1. c"),
        ("- [ ] a\n- [x] b", "- ☐ a\n- ☑ b"),
        ("1. a\n   ```sh \n   ls\n     -l\n   ```\n   - b\n2. c", "1. a\n```sh\nls\n  -l\n```\n- b\n2. c"),
        ("- ```py\n  x\n  ```", "-\n```py\nx\n```"),
        ("> # q\n> ```\n> <div>\n> ```\n\n# a", "> #### q\n> ```\n> <div>\n> ```\n\n#### a"),
        ("```c++ {.x}\n# no heading\n```", "```c++\n# no heading\n```"),
        ("<at id=all></at> <br> a < b", "&#60;at id=all>&#60;/at> &#60;br> a &#60; b"),
        ("&lt;at id=all&gt; R&D", "&lt;at id=all&gt; R&D"),
        ("# <at id=all>", "#### &#60;at id=all>"),
        ("[<font>](https://x)", "[&#60;font>](https://x)"),
        ("`<div>` `a <b", "`<div>` &#96;a &#60;b"),
        ("`<at id=all>`", f"`<{NO_WIDTH}at id=all>`"),
        ("```\n<at id=all></person>\n```", f"```\n<{NO_WIDTH}at id=all><{NO_WIDTH}/person>\n```"),
        ("a\n\n    <div> ![x](y)", f"a\n\n    <{NO_WIDTH}div> !{NO_WIDTH}[x](y)"),
        ("| a<br>b |", "| a<br>b |"),
        ("<https://x.example>", "[https://x.example](https://x.example)"),
        ("[a](https://x/(b) \"title\")", "[a](https://x/%28b%29)"),
        ("[a](javascript:x) [b](b.md) [c.md](c.md)", "a (javascript:x) b (b.md) c.md"),
        ("![a](https://x/p.png) ![](https://x/q.png)", "[a](https://x/p.png) [https://x/q.png](https://x/q.png)"),
        ("![a](data:image/png;base64,AAAA) ![b][r] wow!", "a &#33;[b][r] wow!"),
        ("[![badge](https://i)](https://x)", "[badge](https://x)"),
        ("[a [b](https://x) c](https://y)", "[a [b](https://x) c](https://y)"),
        ("$x_1$ \\[ \\frac{a}{b} \\]", "$x_1$ \\[ \\frac{a}{b} \\]"),
        ("a\r\nb\x00", "a\nb\ufffd"),
        ("", ""),
    ],
)  # fmt: skip
def test_rendered(markdown: str, card: str) -> None:
    assert rendered(markdown) == card


def test_pictures_with_a_key_are_shown() -> None:
    text = "![a [1]](https://x/p.png) **![b](https://x/q.png)** ![a](https://x/p.png) ![no](data:x)\n`![](https://c)`"
    assert pictures(text) == ("https://x/p.png", "https://x/q.png")
    assert rendered(text, {"https://x/p.png": "img_v3"}) == (
        "![a &#91;1&#93;](img_v3) **[b](https://x/q.png)** ![a](img_v3) no\n`![](https://c)`"
    )


@pytest.mark.parametrize(
    ("markdown", "words"),
    [
        ("# T\n**a** `b` ~~c~~", "T\n\na b c"),
        ("- a\n  - b\n- c\n\n3. d\n4. e", "• a\n  • b\n• c\n\n3. d\n4. e"),
        ("- [x] a\n\npara\nline", "• ☑ a\n\npara\nline"),
        ("[a](https://x) [https://y](https://y) ![p](https://i) ![](https://j)", "a (https://x) https://y p (https://i) https://j"),
        ("![p](data:abc) <a@b.example>", "p a@b.example"),
        (f"a\n\n{TABLE}\n\nb", "a\n\n平台 | n\nTelegram | 1\n飞书 | 20\n\nb"),
        ("```py\nx = 1\n\ny\n```\n> q", "x = 1\n\ny\n\nq"),
        ("a\n\n---\nb[^1]\n\n[^1]: n", "a\n\n———\n\nb[1]\n\n[1] n"),
        ("<at id=all> &lt;", "<at id=all> <"),
        ("", ""),
    ],
)  # fmt: skip
def test_plain_text(markdown: str, words: str) -> None:
    assert plain_text(markdown) == words


@given(ANSWER)
def test_no_letter_is_lost(markdown: str) -> None:
    for shown in (rendered(markdown), posted(markdown), fenced(markdown)):
        assert sorted(letters(shown)) == sorted(letters(markdown))


@given(st.lists(WORDS, min_size=1, max_size=4))
def test_plain_paragraphs_stay_as_they_are(paragraphs: list[list[str]]) -> None:
    text = "\n\n".join(map(" ".join, paragraphs))
    assert rendered(text) == posted(text) == plain_text(text) == text


# ------------------------------------------------------------------ it does nothing but say it


@settings(max_examples=300)
@given(NASTY)
@example("a ` b\nc `<font>` d")
@example("`` `<at id=all>``")
@example("- a\n\n      <at id=all>")
@example("!<https://x>")
@example("!![a](https://x)")
@example("\\![a](https://x)")
def test_nobody_is_mentioned_and_no_tag_and_no_picture_gets_through(markdown: str) -> None:
    for shown in (rendered(markdown), posted(markdown)):
        assert not re.search(r"<\s*/?\s*(at|person)\b", shown, re.IGNORECASE)
        assert not at_ids(shown)
        assert not image_targets(shown)
    assert tags_and_images(rendered(markdown)) == []


# ------------------------------------------------------------------ it grows at its end

_UNDECIDED = re.compile(r"(?:<\S*|(?<!\*)\*\.?|^\|.*)\Z", re.MULTILINE)
"""Ends of a preview where the header of render.py makes an exception: a tag, a star, a row under way."""


@settings(max_examples=150)
@given(ANSWER)
def test_a_preview_is_the_beginning_of_the_next(markdown: str) -> None:
    before = ""
    for length in range(1, len(markdown) + 1):
        after = settled(markdown[:length]).strip()
        if after.startswith(before) and not _UNDECIDED.search(before):
            assert rendered(after).startswith(rendered(before))
        before = after


def test_every_character_of_an_answer_is_typed_on() -> None:
    text = f"# 标题\n\n见**“说明”**：\n\n1. a\n   ```py\n   x < 1\n   ```\n2. [图](https://e/p)\n\n{TABLE}\n\n完 <b>。"
    previews = [rendered(settled(text[:length]).strip()) for length in range(1, len(text) + 1)]
    assert previews[-1] == rendered(text)
    assert all(after.startswith(before) for before, after in pairwise(previews))


# ------------------------------------------------------------------ limits


@settings(max_examples=100)
@given(MARKDOWN | ANSWER, st.integers(1, 200))
@example("<", TEXT_MOST // 5)
@example("<", TEXT_MOST // 5 - 1)
@example(f"{TABLE}\n\n", 3)
@example(f"{TABLE}\n\n", 4)
@example("中", TEXT_MOST // 3)
@example("![](https://______)", 120)
@example("\ud800", 1)
def test_fits_says_what_rendering_says(markdown: str, times: int) -> None:
    text = markdown * times
    size = len(msgspec.json.encode(rendered(text)))
    source = len(text.encode(errors="replace"))
    assert fits(text) == (max(size, source) <= TEXT_MOST and tables(text) <= 3)


@settings(max_examples=30)
@given(st.lists(st.one_of(st.just(TABLE), LINES, st.just("```\na\n```")), min_size=1, max_size=14))
@example([TABLE] * 7)
@example([TABLE + "\n| 长 | 1 |" * 2000, TABLE, TABLE, TABLE])
def test_tables_roll_over_to_the_next_card_and_no_row_is_lost(blocks: list[str]) -> None:
    text = "\n\n".join(blocks)
    rest, prefix, shown = text, "", []
    while part := cut(rest, fits, prefix):
        shown.append(part.shown)
        rest, prefix = rest[part.used :], part.prefix
    shown.append(prefix + rest)
    assert all(map(fits, shown))
    assert max(table_count(rendered(part)) for part in shown) <= 3
    rows = [row for row in text.split("\n") if row.startswith(("| T", "| 飞", "| 长"))]
    assert [row for part in shown for row in part.split("\n") if row in rows] == rows
    if text.count(TABLE) <= 3 and len(text) < 5000:
        assert shown == [text]


@settings(max_examples=200)
@given(NASTY)
@example(f"> {TABLE}".replace("\n", "\n> "))
@example(f"- {TABLE}".replace("\n", "\n  ") + "\n- b")
@example(f"```\n{TABLE}\n```\n{TABLE}\ntext")
@example(f"```python\n\n```python\n\n{TABLE}\n")
def test_a_fenced_text_has_no_tables(markdown: str) -> None:
    assert table_count(rendered(fenced(markdown))) == 0


def test_fenced() -> None:
    assert fenced(f"a\n{TABLE}\nb\n\n{TABLE}") == f"a\n```\n{TABLE}\n```\nb\n\n```\n{TABLE}\n```"
    assert fenced("a | b\n--|--\nc | d") == "```\na | b\n--|--\nc | d\n```"
    assert fenced("no | table") == "no | table"
