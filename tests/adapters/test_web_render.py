"""The web chat's renderer: what it says, and that nothing gets past it."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.web.render import html
from tests.markdown_texts import MARKDOWN, WORDS

LINK = 'target="_blank" rel="noopener noreferrer nofollow"'

ATTRIBUTES = {
    "a": {"href", "target", "rel"},
    "code": {"class"},
    "ol": {"start"},
    "th": {"align"},
    "td": {"align"},
}
TAGS = {
    *ATTRIBUTES,
    *[
        "p",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "strong",
        "em",
        "del",
        "pre",
        "blockquote",
        "ul",
        "li",
        "table",
        "thead",
        "tbody",
        "tr",
        "sup",
        "br",
        "hr",
    ],
}
VOID = {"br", "hr"}


class Reader(HTMLParser):
    """Reads HTML as a browser would, and refuses what the page must never get."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.opened: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        assert {name for name, _ in attrs} <= ATTRIBUTES.get(tag, set())
        values = dict(attrs)
        if tag == "a":
            assert "a" not in self.opened
            assert (values["href"] or "").lower().startswith(("http://", "https://", "mailto:"))
            assert values["target"] == "_blank"
            assert values["rel"] == "noopener noreferrer nofollow"
        assert (values.get("class") or "language-").startswith("language-")
        assert (values.get("start") or "0").isdigit()
        assert values.get("align") in (None, "left", "center", "right")
        if tag not in VOID:
            self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError("a comment")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError("a declaration")

    def handle_pi(self, data: str) -> None:
        raise AssertionError("a processing instruction")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError("a declaration")


def read(text: str) -> str:
    """The words of the page for a Markdown text."""
    reader = Reader()
    reader.feed(html(text))
    reader.close()
    assert not reader.opened
    return "".join(reader.text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("**a** *b* ~~c~~ `d<`", "<p><strong>a</strong> <em>b</em> <del>c</del> <code>d&lt;</code></p>"),
        ("**“粗体”**后面", "<p><strong>“粗体”</strong>后面</p>"),
        ("# T\na\nb", "<h1>T</h1><p>a<br>b</p>"),
        ("```py x\n<a>\n```", '<pre><code class="language-py">&lt;a&gt;\n</code></pre>'),
        ("```a\"b\nx\n```", "<pre><code>x\n</code></pre>"),
        ("- a\n  - [x] b\n- c", "<ul><li>a<ul><li>☑ b</li></ul></li><li>c</li></ul>"),
        ("3. a", '<ol start="3"><li>a</li></ol>'),
        ("1. a\n\n2. b", "<ol><li><p>a</p></li><li><p>b</p></li></ol>"),
        ("> a\n\n---", "<blockquote><p>a</p></blockquote><hr>"),
        ("[t](https://x/?a=1&b=2)", f'<p><a href="https://x/?a=1&amp;b=2" {LINK}>t</a></p>'),
        ("<a@b.example>", f'<p><a href="mailto:a@b.example" {LINK}>a@b.example</a></p>'),
        ("[t](javascript:x) [t](data:y) [u](/u) [](w)", "<p>t (javascript:x) t (data:y) u (/u) w</p>"),
        ("[t](tg://x) [v](v)", "<p>t (tg://x) v</p>"),
        ("![alt](http://i/p) ![](http://j)", f'<p><a href="http://i/p" {LINK}>alt</a> <a href="http://j" {LINK}>http://j</a></p>'),
        ("[![alt](http://i)](http://x)", f'<p><a href="http://x" {LINK}>alt</a></p>'),
        ("[![](http://i)](http://x)", f'<p><a href="http://x" {LINK}>http://i</a></p>'),
        ("Vec<String> <script>alert(1)</script>", "<p>Vec&lt;String&gt; &lt;script&gt;alert(1)&lt;/script&gt;</p>"),
        ("<div onclick=\"x\">\n\n<!-- c -->", "<p>&lt;div onclick=&quot;x&quot;&gt;</p><p>&lt;!-- c --&gt;</p>"),
        (
            "|a|b|c|d|\n|-|:-|:-:|-:|\n|1|**2**|3<br>4|5|",
            '<table><thead><tr><th>a</th><th align="left">b</th><th align="center">c</th><th align="right">d</th></tr>'
            '</thead><tbody><tr><td>1</td><td align="left"><strong>2</strong></td><td align="center">3<br>4</td>'
            '<td align="right">5</td></tr></tbody></table>',
        ),
        ("a[^1]\n\n[^1]: n", "<p>a<sup>[1]</sup></p><blockquote><sup>[1]</sup> <p>n</p></blockquote>"),
        ("", ""),
    ],
)  # fmt: skip
def test_html(text: str, expected: str) -> None:
    assert html(text) == expected
    read(text)


@settings(max_examples=200)
@given(MARKDOWN)
@example("![[a](http://b)](http://c)")
@example('[a](http://b" onclick="x)')
@example("[a](<http://b onclick=x>)")
@example('```"><script>\nx\n```')
def test_nothing_gets_past_it(text: str) -> None:
    read(text)


@given(st.text())
def test_any_text_can_be_rendered(text: str) -> None:
    read(text)


@given(
    st.sampled_from(
        ["javascript:", "JaVaScRiPt:", "data:text/html,", "vbscript:", "file:///", "//", " https://", "http:"]
    ),
    st.text(),
)
def test_only_three_schemes_become_links(scheme: str, rest: str) -> None:
    for text in (f"[a]({scheme}{rest})", f"[a](<{scheme}{rest}>)", f"<{scheme}{rest}>", f"[a]\n\n[a]: {scheme}{rest}"):
        read(text)  # its links are checked there


@given(st.lists(WORDS, min_size=1, max_size=4))
def test_every_word_of_plain_paragraphs_is_there(paragraphs: list[list[str]]) -> None:
    assert read("\n\n".join(map(" ".join, paragraphs))) == "".join(map(" ".join, paragraphs))
