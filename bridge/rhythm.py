"""How far apart the previews of one answer are.

Rules of this file:
- pure: seconds in, seconds out;
- the first few come at the platform's least distance, for that is when somebody waits; then each is a little later than
  the one before, up to ``Caps.slowest``;
- where calls cost money (``Caps.previews``), the last of them are stretched, so a long answer costs little more than a
  short one, and still moves now and then;
- a status line and the reasoning are shown as they change, but take none of the previews from the words: where these
  are counted, they are stretched from the beginning.
"""

from __future__ import annotations

from bridge.model import Caps

FEW = 4
"""Previews at the least distance."""
GROWTH = 1.2
"""How much longer each next distance is."""
LAST = 5
"""Of ``Caps.previews``, how many are left when the stretching begins."""
STRETCH = 1.6
LONGEST = 60.0
"""Seconds that an answer may seem to stand still."""


class Rhythm:
    """Counts the previews of one answer."""

    def __init__(self, caps: Caps) -> None:
        self._interval = caps.interval
        self._slowest = max(caps.interval, caps.slowest)
        self._most = caps.previews
        self._shown = 0
        self._wordless = 0

    def wordless(self) -> float:
        """One more without words was shown: seconds until the next such one may be."""
        if self._most is None:
            return self._interval
        self._wordless += 1
        return min(LONGEST, self._slowest * STRETCH ** min(self._wordless, 20))

    def shown(self) -> float:
        """One more was shown: seconds until the next one may be."""
        self._shown += 1
        distance = min(self._slowest, self._interval * GROWTH ** min(60, max(0, self._shown - FEW)))
        if self._most is not None and (over := self._shown - (self._most - LAST)) > 0:
            distance = max(distance, min(LONGEST, distance * STRETCH ** min(over, 20)))
        return distance
