"""The parse: what CommonMark makes of an answer and what this project adds; cuts; previews."""

from __future__ import annotations

import re
from unicodedata import category

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.markdown import Cut, closed, cut, events, settled
from tests.markdown_texts import MARKDOWN, WORDS

# ------------------------------------------------------------------ the parse


def inline(text: str) -> str:
    """The events of a paragraph as one line: marked text in brackets behind its kind."""
    short = {"text": "{}", "code": "code({})", "break": "⏎"}
    out = []
    for kind, argument in events(text):
        if kind in short:
            out.append(short[kind].format(argument))
        elif kind not in ("p", "/p"):
            out.append(")" if kind[0] == "/" else f"{kind}{'=' + argument if argument else ''}(")
    return "".join(out)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("**“粗体”**后面", "strong(“粗体”)后面"),
        ("前面**“粗”**中间**（b）**后面", "前面strong(“粗”)中间strong(（b）)后面"),
        ("**名称：**值 **Name:**value", "strong(名称：)值 strong(Name:)value"),
        ("~~删除！~~后", "del(删除！)后"),
        ("***“都有”***后", "em(strong(“都有”))后"),
        ("**`code`**后 **[a](http://b)**后", "strong(code(code))后 strong(link=http://b(a))后"),
        ("`**“x”**后` \\**“x”**后", "code(**“x”**后) **“x”**后"),
        ("2*3*4 2**(3)**4 *.py 和 *.md", "2*3*4 2**(3)**4 *.py 和 *.md"),
        ("*a* **b** ~~c~~", "em(a) strong(b) del(c)"),
        ("5~10元，3~4天", "5~10元，3~4天"),
        ("Vec<String> <think>a</think> <!-- c -->", "Vec<String> <think>a</think> <!-- c -->"),
        ("<div>\n**b**\n</div>", "<div>⏎strong(b)⏎</div>"),
        ("`<b>` <https://x.y> <a@b.c>", "code(<b>) link=https://x.y(https://x.y) link=mailto:a@b.c(a@b.c)"),
        ("[a](<http://x y>)", "link=http://x y(a)"),
        ("$5 and `$PATH`, $HOME", "$5 and code($PATH), $HOME"),
        ("$\\frac{a*b*c}{d\\_1}$", "$\\frac{a*b*c}{d\\_1}$"),
        ("![a](http://i)", "image=http://i(a)"),
        ("a  \nb\nc", "a⏎b⏎c"),
        ("a\u205fb\ufdd0c\ud800", "a b\ufffdc?"),
    ],
)
def test_inline(text: str, expected: str) -> None:
    assert inline(text) == expected


def test_blocks() -> None:
    text = "# T\n\n3. a\n   - [x] b\n\n```py title\n<b> **“x”**后\n```\n> q\n\n---\n"
    text += "|a|b|\n|:-:|-|\n|c<br>d|e|\n\nx[^1]\n\n[^1]: n\n"
    assert [event for event in events(text) if event[0][0] != "/"] == [
        ("h", "1"),
        ("text", "T"),
        ("ol", "3"),
        ("item", ""),
        ("text", "a"),
        ("ul", ""),
        ("item", ""),
        ("task", "x"),
        ("text", "b"),
        ("pre", "py"),
        ("text", "<b> **“x”**后\n"),
        ("quote", ""),
        ("p", ""),
        ("text", "q"),
        ("rule", ""),
        ("table", "c-"),
        ("head", ""),
        ("cell", ""),
        ("text", "a"),
        ("cell", ""),
        ("text", "b"),
        ("row", ""),
        ("cell", ""),
        ("text", "c"),
        ("break", ""),
        ("text", "d"),
        ("cell", ""),
        ("text", "e"),
        ("p", ""),
        ("text", "x"),
        ("ref", "1"),
        ("note", "1"),
        ("p", ""),
        ("text", "n"),
    ]


