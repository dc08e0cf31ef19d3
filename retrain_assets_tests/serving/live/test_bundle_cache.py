"""Copies of bundles: made whole or not at all, by one process where several want one, and bounded in number."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from retrain_assets.bundle import verify_bundle
from retrain_assets.contract import CustodyError
from retrain_assets.home import Home
from retrain_assets.registry import Registry
from retrain_assets.routing import VersionRef
from retrain_assets.serving.live import bundle_cache, fetch
from retrain_assets.serving.live.bundle_cache import BundleCache, copy_from
from retrain_assets_tests.serving.live.conftest import Canary
from retrain_assets_tests.serving.live.world import FIRST, MODEL, BundleRegistry, Served, bundle_manifest, write_bundle

MADE = bundle_manifest


def registered(root: Path) -> tuple[Home, BundleRegistry, VersionRef]:
    registry = BundleRegistry(root / "registry")
    return Home(root), registry, VersionRef(registry.register(MODEL, MADE(FIRST)), MADE(FIRST).digest)


def copies(home: Home) -> list[str]:
    return sorted(path.name for path in home.serving_cache_dir(MODEL).iterdir() if path.is_dir())


def test_of_several_that_want_a_copy_at_once_one_makes_it_and_all_have_it(tmp_path: Path) -> None:
    home, registry, version = registered(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: copy_from(registry, home, MODEL, version), range(8)))
    assert registry.calls == ["download 1"]
    assert copies(home) == [version.bundle.removeprefix("sha256:")]
    verify_bundle(home.serving_cache_dir(MODEL) / copies(home)[0], version.bundle)


def test_what_is_not_the_recorded_bundle_leaves_no_copy(tmp_path: Path) -> None:
    home, registry, version = registered(tmp_path)
    (registry.versions[MODEL, "1"] / "model.txt").write_text("tree")
    with pytest.raises(CustodyError, match=r"model\.txt: SHA-256"):
        copy_from(registry, home, MODEL, version)
    assert copies(home) == []


@pytest.mark.parametrize("digest", ["sha256:../../../etc", "sha256:", "md5:" + 64 * "0", "sha256:" + 64 * "G"])
def test_a_digest_that_is_none_names_no_folder(tmp_path: Path, digest: str) -> None:
    home, registry, _ = registered(tmp_path)
    cache = BundleCache(home, lambda model, version: copy_from(registry, home, model, version))
    with pytest.raises(CustodyError, match="is not the digest of a bundle"):
        cache.load(MODEL, VersionRef("1", digest))


def test_copies_nobody_uses_are_removed_but_for_the_last_used_ones(tmp_path: Path) -> None:
    home = Home(tmp_path)
    folder = home.serving_cache_dir(MODEL)
    names = [f"{number:x}" * 64 for number in range(6)]
    for age, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        os.utime(folder / name, (time.time() - age, time.time() - age))
    left_behind, being_written = folder / ".old", folder / ".new"
    for scratch, age in ((left_behind, 2 * bundle_cache.SCRATCH_SECONDS), (being_written, 0)):
        scratch.mkdir()
        os.utime(scratch, (time.time() - age, time.time() - age))
    BundleCache(home, lambda model, version: None).tidy(MODEL, {f"sha256:{names[5]}"}, spare=2)
    assert copies(home) == sorted([".new", *names[:2], names[5]])


def test_nothing_to_tidy_is_no_fault(tmp_path: Path) -> None:
    BundleCache(Home(tmp_path), lambda model, version: None).tidy(MODEL, set())


def test_a_process_of_its_own_fetches_from_the_real_registry(
    tmp_path: Path, empty_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path / "home")
    home.root.mkdir()
    (home.root / "mlflow.db").write_bytes(empty_store.read_bytes())
    made = write_bundle(tmp_path / "bundle", FIRST)
    described = made.to_json() | {"environment": {"python": "3.11", "packages": {}}}
    registry = Registry(home.mlflow_uri, home.mlflow_artifacts)
    version = VersionRef(registry.register(tmp_path / "bundle", described, made.digest), made.digest)
    fetch.fetch(home, MODEL, version)
    verify_bundle(home.serving_cache_dir(MODEL) / made.digest.removeprefix("sha256:"), made.digest)
    other = bundle_manifest("2013-07-01").digest
    assert fetch.main([str(home.root), MODEL, version.version, other]) == fetch.REFUSED
    assert f"bundle has digest {made.digest}, recorded is {other}" in capsys.readouterr().err
    assert fetch.main([str(home.root), MODEL, "7", other]) == fetch.AWAY
    assert "has no version 7" in capsys.readouterr().err


def test_of_workers_that_want_the_same_version_at_once_one_asks_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each asking costs a process that loads MLflow, just when all workers start."""
    home, made = Home(tmp_path / "home"), write_bundle(tmp_path / "bundle", FIRST)
    asked = tmp_path / "asked"
    place = home.serving_cache_dir(MODEL) / made.digest.removeprefix("sha256:")
    code = f"import shutil; open({str(asked)!r}, 'a').write('x'); shutil.copytree({str(tmp_path / 'bundle')!r}, {str(place)!r})"
    monkeypatch.setattr(fetch, "COMMAND", (sys.executable, "-c", code))
    with ThreadPoolExecutor(4) as workers:
        list(workers.map(lambda _: fetch.fetch(home, MODEL, VersionRef("1", made.digest)), range(4)))
    assert asked.read_text() == "x"


def test_a_worker_loads_neither_mlflow_nor_spark() -> None:
    heavy = "('mlflow', 'pyspark', 'sklearn')"
    code = f"import sys, retrain_assets.serving.live; print([name for name in {heavy} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_a_loaded_bundle_scores_with_one_thread(canary: Canary) -> None:
    world: Served = canary(None)
    home = world.home
    version = world.state.champion
    cache = BundleCache(home, lambda model, one: copy_from(world.registry, home, model, one))
    assert cache.load(MODEL, version).predictor.threads == 1  # type: ignore[attr-defined]
    assert (MODEL, version) in cache
