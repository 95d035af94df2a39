"""A bridge between chat platforms and FastGPT. The road of one message, in seven hops:

1  adapters/x        the platform's event -> a pure ``parse`` -> an Event (model.py)
2  core.py           the guards, in order: allowed? addressed? a command? too fast?
3  store/            committed and deduplicated; only now is the platform told
4  store/            the lane: one conversation in order, thousands side by side
5  turn.py           question.py asks fastgpt.py (wire.py, sse.py); delivery.py survives its own death
6  pump.py           tokens -> live.py or segments.py (what to show), rhythm.py (how often) -> pace.py (may it be sent?)
7  adapters/x        the pure renderer, and one call to the platform

Where the platform waits for the answer as the response to its own request, replies.py hands it over.

A file goes the other way round: attach.py brings what a user sends to the app, by upload (appapi.py, storage.py) or as
an address of ours (links.py); linked.py finds the files of an answer, download.py fetches them, from public addresses
only.

config.py, session.py (chatId, variables) and words.py are pure; http.py is the port; app.py builds it all, serve.py
runs it, cli.py has the commands. bridge.* never imports adapters.* but in app.py; an adapter imports bridge.model and
bridge.markdown only.
"""
