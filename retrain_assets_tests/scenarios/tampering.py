"""Changing a home and looking at what verifying it says: the kinds of changes, their number, and the home that is changed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from retrain_assets.cli.app import app
from retrain_assets.cli.verify import NAMES, verify_home
from retrain_assets.contract import RetrainError
from retrain_assets.home import Home
from retrain_assets_tests.scenarios.forging import flipped

CASES = {
    "values": 525,
    "bytes of the database": 300,
    "events": 150,
    "rewritten history": 200,
    "approvals": 130,
    "tail": 80,
    "checkpoints": 100,
    "evidence": 180,
    "bundles": 25,
    "flags": 100,
    "tokens": 100,
    "registry": 30,
    "packs": 80,
}
"""How many changes of each kind are made."""


@dataclass(frozen=True)
class Tampered:
    """The home, and its database as it was."""

    home: Home
    ledger: bytes

    @property
    def database(self) -> Path:
        return self.home.root / "ledger.db"

    def restore(self) -> None:
        """The database as it was."""
        for beside in ("ledger.db-wal", "ledger.db-shm"):
            (self.home.root / beside).unlink(missing_ok=True)
        scratch = self.database.with_name("as-it-was.db")
        scratch.write_bytes(self.ledger)
        scratch.replace(self.database)

    def found(self, *parts: str) -> str:
        """What verifying says first, as ``part: fault``; empty when it finds nothing."""
        try:
            found = verify_home(self.home, only=parts or NAMES)
        except RetrainError as error:
            return error.line
        return ": ".join(found.first) if found.first else ""

    def told(self) -> str:
        """The line that the command says, and that it is one line and exit code 4."""
        environment = {"RETRAIN_HOME": str(self.home.root)}
        result = CliRunner(env=environment).invoke(app, ["audit", "verify"])
        assert result.exit_code in (3, 4), f"exit {result.exit_code}\n{result.output}\n{result.exception!r}"
        assert isinstance(result.exception, SystemExit)
        lines = [line for line in result.stderr.splitlines() if not line.startswith("retrain: note:")]
        assert len(lines) == 1, result.stderr
        assert result.exit_code == 4, lines[0]
        return lines[0]


def draws(kind: str, part: int = 0, *, every: int = 1, skip: bool = False) -> Iterator[random.Random]:
    """A source of randomness for each change of a kind, the same in every run.

    Args:
        kind: of :data:`CASES`.
        part: which of those that are ``every`` apart.
        every: how far apart they are.
        skip: all but those.
    """
    for number in range(CASES[kind]):
        if (number % every == part) is not skip:
            yield random.Random(f"{kind} {number}")


def changed_file(path: Path, change: Callable[[Path], object], look: Callable[[], str]) -> str:
    """What is found after a change of one file, which is put back."""
    content, mode = path.read_bytes(), path.stat().st_mode
    try:
        change(path)
        return look()
    finally:
        path.write_bytes(content)
        path.chmod(mode)


def one_byte(draw: random.Random) -> Callable[[Path], object]:
    """Change one byte of a file."""
    return lambda path: flipped(path, draw)


def other_content(other: Path) -> Callable[[Path], object]:
    """Put another file's content in its place."""
    return lambda path: path.write_bytes(other.read_bytes())


def longer(draw: random.Random) -> Callable[[Path], object]:
    """Add a byte that a reader of JSON may not see."""
    more = draw.choice((b" ", b"\n", b"\0"))
    return lambda path: path.write_bytes(path.read_bytes() + more)
