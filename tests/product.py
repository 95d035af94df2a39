"""The product as its user has it: the real command in a process of its own, against fakes on the loopback."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import yaml

ROOT = Path(__file__).parent.parent
START = 20.0
END = 15.0


class Product:
    """One ``fastgpt-bridge run`` in a folder. It can be killed and started again on the same data."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self.folder = folder
        self.config = {"http": {"listen": "127.0.0.1:0"}, "store": f"sqlite:{folder}/bridge.db", **config}
        self.main: tuple[str, ...] = ("-m", "bridge")
        """What Python runs."""
        self.log: list[str] = []
        self.out: list[str] = []
        self.address = ""
        self._process: asyncio.subprocess.Process | None = None
        self._readers: list[asyncio.Task[None]] = []
        self._waiting: list[tuple[Callable[[], object], asyncio.Future[None]]] = []

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def write_config(self) -> Path:
        path = self.folder / "config.yaml"
        path.write_text(yaml.safe_dump(self.config, allow_unicode=True), "utf-8")
        return path

    async def start(self, *arguments: str) -> None:
        """Start, and wait until it says that it is ready."""
        command = arguments or ("run", "-c", str(self.write_config()))
        self.out.clear()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *self.main,
            *command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout
        assert self._process.stderr
        self._readers = [
            asyncio.create_task(self._read(self._process.stdout, self.out)),
            asyncio.create_task(self._read(self._process.stderr, self.log)),
        ]
        await self.until(lambda: any("ready on" in line for line in self.out), START)
        ready = re.search(r"ready on (http://\S+?),", "\n".join(self.out))
        assert ready
        self.address = ready[1]

    async def kill(self) -> None:
        """kill -9: no word of farewell."""
        assert self._process
        self._process.kill()
        await self._ended()

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end; gives the exit code."""
        assert self._process
        self._process.send_signal(number)
        return await self._ended()

    def signal(self, number: int) -> None:
        assert self._process
        self._process.send_signal(number)

    async def readyz(self) -> tuple[int, dict[str, Any]]:
        async with aiohttp.ClientSession() as session, session.get(f"{self.address}/readyz") as response:
            return response.status, await response.json()

    async def until(self, condition: Callable[[], object], timeout: float = 10.0) -> None:
        """Wait for something in what the product prints."""
        if condition():
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((condition, future))
        try:
            await asyncio.wait_for(future, timeout)
        except TimeoutError:
            raise AssertionError("the product says:\n" + "\n".join(self.out + self.log[-60:])) from None
        finally:
            self._waiting.remove((condition, future))

    async def logged(self, words: str, timeout: float = 10.0) -> str:
        """Wait for a line of the log that holds these words."""
        await self.until(lambda: any(words in line for line in self.log), timeout)
        return next(line for line in self.log if words in line)

    async def close(self) -> None:
        if self._process is not None and self._process.returncode is None:
            await self.kill()

    async def _ended(self) -> int:
        assert self._process
        try:
            async with asyncio.timeout(END):
                code = await self._process.wait()
        except TimeoutError:
            self._process.kill()
            raise AssertionError("it does not end:\n" + "\n".join(self.log[-60:])) from None
        await asyncio.gather(*self._readers)
        return code

    async def _read(self, stream: asyncio.StreamReader, into: list[str]) -> None:
        while line := await stream.readline():
            into.append(line.decode("utf-8", "replace").rstrip())
            for condition, future in self._waiting:
                if not future.done() and condition():
                    future.set_result(None)


async def command(*arguments: str, stdin: str = "", **environment: str) -> tuple[int, str, str]:
    """Run a command that ends by itself: exit code, stdout, stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bridge",
        *arguments,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(START):
        out, err = await process.communicate(stdin.encode())
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def free_port() -> int:
    """A port of the loopback that nobody listens on, for those who must know it before the start."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
