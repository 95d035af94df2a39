"""Which files an answer has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.linked import MOST, files_in
from bridge.model import File

BASE = "https://gpt.example.com/api"


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("no link at all", ()),
        ("![chart](https://x.com/a/chart.png?sig=1)", (File("https://x.com/a/chart.png?sig=1", "chart.png", True),)),
        ("![图](/api/system/img/1.jpg)", (File("https://gpt.example.com/api/system/img/1.jpg", "1.jpg", True),)),
        ("![made just now](https://x.com/render/17)", (File("https://x.com/render/17", "made just now", True),)),
        ("[the report](https://x.com/r.pdf)", (File("https://x.com/r.pdf", "r.pdf", False),)),
        ("[data.csv](https://x.com/download?id=7)", (File("https://x.com/download?id=7", "data.csv", False),)),
        (
            "[x](https://x.com/read?filename=%E8%A1%A8.xlsx)",
            (File("https://x.com/read?filename=%E8%A1%A8.xlsx", "表.xlsx"),),
        ),
        ("[home](https://x.com/) [docs](https://x.com/docs/intro.html)", ()),
        ("[mail](mailto:a@b.c) ![p](data:image/png;base64,AAAA) [f](file:///etc/passwd.txt)", ()),
        ("`![code](https://x.com/a.png)`", ()),
        (
            "[![thumb](https://x.com/t.png)](https://x.com/big.png)",
            (File("https://x.com/t.png", "t.png", True), File("https://x.com/big.png", "big.png")),
        ),
        ("[a](http://[::1/a.pdf) [a](http://[host]/a.pdf) ![a](http://example.com℀/a.png)", ()),
    ],
)
def test_the_files_of_a_text(text: str, files: tuple[File, ...]) -> None:
    assert files_in(text, BASE) == files


def test_each_once_and_not_too_many() -> None:
    assert len(files_in("![a](http://x.com/a.png) " * 5, BASE)) == 1
    assert len(files_in("".join(f"![a](http://x.com/{n}.png)" for n in range(50)), BASE)) == MOST


@given(st.text("[]()!<>/:.apng ℀#?@", max_size=80), st.text("[]/:.apng℀#?@h0", max_size=30))
def test_any_text_is_read(text: str, address: str) -> None:
    assert all(file.url.startswith("http") for file in files_in(f"{text} ![x](http://{address}) {text}", BASE))
