"""What all measurements share: a row of the table, the FastGPT server as a process, CPU seconds."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from tests.product import ROOT, Product

LIFETIME = 400


class Row(NamedTuple):
    what: str
    measured: str
    goal: str


@asynccontextmanager
async def app_process(script: str) -> AsyncIterator[str]:
    """The FastGPT server as a process, which answers by ``script``: its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.fakes.fastgpt",
        *("--era", "e24", "--script", script, "--lifetime", str(LIFETIME)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.terminate()
        await process.wait()


def cpu(product: Product) -> float:
    times = psutil.Process(product.pid).cpu_times()
    return float(times.user + times.system)


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def started(folder: Path, parts: dict[str, Any]) -> tuple[Product, float, float]:
    """The product, its CPU seconds until it was ready, and its MB of memory then."""
    product = Product(folder, parts)
    await product.start()
    return product, cpu(product), psutil.Process(product.pid).memory_info().rss / 1e6
