from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from retrain_assets.bundle import (
    IMPORTANCE,
    SKETCH,
    Calibration,
    Encoding,
    EstimatorPredictor,
    Manifest,
    environment,
    load_bundle,
    save_bundle,
)
from retrain_assets.contract import CustodyError, RegistryUnavailable, RetrainError
from retrain_assets.registry import Registry
from retrain_assets.registry.mlflow_store import connect

FRAME = pl.DataFrame({"depot": ["north", "south"] * 20, "rain": np.sin(np.arange(40.0)), "wet": [True, False] * 20})


def bundle(folder: Path, retrain: str = "2024-03-01", seed: int = 7) -> tuple[Path, dict[str, Any], str]:
    """A small real bundle: directory, manifest and digest."""
    from sklearn.linear_model import LogisticRegression

    encoding = Encoding.of(FRAME, FRAME.columns)
    fitted = LogisticRegression().fit(encoding.matrix(FRAME), (FRAME["rain"] > 0).to_numpy().astype(int))
    manifest = Manifest(
        model="parcel_delay",
        retrain=retrain,
        task="binary_classification",
        estimator="sklearn.linear_model.LogisticRegression",
        params={"C": 1.0},
        feature_names=encoding.names,
        feature_dtypes=dict(encoding.kinds),
        feature_function="parcels.build",
        feature_pipeline="sha256:f",
        dataset="sha256:d",
        label={"column": "late", "delay": "1d"},
        window={"train_start": "a", "train_end": "b", "holdout_end": "c"},
        calibration={"kind": "none", "fitted_on": ""},
        decision={"threshold": 0.5},
        classes=(0, 1),
        seed=seed,
        code={"commit": None, "dirty": None},
        environment=environment(),
        files={},
    )
    directory = folder / f"{retrain}-{seed}"
    saved = save_bundle(
        directory,
        manifest,
        predictor=EstimatorPredictor(fitted, "binary_classification"),
        encoding=encoding,
        calibration=Calibration("none"),
        documents={IMPORTANCE: {}, SKETCH: {}},
    )
    return directory, saved.to_json(), saved.digest


def test_a_bundle_comes_back_as_it_went_in(registry: Registry, tmp_path: Path) -> None:
    directory, manifest, digest = bundle(tmp_path)
    version = registry.register(
        directory, manifest, digest, metrics={"roc_auc": 0.8, "undefined": None}, tags={"trigger": "drift"}
    )
    back = load_bundle(registry.download("parcel_delay", version), digest)
    assert np.array_equal(back.score(FRAME), load_bundle(directory).score(FRAME))
    assert registry.manifest("parcel_delay", version) == json.loads(json.dumps(manifest))
    assert registry.tags("parcel_delay", version) == {
        "status": "candidate",
        "retrain": "2024-03-01",
        "trigger": "drift",
        "bundle_digest": digest,
    }


def test_the_same_bundle_twice_is_one_version_and_another_one_is_the_next(registry: Registry, tmp_path: Path) -> None:
    first, second = bundle(tmp_path), bundle(tmp_path, seed=8)
    assert [registry.register(*first), registry.register(*first), registry.register(*second)] == ["1", "1", "2"]
    assert [found.bundle for found in registry.list_versions("parcel_delay")] == [first[2], second[2]]
    assert registry.version_of(second[2]) == "2"
    assert registry.version_of("sha256:0") is None


def test_one_experiment_per_model_and_one_run_per_candidate(registry: Registry, tmp_path: Path) -> None:
    directory, manifest, digest = bundle(tmp_path)
    registry.register(directory, manifest, digest, metrics={"roc_auc": 0.8, "undefined": None})
    registry.register(*bundle(tmp_path, "2024-04-01"))
    client = connect(registry.tracking_uri)
    experiment = client.get_experiment_by_name("parcel_delay")
    runs = sorted(client.search_runs([experiment.experiment_id]), key=lambda run: run.info.run_name)
    assert [run.info.run_name for run in runs] == ["2024-03-01", "2024-04-01"]
    assert runs[0].info.status == "FINISHED"
    assert runs[0].data.metrics == {"roc_auc": 0.8}
    assert runs[0].data.params["param.C"] == "1.0"
    assert runs[0].data.params["holdout_end"] == "c"
    assert experiment.artifact_location == (tmp_path / "artifacts" / "parcel_delay").as_uri()


@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")  # mlflow.pyfunc, of itself, on import
def test_mlflow_itself_loads_a_version_and_knows_its_signature(registry: Registry, tmp_path: Path) -> None:
    import mlflow.pyfunc

    directory, manifest, digest = bundle(tmp_path)
    registry.register(directory, manifest, digest)
    source = connect(registry.tracking_uri).get_model_version_download_uri("parcel_delay", "1")
    model = mlflow.pyfunc.load_model(source)
    assert model.metadata.signature.inputs.input_names() == ["depot", "rain", "wet"]
    assert model.metadata.metadata == {"bundle_digest": digest}
    assert np.array_equal(model.predict(FRAME.to_pandas()), load_bundle(directory).score(FRAME))


