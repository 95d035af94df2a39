"""Clients of the open platform that nobody here wrote, each a program of its own: they prove that the fake is honest.

All do the same: answer a text with ``heard: …`` (or its length, when it is long), answer ``card`` with a card that is
streamed and closed, and answer a press with a toast.
"""
