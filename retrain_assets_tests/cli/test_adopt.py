"""``retrain adopt``: what is refused before anything is recorded, and an adoption that was killed on its way."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import narwhals as nw
import pytest
from click.testing import Result

from retrain_assets.contract import Outcome
from retrain_assets.home import Home, ReplayClock
from retrain_assets.registry import Registry
from retrain_assets.registry.mlflow_store import connect
from retrain_assets.release import ReleaseController
from retrain_assets_tests.cli.world import write_project
from retrain_assets_tests.simulation import CONTRACT, accounts
from retrain_assets_tests.simulation.features import build

Run = Callable[..., Result]
ADOPT = ("adopt", "churn", "--version", "models:/churn@prod", "--as", "dana@example.org", "--reason", "it serves since January")


@pytest.fixture
def home(retrain_home: Path, empty_store: Path) -> Home:
    """A home whose MLflow has a champion of the team's own, version 1 native and version 2 pickled; and its project."""
    retrain_home.mkdir()
    shutil.copy(empty_store, retrain_home / "mlflow.db")
    write_project(retrain_home.parent, CONTRACT)
    found = Home(retrain_home)
    (retrain_home / "sources").mkdir()
    rows = accounts(days=70)
    rows.write_parquet(retrain_home / "sources" / "accounts.parquet")
    known = rows.head(2400)
    features = build(nw.from_native(known)).to_native().drop("account").to_pandas()
    with warnings.catch_warnings(), patch.dict(os.environ):
        warnings.simplefilter("ignore")
        _register(found, features, known["churned"].to_numpy())
    ReplayClock(found.replay_clock_path).set(datetime(2024, 3, 1, 6, tzinfo=UTC))
    return found


def _register(home: Home, features: Any, labels: Any) -> None:
    import mlflow.lightgbm
    import mlflow.sklearn
    from lightgbm import LGBMClassifier
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression

    client = connect(home.mlflow_uri)
    client.create_registered_model("churn")
    signature = infer_signature(features, labels)
    folder = home.root.parent / "theirs"
    booster = LGBMClassifier(n_estimators=40, num_leaves=7, verbose=-1, n_jobs=1).fit(features, labels).booster_
    mlflow.lightgbm.save_model(booster, folder / "1", signature=signature, pip_requirements=[])
    pickled = LogisticRegression().fit(features, labels)
    mlflow.sklearn.save_model(pickled, folder / "2", signature=signature, pip_requirements=[], serialization_format="pickle")
    for version in ("1", "2"):
        client.create_model_version("churn", source=(folder / version).as_uri())
    client.set_registered_model_alias("churn", "prod", "1")
    client.set_registered_model_alias("churn", "champion", "1")


def test_killed_on_its_way_and_run_again_it_is_one_version(home: Home, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*given: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(ReleaseController, "register_candidate", killed)
        with pytest.raises(AssertionError):
            run(*ADOPT)
    assert ReleaseController.open(home).state("churn").retrains["2024-03-01"].candidate is None
    registry = Registry.of(home)
    assert [version.version for version in registry.list_versions("churn")] == ["3"]
    said = run(*ADOPT).stdout
    assert "models:/churn/1 is version 3, retrain 2024-03-01" in said
    assert "it is not known whether it was fitted on rows of the hold-out" in said
    assert "nothing changed; it was so already" in run(*ADOPT).stdout
    assert [version.version for version in registry.list_versions("churn")] == ["3"]
    assert registry.aliases("churn") == {"prod": "1", "champion": "1"}
    state = ReleaseController.open(home).state("churn")
    assert all(record.outcome is Outcome.PASS for record in state.retrains["2024-03-01"].verdicts.values())
    run("bootstrap", "churn", "2024-03-01", "--reason", "mine", "--as", "dana@example.org", code=1)
    run("bootstrap", "churn", "2024-03-01", "--reason", "it has served well", "--as", "ruth@example.org")
    assert registry.aliases("churn") == {"prod": "1", "champion": "3"}
    again = run("audit", "reproduce", "churn", "2024-03-01").stdout
    assert "DIFFERENT" not in again.upper().replace("0 DIFFERENT", "")


def test_what_cannot_be_adopted_is_refused_before_anything_is_recorded(home: Home, run: Run) -> None:
    for options, code, said in (
        (("--version", "models:/churn/2"), 1, "it is a pickle, and reading a pickle runs whatever its writer put in"),
        (("--version", "models:/churn@gone"), 3, "models:/churn@gone is not there"),
        (("--version", "churn/1"), 3, "'churn/1' is no model of MLflow"),
        (("--trained-on", "2024-01-01..2024-02-28"), 1, "judge it later: --cutoff 2024-03-09"),
        (("--trained-on", "January"), 3, "'January' is no window"),
    ):
        assert said in run(*ADOPT, *options, code=code).stderr
    assert ReleaseController.open(home).state("churn").retrains == {}
