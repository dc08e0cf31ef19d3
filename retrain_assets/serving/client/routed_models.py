"""Every model as the flag document routes it and the ledger confirms, no bundle loaded: for services that score themselves."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping

from retrain_assets.contract import first_line
from retrain_assets.home import Home
from retrain_assets.release import ReleaseController
from retrain_assets.serving.live import LiveModel, UnknownModel
from retrain_assets.serving.live.flag_file import FlagFile
from retrain_assets.serving.live.live_model import Known, live_model
from retrain_assets.serving.live.models import LOOK_EVERY
from retrain_assets.serving.live.vouching import rules_on_record, vouched

RETRY_SECONDS = 1.0

_LOG = logging.getLogger(__name__)


class RoutedModels:
    """Looks at the flag document as it is asked, and at the ledger in a thread of its own whenever that changed.

    Args:
        home: the home.
        controller: of the home.

    Raises:
        RetrainError: where the ledger cannot be read.
    """

    def __init__(self, home: Home, controller: ReleaseController) -> None:
        self.home = home
        self.clock = controller.clock
        self._controller = controller
        self._flags = FlagFile(home.flags_path)
        self._models: Mapping[str, LiveModel] = {}
        self._known = Known()
        self._lock = threading.Lock()
        self._looked_at = -LOOK_EVERY
        self._wake = threading.Event()
        self._closed = False
        self._look()
        self._ask_ledger()
        self._asker = threading.Thread(target=self._run, name="routing keeper", daemon=True)
        self._asker.start()

    def current(self, model: str) -> LiveModel:
        """A model as it is routed at this moment.

        Raises:
            UnknownModel: where no flag document names it.
        """
        if time.monotonic() - self._looked_at >= LOOK_EVERY:
            self._look()
        try:
            return self._models[model]
        except KeyError:
            known = ", ".join(sorted(self._models)) or "none"
            raise UnknownModel(f"there is no model {model!r}", where="flags.json", remedy=f"models: {known}") from None

    def problems(self) -> list[str]:
        """What should be looked at, in words."""
        with self._lock:  # what is known and what is routed by it change together
            known, fault = self._known, self._flags.fault
        found = [one for one in (fault, known.fault) if one]
        for model in sorted(known.refused):
            found.append(f"{model}: flags.json routes it as the ledger does not say; refused; run: retrain reconcile")
        return found

    def close(self) -> None:
        """Stop asking the ledger."""
        self._closed = True
        self._wake.set()
        self._asker.join()

    def _look(self) -> None:
        if not self._lock.acquire(blocking=False):
            return  # another thread is at it
        try:
            self._looked_at = time.monotonic()
            changed = self._flags.look()
            self._rebuild(changed)
        finally:
            self._lock.release()
        if changed:
            self._wake.set()

    def _rebuild(self, changed: Iterable[str]) -> None:
        rules, before = self._flags.rules, self._models
        made = {model: live_model(rules[model], self._known, before.get(model)) for model in changed if model in rules}
        self._models = {model: live for model, live in {**before, **made}.items() if model in rules}

    def _run(self) -> None:
        retry: float | None = None
        while True:
            self._wake.wait(retry)
            self._wake.clear()
            if self._closed:
                return
            try:
                self._ask_ledger()
                retry = None
            except Exception as error:  # noqa: BLE001 (whatever a database or a damaged record raises: it is told, and tried again)
                _LOG.warning("the ledger cannot be asked: %s", first_line(error))
                with self._lock:
                    fault = f"the ledger cannot be asked ({first_line(error)})"
                    self._known = Known(vouched=self._known.vouched, confirmed=self._known.confirmed, fault=fault)
                retry = RETRY_SECONDS

    def _ask_ledger(self) -> None:
        with self._lock:
            sequence, rules = self._flags.sequence, self._flags.rules
        recorded, states = rules_on_record(self._controller, sequence), self._controller.states()
        confirmed = {model: rule for model, rule in rules.items() if recorded.get(model) == rule}
        refused = {model: rule for model, rule in rules.items() if model not in confirmed}
        told = {model: vouched(states[model], self._controller.evidence) for model in confirmed}
        with self._lock:
            before = self._known
            self._known = Known(vouched={**before.vouched, **told}, confirmed={**before.confirmed, **confirmed}, refused=refused)
            self._rebuild(self._flags.rules)
