"""A visitor of the web chat: with headless Chromium, or with plain HTTP.

Tests that need Chromium carry ``needs_chromium`` and are skipped, visibly, where it is not installed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Browser, async_playwright

from tests.adapters.web_double import Page

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

needs_chromium = pytest.mark.skipif(
    not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed: the page is not tested"
)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """It takes about a second to start: share one among the tests of a module, each with a context of its own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def visitor(page: str, **headers: str) -> AsyncIterator[Page]:
    """Somebody at the address of a page, with a cookie jar of their own and no browser."""
    jar, limit = aiohttp.CookieJar(unsafe=True), aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(headers=headers, cookie_jar=jar, timeout=limit) as session:
        yield Page(page, session)
