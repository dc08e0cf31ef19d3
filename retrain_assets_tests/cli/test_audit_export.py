"""``retrain audit export``: what it writes, records and prints, and that a refusal leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import polars as pl
import pytest

from retrain_assets.contract import sha256_hex
from retrain_assets.ledger import EventKind

from .conftest import Run, parsed
from .world import FIRST, MODEL, RUTH, SECOND, World

NAME = f"{MODEL}-{SECOND}"


@pytest.fixture
def place(retrain_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    folder = retrain_home.parent / "out"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def members(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as opened:
        return {one.name: opened.extractfile(one).read() for one in opened.getmembers()}  # type: ignore[union-attr]


class TestExport:
    def test_an_archive_is_written_here_that_its_own_script_verifies(self, ramping: World, act: Run, place: Path) -> None:
        said = act("audit", "export", MODEL, SECOND)
        archive = place / f"{NAME}.tar.gz"
        assert f"written: {archive}, " in said.stdout
        assert f"sha256: {sha256_hex(archive.read_bytes())}" in said.stdout
        command = next(line.removeprefix("to verify: ") for line in said.stdout.splitlines() if line.startswith("to verify"))
        told = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, env=told)
        assert "holds  the system attested the provenance" in done.stdout

    def test_that_it_left_the_house_is_on_record_with_its_digest_and_for_whom(
        self, ramping: World, act: Run, place: Path
    ) -> None:
        act("audit", "export", MODEL, SECOND, "--out", "for-the-auditor.tgz", "--to", "the supervisor")
        (event,) = ramping.controller.ledger.events(kinds=[EventKind.RECORD_EXPORTED])
        digest = sha256_hex((place / "for-the-auditor.tgz").read_bytes())
        assert (event.model, event.retrain, event.actor.name, event.reason) == (MODEL, SECOND, RUTH.name, "because of the test")
        assert event.payload["archive"] == f"sha256:{digest}"
        assert event.payload["recipient"] == "the supervisor"

    def test_it_tells_json(self, ramping: World, act: Run, place: Path) -> None:
        told = parsed(act("audit", "export", MODEL, FIRST, "--without-bundle", "--json"))
        archive = place / f"{MODEL}-{FIRST}.tar.gz"
        assert told["file"] == str(archive)
        assert told["digest"] == f"sha256:{sha256_hex(archive.read_bytes())}"
        assert f"{MODEL}-{FIRST}/bundle/model.txt" not in members(archive)

    def test_again_gives_the_same_bytes(self, ramping: World, act: Run, place: Path) -> None:
        for name in ("one.tgz", "two.tgz"):
            act("audit", "export", MODEL, SECOND, "--out", name)
        assert (place / "one.tgz").read_bytes() == (place / "two.tgz").read_bytes()

    def test_no_unit_no_token_and_no_path_of_the_machine_is_in_it(self, ramping: World, act: Run, place: Path) -> None:
        ramping.look()
        unit = pl.read_parquet(next(ramping.home.exposures_dir(MODEL).rglob("*.parquet")))["unit_id"][0]
        token = parsed(act("token", "add", "shop", "--actor", "system:shop", "--scope", "predict", "--json"))["secret"]
        act("audit", "export", MODEL, SECOND)
        found = members(place / f"{NAME}.tar.gz")
        assert f"{NAME}/events.jsonl" in found
        for name, data in found.items():
            assert unit.encode() not in data, name
            assert token.encode() not in data, name
            assert str(ramping.home.root.parent).encode() not in data, name


class TestRefusals:
    def test_a_retrain_nobody_knows(self, candidates: World, act: Run, place: Path) -> None:
        said = act("audit", "export", MODEL, "2024-04-02", code=3)
        assert f"did you mean {SECOND}?" in said.stderr
        nothing_left(candidates, place)

    def test_a_file_that_is_there_unless_forced(self, candidates: World, act: Run, place: Path) -> None:
        (place / "a.tgz").write_text("mine")
        said = act("audit", "export", MODEL, SECOND, "--out", "a.tgz", code=3)
        assert f"retrain: {place / 'a.tgz'}: is there already; name another file with --out, or add --force" in said.stderr
        assert (place / "a.tgz").read_text() == "mine"
        act("audit", "export", MODEL, SECOND, "--out", "a.tgz", "--force")
        assert members(place / "a.tgz")

    def test_a_folder_that_is_none(self, candidates: World, act: Run, place: Path) -> None:
        act("audit", "export", MODEL, SECOND, "--out", "nowhere/a.tgz", code=3)
        act("audit", "export", MODEL, SECOND, "--out", str(place), code=3)
        nothing_left(candidates, place)

    def test_a_place_that_cannot_be_written(self, candidates: World, act: Run, place: Path) -> None:
        said = act("audit", "export", MODEL, SECOND, "--out", "/proc/a.tgz", code=3)
        assert "/proc" in said.stderr
        nothing_left(candidates, place)

    def test_a_bundle_that_was_changed(self, candidates: World, act: Run, place: Path) -> None:
        for model in candidates.home.mlflow_artifacts.rglob("bundle/model.txt"):
            model.write_text("another model")
        said = act("audit", "export", MODEL, SECOND, code=4)
        assert "SHA-256 is" in said.stderr
        nothing_left(candidates, place)

    def test_evidence_that_is_gone(self, candidates: World, act: Run, place: Path) -> None:
        for file in candidates.home.evidence_dir.glob("*/*.json"):
            file.unlink()
        said = act("audit", "export", MODEL, SECOND, code=4)
        assert "is missing" in said.stderr
        nothing_left(candidates, place)

    def test_nobody_named(self, candidates: World, run: Run, place: Path) -> None:
        run("audit", "export", MODEL, SECOND, "--reason", "why not", code=1)
        nothing_left(candidates, place)


def nothing_left(world: World, place: Path) -> None:
    assert list(place.iterdir()) == []
    assert world.controller.ledger.events(kinds=[EventKind.RECORD_EXPORTED]) == []
