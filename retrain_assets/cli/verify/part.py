"""What verifying one part of the record gives: it holds, it is broken, or it could not be checked."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from retrain_assets.cli.exits import is_registry_fault
from retrain_assets.contract import CustodyError, RetrainError, first_line

MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError)
"""What rooms that work on recorded values raise when somebody else wrote them."""

_SILENT = ("locked", "unable to open", "disk i/o error", "interrupted")
"""What SQLite says when it cannot read; everything else it says of a file that is not what it wrote."""

SHOWN = 12
"""Faults of a part that are printed; JSON has all."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the record.

    Args:
        name: chain, checkpoints, approvals, evidence, bundles, flags, tokens, aliases or anchors.
        counted: what was checked, in words with counts.
        faults: what is not as recorded, one sentence each, first to last.
        unchecked: why it could not be checked; empty when it was.
        notes: what is no fault and worth knowing, one sentence each.
        begins: between which events the break has to lie, where that is known.
    """

    name: str
    counted: str
    faults: tuple[str, ...] = ()
    unchecked: str = ""
    notes: tuple[str, ...] = ()
    begins: str = ""

    @property
    def verdict(self) -> str:
        """One line: what was checked and whether it holds."""
        if self.faults:
            of = f" in {self.counted}" if self.counted else ""
            return f"BROKEN: {len(self.faults)} fault{'s'[: len(self.faults) > 1]}{of}"
        return f"NOT CHECKED: {self.unchecked}" if self.unchecked else f"holds: {self.counted}"

    def lines(self) -> list[str]:
        """What is printed below the verdict."""
        more = len(self.faults) - SHOWN
        left_out = [f"- and {more} more; --json lists all"] if more > 0 else []
        begins = [f"- {self.begins}"] if self.begins else []
        return [*begins, *(f"- {fault}" for fault in self.faults[:SHOWN]), *left_out, *(f"  {note}" for note in self.notes)]

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict; ``holds`` is None where nothing could be checked."""
        holds = False if self.faults else None if self.unchecked else True
        checked = self.counted if self.faults else self.unchecked or self.counted
        return {
            "part": self.name,
            "holds": holds,
            "checked": checked,
            "faults": list(self.faults),
            "notes": list(self.notes),
        }


def checked(name: str, check: Callable[[], Part]) -> Part:
    """What a check gives; a fault where it meets a broken record, not checked where something does not answer."""
    try:
        return check()
    except CustodyError as error:
        return Part(name, "", (error.line,))
    except RetrainError as error:
        return Part(name, "", unchecked=error.line)
    except (SQLAlchemyError, sqlite3.Error, UnicodeDecodeError) as error:
        return unreadable(name, error)
    except OSError as error:
        return Part(name, "", unchecked=f"{error.filename or 'a file'} cannot be read ({error.strerror})")
    except MALFORMED as error:
        what = f"{type(error).__name__}: {first_line(error)}"
        return Part(name, "", (f"the ledger says something this release never writes ({what})",))
    except Exception as error:
        if not is_registry_fault(error):  # MLflow's own, which is only known once it was needed
            raise
        return Part(name, "", unchecked=f"the registry does not answer ({first_line(error)})")


def unreadable(name: str, error: BaseException) -> Part:
    """The part of a database that gives no answer: broken where SQLite finds its file damaged, else not checked."""
    orig = getattr(error, "orig", None) or error
    said = first_line(orig) if isinstance(orig, Exception) else str(orig)
    if isinstance(orig, sqlite3.Error | UnicodeDecodeError) and not _is_silence(said):
        return Part(name, "", (f"the database cannot be read ({said})",))
    return Part(name, "", unchecked=f"the database does not answer ({said})")


def _is_silence(said: str) -> bool:
    return any(words in said.lower() for words in _SILENT)
