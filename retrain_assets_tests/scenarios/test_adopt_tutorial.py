"""docs/adopt.md, typed as it stands into an empty folder: from a champion in a team's MLflow to the first retrain against it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from retrain_assets.contract import Gate, Outcome
from retrain_assets.home import Home
from retrain_assets.ledger import EventKind
from retrain_assets.registry import Registry
from retrain_assets.release import ReleaseController
from retrain_assets_tests.pages import blocks
from retrain_assets_tests.pages.shell import Shell


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Shell]:
    """A reader at the end of the page."""
    folder = tmp_path_factory.mktemp("adopt")
    (folder / "home").mkdir()
    for store in (folder / "team-mlflow.db", folder / "home" / "mlflow.db"):
        shutil.copy(empty_store, store)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        patch.setenv("RETRAIN_HOME", str(folder / "home"))
        shell = Shell(folder)
        for block in blocks("adopt.md", "console"):
            shell.type(block)
        yield shell


@pytest.fixture
def controller(reader: Shell) -> ReleaseController:
    return ReleaseController.open(Home(reader.folder / "home"))


def test_the_adopted_model_is_the_first_champion_on_an_approvers_word(controller: ReleaseController) -> None:
    state = controller.state("churn")
    adopted = next(iter(state.retrains.values()))
    assert state.champion == adopted.candidate
    trigger = adopted.trigger
    assert (trigger["kind"], trigger["source"], trigger["asked"]) == ("adopted", "models:/churn/1", "models:/churn@prod")
    bootstrapped = [event for event in controller.ledger.events() if event.kind is EventKind.CHAMPION_BOOTSTRAPPED]
    assert [str(event.actor) for event in bootstrapped] == ["person:ruth@example.org"]


def test_the_bundle_says_where_it_is_from_and_what_was_not_asked(reader: Shell) -> None:
    registry = Registry.of(Home(reader.folder / "home"))
    document = json.loads((registry.download("churn", "1") / "adoption.json").read_text())
    assert document["parameters"]["num_leaves"] == "7"
    assert document["compared"]["rows"] > 500
    assert document["compared"]["largest_difference"] <= 1e-9
    assert set(document["not_asked"]) == {"training_succeeded", "refit_reproduces", "recorded_for_reproduction", "within_budget"}
    assert registry.manifest("churn", "1")["code"]["adopted"] == "models:/churn/1"
    assert "of the source in the window that the model was fitted on" in document["sketch"]["of"]


def test_the_first_retrain_is_judged_against_it(controller: ReleaseController) -> None:
    state = controller.state("churn")
    adopted, first = state.retrains.values()
    offline = first.verdicts[Gate.OFFLINE]
    assert offline.subjects["champion"] == adopted.subjects["bundle"]
    assert offline.checks["not_worse_roc_auc"].verdict.outcome is Outcome.PASS


def test_the_commands_answer_as_the_page_says(reader: Shell) -> None:
    assert "churn: models:/churn/1 is version 1, retrain 20" in reader.answer("retrain adopt")
    assert "next: retrain bootstrap churn 20" in reader.answer("retrain adopt")
    assert "champion is version 1" in reader.answer("retrain status")