def test_aliases_move_and_go(registry: Registry, tmp_path: Path) -> None:
    assert registry.champion("parcel_delay") is None
    assert registry.aliases("parcel_delay") == {}
    registry.register(*bundle(tmp_path))
    registry.register(*bundle(tmp_path, seed=8))
    registry.set_alias("parcel_delay", "champion", "1")
    registry.set_alias("parcel_delay", "challenger", "2")
    registry.set_alias("parcel_delay", "champion", "2")
    registry.set_alias("parcel_delay", "challenger", None)
    registry.set_alias("parcel_delay", "challenger", None)
    champion = registry.champion("parcel_delay")
    assert champion is not None
    assert (champion.version, champion.aliases) == ("2", ("champion",))
    assert registry.aliases("parcel_delay") == {"champion": "2"}


def test_what_is_not_registered_is_refused(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(RetrainError, match="parcel_delay has no version 1"):
        registry.download("parcel_delay", "1")
    registry.register(*bundle(tmp_path))
    with pytest.raises(RetrainError, match="parcel_delay has no version 9"):
        registry.set_alias("parcel_delay", "champion", "9")
    assert registry.list_versions("other_model") == []


def test_the_digest_tag_never_changes_and_others_do(registry: Registry, tmp_path: Path) -> None:
    registry.register(*bundle(tmp_path))
    registry.set_tags("parcel_delay", "1", {"status": "champion"})
    assert registry.tags("parcel_delay", "1")["status"] == "champion"
    with pytest.raises(CustodyError, match="the bundle digest of a version never changes"):
        registry.set_tags("parcel_delay", "1", {"bundle_digest": "sha256:0"})


def test_a_bundle_changed_in_the_registry_is_refused(registry: Registry, tmp_path: Path) -> None:
    registry.register(*bundle(tmp_path))
    directory = registry.download("parcel_delay", "1")
    (directory / "calibration.json").write_text("{}")
    with pytest.raises(CustodyError, match=r"calibration\.json: SHA-256 is"):
        registry.download("parcel_delay", "1")


def test_a_bundle_whose_files_are_gone_is_said_in_one_line(registry: Registry, tmp_path: Path) -> None:
    directory, manifest, digest = bundle(tmp_path)
    version = registry.register(directory, manifest, digest)
    shutil.rmtree(registry.download("parcel_delay", version))
    with pytest.raises(CustodyError, match=f"the bundle of parcel_delay version {version} is gone; restore the artifacts"):
        registry.download("parcel_delay", version)


def test_a_bundle_swapped_in_the_registry_is_refused(registry: Registry, tmp_path: Path) -> None:
    registry.register(*bundle(tmp_path))
    registry.register(*bundle(tmp_path, seed=8))
    theirs, target = registry.download("parcel_delay", "2"), registry.download("parcel_delay", "1")
    for path in theirs.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    with pytest.raises(CustodyError, match="recorded is"):
        registry.manifest("parcel_delay", "1")


def test_a_bundle_is_checked_before_it_is_registered(registry: Registry, tmp_path: Path) -> None:
    directory, manifest, digest = bundle(tmp_path)
    (directory / "model.skops").write_bytes(b"other")
    with pytest.raises(CustodyError, match=r"model\.skops"):
        registry.register(directory, manifest, digest)
    assert registry.list_versions("parcel_delay") == []


def test_a_version_somebody_else_registered_is_not_taken_for_a_bundle(registry: Registry, tmp_path: Path) -> None:
    client = connect(registry.tracking_uri)
    client.create_registered_model("parcel_delay")
    client.create_model_version("parcel_delay", source=(tmp_path / "artifacts").as_uri())
    with pytest.raises(CustodyError, match="parcel_delay version 1: has no tag bundle_digest"):
        registry.version("parcel_delay", "1")
    assert registry.list_versions("parcel_delay") == []
    assert registry.register(*bundle(tmp_path)) == "2"
    assert [known.version for known in registry.list_versions("parcel_delay")] == ["2"]


def test_an_alias_on_somebody_elses_version_stays_until_one_of_ours_takes_it(registry: Registry, tmp_path: Path) -> None:
    client = connect(registry.tracking_uri)
    client.create_registered_model("parcel_delay")
    client.create_model_version("parcel_delay", source=(tmp_path / "artifacts").as_uri())
    client.set_registered_model_alias("parcel_delay", "champion", "1")
    registry.set_alias("parcel_delay", "champion", None)
    assert registry.aliases("parcel_delay") == {"champion": "1"}
    registry.register(*bundle(tmp_path))
    registry.set_alias("parcel_delay", "champion", "2")
    assert registry.aliases("parcel_delay") == {"champion": "2"}
    registry.set_alias("parcel_delay", "champion", None)
    assert registry.aliases("parcel_delay") == {}


def test_a_store_that_does_not_open_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database, however long it is" * 10)
    with pytest.raises(RetrainError, match="the MLflow store does not open"):
        Registry(f"sqlite:///{tmp_path / 'mlflow.db'}").aliases("parcel_delay")


def test_a_store_that_is_damaged_is_a_registry_that_does_not_answer(registry: Registry, tmp_path: Path) -> None:
    registry.register(*bundle(tmp_path))
    with closing(sqlite3.connect(registry.tracking_uri.removeprefix("sqlite:///"))) as store, store:
        store.execute("DROP TABLE registered_model_aliases")
        store.execute("DROP TABLE model_version_tags")
    with pytest.raises(RegistryUnavailable, match="no such table"):
        registry.set_alias("parcel_delay", "champion", "1")
    with pytest.raises(RegistryUnavailable, match="no such table"):
        registry.set_tags("parcel_delay", "1", {"status": "champion"})
