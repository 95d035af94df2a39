"""What holds for all tests.

The gate tells about a change, not about luck: its properties are tried with the same examples each time.
``pytest --hypothesis-profile=explore`` looks for new ones. No test is timed: speed lives in make bench.
"""

from hypothesis import settings

settings.register_profile("gate", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile("gate")
