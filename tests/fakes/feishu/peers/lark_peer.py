"""lark-oapi's own client at the fake platform: ``lark_peer.py URL APP_ID APP_SECRET``.

It prints one JSON object a line: what it read of the long connection, and what its webhook dispatcher makes of each
request that comes by stdin as ``{"headers": {…}, "body": "…", "key": "…", "token": "…"}``.

Rules of this file: only the library's public names; one process for all checks, because the import takes 6 s of CPU.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

import lark_oapi as lark
from lark_oapi.api.cardkit.v1 import (
    ContentCardElementRequest,
    ContentCardElementRequestBody,
    CreateCardRequest,
    CreateCardRequestBody,
    SettingsCardRequest,
    SettingsCardRequestBody,
)
from lark_oapi.api.im.v1 import P2ImMessageReceiveV1, ReplyMessageRequest, ReplyMessageRequestBody
from lark_oapi.core.model import RawRequest
from lark_oapi.event.callback.model.p2_card_action_trigger import P2CardActionTrigger, P2CardActionTriggerResponse

CARD = {
    "schema": "2.0",
    "config": {"streaming_mode": True, "summary": {"content": "..."}},
    "body": {
        "elements": [
            {"tag": "markdown", "element_id": "md", "content": ""},
            {
                "tag": "button",
                "element_id": "stop",
                "text": {"tag": "plain_text", "content": "Stop"},
                "behaviors": [{"type": "callback", "value": {"k": "stop"}}],
            },
        ]
    },
}


def say(**line: Any) -> None:
    print(json.dumps(line), flush=True)


def done(response: Any) -> Any:
    """The response to a call that went well."""
    assert response.success(), (response.code, response.msg)
    return response


class Peer:
    """One bot that answers by the library's client."""

    def __init__(self, url: str, app_id: str, secret: str) -> None:
        self.url, self.app_id, self.secret = url, app_id, secret
        self.client = lark.Client.builder().app_id(app_id).app_secret(secret).domain(url).build()

    def dispatcher(self, key: str = "", token: str = "") -> lark.EventDispatcherHandler:
        builder = lark.EventDispatcherHandler.builder(key, token)
        builder.register_p2_im_message_receive_v1(self.received if not token else self.noted)
        builder.register_p2_card_action_trigger(self.pressed)
        return builder.build()

    def noted(self, event: P2ImMessageReceiveV1) -> None:
        say(webhook=event.event.message.content, event=event.header.event_id)

    def received(self, event: P2ImMessageReceiveV1) -> None:
        # The handler runs on the connection's loop: it must return before the calls are made.
        threading.Thread(target=self.answer, args=(event.event.message,)).start()

    def pressed(self, event: P2CardActionTrigger) -> P2CardActionTriggerResponse:
        say(pressed=event.event.action.value, by=event.event.operator.open_id)
        return P2CardActionTriggerResponse({"toast": {"type": "success", "content": "stopping"}})

    def answer(self, message: Any) -> None:
        text = json.loads(message.content)["text"]
        if text == "card":
            self.stream(message.message_id)
        else:
            words = f"heard: {text}" if len(text) < 100 else f"length: {len(text)}"
            self.reply(message.message_id, "text", {"text": words})

    def reply(self, message_id: str, kind: str, content: Any) -> None:
        body = ReplyMessageRequestBody.builder().msg_type(kind).content(json.dumps(content)).build()
        request = ReplyMessageRequest.builder().message_id(message_id).request_body(body).build()
        done(self.client.im.v1.message.reply(request))

    def stream(self, message_id: str) -> None:
        made = CreateCardRequestBody.builder().type("card_json").data(json.dumps(CARD)).build()
        create = CreateCardRequest.builder().request_body(made).build()
        card_id = done(self.client.cardkit.v1.card.create(create)).data.card_id
        self.reply(message_id, "interactive", {"type": "card", "data": {"card_id": card_id}})
        for sequence, text in enumerate(("Hello", "Hello &lt;you&gt;"), 1):
            grown = ContentCardElementRequestBody.builder().content(text).sequence(sequence).build()
            update = ContentCardElementRequest.builder().card_id(card_id).element_id("md").request_body(grown).build()
            done(self.client.cardkit.v1.card_element.content(update))
        config = {"config": {"streaming_mode": False, "summary": {"content": "Hello"}}}
        closed = SettingsCardRequestBody.builder().settings(json.dumps(config)).sequence(3).build()
        settings = SettingsCardRequest.builder().card_id(card_id).request_body(closed).build()
        done(self.client.cardkit.v1.card.settings(settings))

    def webhooks(self) -> None:
        for line in sys.stdin:
            given = json.loads(line)
            request = RawRequest()
            request.uri, request.headers, request.body = "/", given["headers"], given["body"].encode()
            response = self.dispatcher(given["key"], given["token"]).do(request)
            say(status=response.status_code, answer=(response.content or b"").decode())


def main() -> None:
    peer = Peer(*sys.argv[1:4])
    threading.Thread(target=peer.webhooks, daemon=True).start()
    lark.ws.Client(peer.app_id, peer.secret, event_handler=peer.dispatcher(), domain=peer.url).start()


if __name__ == "__main__":
    main()
