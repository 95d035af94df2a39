"""What holds for all tests."""

from hypothesis import settings

settings.register_profile("shared machine", deadline=None)  # no test is timed: speed lives in make bench
settings.load_profile("shared machine")
