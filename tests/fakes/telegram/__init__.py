"""The fake Telegram behind ``tests.fakes.botapi``, written from the platform's documented behaviour.

``rules`` (pure checks and limits) <- ``state`` (what the server remembers) <- ``screen``, ``users`` (what people see
and do) · ``params`` <- ``messages`` <- ``methods`` (the calls of the Bot API) · HTTP, faults, webhooks: ``botapi``.
"""
