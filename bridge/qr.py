"""QR codes for a terminal."""

from __future__ import annotations

import io


def drawn(text: str) -> str:
    """The QR code of a text, in half blocks, with the border that scanners need; about 25 lines."""
    import segno

    out = io.StringIO()
    segno.make(text, error="l", micro=False).terminal(out, compact=True, border=2)
    return out.getvalue()
