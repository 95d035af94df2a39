"""A scripted FastGPT server, and a plain client for it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.fakes.fastgpt import FakeFastGPT
from tests.fakes.fastgpt_reader import Client


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:  # plain http: loading CAs costs time
        yield client


@pytest.fixture
async def gpt() -> AsyncIterator[FakeFastGPT]:
    async with FakeFastGPT("e26") as fake:
        yield fake


@pytest.fixture
def client(gpt: FakeFastGPT, http: httpx.AsyncClient) -> Client:
    return Client(gpt, http)
