"""What Prometheus sees. Labels hold names from the config, never ids of people or chats."""

from prometheus_client import Counter

TURNS = Counter("bridge_turns", "Turns that ended, by outcome", ["bot", "outcome"])
UPSTREAM_ERRORS = Counter("bridge_upstream_errors", "Errors of an app, by reason", ["app", "reason"])
REPEATED = Counter("bridge_repeated_sends", "Messages sent again because it is not known whether they arrived", ["bot"])
