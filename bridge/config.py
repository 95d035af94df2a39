"""config.yaml -> frozen structs."""

from __future__ import annotations

from typing import Literal

import msgspec


class App(msgspec.Struct, frozen=True, kw_only=True):
    """One app behind a FastGPT-compatible endpoint (DESIGN 2.2)."""

    base_url: str
    api_key: str
    app_id: str = ""
    kind: Literal["fastgpt", "openai"] = "fastgpt"
    model: str = ""
    history: int = 20
    variables: dict[str, str] = {}
    first_token_timeout: float = 120
    idle_timeout: float = 200
    turn_timeout: float = 1800
    max_concurrent: int = 0
    proxy: str = ""

    def __repr__(self) -> str:
        return f"App(base_url={self.base_url!r})"
