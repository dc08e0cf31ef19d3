from __future__ import annotations

import ast
import csv
import re
import subprocess
import sys
from base64 import urlsafe_b64encode
from hashlib import sha256
from importlib.metadata import packages_distributions, version
from io import BytesIO, StringIO
from pathlib import Path
from zipfile import ZipFile

import pytest

import retrain_assets
from retrain_assets.compute.databricks.code_wheels import REQUIREMENTS, code_wheels, product_wheel, team_packages, team_wheel
from retrain_assets.contract import Contract, StageError
from retrain_assets_tests.compute.databricks.world import TEAM, contract_there

ROOMS = ("contract", "home", "experiment", "drift", "routing", "gates", "bundle", "compute")
GIVEN_BY_THE_RUNTIME = {"pyspark", "py4j", "pandas"}
MLFLOW = {"mlflow", "mlflow-skinny", "mlflow-tracing", "pyyaml"}
"""Reads a team's champion that is adopted, which is done at the orchestrator; one package of MLflow's three owns the name."""
NOT_IN_A_JOB = {"dagster", "requests", "xgboost", "pydantic-core"} | MLFLOW
"""Only the orchestrator's side imports the first two; the contract names the third where needed; the fourth is pydantic's."""


def test_the_same_source_gives_the_same_bytes() -> None:
    assert product_wheel() == product_wheel()
    assert re.fullmatch(r"retrain_assets-[\d.]+\+[0-9a-f]{16}-py3-none-any\.whl", product_wheel().name)


def test_another_text_is_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    module = tmp_path / "lone_features.py"
    module.write_text("a = 1\n")
    first = team_wheel("lone_features")
    module.write_text("a = 2\n")
    assert team_wheel("lone_features").name != first.name
    with ZipFile(BytesIO(first.content)) as archive:
        assert archive.read("lone_features.py") == b"a = 1\n"


def test_the_record_holds_the_digest_of_every_file() -> None:
    with ZipFile(BytesIO(product_wheel().content)) as archive:
        names = archive.namelist()
        record = next(name for name in names if name.endswith("RECORD"))
        rows = list(csv.reader(StringIO(archive.read(record).decode())))
        assert {row[0] for row in rows} == set(names)
        for name, digest, size in rows:
            if name != record:
                content = archive.read(name)
                assert digest == "sha256=" + urlsafe_b64encode(sha256(content).digest()).rstrip(b"=").decode()
                assert int(size) == len(content)
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_pip_takes_the_wheel_and_finds_the_entry_point(tmp_path: Path) -> None:
    wheel = product_wheel()
    (tmp_path / wheel.name).write_bytes(wheel.content)
    target = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "--version"]
    if subprocess.run(pip, capture_output=True, check=False).returncode != 0:
        with ZipFile(tmp_path / wheel.name) as archive:
            archive.extractall(target)
    else:
        command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", str(target)]
        subprocess.run([*command, str(tmp_path / wheel.name)], capture_output=True, check=True)
    code = (
        "from importlib.metadata import distributions;"
        f"d = next(iter(distributions(name='retrain_assets', path=[{str(target)!r}])));"
        "print([e.value for e in d.entry_points if e.name == 'retrain-stage'], *d.requires, sep='\\n')"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert told[0] == "['retrain_assets.compute.stage:console']"
    assert f"polars=={version('polars')}" in told


def test_the_requirements_of_a_job_are_all_that_stages_import() -> None:
    distributions = packages_distributions()
    imported: dict[str, str] = {}
    for file in (path for room in ROOMS for path in (Path(retrain_assets.__file__).parent / room).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            for name in (one.partition(".")[0] for one in names):
                if name not in sys.stdlib_module_names and name != "retrain_assets":
                    owner = re.sub(r"[-_.]+", "-", distributions.get(name, [name])[0]).lower()
                    imported[owner] = str(file)
    imported = {name.replace("xgboost-cpu", "xgboost"): file for name, file in imported.items()}
    missing = {name: file for name, file in imported.items() if name not in {*REQUIREMENTS, *GIVEN_BY_THE_RUNTIME, *NOT_IN_A_JOB}}
    assert not missing
    assert set(REQUIREMENTS) <= imported.keys()


def test_the_teams_packages_are_those_that_the_contract_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "shared_code").mkdir()
    (tmp_path / "own_estimator.py").write_text("class Best: ...\n")
    values = contract_there(packages=["shared_code.inner"])
    assert team_packages(Contract.recorded(values)) == [TEAM, "shared_code"]
    values["trainer"]["estimator"] = "own_estimator.Best"
    assert team_packages(Contract.recorded(values)) == ["own_estimator", TEAM, "shared_code"]
    assert [wheel.name.partition("-")[0] for wheel in code_wheels(Contract.recorded(contract_there()))] == [
        "retrain_assets",
        f"retrain_code_{TEAM}",
    ]


def test_a_library_of_another_folder_of_distributions_is_no_code_of_the_team(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a virtual environment sees the system's packages too, a library would otherwise go along without its binary parts."""
    (tmp_path / "some_library.py").write_text("class Best: ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    values = contract_there()
    values["trainer"]["estimator"] = "some_library.Best"
    assert "some_library" in team_packages(Contract.recorded(values))
    (tmp_path / "some_library-1.0.dist-info").mkdir()
    assert team_packages(Contract.recorded(values)) == [TEAM]


def test_a_package_that_is_not_here_is_named(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="there is no package nowhere_at_all"):
        team_wheel("nowhere_at_all")


def test_a_private_key_beside_the_code_is_refused_and_hidden_files_stay_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "keyed_features"
    (package / "data").mkdir(parents=True)
    for name in ("__init__.py", ".env", "data/depots.csv"):
        (package / name).write_text("TOKEN = 'x'\n")
    with ZipFile(BytesIO(team_wheel("keyed_features").content)) as archive:
        held = sorted(name for name in archive.namelist() if ".dist-info/" not in name)
    assert held == ["keyed_features/__init__.py", "keyed_features/data/depots.csv"]
    (package / "client.txt").write_text("-----BEGIN RSA PRIVATE KEY-----\n")
    with pytest.raises(StageError, match="package keyed_features holds a private key") as told:
        team_wheel("keyed_features")
    assert told.value.where.endswith("client.txt")
