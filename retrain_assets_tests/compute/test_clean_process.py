from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from retrain_assets.bundle import load_bundle
from retrain_assets.compute import clean_process
from retrain_assets.compute.clean_process import in_clean_process
from retrain_assets.compute.frames import read_tables
from retrain_assets_tests.compute.conftest import Road

TELL = """
import json, os, sys, pathlib
import numpy
answer = pathlib.Path(sys.argv[-1])
numpy.save(answer / "scores.npy", numpy.zeros(1))
told = {"path": sys.path, "environment": dict(os.environ), "directory": os.getcwd(), "files": os.listdir(".")}
(answer / "features.json").write_text(json.dumps([[json.dumps(told), ""]]))
"""


def bundle_of(road: Road) -> tuple[Path, str, Path]:
    return (
        Path(road.inputs()["candidate"]),
        road.training.outputs["bundle"]["digest"],
        Path(road.inputs()["features"]) / "holdout.parquet",
    )


def test_it_scores_the_rows_as_this_process_does_and_tells_the_features_in_order(road: Road) -> None:
    bundle, digest, rows = bundle_of(road)
    found = in_clean_process(bundle, digest, rows)
    assert found.error is None
    assert np.array_equal(found.scores, load_bundle(bundle).score(read_tables(rows.parent).holdout))
    assert found.features == (("depot", "categorical"), ("weight", "numeric"), ("rain", "numeric"), ("heavy", "boolean"))


def test_it_inherits_neither_path_nor_environment_nor_working_directory(
    road: Road, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONSTARTUP", "x")
    monkeypatch.setenv("SECRET", "x")
    monkeypatch.syspath_prepend(str(tmp_path / "team"))
    monkeypatch.setattr(clean_process, "PROBE_ARGUMENTS", ("-c", TELL))
    found = in_clean_process(*bundle_of(road))
    assert found.features is not None
    told = json.loads(found.features[0][0])
    assert not {str(tmp_path), str(tmp_path / "team"), "", str(Path.cwd())} & set(told["path"])
    assert not {"PYTHONPATH", "PYTHONSTARTUP", "SECRET", "RETRAIN_HOME"} & set(told["environment"])
    assert told["directory"] != str(Path.cwd())
    assert not Path(told["directory"]).exists()


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("raise KeyError('depot')", "KeyError: 'depot'"),
        ("import sys; sys.exit(3)", "it ended with exit code 3 and said nothing"),
        ("import os; os.abort()", "it ended with exit code -6 and said nothing"),
        ("pass", "its answer cannot be read"),
        ("import sys, time; print('waiting', file=sys.stderr, flush=True); time.sleep(60)", "did not answer within 0.5 s"),
    ],
    ids=["raises", "exit code", "dies", "no answer", "hangs"],
)
def test_a_process_that_fails_gives_one_line(road: Road, monkeypatch: pytest.MonkeyPatch, code: str, error: str) -> None:
    monkeypatch.setattr(clean_process, "PROBE_ARGUMENTS", ("-c", code))
    found = in_clean_process(*bundle_of(road), timeout_s=0.5 if "sleep" in code else 60)
    assert found.scores is None
    assert found.error is not None
    assert error in found.error
    assert "\n" not in found.error


def test_a_bundle_that_is_not_the_recorded_one_is_refused_there_too(road: Road) -> None:
    bundle, _, rows = bundle_of(road)
    found = in_clean_process(bundle, "sha256:0", rows)
    assert found.error is not None
    assert "recorded is sha256:0; it is refused" in found.error
