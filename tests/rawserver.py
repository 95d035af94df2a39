"""A server made of bytes: tests write the very octets of a reply and see when the client hangs up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

STREAM = "Content-Type: text/event-stream;charset=utf-8\r\n"


@dataclass
class Request:
    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Connection:
    """One connection of a client, from the server's side."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    requests: list[Request]

    async def request(self) -> Request:
        """The next request; it is also kept in the server's list."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        line, *rows = head.rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (row.partition(":") for row in rows)}
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        found = Request(line, headers, body)
        self.requests.append(found)
        return found

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def start(self, status: str = "200 OK", headers: str = STREAM) -> None:
        await self.send(f"HTTP/1.1 {status}\r\n{headers}Transfer-Encoding: chunked\r\n\r\n".encode())

    async def chunks(self, body: bytes, size: int = 7) -> None:
        """The body in HTTP chunks of ``size`` bytes."""
        for at in range(0, len(body), size):
            piece = body[at : at + size]
            self.writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await self.writer.drain()

    async def end(self) -> None:
        await self.send(b"0\r\n\r\n")

    async def hung_up(self) -> None:
        """Waits until the client has closed the connection."""
        while True:
            try:
                if not await self.reader.read(65536):
                    return
            except ConnectionError:
                return


Handler = Callable[[Connection], Awaitable[None]]


@dataclass
class Server:
    port: int = 0
    requests: list[Request] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def serve(handler: Handler) -> AsyncIterator[Server]:
    """A server on 127.0.0.1; ``handler`` is called for each connection, which closes behind it."""
    server = Server()
    tasks: set[asyncio.Task[Any]] = set()
    faults: list[Exception] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handler(Connection(reader, writer, server.requests))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client went away, or the test is over
        except Exception as error:
            faults.append(error)
        finally:
            tasks.discard(task)
            writer.close()

    listener = await asyncio.start_server(connected, "127.0.0.1", 0, backlog=512)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in list(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
    if faults:
        raise faults[0]
