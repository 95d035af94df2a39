"""What Feishu costs: twenty cards at once, each with more to say than may be shown, under the company's limits.

The open platform lives in the bench's own process, the FastGPT server and the prober are processes of their own. A
request to /healthz waits while the product's loop is busy, so the slowest of them tell how long it stalls.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench.measure import Row, app_process, cpu, percentile, started
from tests.fakes.fastgpt import FakeFastGPT, Script
from tests.fakes.feishu import OpenPlatform
from tests.product import ROOT, Product

CARDS, ROUNDS = 20, 3
TOKENS, RATE = 250, 25.0
"""Ten seconds in which each card could be changed at every token."""
PROBE = """
import asyncio, sys, time
import aiohttp

async def main(address):
    async with aiohttp.ClientSession() as session:
        while not sys.stdin.closed:
            begin = time.perf_counter()
            async with session.get(address) as response:
                await response.read()
            print(time.perf_counter() - begin, flush=True)
            await asyncio.sleep(0.01)

asyncio.run(main(sys.argv[1]))
"""


async def stalls(product: Product, until: asyncio.Event) -> list[float]:
    """Seconds that each of a hundred requests a second to /healthz took, until the event is set."""
    prober = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROBE, f"{product.address}/healthz", stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert prober.stdout
    taken: list[float] = []
    over = asyncio.create_task(until.wait())
    while not over.done():
        line = asyncio.create_task(prober.stdout.readline())
        await asyncio.wait((line, over), return_when=asyncio.FIRST_COMPLETED)
        if line.done():
            taken.append(float(line.result()))
        line.cancel()
    prober.kill()
    await prober.wait()
    return taken


async def round_of(platform: OpenPlatform, product: Product, number: int) -> float:
    """All cards stream at once: CPU for each answer, in ms. Nothing may be lost."""
    people = [f"ou_{number:04}{person:028}" for person in range(CARDS)]
    answer = Script(length=TOKENS).says("question")
    before = cpu(product)
    for person in people:
        platform.say("question", user=person)

    def whole() -> bool:
        seen = [platform.answers(user=person) for person in people]
        return all(len(one) == 1 and one[0].text == answer and not one[0].streaming for one in seen)

    await platform.until(whole, 90)
    return (cpu(product) - before) / CARDS * 1000


def config(platform: OpenPlatform, address: str) -> dict[str, Any]:
    bot = {"platform": "feishu", "app": "support", "app_id": platform.app_id, "app_secret": platform.app_secret}
    return {
        "fastgpt": {"support": {"base_url": address, "api_key": FakeFastGPT.key}},
        "bots": {"fs": {**bot, "domain": platform.url, "per_user": 0}},
    }


async def measured() -> list[Row]:
    script = f'{{"length": {TOKENS}, "rate": {RATE}}}'
    async with OpenPlatform() as platform, app_process(script) as address:
        parts = config(platform, address)
        starts: list[tuple[float, float]] = []
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(ROUNDS):
                site = {"platform": "web", "app": "support"}
                product, alone_cpu, alone_rss = await started(Path(folder), {**parts, "bots": {"site": site}})
                await product.stop()
                product, with_cpu, with_rss = await started(
                    Path(folder), parts | {"bots": {"site": site} | parts["bots"]}
                )
                await platform.connected()
                starts.append((with_cpu - alone_cpu, with_rss - alone_rss))
                if len(starts) < ROUNDS:
                    await product.stop()
            await round_of(platform, product, 0)
            calls = len(platform.calls)
            spent = [await round_of(platform, product, number) for number in range(1, ROUNDS + 1)]
            over = asyncio.Event()
            probing = asyncio.create_task(stalls(product, over))
            await round_of(platform, product, ROUNDS + 1)
            over.set()
            taken = await probing
            made = [call for call in platform.calls[calls:] if call.path.startswith("/open-apis/")]
            refused = sum(call.code != 0 for call in made)
            await product.stop()
    answers = CARDS * (ROUNDS + 1)
    return [
        Row(
            "Feishu: CPU to start, beside a web chat", f"{statistics.median(row[0] for row in starts):.2f} s", "≤ 0.6 s"
        ),
        Row("Feishu: memory, beside a web chat", f"{statistics.median(row[1] for row in starts):.0f} MB", "≤ 20 MB"),
        Row(
            f"Feishu: CPU per answer of {TOKENS} tokens in {TOKENS / RATE:g} s, {CARDS} at once",
            f"{statistics.median(spent):.1f} ms ({len(made) / answers:.1f} calls)",
            "",
        ),
        Row(f"Feishu: calls refused, of {len(made)}", str(refused), "0"),
        Row("Feishu: /healthz meanwhile, p99", f"{percentile(taken, 0.99) * 1000:.1f} ms", "≤ 20 ms"),
    ]
