"""The folded state, kept below the home so that a process does not fold the whole ledger again. Nothing is decided on it.

It is used only where the ledger's chain at its sequence has its hash, and only by the very code that wrote it. What changes
activation folds the model's own events again (``door``); verifying and reproducing never read it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, overload

from retrain_assets.contract import Gate, Verdict
from retrain_assets.home import Home
from retrain_assets.ledger import Ledger
from retrain_assets.ledger.reading import all_stays
from retrain_assets.release.fold import fold
from retrain_assets.release.kept_values import field_names, field_values, from_plain, to_plain
from retrain_assets.release.platform import PlatformState
from retrain_assets.release.state import Decision, GateRecord, ModelState, RetrainState, ToggleState

WORTH_KEEPING = 500
"""After how many events more than are kept the state is kept anew; so many are folded in well under a second."""

_LOG = logging.getLogger(__name__)
_PACKAGE = Path(__file__).parents[1]
_CODE = (
    *(
        f"release/{name}.py"
        for name in ("fold", "platform", "state", "follow_ups", "signed_override", "kept_state", "kept_values")
    ),
    *(f"contract/{name}.py" for name in ("approval", "control", "digests", "signers", "verdict")),
    *(f"ledger/{name}.py" for name in ("events", "rows", "versions")),
    "routing",
)
"""What the meaning of an event rests on; a state kept by other code is not used."""
_TABLES = """
CREATE TABLE IF NOT EXISTS kept (id INTEGER PRIMARY KEY CHECK (id = 1), sequence INTEGER, hash TEXT, code TEXT, platform TEXT);
CREATE TABLE IF NOT EXISTS models (model TEXT PRIMARY KEY, value TEXT);
CREATE TABLE IF NOT EXISTS items (model TEXT, name TEXT, kind TEXT, place INTEGER, value TEXT, contract TEXT, part TEXT,
    PRIMARY KEY (model, kind, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS contracts (digest TEXT PRIMARY KEY, value TEXT);
CREATE TABLE IF NOT EXISTS parts (digest TEXT PRIMARY KEY, value BLOB);
"""


@dataclass(frozen=True, slots=True)
class Folded:
    """What a ledger amounts to up to one of its events."""

    states: Mapping[str, ModelState]
    platform: PlatformState
    sequence: int


class KeptState:
    """The kept state of one home and its ledger.

    Args:
        home: below which it is kept.
        ledger: whose events it was folded from.
    """

    def __init__(self, home: Home, ledger: Ledger) -> None:
        self.path = home.root / "cache" / "state.db"
        self._ledger = ledger
        code_version()  # now: once the package is upgraded in place, its files are no longer the code that runs here

    def read(self) -> Folded | None:
        """What was kept; None where nothing is, or it is not of this ledger and this code."""
        if not self.path.exists():
            return None
        try:
            with closing(self._connect()) as connection:
                connection.execute("BEGIN")
                if (kept := self._fitting(connection)) is None:
                    return None
                with all_stays():
                    return Folded(_models(connection, self._verdicts), _platform(kept[1]), kept[0])
        except (sqlite3.Error, ValueError, TypeError, KeyError, OSError) as error:
            _LOG.warning("the kept state %s cannot be read (%s); the ledger is folded anew", self.path, error)
            return None

    def keep(self, folded: Folded) -> bool:
        """Keep a state, unless a later one is kept; False where it was not. What was kept is replaced in one transaction."""
        head = self._ledger.hash_of(folded.sequence)
        if head is None:
            return False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connect()) as connection:
                connection.executescript(_TABLES)
                connection.execute("BEGIN IMMEDIATE")
                kept = self._fitting(connection)
                if kept is not None and kept[0] >= folded.sequence:
                    return False
                if kept is None:
                    for table in ("kept", "models", "items", "contracts", "parts"):
                        connection.execute(f"DELETE FROM {table}")
                for model, names in self._touched(folded, kept[0] if kept else None).items():
                    _write_model(connection, folded.states[model], names)
                row = (folded.sequence, head, code_version(), json.dumps(to_plain(folded.platform, PlatformState)))
                connection.execute("INSERT OR REPLACE INTO kept VALUES (1, ?, ?, ?, ?)", row)
                connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            return self._not_kept(error)
        except OSError as error:
            _LOG.info("the folded state is not kept: %s", error)
            return False
        return True

    def _not_kept(self, error: sqlite3.DatabaseError) -> bool:
        """A damaged file goes, so that the next one can be kept; one that is busy or on a full disk stays."""
        _LOG.info("the folded state is not kept: %s", error)
        if not isinstance(error, sqlite3.OperationalError):
            self.path.unlink(missing_ok=True)
        return False

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=5, isolation_level=None)

    def _fitting(self, connection: sqlite3.Connection) -> tuple[int, str] | None:
        """Sequence and platform of what is kept; None where it is of another chain or of other code."""
        row = connection.execute("SELECT sequence, hash, code, platform FROM kept").fetchone()
        if row is None:
            return None
        sequence, head, code, platform = row
        if code != code_version():
            _LOG.info("the state was kept by another version of this program; the ledger is folded anew")
        elif self._ledger.hash_of(sequence) != head:
            _LOG.warning("the kept state is of another chain at event %s; it is dropped and the ledger folded anew", sequence)
        else:
            return sequence, platform
        return None

    def _touched(self, folded: Folded, since: int | None) -> dict[str, set[str] | None]:
        """By model the retrains and toggles that events since then are about; None for all of them."""
        if since is None:
            return dict.fromkeys(folded.states)
        found: dict[str, set[str]] = {}
        for model, retrain, toggle in self._ledger.subjects(after=since, until=folded.sequence):
            if model in folded.states:
                of_retrain = folded.states[model].toggle_of(retrain) if retrain else None
                names = (retrain, toggle, of_retrain.name if of_retrain else None)
                found.setdefault(model, set()).update(name for name in names if name)
        return dict(found)

    def _verdicts(self, model: str, retrain: str, digest: str) -> tuple[Any, Any]:
        """The verdicts of an ended retrain, of its gates and of its decision; folded anew where they are not kept any more."""
        try:
            with closing(self._connect()) as connection:
                (packed,) = connection.execute("SELECT value FROM parts WHERE digest = ?", (digest,)).fetchone()
            text = zlib.decompress(packed)
            if hashlib.sha256(text).hexdigest() == digest:
                gates, decided = json.loads(text)
                return from_plain(gates, _GATES), from_plain(decided, _DECIDED)
        except (sqlite3.Error, zlib.error, ValueError, TypeError) as error:
            _LOG.info("verdicts of %s %s are folded anew: %s", model, retrain, error)
        known = fold(self._ledger.events(model=model, retrain=retrain))[model].retrains[retrain]
        return known.verdicts, known.decision.verdicts if known.decision else ()


@cache
def code_version() -> str:
    """Digest of the code that says what events mean and how that is kept."""
    digest = hashlib.sha256()
    for name in _CODE:
        place = _PACKAGE / name
        for path in sorted(place.glob("*.py")) if place.is_dir() else [place]:
            digest.update(path.read_bytes())
    return digest.hexdigest()


class _Later:
    """Verdicts of an ended retrain, read when somebody asks."""

    __slots__ = ("_found", "_read")

    def __init__(self, read: Callable[[], tuple[Any, Any]]) -> None:
        self._read = read
        self._found: tuple[Any, Any] | None = None

    def found(self) -> tuple[Any, Any]:
        if self._found is None:
            self._found = self._read()
        return self._found


class _GatesLater(Mapping[Gate, GateRecord]):
    __slots__ = ("_later",)

    def __init__(self, later: _Later) -> None:
        self._later = later

    def __getitem__(self, gate: Gate) -> GateRecord:
        found: GateRecord = self._later.found()[0][gate]
        return found

    def __iter__(self) -> Iterator[Gate]:
        return iter(self._later.found()[0])

    def __len__(self) -> int:
        return len(self._later.found()[0])

    def __repr__(self) -> str:
        return repr(self._later.found()[0])


class _VerdictsLater(Sequence[Any]):
    __slots__ = ("_later",)

    def __init__(self, later: _Later) -> None:
        self._later = later

    @overload
    def __getitem__(self, place: int) -> Any: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Any]: ...
    def __getitem__(self, place: int | slice) -> Any:
        return self._later.found()[1][place]

    def __len__(self) -> int:
        return len(self._later.found()[1])

    def __eq__(self, other: object) -> bool:
        return tuple(self) == (tuple(other) if isinstance(other, _VerdictsLater) else other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


def _platform(text: str) -> PlatformState:
    kept: PlatformState = from_plain(json.loads(text), PlatformState)
    return kept


def _models(connection: sqlite3.Connection, verdicts: Callable[[str, str, str], tuple[Any, Any]]) -> dict[str, ModelState]:
    contracts = {digest: json.loads(text) for digest, text in connection.execute("SELECT digest, value FROM contracts")}
    items: dict[str, dict[str, dict[str, Any]]] = {"toggle": {}, "retrain": {}}
    query = "SELECT model, name, kind, value, contract, part FROM items ORDER BY model, kind, place"
    for model, name, kind, text, contract, part in connection.execute(query):
        row = json.loads(text)
        if kind == "toggle":
            values = field_values(row, ToggleState)
            values[_CONTRACT] = contracts[contract]
            one: Any = ToggleState(*values)
        else:
            one = _retrain(row, model, name, part, verdicts)
        items[kind].setdefault(model, {})[name] = one
    found = {}
    for model, text in connection.execute("SELECT model, value FROM models ORDER BY rowid"):
        values = field_values(json.loads(text), ModelState)
        values[_TOGGLES], values[_RETRAINS] = items["toggle"].get(model, {}), items["retrain"].get(model, {})
        found[model] = ModelState(*values)
    return found


def _retrain(
    row: list[Any], model: str, key: str, part: str | None, verdicts: Callable[[str, str, str], tuple[Any, Any]]
) -> RetrainState:
    values = field_values(row, RetrainState)
    if part is not None:
        later = _Later(lambda: verdicts(model, key, part))
        values[_OF_GATES] = _GatesLater(later)
        if (decision := values[_DECISION]) is not None:
            values[_DECISION] = Decision(decision.decision, _VerdictsLater(later), decision.approvals, decision.reason)
    return RetrainState(*values)


def _write_model(connection: sqlite3.Connection, state: ModelState, names: set[str] | None) -> None:
    """Write a model, and of its toggles and retrains those that are named."""
    header = json.dumps(to_plain(replace(state, toggles={}, retrains={}), ModelState))
    connection.execute(
        "INSERT INTO models VALUES (?, ?) ON CONFLICT (model) DO UPDATE SET value = excluded.value", (state.model, header)
    )
    for place, (name, toggle) in enumerate(state.toggles.items()):
        if names is None or name in names:
            contract = json.dumps(dict(toggle.contract))
            digest = hashlib.sha256(contract.encode()).hexdigest()
            connection.execute("INSERT OR IGNORE INTO contracts VALUES (?, ?)", (digest, contract))
            text = json.dumps(to_plain(replace(toggle, contract={}), ToggleState))
            connection.execute(_PUT, (state.model, name, "toggle", place, text, digest, None))
    for place, (key, retrain) in enumerate(state.retrains.items()):
        if names is None or key in names:
            slim, part = _slim(connection, retrain) if retrain.ended is not None else (retrain, None)
            text = json.dumps(to_plain(slim, RetrainState))
            connection.execute(_PUT, (state.model, key, "retrain", place, text, None, part))


def _slim(connection: sqlite3.Connection, retrain: RetrainState) -> tuple[RetrainState, str]:
    """An ended retrain without its verdicts, which are most of it and seldom asked for, and the digest of what holds them."""
    decision = retrain.decision
    decided = decision.verdicts if decision else ()
    text = json.dumps([to_plain(retrain.verdicts, _GATES), to_plain(decided, _DECIDED)]).encode()
    digest = hashlib.sha256(text).hexdigest()
    connection.execute("INSERT OR IGNORE INTO parts VALUES (?, ?)", (digest, zlib.compress(text, 1)))
    return replace(retrain, verdicts={}, decision=replace(decision, verdicts=()) if decision else None), digest


_PUT = "INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?, ?, ?, ?)"
_GATES, _DECIDED = Mapping[Gate, GateRecord], tuple[Verdict, ...]
_CONTRACT = field_names(ToggleState).index("contract")
_OF_GATES, _DECISION = (field_names(RetrainState).index(name) for name in ("verdicts", "decision"))
_TOGGLES, _RETRAINS = (field_names(ModelState).index(name) for name in ("toggles", "retrains"))
