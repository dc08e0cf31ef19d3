"""When the flag document was written, by the machine's clock: how long a change took to reach what serving reads.

A trace, not a record: it may be deleted at any time, and nothing is decided by it.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from retrain_assets.home import Home


def note_written(flags: Path, sequence: int) -> None:
    """Note that the flag document shows an event from now on. A folder that cannot be written is no reason not to route.

    Args:
        flags: the flag document.
        sequence: the last event it shows.
    """
    with suppress(OSError):
        trace = _trace(flags)
        trace.parent.mkdir(parents=True, exist_ok=True)
        with trace.open("a", encoding="ascii") as file:
            file.write(f"{sequence} {datetime.now(UTC).isoformat()}\n")


def flags_written_at(home: Home, sequence: int) -> datetime | None:
    """When the flag document first showed an event; None where that was not noted."""
    try:
        lines = _trace(home.flags_path).read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    for line in lines:
        shown, _, at = line.partition(" ")
        if shown.isdigit() and int(shown) >= sequence:
            with suppress(ValueError):
                return datetime.fromisoformat(at)
    return None


def _trace(flags: Path) -> Path:
    return flags.parent / "cache" / "flags-written.log"
