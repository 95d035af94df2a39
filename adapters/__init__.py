"""The registry: platform name -> where its adapter is. A module is imported only when a bot names its platform.

An adapter module holds two names: ``Options``, the struct of its keys in config.yaml, and ``Adapter``, built as
``Adapter(name, options, host)`` (bridge.model). It imports bridge.model, bridge.markdown and its SDK, nothing else of
the bridge.
"""

ADAPTERS = {
    "feishu": "adapters.feishu",
    "telegram": "adapters.telegram",
    "web": "adapters.web",
    "wechat": "adapters.wechat",
}
