"""docs/trainers.md: every example is fitted, stored, read in a clean process and fitted again, and passes gate training."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from retrain_assets.bundle import load_bundle
from retrain_assets.compute import StageRequest, StageResult, run_stage
from retrain_assets.contract import CustodyError, Gate, StageError
from retrain_assets_tests.compute.conftest import Road, run_road
from retrain_assets_tests.compute.parcels import contract_values, write_source
from retrain_assets_tests.pages import blocks

PACKAGE = "page_of_trainers"
TRAINERS = [yaml.safe_load(block)["trainer"] for block in blocks("trainers.md", "yaml")]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A package with the modules of the page, importable as a project's are."""
    folder = tmp_path_factory.mktemp("project")
    for block in blocks("trainers.md", "python"):
        path = re.match(r"# (\S+\.py)\n", block)
        assert path is not None
        file = folder / PACKAGE / path[1]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block)
    (folder / PACKAGE / "__init__.py").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder


@pytest.fixture(scope="module")
def parcels(tmp_path_factory: pytest.TempPathFactory) -> Road:
    """Features to fit on."""
    folder = tmp_path_factory.mktemp("parcels")
    return run_road(folder, contract_values(write_source(folder / "source")))


def fitted(parcels: Road, trainer: dict[str, Any], folder: Path) -> StageResult:
    """The training stage with a trainer of the page."""
    path = trainer["estimator"]
    absolute = PACKAGE + path if path.startswith(".") else path
    contract = {**parcels.contract, "trainer": {**trainer, "estimator": absolute}}
    inputs = {"features": parcels.inputs()["features"]}
    return run_stage(StageRequest("training", contract["model"], "r", contract, inputs, str(folder), {}))


@pytest.mark.parametrize("trainer", TRAINERS, ids=lambda trainer: trainer["estimator"])
def test_each_example_passes_gate_training(trainer: dict[str, Any], parcels: Road, project: Path, tmp_path: Path) -> None:
    verdicts = fitted(parcels, trainer, tmp_path / "training").verdicts_of(Gate.TRAINING)
    assert [(one.check, one.message) for one in verdicts if not one.passed] == []
    (refit,) = [one for one in verdicts if one.check == "refit_reproduces"]
    assert refit.message.startswith("deterministic")


def test_a_model_of_ones_own_is_loaded_by_its_own_source_alone(parcels: Road, project: Path, tmp_path: Path) -> None:
    result = fitted(parcels, TRAINERS[-1], tmp_path / "training")
    directory = Path(result.outputs["bundle"]["uri"])
    assert "model.own" in result.metadata["manifest"]["files"]
    scored = load_bundle(directory).predictor.predict(np.zeros((3, 4)))
    file = project / PACKAGE / "trainers" / "network.py"
    before = file.read_text()
    try:
        file.write_text(before + "\n# another version\n")
        with pytest.raises(CustodyError, match=r"was made with .*Network of source sha256:") as refused:
            load_bundle(directory)
        recorded = re.search(r"sha256:\w+", refused.value.what)
        assert recorded is not None
        from page_of_trainers.trainers.network import Network  # type: ignore[import-not-found]

        Network.READS_SOURCES = (recorded[0],)
        assert np.array_equal(load_bundle(directory).predictor.predict(np.zeros((3, 4))), scored)
    finally:
        file.write_text(before)


def test_a_state_that_is_a_pickle_is_refused(
    parcels: Road, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pickle

    from page_of_trainers.trainers.network import Network

    monkeypatch.setattr(Network, "to_bytes", lambda self: pickle.dumps({}))
    with pytest.raises(StageError, match="to_bytes gives a pickle; write json, npz"):
        fitted(parcels, TRAINERS[-1], tmp_path / "training")
    shutil.rmtree(tmp_path / "training", ignore_errors=True)
