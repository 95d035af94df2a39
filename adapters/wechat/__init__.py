"""WeChat: a gateway for each way in. ``gateway:`` chooses; each is a whole adapter, loaded only when it is chosen.

- wechaty/: personal accounts and groups, by a puppet service of the operator's own (wechaty's gRPC protocol);
- ilink/: a person's own assistant, by Tencent's official bot channel;
- wecom/: a WeCom AI bot, by its long connection;
- mp/: an official account, by WeChat's calls to a public address;
- plain.py makes readable text of Markdown, mention.py finds who is meant: they are for all of them (pure).

But for wecom, nothing that was sent can be changed: an answer comes in a few messages (bridge.segments).
"""

from __future__ import annotations

import importlib

from adapters.wechat.options import Options
from bridge import model

__all__ = ["Adapter", "Options"]


def Adapter(name: str, options: Options, host: model.Host) -> model.Adapter:
    door = importlib.import_module(f"adapters.wechat.{options.gateway}")
    adapter: model.Adapter = door.Door(name, options, host)
    return adapter
