"""A small home with everything custody is about: a promoted, a rolled back and a stopped retrain, signed by people, anchored."""

from __future__ import annotations

import subprocess
from copy import deepcopy
from datetime import timedelta
from pathlib import Path

from retrain_assets.contract import Approval, Contract, Gate, Outcome, Verdict
from retrain_assets.ledger import SYSTEM, Act, sign_with_ssh_keygen
from retrain_assets.release import anchoring
from retrain_assets.release.access import Access, Scope
from retrain_assets.release.orders import Credential
from retrain_assets.release.signing import LASTING, Case, Signed
from retrain_assets.reports import write_pack
from retrain_assets_tests.cli.world import ATTRIBUTES, FIRST, MODEL, RUTH, SECOND, World

THIRD, FOURTH = "2024-05-01", "2024-06-01"
PEOPLE = ("ruth@example.org", "paul@example.org")


def keys(folder: Path) -> dict[str, Path]:
    """An Ed25519 key of each person, made by ``ssh-keygen``."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {person: folder / person.partition("@")[0] for person in PEOPLE}
    for person, file in made.items():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", person, "-f", str(file)], check=True)
    return made


class Custody(World):
    """The home, and what happened in it.

    Args:
        root: the home.
        people: private keys by person.
    """

    def __init__(self, root: Path, people: dict[str, Path]) -> None:
        super().__init__(root)
        self.people = people
        self.values = deepcopy(ATTRIBUTES)
        signers = "".join(f"{person} {file.with_suffix('.pub').read_text()}" for person, file in people.items())
        self.values["approval"]["allowed_signers"] = signers
        self.values["experiment"]["guardrails"]["complaint"]["margin"] = 0.4  # units are drawn anew at each build
        self.contract = Contract.model_validate(self.values)

    def build(self) -> None:
        """From nothing to four ended retrains, a token, packs, a Dagster instance that knows the head, and a checkpoint."""
        self.begin()
        self.bootstrap()
        self.ramp()
        assert self.look().action == "ask_approval"
        self.promote()
        self.finish()

    def promote(self) -> None:
        """Ruth approves what awaits it, and it goes live."""
        case, terms = self.controller.approval_case(MODEL, SECOND, RUTH, "cheaper")
        self.controller.approve(MODEL, SECOND, RUTH, "cheaper", signed=self.signed(case, terms))
        assert self.controller.decide(MODEL, SECOND).decision == "promote"

    def finish(self) -> None:
        """After the promotion: a retrain that is rolled back, one that is stopped, and what is left of all."""
        Access(self.home, self.controller.ledger, self.clock).add("checkout", SYSTEM, [Scope.PREDICT], RUTH, "for the checkout")
        self._rolled_back()
        self._stopped()
        for key in (FIRST, SECOND, THIRD, FOURTH):
            self.controller.record_audit(MODEL, key, write_pack(self.home, MODEL, key).digest)
            self._materialised("audit_record", key)
        anchoring.checkpoint(self.controller.ledger, self.home, self.clock.now())

    def bootstrap(self) -> None:
        case, terms = self.controller.bootstrap_case(self.contract, FIRST, RUTH, "first champion")
        self.controller.bootstrap(self.contract, FIRST, RUTH, "first champion", signed=self.signed(case, terms))
        self._compared(SECOND)

    def signed(self, case: Case, terms: Approval) -> Signed:
        """A person's statement about a case, signed with their key."""
        lasting = case.now + terms.valid_for if case.act in LASTING else None
        statement = case.statement(lasting)
        key = self.people[case.actor.name]
        return Signed(statement, sign_with_ssh_keygen(statement.bytes, key, case.act.namespace))

    def _rolled_back(self) -> None:
        """The third retrain reaches traffic, and an operator takes it back."""
        self._next(THIRD)
        controller, toggle = self.controller, f"{MODEL}-{THIRD}"
        controller.register_and_arm(self.contract, THIRD, SYSTEM, "gates passed")
        controller.step(toggle, SYSTEM, "enter the ramp")
        case, terms = controller.order_case(Act.ROLL_BACK, toggle, RUTH, "prices look wrong")
        controller.rollback(toggle, RUTH, "prices look wrong", credential=Credential(signed=self.signed(case, terms)))
        assert controller.decide(MODEL, THIRD).decision == "reject"

    def _stopped(self) -> None:
        """The fourth fails its offline gate."""
        self._next(FOURTH, Outcome.FAIL)
        assert self.controller.decide(MODEL, FOURTH).decision == "reject"

    def _next(self, key: str, outcome: Outcome = Outcome.PASS) -> None:
        self.clock.set(self.clock.now() + timedelta(days=20))
        self.candidate(key)
        self._compared(key, outcome)

    def _compared(self, key: str, outcome: Outcome = Outcome.PASS) -> None:
        state = self.controller.state(MODEL)
        assert state.champion is not None
        subjects = {**state.retrains[key].subjects, "champion": state.champion.bundle}
        verdict = Verdict(Gate.OFFLINE, "holds", outcome, "as measured", 0.7, 0.6)
        self.controller.record_gate(MODEL, key, Gate.OFFLINE, [verdict], subjects)

    def _materialised(self, asset: str, key: str) -> None:
        import dagster as dg

        from retrain_assets.replay.engine import persistent_instance

        with persistent_instance(self.home) as instance:
            head = {anchoring.HEAD_METADATA: anchoring.head_anchor(self.controller.ledger)}
            instance.report_runless_asset_event(dg.AssetMaterialization([MODEL, asset], partition=key, metadata=head))
