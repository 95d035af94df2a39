"""Config: one readable line per fault, and never a traceback."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import adapters
from bridge.app import Platforms
from bridge.config import App, Bot, Config, ConfigError, Http, rate
from bridge.configfile import load, parse

PLATFORMS = Platforms(adapters.ADAPTERS)
GOOD = """
fastgpt:
  support: {base_url: "https://x.example/api", api_key: "${KEY}"}
bots:
  tg: {platform: telegram, app: support, token: "123:abc"}
"""


def read(text: str, **environment: str) -> Config:
    return parse(text, PLATFORMS, {"KEY": "fastgpt-1", **environment})


def faults(text: str, **environment: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        read(text, **environment)
    return caught.value.faults


def test_the_example_is_right_and_holds_every_key(monkeypatch: pytest.MonkeyPatch) -> None:
    example = Path("config.yaml.example").read_text("utf-8")
    config = read(example, FASTGPT_API_KEY="k", TELEGRAM_TOKEN="1:abc")
    assert list(config.bots) == ["tg", "site"]
    lines = [line.replace("# ", "", 1) if re.match(r" *# .*:( |$)", line) else line for line in example.splitlines()]
    everything = "\n".join(
        line for line in lines if not line.startswith("Every") and "${NAME}" not in line and "Copy" not in line
    )
    secrets = {"FASTGPT_API_KEY": "k", "TELEGRAM_TOKEN": "1:abc", "FEISHU_SECRET": "s", "WECHATY_TOKEN": "t"}
    secrets |= {"WECOM_BOT_ID": "b", "WECOM_SECRET": "s"}
    secrets |= {"MP_SECRET": "s", "MP_TOKEN": "t", "MP_AES_KEY": "A" * 43}
    assert parse(everything, PLATFORMS, secrets).bots["site"].per_user == "20/min"
    structs: list[type[msgspec.Struct]] = [Config, App, Bot, Http, *(PLATFORMS[name] for name in PLATFORMS)]
    names = {field.name for struct in structs for field in msgspec.structs.fields(struct)} - {"options"}
    assert [name for name in sorted(names) if not re.search(rf"\b{name}:", example)] == []


def test_defaults_and_expansion() -> None:
    config = read(GOOD)
    assert config.fastgpt["support"].api_key == "fastgpt-1"
    assert config.fastgpt["support"].turn_timeout == 1800
    assert config.bots["tg"].options.token == "123:abc"
    assert config.http.address == ("127.0.0.1", 8080)


def test_expansion_cannot_change_the_structure() -> None:
    config = read(GOOD.replace("api_key:", 'model: "${MODEL}", api_key:'), MODEL="a: b\n# {c} ${KEY}")
    assert config.fastgpt["support"].model == "a: b\n# {c} ${KEY}"


def test_secrets_from_files_and_defaults(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("from-file\n")
    text = GOOD.replace("${KEY}", f"${{file:{secret}}}").replace("123:abc", "${TOKEN:-9:xyz}")
    config = read(text)
    assert config.fastgpt["support"].api_key == "from-file"
    assert config.bots["tg"].options.token == "9:xyz"
    assert faults(GOOD.replace("${KEY}", "${file:/nowhere/x}"))[0].startswith(
        "fastgpt.support.api_key: ${file:/nowhere/x}"
    )


@pytest.mark.parametrize("off", ["off", '"off"', "'off'", '"${OFF}"'])
def test_off_is_off_however_it_is_written(off: str) -> None:
    config = read(GOOD.replace('token: "123:abc"', f'token: "123:abc", groups: {off}, stream: {off}'), OFF="off")
    assert config.bots["tg"].groups == "off"
    assert config.bots["tg"].options.stream == "off"


def test_numbers_booleans_and_ids_may_come_as_they_like() -> None:
    text = (
        GOOD
        + '  site: {platform: web, app: support, public: "yes", allow: [42, "43", "${NONE:-}"], reset_after: "1.5"}\n'
    )
    bot = read(text).bots["site"]
    assert bot.options.public is True
    assert bot.allow == ["42", "43"]
    assert bot.reset_after == 1.5


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("api_key", "api_kay"), "fastgpt.support.api_kay: is not a key; did you mean 'api_key'?"),
        (("token:", "tokn:"), "bots.tg.tokn: is not a key; did you mean 'token'?"),
        (('"${KEY}"', '"${NOPE}"'), "fastgpt.support.api_key: the environment variable NOPE is not set"),
        (("platform: telegram", "platform: telegran"), "bots.tg.platform: 'telegran' is not a platform; known are"),
        (("app: support", "app: suport"), "bots.tg.app: 'suport' is not under fastgpt:; did you mean 'support'?"),
        (('"123:abc"', '"123"'), "bots.tg: token: is not a bot token"),
        (('"123:abc"', '"1:abc", groups: some'), "bots.tg.groups: 'some' is not one of mention, all, off"),
        (('"123:abc"', '"1:abc", per_user: lots'), "bots.tg.per_user: 'lots': write it as 20/min"),
        (('"123:abc"', '"1:abc", calls_per_second: fast'), "bots.tg.calls_per_second: 'fast' is not a number"),
        (('"123:abc"', '"1:abc", calls_per_second: -1'), "bots.tg.calls_per_second: -1 is out of range"),
        (("https://x.example/api", "x.example/api"), "fastgpt.support.base_url: must begin with http:// or https://"),
        (("https://x.example/api", "https://me:pw@x.example"), "fastgpt.support.base_url: must not hold a user"),
        (('"123:abc"', '"1:abc", calls_per_second: "${KEY}"'), "bots.tg.calls_per_second: '${KEY}' is not a number"),
        (("  tg:", "  TG:"), "bots.TG: a name is a-z"),
        (("bots:", "stores: x\nbots:"), "stores: is not a key; did you mean 'store'?"),
        (("bots:", "http: {listen: nowhere}\nbots:"), "http.listen: 'nowhere': write it as"),
        (("bots:", "retention: ever\nbots:"), "retention: 'ever': write it as 30d"),
        (("bots:", "http: {public_url: bot.example.com}\nbots:"), "http.public_url: 'bot.example.com': write it as"),
        (
            ("  tg:", "  a: {platform: telegram, app: support, token: '123:abc'}\n  tg:"),
            "bots.tg.token: is that of bots.a too",
        ),
        (('"123:abc"', '"1:abc", mode: webhook'), "http.public_url: is needed by bots.tg"),
        (('"123:abc"', '"1:abc", proxy: "localhost:1080"'), "bots.tg.proxy: write it as http://host:port or socks5"),
        (
            ('"123:abc"', '"1:abc", proxy: "socks5://proxyhost"'),
            "bots.tg.proxy: write it as http://host:port or socks5",
        ),
        (('"123:abc"', '"1:abc", proxy: "http://[bad"'), "bots.tg.proxy: write it as http://host:port or socks5"),
        (("https://x.example/api", "https://x.example:99999/api"), "fastgpt.support.base_url: "),
        (('"123:abc"', '"1:abc", api_base: localhost'), "bots.tg: api_base: must begin with http:// or https://"),
        (('api_key: "${KEY}"', 'api_key: "密钥"'), "fastgpt.support.api_key: holds characters that no key has"),
        (('api_key: "${KEY}"', 'api_key: ""'), "fastgpt.support.api_key: is empty"),
        ((', api_key: "${KEY}"', ""), "fastgpt.support.api_key: is missing"),
        (('api_key: "${KEY}"', "api_key: [a]"), "fastgpt.support.api_key: a single value is expected here"),
    ],
)
def test_each_fault_is_one_line_with_its_path(change: tuple[str, str], fault: str) -> None:
    found = faults(GOOD.replace(*change))
    assert any(line.startswith(fault) for line in found), found
    assert all("\n" not in line for line in found)


def test_all_faults_are_told_at_once() -> None:
    found = faults(GOOD.replace("api_key", "api_kay").replace("token:", "tokn:"))
    assert len(found) >= 2


@pytest.mark.parametrize("text", ["", "- a\n- b", "a: [", "\t", "fastgpt:\nbots:\n"])
def test_a_file_that_is_no_config_is_said_so(text: str) -> None:
    assert faults(text)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"copy config\.yaml\.example"):
        load(tmp_path / "none.yaml", PLATFORMS)


def test_rates() -> None:
    assert rate("20/min") == (20, 60.0)
    assert rate("3 / 10s") == (3, 10.0)
    assert rate("0") == (0, 0.0)


def test_no_secret_is_in_a_repr() -> None:
    text = GOOD + "  site: {platform: web, app: support, keys: [secret-key]}\nhttp: {admin_token: secret-token}\n"
    shown = repr(read(text))
    assert not any(secret in shown for secret in ("fastgpt-1", "123:abc", "secret-key", "secret-token"))


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("ab${}:-~\n é", max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["platform", "app", "tg", "token", "keys", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(["fastgpt", "bots", "http", "store", "zzz"]), VALUES, max_size=5))
def test_no_file_whatever_ends_in_anything_but_faults(raw: dict[str, Any]) -> None:
    try:
        read(yaml.safe_dump(raw, allow_unicode=True))
    except ConfigError as error:
        assert error.faults
        assert all(line.strip() for line in error.faults)
