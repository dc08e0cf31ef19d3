"""Bad contracts through the real tools: ``dg check yaml``, ``dg check defs`` and the ``retrain`` command name file and line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import retrain_assets
from retrain_assets.cli.contracts import contract_of
from retrain_assets.contract import ContractError

PACKAGE = Path(retrain_assets.__file__).parent
PROJECT = """
[project]
name = "airline"
version = "0.1.0"
[tool.dg]
directory_type = "project"
[tool.dg.project]
root_module = "airline"
code_location_target_module = "airline.definitions"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The folder of a project with one shipped model in it; of several, `dg check yaml` looks at the last one alone."""
    folder = tmp_path / "airline"
    model = folder / "airline" / "defs" / "flight_delay"
    shutil.copytree(PACKAGE / "defs" / "flight_delay", model, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PACKAGE / "definitions.py", folder / "airline")
    (folder / "airline" / "__init__.py").touch()
    (folder / "pyproject.toml").write_text(PROJECT)
    return folder


def test_misspelt_and_missing_fields_are_named_with_their_lines_by_dg_check_yaml(project: Path) -> None:
    """Every part of a toggle's terms is required, and no field may be misspelt."""
    edit(project, r"min_interval: \w+", "min_intervall: 30d")
    for field in ("owner", "purpose", "expires_after", "rollback"):
        edit(project, rf"(?m)^    {field}: .*$", f"    # no {field}", after="  toggle:")
    edit(project, r"(?m)^    release: team:release$", "    # nobody")
    edit(project, r"(?ms)^    guardrails:$.*?^    stop_loss", "    stop_loss")
    done, text = dg(project, "yaml")
    assert done == 1
    assert f"defs.yaml:{line_of(project, '    min_intervall')} - " in text
    assert "'min_intervall' was unexpected" in text
    assert f"defs.yaml:{line_of(project, '  owners:')} - " in text
    for field in ("owner", "purpose", "expires_after", "rollback", "release", "guardrails"):
        assert f"'{field}' is a required property" in text
    with pytest.raises(ContractError) as caught:
        contract_of("flight_delay", project)
    line = caught.value.line
    assert f"defs.yaml:{line_of(project, '  owners:')}: owners.release: is required" in line
    for field in ("toggle.owner", "toggle.rollback", "experiment.guardrails", "cadence.min_intervall"):
        assert field in line
    assert "\n" not in line


def test_a_descending_ramp_is_named_with_its_line_by_dg_check_defs(project: Path) -> None:
    line = edit(project, r"ramp: \[.*\]", "ramp: [shadow, 50, 5, 100]")
    done, text = dg(project, "defs")
    assert done == 1
    assert f"attributes.experiment.ramp at {project}/airline/defs/flight_delay/defs.yaml:{line}" in text
    assert "[shadow, 50, 5, 100] must ascend, have a stage below 100 and end at 100; write [shadow, 5, 25, 50, 100]" in text
    with pytest.raises(ContractError, match=rf"defs.yaml:{line}: experiment.ramp: \[shadow, 50, 5, 100\] must ascend"):
        contract_of("flight_delay", project)


def test_parts_that_contradict_each_other_are_named_by_dg_check_defs(project: Path) -> None:
    line = edit(project, r"expires_after: \w+", "expires_after: 20d")
    done, text = dg(project, "defs")
    assert done == 1
    assert f"{project}/airline/defs/flight_delay/defs.yaml:{line_of(project, 'attributes:')}" in text
    assert "toggle.expires_after must be longer than experiment.max_duration" in text
    with pytest.raises(ContractError, match=rf"defs.yaml:{line}: toggle.expires_after must be"):
        contract_of("flight_delay", project)


def edit(project: Path, pattern: str, replacement: str, after: str = "") -> int:
    """Replace the first match behind a line, and give the line number of what now stands there."""
    file = project / "airline" / "defs" / "flight_delay" / "defs.yaml"
    text = file.read_text()
    start = text.index(after)
    match = re.compile(pattern).search(text, start)
    assert match is not None, pattern
    file.write_text(text[: match.start()] + replacement + text[match.end() :])
    return text.count("\n", 0, match.start()) + 1


def line_of(project: Path, written: str) -> int:
    """The number of the line that begins so."""
    lines = (project / "airline" / "defs" / "flight_delay" / "defs.yaml").read_text().splitlines()
    return next(number for number, line in enumerate(lines, start=1) if line.startswith(written))


def dg(project: Path, what: str) -> tuple[int, str]:
    """Exit code and output of ``dg check``, colours taken out and wrapped lines as they are."""
    command = [str(Path(sys.executable).with_name("dg")), "check", what]
    done = subprocess.run(
        command, cwd=project, env={**os.environ, "COLUMNS": "400"}, capture_output=True, text=True, check=False, timeout=300
    )
    return done.returncode, re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)


@pytest.mark.parametrize(
    ("path", "written", "told"),
    [
        (
            r"features: \.features\.build",
            "features: .featurs.build",
            "features: there is no module airline.defs.flight_delay.featurs",
        ),
        (r"features: \.features\.build", "features: .features.bild", "features.py has no bild, it defines build, minutes_of_day"),
        (r"schema: \.schema\.Flights", "schema: .schema.Flight", "source.schema: "),
    ],
)
def test_code_that_is_not_there_is_named_by_dg_check_defs(project: Path, path: str, written: str, told: str) -> None:
    line = edit(project, path, written)
    done, text = dg(project, "defs")
    assert done == 1
    assert f"defs.yaml:{line}: " in text
    assert told in " ".join(text.split())
    assert "write the missing code" in " ".join(text.split())
