"""How an event gets to the app: one attempt, then the ladder of further ones until it is acknowledged.

Rules of this file:
- an event goes to one random connection, or to the webhook where one is set; nobody there is a failed attempt;
- it must be acknowledged with 200 within 3 s, else it comes again after 15 s, 5 min, 1 h and 6 h, and then no more;
- a press is delivered once: its answer, or that there was none in time, is for the person who pressed;
- an event that the app has not subscribed to does not exist.

Source: fact sheet 4 (redelivery) and 3.5.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

import aiohttp
import msgspec

from tests.fakes.feishu import events, webhook
from tests.fakes.feishu.gateway import Gateway
from tests.fakes.feishu.rules import Json, new_id
from tests.fakes.feishu.things import Ack

LADDER = (15.0, 300.0, 3600.0, 21600.0)
"""Seconds from a failed attempt to the next."""
IN_TIME = 3.0

Answer = tuple[int, Any]
"""Code of the acknowledgement (0: none in time), and the decoded data."""


class Delivery:
    """One event on its way."""

    def __init__(self, event_id: str, payload: bytes, frame_type: str, parts: int, once: bool) -> None:
        self.event_id, self.payload, self.frame_type, self.parts = event_id, payload, frame_type, parts
        self.attempts = 0
        self.done = False
        """Acknowledged with 200."""
        self.open = ""
        """Mark of the attempt that waits for its acknowledgement."""
        self.answer: asyncio.Future[Answer] | None = asyncio.get_running_loop().create_future() if once else None


class Deliverer(Gateway):
    """Events out, acknowledgements in."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.deliveries: dict[str, Delivery] = {}
        """All events so far by event_id; the last one where an id was used again."""
        self._sent: dict[str, Delivery] = {}
        self._session: aiohttp.ClientSession | None = None

    def push(
        self, kind: str, event: Json, *, event_id: str = "", parts: int = 1, frame_type: str = "event",
        connection: int = 0,
    ) -> str:  # fmt: skip
        """Deliver an event of any type, known or not; returns its event_id.

        In ``parts`` frames, of ``frame_type`` ``event`` or ``card``, to the connection of this number (0: any).
        """
        payload = events.envelope(
            kind, event, app_id=self.app_id, token=self.verification_token, now=self.clock.now(), event_id=event_id
        )
        return self._deliver(payload, parts, frame_type, connection).event_id

    def _deliver(
        self, payload: Json, parts: int = 1, frame_type: str = "event", connection: int = 0, once: bool = False
    ) -> Delivery:
        event_id = payload["header"]["event_id"]
        delivery = Delivery(event_id, msgspec.json.encode(payload), frame_type, parts, once)
        kind = payload["header"]["event_type"]
        if kind in events.EVENTS and kind not in self.subscribed:
            return delivery
        self.deliveries[event_id] = delivery
        self._attempt(delivery, connection)
        return delivery

    def redeliver(self, event_id: str = "") -> list[str]:
        """Deliver again now: this event, acknowledged or not, or all that are not; returns their event_ids."""
        again = [one for one in self.deliveries.values() if (one.event_id == event_id if event_id else not one.done)]
        for delivery in again:
            self._attempt(delivery)
        return [delivery.event_id for delivery in again]

    @property
    def unacked(self) -> list[str]:
        """event_ids of what nobody has acknowledged with 200 yet."""
        return [delivery.event_id for delivery in self.deliveries.values() if not delivery.done]

    # ------------------------------------------------------------------ one attempt

    def _attempt(self, delivery: Delivery, number: int = 0) -> None:
        delivery.attempts += 1
        delivery.open = mark = new_id("")
        self._sent[mark] = delivery
        self.clock.at(self.clock.now() + IN_TIME, lambda: self._closed(delivery, mark, (0, None)))
        if self.webhook_url:
            self.spawn(self._post(delivery, mark))
            return
        open_now = [one for one in self.connections if number in (0, one.number)]
        if open_now:
            random.choice(open_now).deliver(
                mark, delivery.frame_type, delivery.payload, delivery.parts, self.clock.now()
            )
        else:
            self._closed(delivery, mark, (0, None))

    async def _post(self, delivery: Delivery, mark: str) -> None:
        status, data = await self.post_webhook(delivery.payload)
        self.took(mark, Ack(self.clock.now(), delivery.event_id, status, data))

    async def post_webhook(
        self, payload: Json | bytes, *, key: str | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Post a payload as it is to the webhook, once: HTTP status (0: no answer) and JSON of the answer.

        Encrypted with ``key`` (the app's by default, "" for plain), signed now; ``headers`` replace the platform's.
        """
        assert self.webhook_url, "no webhook_url is set"
        if self._session is None:
            self._session = aiohttp.ClientSession(trust_env=False)
        key = self.encrypt_key if key is None else key
        body = webhook.sealed(key, payload)
        sent = webhook.signed(key, body, self.clock.now(), self.header_case)
        return await webhook.post(self._session, self.webhook_url, body, {**sent, **(headers or {})})

    async def verify_url(self) -> bool:
        """What the console does when the address of the webhook is saved: is the challenge answered, within 1 s?"""
        challenge = new_id("")
        payload = {"challenge": challenge, "token": self.verification_token, "type": "url_verification"}
        try:
            async with asyncio.timeout(1):
                status, answer = await self.post_webhook(payload)
        except TimeoutError:
            return False
        return status == 200 and answer == {"challenge": challenge}

    # ------------------------------------------------------------------ its end

    def event_of(self, mark: str) -> str:
        """The event of an attempt; empty for a mark that was never sent."""
        return self._sent[mark].event_id if mark in self._sent else ""

    def took(self, mark: str, ack: Ack) -> None:
        """The client has answered an attempt."""
        self.acks.append(ack)
        self._closed(self._sent[mark], mark, (ack.code, ack.data))
        self.changed()

    def _closed(self, delivery: Delivery, mark: str, answer: Answer) -> None:
        """An attempt ended: acknowledged, refused, or too late."""
        if delivery.open != mark:
            return  # too late, or answered before
        delivery.open = ""
        delivery.done = delivery.done or answer[0] == 200
        if delivery.answer is not None:
            if not delivery.answer.done():
                delivery.answer.set_result(answer)
        elif not delivery.done and delivery.attempts <= len(LADDER):
            attempts = delivery.attempts
            when = self.clock.now() + LADDER[attempts - 1]
            self.clock.at(when, lambda: self._again(delivery, attempts))
        self.changed()

    def _again(self, delivery: Delivery, attempts: int) -> None:
        if not delivery.done and delivery.attempts == attempts:
            self._attempt(delivery)

    async def end_deliveries(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
