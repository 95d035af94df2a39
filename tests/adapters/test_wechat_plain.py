"""WeChat's plain text: what a reader sees on the phone, and the laws that hold whatever the text."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.wechat.labelled import labelled
from adapters.wechat.plain import fits, plain
from bridge.markdown import cut, events
from tests.markdown_texts import MARKDOWN, WORDS

# ------------------------------------------------------------------ what is seen


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        # marked text
        ("**a** __b__ *c* ~~d~~ `e` ***f***", "a b c d e f"),
        ("**“粗体”**后面", "“粗体”后面"),
        ("2*3*4 snake_case __init__.py <b>tags</b> Vec<T> a & b", "2*3*4 snake_case init.py <b>tags</b> Vec<T> a & b"),
        (r"\*a\* `**b**` ``c`d``", "*a* **b** c`d"),
        ("**bo", "**bo"),
        ("$\\frac{a}{b}$ costs $5", "$\\frac{a}{b}$ costs $5"),
        ("@所有人 @all", "@所有人 @all"),
        # lines
        ("a\nb  \nc\n\n\n\nd", "a\nb\nc\n\nd"),
        ("　　第一段\n　　第二段", "　　第一段\n　　第二段"),
        ("a\n\n---\nb", "a\n\n———\n\nb"),
        # headings
        ("# 标题\n正文\n## **Sub** `x`\n\n- a", "【标题】\n正文\n\n【Sub x】\n• a"),
        ("# 【标题】\n#\n### 1. T", "【标题】\n【1. T】"),
        # lists
        ("- a\n- b\n  - c\n    - d\n- e", "• a\n• b\n  ◦ c\n    ◦ d\n• e"),
        ("注意：\n- a\n\n然后", "注意：\n\n• a\n\n然后"),
        ("3. a\n3. b\n   1. c\n4. d", "3. a\n4. b\n  1. c\n5. d"),
        ("- a\n  b\n\n  c\n- d", "• a\n  b\n\n  c\n\n• d"),
        ("- [ ] a\n- [x] **b**\n1. [x] c", "☐ a\n☑ b\n\n1. ☑ c"),
        ("- 1. a\n  2. b\n-\n- c", "• 1. a\n  2. b\n•\n• c"),
        ("- a\n  - b\n    - c\n      - d\n        - e", "• a\n  ◦ b\n    ◦ c\n      ◦ d\n      ◦ e"),
        # quotes
        ("> a\n> **b**\n\nc", "> a\n> b\n\nc"),
        ("> a\n>\n> - b\n> > c", "> a\n\n> • b\n\n> > c"),
        ("- > a\n  > b\n- c", "• > a\n  > b\n\n• c"),
        # footnotes
        ("a[^1]\n\n[^1]: n\n\n    m", "a[1]\n\n[1] n\n\nm"),
        # nothing
        ("", ""),
        (" \n", ""),
        ("```\n\n```", ""),
    ],
)
def test_seen(markdown: str, text: str) -> None:
    assert plain(markdown) == text


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("[t](https://x.cn/a_b) b", "t (https://x.cn/a_b) b"),
        ("见[**文档** `v2`](https://x.cn)。", "见文档 v2 (https://x.cn)。"),
        ("[https://x.cn](https://x.cn) <https://y.cn> <a@b.example>", "https://x.cn https://y.cn a@b.example"),
        ("[t](mailto:a@b.example) [u](foo.md) [v](#w) [x]()", "t (a@b.example) u (foo.md) v (#w) x"),
        ("[a\nb](https://x.cn)", "a\nb (https://x.cn)"),
        ("[t][r]\n\n[r]: https://x.cn", "t (https://x.cn)"),
        ("![图](http://i/p.png)![](http://j)", "🖼 图 (http://i/p.png)🖼 http://j"),
        ("[![alt](http://i)](http://x)", "🖼 alt (http://x)"),
        ("[![](http://i)](http://x)", "🖼 http://x"),
        (f"![chart](data:image/png;base64,{'A' * 5000})", "🖼 chart"),
    ],
)
def test_links_show_where_they_lead(markdown: str, text: str) -> None:
    assert plain(markdown) == text


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("见https://x.cn/a。好", "见https://x.cn/a 。好"),
        ("（https://x.cn/a?b=1）", "（https://x.cn/a?b=1 ）"),
        ("**https://x.cn**，好", "https://x.cn ，好"),
        ("https://x.cn/a是", "https://x.cn/a 是"),
        ("# https://x.cn", "【https://x.cn 】"),
        ("https://zh.wikipedia.org/wiki/微信 https://例子.cn", "https://zh.wikipedia.org/wiki/微信 https://例子.cn"),
        ("[微信](https://x.cn/wiki/微信（1）)", "微信 (https://x.cn/wiki/%E5%BE%AE%E4%BF%A1%EF%BC%881%EF%BC%89)"),
        ("[a](<https://x.cn/a b%20c>)", "a (https://x.cn/a%20b%20c)"),
        ("https://x.cn, https://y.cn.", "https://x.cn, https://y.cn."),
        ("```\nhttps://x.cn。\n```", "https://x.cn。"),
    ],
)
def test_the_client_sees_where_an_address_ends(markdown: str, text: str) -> None:
    assert plain(markdown) == text


CODE = "前\n```python\n    def f():\n\n\t\treturn '**x**'  \n```\n后"


def test_code_is_verbatim_between_blank_lines() -> None:
    assert plain(CODE) == "前\n\n    def f():\n\n\t\treturn '**x**'\n\n后"
    assert plain("```\n\n    x\n```") == "    x"
    assert plain("1. a\n   ```sh\n   ls\n   ```\n2. ```\n   x\n   ```") == "1. a\n\nls\n\n2.\n\nx"


def test_code_keeps_its_fences_where_the_client_shows_them() -> None:
    assert plain(CODE, fences=True) == "前\n\n```python\n    def f():\n\n\t\treturn '**x**'\n```\n\n后"
    assert plain("**a** `b` ``c`d`` `` `e` ``", fences=True) == "a `b` ``c`d`` `` `e` ``"
    assert plain("~~~\n```\nx\n```\n~~~", fences=True) == "````\n```\nx\n```\n````"
    assert plain("```js\nopen", fences=True) == "```js\nopen\n```"


# ------------------------------------------------------------------ tables


def test_a_table_of_two_columns_is_a_list_of_pairs() -> None:
    markdown = "a\n\n| 配置 | Meaning |\n|---|--:|\n| `port` | the **port** |\n| 主机 | [x](http://y) |\n| c | |\n\nb"
    assert plain(markdown) == "a\n\n【配置 | Meaning】\nport: the port\n主机：x (http://y)\nc:\n\nb"


def test_a_wider_table_is_a_block_for_each_row() -> None:
    markdown = "| 平台 | Live | 说明 |\n|---|---|---|\n| **微信** | no |  |\n| Telegram |  | a<br>b |"
    assert plain(markdown) == "平台：微信\nLive: no\n说明：\n\n平台：Telegram\n说明：a\nb"


def test_a_table_without_a_header_has_no_labels() -> None:
    assert plain("| | |\n|-|-|\n| a | b |\n| c: | d |") == "a: b\nc: d"
    assert (
        plain("| | A | B |\n|-|-|-|\n| price | 1 | 2 |\n| limit | 3 | 4 |") == "price\nA: 1\nB: 2\n\nlimit\nA: 3\nB: 4"
    )


def test_tables_of_little() -> None:
    assert plain("|a|\n|-|\n|x|\n|y|") == "【a】\nx\ny"
    assert plain("|a|b|c|\n|-|-|-|") == "【a | b | c】"
    assert plain("| | |\n|-|-|") == ""
    assert labelled(["a", "b", "c"], [["x"], ["y"]]) == ["a: x\nb:\nc:", "a: y"]  # the parser stops filling rows up
    assert labelled(["a", "b"], [["x"], []]) == ["【a | b】\nx"]
    assert plain("- x\n\n  |a|b|\n  |-|-|\n  |c|d|") == "• x\n\n  【a | b】\n  c: d"


# ------------------------------------------------------------------ laws

MARKS = re.compile(r"[•◦☑☐>【】🖼—|:：()\[\]`\s0-9.]")


def words(markdown: str) -> str:
    """The characters of a text that a reader is to see."""
    seen = "".join(argument for kind, argument in events(markdown) if kind in ("text", "code", "ref"))
    return unmarked(re.sub("[^\t\n -~\xa0-\U0010ffff]", "\ufffd", seen))


def unmarked(text: str) -> str:
    return MARKS.sub("", text)


def stands_in(part: str, whole: str) -> bool:
    """Are the characters of ``part`` in ``whole``, in order?"""
    rest = iter(whole)
    return all(char in rest for char in part)


@settings(max_examples=300)
@given(MARKDOWN, st.booleans())
def test_every_word_stands_in_the_message_in_order(markdown: str, fences: bool) -> None:
    if not any(kind == "table" for kind, _ in events(markdown)):
        assert stands_in(words(markdown), unmarked(plain(markdown, fences=fences)))


@settings(max_examples=300)
@given(MARKDOWN)
def test_nothing_is_added_but_marks(markdown: str) -> None:
    kinds = {kind for kind, _ in events(markdown)}
    if not kinds & {"table", "note", "link", "image"}:
        assert unmarked(plain(markdown)) == words(markdown)


@given(st.lists(st.lists(WORDS.map(" ".join), min_size=3, max_size=3), min_size=2, max_size=4))
def test_every_cell_of_a_table_is_told(table: list[list[str]]) -> None:
    header, *rows = table
    lines = ["|" + "|".join(row) + "|" for row in (header, ["-"] * 3, *rows)]
    blocks = plain("\n".join(lines)).split("\n\n")
    assert len(blocks) == len(rows)
    for block, row in zip(blocks, rows, strict=True):
        for line, label, cell in zip(block.split("\n"), header, row, strict=True):
            assert line.startswith(label)
            assert line.endswith(cell)


@given(st.lists(st.lists(WORDS.map(" ".join), min_size=1, max_size=3), min_size=1, max_size=4))
def test_words_without_marks_stay_as_they_are(paragraphs: list[list[str]]) -> None:
    text = "\n\n".join(map("\n".join, paragraphs))
    assert plain(text) == text


@settings(max_examples=300)
@given(MARKDOWN | st.text() | st.text(st.characters(categories=["Cc", "Cs", "Co"])), st.booleans())
@example("&#8;&#27;&#13;&#xd800;", False)
@example("[a](<x\x1by>) ```\x1b```\n```\x07\n\x1b\n```", True)
def test_no_character_leaves_that_cannot_be_sent(text: str, fences: bool) -> None:
    message = plain(text, fences=fences)
    assert not [char for char in message if unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\t"]
    assert message == message.rstrip()
    assert not message.startswith("\n")


# ------------------------------------------------------------------ limits


def utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


@settings(max_examples=300)
@given(MARKDOWN, st.integers(1, 20), st.integers(1, 2000), st.booleans())
@example("9999999. a\n1. b\n", 20, 300, False)
@example("|a|" + "b" * 100 + "|c|\n|-|-|-|\n" + "|c|d|e|\n" * 9, 1, 600, False)
@example("[r]: /" + "long" * 20 + "\n\n" + "[r]" * 40, 1, 1000, False)
@example("[a](http://x/微微微微微微微微微)", 1, 50, False)
@example("![a](b)", 20, 150, False)
@example("http://a。", 20, 185, False)
@example("🙂" * 10, 1, 19, False)
@example("🙂" * 10, 1, 20, False)
@example("x" * 100 + "&nbsp;" * 100, 1, 100, False)
@example("- - - - - a\nb\n", 20, 300, True)
@example("\n\n    x\n", 20, 300, True)
def test_fits_says_what_rendering_says(markdown: str, times: int, most: int, fences: bool) -> None:
    markdown *= times
    length = utf16(plain(markdown, fences=fences))
    for limit in (most, length, max(0, length - 1)):
        assert fits(limit, fences=fences)(markdown) == (length <= limit)


def test_a_long_answer_becomes_messages_that_fit() -> None:
    answer = "\n\n".join(
        f"## 第{n}步\n\n先看 **日志** 🙂，再按 [文档](https://x.cn/{n}) 运行 `make`。" for n in range(200)
    )
    rest, prefix, messages = answer, "", []
    fitting = fits(1800)
    while part := cut(rest, fitting, prefix):
        messages.append(plain(part.shown))
        rest, prefix = rest[part.used :], part.prefix
    messages.append(plain(prefix + rest))
    assert all(utf16(message) <= 1800 for message in messages)
    assert "\n\n".join(messages) == plain(answer)
