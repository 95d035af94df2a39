"""The fake Telegram behind ``tests.fakes.botapi``, written from the platform's documented behaviour.

``rules`` (pure checks and limits), ``files`` <- ``items`` (what a message carries), ``chat`` <- ``state`` (what the
server remembers) <- ``screen``, ``watch``, ``peers``, ``users`` (what people see, where they are, what they do) ·
``params`` <- ``messages``, ``media`` <- ``methods`` (the calls of the Bot API) · ``body``, ``webhooks`` (HTTP).
"""
