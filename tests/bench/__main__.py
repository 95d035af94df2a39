"""``make bench``: what a streamed answer costs, against the fakes, printed as the README's table.

The product runs as its user runs it, in a process of its own, with its journal on a real file. The FastGPT server is a
process too, the Telegram server lives in this one. The bot's call budget is off (``calls_per_second: 0``), that of each
chat is on. Only the product's CPU is counted. CPU seconds and ratios are what to compare: machines share their cores.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from adapters.telegram.render import render
from tests.bench import feishu, wechat
from tests.bench.measure import Row, app_process, cpu, percentile
from tests.fakes.botapi import BotApi
from tests.fakes.fastgpt import FakeFastGPT, Gate, Script
from tests.product import Product

TOKENS, RATE = 100, 50.0
IDEAL = TOKENS / RATE
"""Seconds that the app itself takes for an answer."""
PIECE = f'{{"length": {TOKENS}, "rate": {RATE}}}'
LONG = (
    "## 升级步骤\n\n**“先备份”**，再按下面的顺序升级，不要跳过 `check`：\n\n1. 停止服务\n   - 等待 *正在生成* 的回答\n"
    "2. 运行 `backup`\n\n"
    "| 平台 | 方式 |\n| --- | --- |\n| Telegram | 编辑消息 |\n| 飞书 | 卡片 |\n\n"
    "```python\nfor name in names:\n    print('你好', name)\n```\n\n> 详见[文档](https://example.com/docs)。\n\n"
)
"""A passage of an answer as models write them."""


def config(api: BotApi, base_url: str, key: str) -> dict[str, Any]:
    bot = {
        "platform": "telegram",
        "app": "support",
        "token": api.token,
        "api_base": api.url,
        "calls_per_second": 0,
        "per_user": 0,
    }
    return {"fastgpt": {"support": {"base_url": base_url, "api_key": key}}, "bots": {"tg": bot}}


async def load(api: BotApi, product: Product, chats: range) -> tuple[float, float, int, float]:
    """All these chats ask at once: CPU per answer (ms), p95 of the end over the ideal (s), answers lost, and calls to
    Telegram per answer."""
    question = "question"
    answer = Script(length=TOKENS).says(question)
    before, calls = cpu(product), api.counts["sendMessage"] + api.counts["editMessageText"]
    said = {chat: (api.say(question, chat=chat), time.monotonic())[1] for chat in chats}

    def whole(chat: int) -> bool:
        seen = api.screen(chat)[-1]
        return seen.from_bot and seen.text == answer and not seen.buttons

    missing = set(chats)
    deadline = time.monotonic() + 60
    while missing and time.monotonic() < deadline:
        await asyncio.sleep(0.25)
        missing = {chat for chat in missing if not whole(chat)}
    spent = cpu(product) - before
    ends = {call.chat: call.time for call in api.history if call.method == "editMessageText" and call.status == 200}
    late = [ends[chat] - begin - IDEAL for chat, begin in said.items() if chat in ends]
    calls = api.counts["sendMessage"] + api.counts["editMessageText"] - calls
    return spent / len(chats) * 1000, percentile(late, 0.95), len(missing), calls / len(chats)


async def under_load(table: list[Row]) -> None:
    goals = {50: (12.0, 0.5), 200: (10.0, 0.5), 1000: (10.0, 5.0)}
    async with BotApi(history=30_000, bodies=False) as api, app_process(PIECE) as address:
        with tempfile.TemporaryDirectory() as folder:
            product = Product(Path(folder), config(api, address, FakeFastGPT.key))
            await product.start()
            await load(api, product, range(1, 11))  # imports, connections, caches
            first = 1000
            for count, (goal, late_goal) in goals.items():
                runs = []
                for _ in range(3 if count < 1000 else 1):
                    runs.append(await load(api, product, range(first, first + count)))
                    first += count
                spent = statistics.median(run[0] for run in runs)
                late = statistics.median(run[1] for run in runs)
                lost = sum(run[2] for run in runs)
                calls = statistics.median(run[3] for run in runs)
                table.append(
                    Row(f"CPU per answer, {count} at once", f"{spent:.1f} ms ({calls:.1f} calls)", f"≤ {goal:g} ms")
                )
                table.append(
                    Row(f"end, p95 over the ideal {IDEAL:g} s, {count} at once", f"{late:.2f} s", f"≤ {late_goal:g} s")
                )
                table.append(Row(f"answers lost, {count} at once", str(lost), "0"))
            table.append(Row("RSS after that", f"{psutil.Process(product.pid).memory_info().rss / 1e6:.0f} MB", ""))
            await product.stop()


async def unloaded(table: list[Row]) -> None:
    async with BotApi() as api, FakeFastGPT("e24") as gpt:
        with tempfile.TemporaryDirectory() as folder:
            product = Product(Path(folder), config(api, gpt.base_url, gpt.key))
            begin = time.monotonic()
            await product.start()
            started = time.monotonic() - begin
            await api.until(api.polling)
            idle = psutil.Process(product.pid).memory_info().rss / 1e6
            before = cpu(product)
            await asyncio.sleep(5)
            resting = (cpu(product) - before) / 5
            asked, ended = [], []
            for chat in range(1, 31):
                gpt.next(
                    Script(
                        text="Words that make a first preview, and then some more to end with.", gate=(gate := Gate(12))
                    )
                )
                begin = time.time()
                api.say("question", chat=chat)
                await gate.reached()
                asked.append(gpt.asked[-1].time - begin)
                await api.until(lambda chat=chat: any(seen.from_bot for seen in api.screen(chat)))  # type: ignore[misc]
                await asyncio.sleep(0.1)
                begin = time.monotonic()
                gate.open()
                await api.until(lambda chat=chat: "end with." in api.screen(chat)[-1].text)  # type: ignore[misc]
                final = [call for call in api.history if call.method == "editMessageText" and call.chat == chat][-1]
                ended.append(final.time - begin)
            await product.stop()
    table.append(
        Row("update delivered → request to the app, p50", f"{statistics.median(asked) * 1000:.1f} ms", "≤ 10 ms")
    )
    table.append(Row("last token → final text, p50", f"{statistics.median(ended) * 1000:.1f} ms", "≤ 10 ms"))
    table.append(Row("start-up to ready", f"{started:.2f} s", "≤ 2 s"))
    table.append(Row("RSS when idle", f"{idle:.0f} MB", "≤ 80 MB"))
    table.append(Row("CPU when idle", f"{resting * 100:.1f} %", ""))


def rendering(table: list[Row]) -> None:
    whole = (LONG * 20)[:4000]
    texts = [f"{n} {whole}" for n in range(200)]  # no two alike: nothing comes out of a cache
    begin = time.process_time()
    for text in texts:
        render(text)
    spent = (time.process_time() - begin) / len(texts) * 1000
    table.append(Row(f"rendering {len(whole):,} characters of Markdown", f"{spent:.2f} ms", "≤ 2 ms"))


def main() -> None:
    table: list[Row] = []
    rendering(table)
    asyncio.run(unloaded(table))
    asyncio.run(under_load(table))
    table += asyncio.run(feishu.measured())
    table += asyncio.run(wechat.measured())
    print(f"{TOKENS} tokens at {RATE:g} a second; Python {sys.version.split()[0]}, {psutil.cpu_count()} cores\n")
    print("| what | measured | goal |\n| --- | --- | --- |")
    for row in table:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