@given(MARKDOWN)
def test_events_nest_whatever_the_text(text: str) -> None:
    opened: list[str] = []
    for kind, _ in events(text):
        if kind[0] == "/":
            assert opened.pop() == kind[1:]
        elif kind not in ("text", "code", "break", "rule", "ref", "task"):
            opened.append(kind)
    assert not opened


@given(st.lists(WORDS, min_size=1, max_size=5), st.sampled_from(["**", "~~", "*", "`", "<", "("]))
def test_marks_around_words_cost_no_word(paragraphs: list[list[str]], mark: str) -> None:
    text = "\n\n".join(
        "".join(f"{mark}{word}{mark}" if i % 3 else word for i, word in enumerate(p)) for p in paragraphs
    )
    shown = "".join(argument for kind, argument in events(text) if kind in ("text", "code"))
    for paragraph in paragraphs:
        for word in paragraph:
            assert word in shown


# ------------------------------------------------------------------ cutting


def cuts(text: str, limit: int) -> list[Cut]:
    """All parts of the text; the last has what was left, if more than white space."""
    parts, prefix, asked = [], "", 0

    def fits(piece: str) -> bool:
        nonlocal asked
        asked += 1
        return len(piece) <= limit

    while part := cut(text, fits, prefix):
        assert asked <= 80
        asked = 0
        parts.append(part)
        assert part.used >= 1
        text, prefix = text[part.used :], part.prefix
    if text.strip() or not parts:
        return [*parts, Cut(prefix + text, len(text), "")]
    return [*parts[:-1], parts[-1]._replace(used=parts[-1].used + len(text))]


def shown(text: str, limit: int) -> list[str]:
    return [part.shown for part in cuts(text, limit)]


VISIBLE = re.compile(r"\s+")


