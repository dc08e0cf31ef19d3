"""In which home each block is typed, and what was done there before."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.ledger import EventKind
from retrain_assets_tests.cli.world import MODEL, SECOND
from retrain_assets_tests.pages.shell import Shell
from retrain_assets_tests.scenarios.custody_home import Custody

WHO = '--reason "why" --as ruth@example.org'


@dataclass(frozen=True)
class Step:
    """Where a block is typed.

    Args:
        state: a fresh home of this state; None goes on where the block before it ended.
        before: what is done first.
        compare: whether the answer is held against the lines that the page shows.
    """

    state: str | None = None
    before: Callable[[Shell, Custody], None] | None = None
    compare: bool = False


GO_ON = Step()


def _type(*lines: str) -> Callable[[Shell, Custody], None]:
    def before(shell: Shell, home: Custody) -> None:
        for line in lines:
            shell.type(line)

    return before


def _promoted_today(shell: Shell, home: Custody) -> None:
    home.promote()


def _events(shell: Shell, home: Custody) -> None:
    """The payloads that a reader takes from ``audit show --json``."""
    for kind, file in ((EventKind.APPROVED, "payload.json"), (EventKind.TOGGLE_REGISTERED, "toggle_registered.json")):
        *_, event = home.controller.ledger.events(kinds=[kind])
        (shell.folder / file).write_text(json.dumps(event.payload, default=dict))


def _repository(shell: Shell, home: Custody) -> None:
    (shell.folder / "approvals" / MODEL).mkdir(parents=True)
    there = shell.folder.parent / "there.git"
    subprocess.run(["git", "init", "-q", "--bare", str(there)], check=True)
    _git(shell.folder, "init", "-q", "-b", "main")
    _git(shell.folder, "config", "user.name", "Ruth")
    _git(shell.folder, "config", "user.email", "ruth@example.org")
    _git(shell.folder, "config", "push.autoSetupRemote", "true")
    _git(shell.folder, "remote", "add", "origin", str(there))


def _environments(shell: Shell, home: Custody) -> None:
    """The project under git, its contract for two environments."""
    (file,) = shell.folder.rglob("defs.yaml")
    (file.parent / "features.py").write_text("def build(rows):\n    return rows\n")
    (file.parent / "schema.py").write_text("class Accounts:\n    pass\n")
    (shell.folder / ".gitignore").write_text("home*\n")
    _repository(shell, home)
    _git(shell.folder, "add", "-A")
    _git(shell.folder, "commit", "-qm", "first")
    _git(shell.folder, "push", "-q")


def _git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)


def _on_databricks(shell: Shell, home: Custody) -> None:
    (file,) = shell.folder.rglob("defs.yaml")
    cluster = "\n  compute: {databricks: {volume: /Volumes/main/retrain/state, cluster: {node_type: i3.xlarge}}}\n"
    file.write_text(file.read_text().rstrip() + cluster)


def _stopped_offline(shell: Shell, home: Custody) -> None:
    subjects = dict(home.controller.state(MODEL).retrains[SECOND].subjects)
    verdict = Verdict(
        Gate.OFFLINE, "slices_hold", Outcome.FAIL, "slice region=north is worse by 0.041; 0.02 is allowed", 0.041, 0.02
    )
    champion = home.controller.state(MODEL).champion
    assert champion is not None
    home.controller.record_gate(MODEL, SECOND, Gate.OFFLINE, [verdict], {**subjects, "champion": champion.bundle})
    assert home.controller.decide(MODEL, SECOND).decision == "reject"
    shell.names["2024-04-02"] = SECOND


def _rolled_back(shell: Shell, home: Custody) -> None:
    shell.type('retrain toggle rollback churn --reason "complaints doubled since noon" --as ruth@example.org')
    *_, event = home.controller.ledger.events(kinds=[EventKind.ROLLED_BACK])
    shell.names["close 27"] = f"close {event.sequence}"


def _unpacked(shell: Shell, home: Custody) -> None:
    with tarfile.open(shell.folder / f"{MODEL}-{SECOND}.tar.gz") as archive:
        archive.extractall(shell.folder, filter="data")
    shell.folder = shell.folder / f"{MODEL}-{SECOND}"
    os.chdir(shell.folder)
    *_, signature = sorted((shell.folder / "approvals").glob("*.sig"))
    shell.names["approvals/060"] = f"approvals/{signature.name.removesuffix('.json.sig')}"
    at = json.loads((shell.folder / "approvals" / signature.stem).read_text())["at"]
    shell.names["20130802060000"] = "".join(sign for sign in at[:19] if sign.isdigit())
    shell.names["system@…"] = (shell.folder / "allowed_signers").read_text().split()[0]


def _known_elsewhere(shell: Shell, home: Custody) -> None:
    public = home.home.system_key_path.with_name("system.pub")
    (shell.folder / "system.pub").write_bytes(public.read_bytes())
    *_, event = home.controller.ledger.events()
    shell.names["182:871a8f8f…"] = f"{event.sequence}:{event.hash}"


def _two_freezes(shell: Shell, home: Custody) -> None:
    for day in ("2024-07-01", "2024-07-02"):
        shell.type(f"retrain freeze add --from {day} --to 2024-07-09 {WHO}")


def _held_for_long(shell: Shell, home: Custody) -> None:
    shell.type(f"retrain toggle hold churn {WHO}")
    home.forward(days=11)


STEPS: dict[str, tuple[Step, ...]] = {
    "README.md": (GO_ON, GO_ON, GO_ON, Step("awaiting"), Step("ramping"), GO_ON),
    "approvals.md": (Step("awaiting"), Step(None, _events), Step("awaiting"), Step("awaiting", _repository), GO_ON),
    "audit.md": (GO_ON, Step("finished")),
    "benchmarks.md": (GO_ON,),
    "cli.md": (
        Step("awaiting", _promoted_today, compare=True),
        Step("ramping", _type(f"retrain freeze add --from 2024-04-05 --to 2024-04-08 {WHO.replace('why', 'spring sale')}")),
        Step("ramping", compare=True),
        Step("ramping"),
        Step("ramping", _held_for_long),
        Step(
            "finished",
            _two_freezes,
            compare=True,
        ),
        GO_ON,
        Step(None, _type("mkdir -p ~/.config/fish/completions")),
    ),
    "clients.md": (GO_ON,),
    "databricks.md": (GO_ON, GO_ON, Step("evaluated", _on_databricks), GO_ON),
    "demo.md": (Step("evaluated"), GO_ON),
    "emergencies.md": (
        Step("ramping"),
        Step("ramping", compare=True),
        Step(compare=True),
        Step("evaluated", _stopped_offline, compare=True),
        Step("ramping", _rolled_back),
    ),
    "environments.md": (Step("evaluated", _environments), GO_ON, GO_ON),
    "export.md": (Step("finished", compare=True), Step(None, _unpacked), GO_ON, GO_ON, GO_ON),
    "ledger.md": (GO_ON,),
    "observability.md": (Step("ramping"), GO_ON),
    "own-serving.md": (GO_ON, GO_ON, GO_ON),
    "rehearsal.md": (GO_ON, GO_ON, GO_ON),
    "review.md": (Step("finished"), GO_ON),
    "serving.md": (GO_ON, GO_ON, GO_ON, GO_ON, GO_ON, GO_ON, Step("ramping"), GO_ON),
    "toggles.md": (Step("ramping", compare=True), Step("ramping", compare=True), GO_ON, GO_ON),
    "ui.md": (GO_ON, GO_ON),
    "upgrades.md": (GO_ON,),
    "verification.md": (Step("finished", _known_elsewhere),),
}
"""Of each page, a step for each block that is typed here."""
