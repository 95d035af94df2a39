"""QR codes for a terminal."""

from __future__ import annotations

import io


def drawn(text: str) -> str:
    """The QR code of a text, in half blocks, with the border that scanners need; about 25 lines. The text itself when
    no code can hold it."""
    import segno

    out = io.StringIO()
    try:
        segno.make(text, error="l", micro=False).terminal(out, compact=True, border=2)
    except ValueError:
        return text
    return out.getvalue()
