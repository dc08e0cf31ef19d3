from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.compute.databricks.order import digest_of_code, sent_code
from retrain_assets.contract import Contract
from retrain_assets_tests.compute.databricks.world import TEAM, contract_there


def contract(estimator: str, **changes: Any) -> Contract:
    values = json.loads(json.dumps(contract_there(**changes)))
    values["trainer"] |= {"estimator": estimator, "params": {}}
    return Contract.recorded(values)


def test_another_text_of_the_teams_own_estimator_is_other_code_for_the_stages_that_fit_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "parcel_models.py").write_text("class Forest:\n    depth = 3\n")
    own = contract("parcel_models.Forest")
    before = {stage: digest_of_code(own, stage) for stage in ("features", "training", "evaluation", None)}
    (tmp_path / "parcel_models.py").write_text("class Forest:\n    depth = 4\n")
    after = {stage: digest_of_code(own, stage) for stage in before}
    assert [stage for stage in before if before[stage] != after[stage]] == ["training", "evaluation", None]


def test_another_release_of_a_librarys_estimator_is_other_code_for_the_stages_that_fit_it() -> None:
    one, other = (contract("xgboost.XGBClassifier", libraries=[f"xgboost==3.{minor}.0"]) for minor in (1, 2))
    assert digest_of_code(one, "training") != digest_of_code(other, "training")
    assert digest_of_code(one, "features") == digest_of_code(other, "features")


def test_a_job_is_held_to_every_module_of_the_teams_package(team: Path) -> None:
    sent = sent_code(contract("lightgbm.LGBMClassifier"))
    helper = team / TEAM / "helper.py"
    helper.write_text("a = 1\n")
    try:
        found = sent_code(contract("lightgbm.LGBMClassifier"))
    finally:
        helper.unlink()
    assert [path for path in sent if sent[path] != found[path]] == [TEAM]
