"""The flag document as a worker sees it: read anew when it changed, and the last good one kept when it cannot be understood."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retrain_assets.contract import CustodyError, RetrainError
from retrain_assets.routing import RoutingRule, compile_rule, rules_from_document

Stamp = tuple[int, int, int]

REMEDY = "run: retrain reconcile"


class FlagFile:
    """Rules of every model, as of the last document that could be understood.

    Args:
        path: the flag document.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rules: Mapping[str, RoutingRule] = {}
        self.sequence = 0
        self.fault: str | None = None
        self._confirmed_sequence = 0
        self._confirmed_models: frozenset[str] = frozenset()
        self._flags: Mapping[str, Any] = {}
        self._stamp: Stamp | None = (0, 0, 0)

    def confirm(self, sequence: int) -> None:
        """A document of a ledger sequence is the ledger's: no older one is taken any more, nor one that lacks its models."""
        if sequence == self.sequence:
            self._confirmed_sequence, self._confirmed_models = sequence, frozenset(self.rules)

    def look(self) -> frozenset[str]:
        """Read the document if it changed since the last look; the models whose flag is another one now, or is gone."""
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return frozenset()
        self._stamp = stamp
        try:
            document = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            self.fault = f"{self.path}: is missing; bootstrap a model, or {REMEDY}"
        except OSError as error:
            self.fault, self._stamp = f"{self.path}: cannot be read ({error.strerror}); make it readable for serving", (0, 0, 0)
        except ValueError as error:
            self.fault = f"{self.path}: is not JSON ({error}); {REMEDY}"
        else:
            return self._understand(document)
        return frozenset()

    def _understand(self, document: Any) -> frozenset[str]:
        try:
            return self._take(document)
        except RetrainError as error:
            self.fault = f"{self.path}: {error.line}"
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            self.fault = f"{self.path}: cannot be understood ({error!r}); {REMEDY}"
        return frozenset()

    def _stamp_now(self) -> Stamp | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _take(self, document: Any) -> frozenset[str]:
        flags, sequence = _parts(document)
        if sequence < self._confirmed_sequence:
            raise CustodyError(
                f"it is of ledger sequence {sequence}, {self._confirmed_sequence} was served already", remedy=REMEDY
            )
        if gone := sorted(self._confirmed_models - flags.keys()):
            raise CustodyError(f"flag {gone[0]} is gone", remedy=REMEDY)
        changed = {name: flag for name, flag in flags.items() if self._flags.get(name) != flag}
        rules = rules_from_document({"flags": changed})
        for rule in rules.values():
            compile_rule(rule)
        left = self._flags.keys() - flags.keys()
        self.rules = {name: rules.get(name) or self.rules[name] for name in flags}
        self._flags, self.sequence, self.fault = flags, sequence, None
        return frozenset(changed.keys() | left)


def _parts(document: Any) -> tuple[Mapping[str, Any], int]:
    if not isinstance(document, dict) or not isinstance(flags := document.get("flags"), dict):
        raise CustodyError("there is no flags object", remedy=REMEDY)
    metadata = document.get("metadata")
    sequence = metadata.get("ledger_sequence") if isinstance(metadata, dict) else None
    if type(sequence) is not int:
        raise CustodyError("it does not say which ledger sequence it is of", remedy=REMEDY)
    return flags, sequence