@settings(max_examples=150)
@given(MARKDOWN, st.integers(1, 90))
@example("```py\n" + "x" * 50 + "\n```", 30)
@example("```" * 20, 5)
@example("| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 8, 40)
@example("    - a\n" * 9, 20)
def test_a_cut_loses_and_doubles_nothing(text: str, limit: int) -> None:
    parts = cuts(text, limit)
    assert sum(part.used for part in parts) == len(text)
    place, prefix = 0, ""
    for part in parts:
        raw = text[place : place + part.used]
        assert part.shown.strip() or len(parts) == 1, "an empty part"
        if len(part.shown) > limit:
            assert len(raw.strip()) == 1 or all(glue(c) for c in raw.strip()[1:]), "only one character may be too long"
        visible = VISIBLE.sub("", part.shown)
        assert VISIBLE.sub("", raw) in visible
        assert len(visible) <= len(VISIBLE.sub("", prefix + raw)) + 90  # and the end of a fence
        place, prefix = place + part.used, part.prefix


def glue(character: str) -> bool:
    return category(character)[0] == "M" or character in "\u200d*`~_\n👩👧🇳\\" or category(character) in ("Sk", "Cs")


@given(st.text(max_size=300), st.integers(1, 60))
def test_a_cut_of_any_text_makes_progress(text: str, limit: int) -> None:
    assert sum(part.used for part in cuts(text, limit)) == len(text)


@given(MARKDOWN)
def test_where_nothing_fits_single_characters_are_cut_off(text: str) -> None:
    part = cut(text, lambda piece: False)
    assert (part is None) == (not text.strip())
    if part:
        assert 1 <= part.used <= len(text)


def test_what_fits_or_shows_nothing_is_not_cut() -> None:
    assert cut("short", lambda piece: True) is None
    assert cut(" \n" * 90, lambda piece: len(piece) < 9) is None


def paragraph(length: int) -> str:
    return ("一二三四五六七八九。" * (length // 10 + 1))[:length]


def test_blocks_are_preferred() -> None:
    blocks = [paragraph(300), "# Title", paragraph(400), "- item one\n- item two", paragraph(250)]
    assert shown("\n\n".join(blocks), 800) == ["\n\n".join(blocks[:4]), blocks[4]]


def test_a_heading_is_not_left_behind() -> None:
    blocks = [paragraph(480), "## Title", paragraph(300)]
    assert shown("\n\n".join(blocks), 500) == [blocks[0], "\n\n".join(blocks[1:])]


def test_items_are_preferred_to_lines_within_them() -> None:
    items = [f"- item {n}\n  goes on here" for n in range(20)]
    for part in shown("\n".join(items), 300):
        assert part.startswith("- item")
        assert part.endswith("here")


def test_sentences_then_words_then_characters() -> None:
    first, second = shown("这是第一句话，很长。" * 30, 250)
    assert first.endswith("。")
    assert second.startswith("这是")
    assert all(set(part.split()) == {"abcdefgh"} for part in shown("abcdefgh " * 99, 100))
    assert all(len(part) >= 85 for part in shown("x" * 1000, 100)[:-1])


def test_a_part_is_at_least_half_full_when_nothing_is_to_be_kept_whole() -> None:
    text = "\n\n".join([paragraph(50), paragraph(2000)])
    assert all(len(part) >= 250 for part in shown(text, 500)[:-1])


def test_no_orphan() -> None:
    assert all(len(part) >= 60 for part in shown("\n\n".join([paragraph(80)] * 12) + "\n\nEnd.", 980))


def test_visible_characters_stay_whole() -> None:
    family, flag, accent = "👨‍👩‍👧", "🇨🇳", "e\u0301"
    for unit in (family, flag, accent, "👍🏽", "☑️"):
        for part in shown(unit * 40, 33):
            assert part == unit * (len(part) // len(unit))


def test_marked_text_is_not_cut_in_two() -> None:
    text = "word " * 17 + "**bold words here** " + "word " * 12
    first, second = shown(text, 100)
    assert "**" not in first
    assert "**bold words here**" in second


def test_a_code_block_goes_to_the_next_part_whole() -> None:
    code = "```python\n" + "x = 1\n" * 40 + "```"
    assert shown(f"{paragraph(60)}\n\n{code}\n\nEnd.", 280) == [paragraph(60), f"{code}\n\nEnd."]


def test_a_long_code_block_is_closed_and_opened_again() -> None:
    lines = [f"line_{n} = {n}" for n in range(100)]
    text = "Look:\n\n~~~~python title\n" + "\n".join(lines) + "\n~~~~\n\n" + paragraph(90)
    parts = shown(text, 400)
    assert len(parts) > 3
    for part in parts:
        assert len(re.findall("^~~~~", part, re.MULTILINE)) % 2 == 0
    assert all(part.startswith("~~~~python title\nline_") for part in parts[1:-1])
    code = [argument for part in parts for kind, argument in events(part) if kind == "text" and "line_" in argument]
    assert "".join(code).split("\n")[:-1] == lines


@pytest.mark.parametrize("pad", ["   ", "    ", "      ", "> ", "- "])
def test_a_long_code_block_within_a_list_or_quote(pad: str) -> None:
    quote = pad if pad == "> " else " " * len(pad)
    above = "".join(f"{' ' * depth}- a\n" for depth in range(0, len(pad) - 1, 2)) if pad.isspace() else ""
    body = "".join(f"{quote}line {n}\n" for n in range(60))
    parts = shown(f"{above}{pad}```py\n{body}{quote}```\n\nEnd of it.", 200)
    assert len(parts) > 3
    code = []
    for part in parts:
        languages = [argument for kind, argument in events(part) if kind == "pre"]
        code += [argument for kind, argument in events(part) if kind == "text" and "line" in argument]
        assert languages == ["py"] * len(languages)
    assert "".join(code) == "".join(f"line {n}\n" for n in range(60))
    assert ("text", "End of it.") in list(events(parts[-1]))


def test_one_endless_line_of_code() -> None:
    parts = shown("```json\n" + "0123456789" * 50 + "\n```", 120)
    assert "".join(part.split("\n")[1] for part in parts) == "0123456789" * 50


def test_a_long_table_repeats_its_header() -> None:
    header = "| n | text |\n|---|:-:|\n"
    rows = [f"| {n} | row {n} |" for n in range(60)]
    parts = shown("Intro.\n\n" + header + "\n".join(rows) + "\n\nOutro.", 300)
    assert all(part.startswith(header) for part in parts[1:])
    seen = [line for part in parts for line in part.split("\n") if line in rows]
    assert seen == rows


def test_what_is_cut_out_of_a_list_does_not_become_code() -> None:
    text = "1. first\n" + "    - sub item of it\n" * 30
    for part in shown(text, 200):
        assert "pre" not in [kind for kind, _ in events(part)]


# ------------------------------------------------------------------ closed


@pytest.mark.parametrize(
    ("text", "ending"),
    [
        ("plain", ""),
        ("```py\nx", "\n```"),
        ("```py\nx\n", "```"),
        ("```py", "\n```"),
        ("```py\nx\n```", ""),
        ("```py\nx\n```\nafter", ""),
        ("~~~~\n```\n", "~~~~"),
        ("- a\n  ```\n  x", "\n  ```"),
        ("> ```\n> x", "\n> ```"),
        ("`code` and ``` here", ""),
        ("    indented", ""),
    ],
)
def test_closed(text: str, ending: str) -> None:
    assert closed(text).removeprefix(text.removesuffix("\n") if ending else text).removeprefix("\n") == ending.strip(
        "\n"
    )
    assert ("text", "after it") in list(events(f"{closed(text)}\n\nafter it"))


@given(MARKDOWN)
def test_closed_only_adds(text: str) -> None:
    assert closed(text).startswith(text)


# ------------------------------------------------------------------ settled


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("all of it.", ""),
        ("a **bo", "**bo"),
        ("a **bold**", ""),
        ("a **bold*", "**bold*"),
        ("**a** b *", "*"),
        ("2*3", ""),
        ("a * b", ""),
        ("a `co", "`co"),
        ("a ``co`", "``co`"),
        ("a `**` b", ""),
        ("a [li", "[li"),
        ("a [link]", "[link]"),
        ("a [link](http://x", "[link](http://x"),
        ("a [link](http://x)", ""),
        ("a [1] b", ""),
        ("see ![al", "![al"),
        ("**[x](http", "**[x](http"),
        ("~~gone", "~~gone"),
        ("text\n``", "``"),
        ("text\n```py", "```py"),
        ("text\n```py\nx = `a", ""),
        ("text\n```py\nx\n``", "``"),
        ("text\n```py\nx\n```\n**y", "**y"),
        ("text\n-", "-"),
        ("text\n- ", "- "),
        ("text\n- [", "- ["),
        ("text\n##", "##"),
        ("text\n12.", "12."),
        ("text\n| a |", "| a |"),
        ("text\n| a |\n", "| a |\n"),
        ("text\n| a |\n|--", "| a |\n|--"),
        ("text\n| a |\n|---|\n", ""),
        ("text\n| a |\n|---|\n| b", ""),
        ("**one\nline** above", ""),
        ("\\*a \\`b", ""),
        ("**" + "long " * 30, ""),
        ("[x](http://" + "a" * 200, ""),
    ],
)
def test_settled(text: str, held: str) -> None:
    assert settled(text) == text.removesuffix(held)


@given(MARKDOWN)
def test_settled_holds_back_a_little_of_the_end(text: str) -> None:
    kept = settled(text)
    assert text.startswith(kept)
    assert len(text) - len(kept) <= 120


@given(st.lists(st.sampled_from(["word ", "**bold** ", "`code` ", "[a](http://b) ", "中文，", "\n\n", "\n- ", "*x* "])))
def test_what_is_shown_of_a_growing_text_stays(pieces: list[str]) -> None:
    text = "".join(pieces)
    lengths = [len(settled(text[:end])) for end in range(len(text) + 1)]
    assert lengths == sorted(lengths)
