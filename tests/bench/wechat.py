"""What a puppet service costs: start-up, memory, and how long an echo takes beyond what the gateway takes for itself.

The gateway is the real one, in Node, where it is installed; an echo through it alone, by a client of a few lines, is
measured in the same run. Without Node the Python gateway stands in, and the rows say so.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import psutil
from grpclib.client import Channel
from wechaty_grpc.wechaty import PuppetStub
from wechaty_grpc.wechaty.puppet import EventType

from tests.bench.measure import Row, app_process, cpu, percentile, started
from tests.fakes.fastgpt import FakeFastGPT
from tests.fakes.wechat.node import NodeGateway, available
from tests.fakes.wechat.puppet import PuppetGateway
from tests.product import Product

ROUNDS = 3
ECHOES = 50
"""As many as the bot's budget has at once."""
PEOPLE = 20
PAUSE = 0.3
"""Seconds between two of them: the screen shows an answer before the product has written that down."""
Gateway = NodeGateway | PuppetGateway


async def echoes(gateway: Gateway) -> list[float]:
    """Seconds from each message to the answer on the screen, one after the other."""
    taken: list[float] = []
    for number in range(ECHOES):
        before, begin = len(gateway.sent), time.perf_counter()
        said = gateway.say(f"echo {number}", sender=f"person{number % PEOPLE}")
        if not isinstance(said, str):
            await said
        await gateway.until(lambda before=before: len(gateway.sent) > before, 20)  # type: ignore[misc]
        taken.append(time.perf_counter() - begin)
        await asyncio.sleep(PAUSE)
    return taken


async def alone(gateway: Gateway) -> list[float]:
    """The same with a client that does nothing but answer."""
    host, _, port = gateway.endpoint.rpartition(":")
    channel = Channel(host, int(port))
    stub = PuppetStub(channel, metadata={"authorization": f"Wechaty {gateway.token}"})

    async def answering() -> None:
        async for event in stub.event():
            if event.type == EventType.EVENT_TYPE_MESSAGE:
                message = await stub.message_payload(id=msgspec.json.decode(event.payload)["messageId"])
                if message.from_id != gateway.me:
                    await stub.message_send_text(conversation_id=message.from_id, text=message.text, mentonal_ids=[])

    task = asyncio.create_task(answering())
    await gateway.until(lambda: gateway.listening, 20)
    taken = await echoes(gateway)
    task.cancel()
    await asyncio.wait([task])
    channel.close()
    await gateway.until(lambda: not gateway.listening, 20)
    return taken


def config(gateway: Gateway, address: str) -> dict[str, Any]:
    bot = {"platform": "wechat", "app": "support", "endpoint": gateway.endpoint, "token": gateway.token}
    return {
        "fastgpt": {"support": {"base_url": address, "api_key": FakeFastGPT.key}},
        "bots": {"site": {"platform": "web", "app": "support"}, "wx": {**bot, "per_user": 0}},
    }


async def connected(product: Product, gateway: Gateway) -> None:
    await gateway.until(lambda: gateway.listening, 20)
    await product.logged("bot wx: connected", 20)


async def measured() -> list[Row]:
    async with NodeGateway() if available() else PuppetGateway() as gateway, app_process("{}") as address:
        if isinstance(gateway, NodeGateway):
            for number in range(PEOPLE):
                await gateway.control("contact", id=f"person{number}", name=f"Person {number}")
        own = await alone(gateway)
        parts = config(gateway, address)
        starts: list[tuple[float, float]] = []
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(ROUNDS):
                site = {**parts, "bots": {"site": parts["bots"]["site"]}}
                product, alone_cpu, alone_rss = await started(Path(folder), site)
                await product.stop()
                product, _, _ = await started(Path(folder), parts)
                await connected(product, gateway)
                with_rss = psutil.Process(product.pid).memory_info().rss / 1e6
                starts.append((cpu(product) - alone_cpu, with_rss - alone_rss))
                if len(starts) < ROUNDS:
                    await product.stop()
                    await gateway.until(lambda: not gateway.listening, 20)
            before = cpu(product)
            taken = await echoes(gateway)
            spent = (cpu(product) - before) / ECHOES * 1000
            await product.stop()
    kind = "real gateway" if available() else "Python gateway"
    beyond = percentile(taken, 0.5) - percentile(own, 0.5)
    return [
        Row(
            "WeChat: CPU to start, beside a web chat", f"{statistics.median(row[0] for row in starts):.2f} s", "≤ 0.5 s"
        ),
        Row("WeChat: memory, beside a web chat", f"{statistics.median(row[1] for row in starts):.0f} MB", "≤ 15 MB"),
        Row(
            f"WeChat: echo beyond the {kind}'s own {percentile(own, 0.5) * 1000:.1f} ms, p50",
            f"{beyond * 1000:.1f} ms",
            "≤ 15 ms",
        ),
        Row("WeChat: CPU per echo", f"{spent:.1f} ms", ""),
    ]
