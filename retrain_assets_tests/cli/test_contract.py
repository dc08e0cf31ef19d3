"""``retrain contract``: show, diff, and what a pull request would change, against a real git history."""

from __future__ import annotations

import json
import subprocess
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import Run
from .world import ATTRIBUTES, MODEL, write_project

ENVIRONMENTS = {"staging": {"experiment": {"ramp": ["shadow", 10, 100]}}, "production": {"approval": {"required": 2}}}


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def rewrite(file: Path, **changes: Any) -> None:
    document = yaml.safe_load(file.read_text())
    for dotted, value in changes.items():
        place = document["attributes"]
        *parts, last = dotted.split("__")
        for part in parts:
            place = place[part]
        place[last] = value
    file.write_text(yaml.safe_dump(document, sort_keys=False))


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    """A project under git, in a folder of its checkout; the working directory is the project. Its ``defs.yaml``."""
    file = write_project(tmp_path, {**deepcopy(ATTRIBUTES), "environments": ENVIRONMENTS})
    (file.parent / "features.py").write_text("def build(rows):\n    return rows\n")
    (file.parent / "schema.py").write_text("class Accounts:\n    pass\n")
    (tmp_path / ".gitignore").write_text("home\n")
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")
    return file


def test_show_gives_the_contract_of_an_environment_with_its_digest(contract: Path, run: Run) -> None:
    shown = json.loads(run("contract", "show", MODEL, "--environment", "production", "--json").stdout)
    assert (shown["environment"], shown["contract"]["approval"]["required"]) == ("production", 2)
    said = run("contract", "show", MODEL, "--environment", "production").stdout
    assert said.startswith(f"# churn in production, {shown['digest']}\n")
    assert yaml.safe_load(said)["approval"]["required"] == 2


def test_diff_of_two_environments_says_which_way_each_limit_goes(contract: Path, run: Run) -> None:
    found = json.loads(run("contract", "diff", MODEL, "--from", "staging", "--to", "production", "--json").stdout)
    assert {one["field"]: (one["before"], one["after"], one["tendency"]) for one in found["changes"]} == {
        "experiment.ramp": ("[shadow, 10, 100]", "[shadow, 50, 100]", "different"),
        "approval.required": ("1", "2", "stricter"),
    }


def test_diff_against_a_revision_a_file_and_an_unknown_name(contract: Path, run: Run, tmp_path: Path) -> None:
    rewrite(contract, gates__data__min_rows=400)
    said = run("contract", "diff", MODEL, "--from", "main").stdout
    assert next(line for line in said.splitlines() if line.startswith("gates.data.min_rows")).split() == [
        *("gates.data.min_rows", "500", "400", "looser")
    ]
    assert "have the same contract" in run("contract", "diff", MODEL, "--from", "main", "--to", "main").stdout
    unknown = run("contract", "diff", MODEL, "--from", "nowhere", code=3)
    assert "'nowhere' is no environment, no file and no git revision; environments: staging, production" in unknown.stderr


def test_preview_of_an_unchanged_tree_is_silent_about_every_model(contract: Path, run: Run) -> None:
    assert run("contract", "preview", "--base", "main").stdout == "no contract changes what main has\n"
    assert json.loads(run("contract", "preview", "--base", "main", "--json").stdout)["models"] == []


def test_preview_tells_limits_plan_code_and_what_counts_no_more_by_environment(contract: Path, run: Run) -> None:
    rewrite(contract, gates__data__min_rows=900, experiment__min_stage={"units": 40, "duration": "2d"})
    rewrite(contract, environments__production__approval={"required": 1})
    (contract.parent / "features.py").write_text("def build(rows):\n    return rows.head()\n")
    found = json.loads(run("contract", "preview", "--base", "main", "--json").stdout)["models"][0]
    by_name = {one["environment"]: one for one in found["environments"]}
    assert {one["field"] for one in by_name["staging"]["changes"]} == {
        *("gates.data.min_rows", "experiment.min_stage.units", "experiment.min_stage.duration")
    }
    assert {one["field"]: one["tendency"] for one in by_name["production"]["changes"]}["approval.required"] == "looser"
    shadow = next(line for line in by_name["staging"]["plan"] if line["what"] == "stage shadow")
    assert (shadow["before"], shadow["after"]) == ("20 challenger units of 20, 1.0 day", "40 challenger units of 40, 2.0 days")
    assert found["code"] == ["features"]
    assert [line.split(":")[0].split(" ")[0] for line in found["stale"]] == ["Verdicts", "What", "An", "Who"]


def test_preview_as_a_comment_folds_equal_changes_of_all_environments_into_one_row(contract: Path, run: Run) -> None:
    rewrite(contract, gates__data__min_rows=900, toggle__purpose="Compare <b>a|b</b> with `x`")
    said = run("contract", "preview", "--base", "main", "--markdown").stdout
    assert said.startswith("<!-- retrain contract preview -->\n## Release contracts: 1 model changes\n")
    assert "| `gates.data.min_rows` | `500` | `900` | 🔒 stricter | all |" in said
    assert "Compare <b>a\\|b</b> with 'x'" in said
    assert "### `churn`: 1 stricter, 1 different" in said
    from markdown_it import MarkdownIt

    rendered = MarkdownIt("commonmark", {"html": False}).enable("table").render(said)
    assert rendered.count("<table>") == 3
    assert "<b>" not in rendered


def test_preview_counts_from_where_the_branch_left_not_from_what_came_after(contract: Path, run: Run) -> None:
    git(contract.parent, "switch", "-qc", "mine")
    git(contract.parent, "switch", "-q", "main")
    rewrite(contract, gates__data__min_rows=5000)
    git(contract.parent, "commit", "-qam", "theirs")
    git(contract.parent, "switch", "-q", "mine")
    assert run("contract", "preview", "--base", "main").stdout == "no contract changes what main has\n"


def test_a_contract_that_does_not_hold_in_one_environment_ends_the_preview_with_an_error(contract: Path, run: Run) -> None:
    rewrite(contract, environments__staging={"approval": {"required": 7}})
    failed = run("contract", "preview", "--base", "main", "--markdown", code=3)
    assert "[!CAUTION]" in failed.stdout
    assert "environments.staging" in failed.stderr


def test_added_and_removed_models_are_told(contract: Path, run: Run) -> None:
    other = contract.parent.parent / "loyalty"
    other.mkdir()
    document = yaml.safe_load(contract.read_text())
    document["attributes"]["model"] = "loyalty"
    (other / "defs.yaml").write_text(yaml.safe_dump(document))
    found = json.loads(run("contract", "preview", "--base", "main", "--json").stdout)["models"]
    assert [(one["model"], one["what"]) for one in found] == [("loyalty", "added")]
    git(contract.parent, "add", "-A")
    git(contract.parent, "commit", "-qm", "two")
    contract.unlink()
    said = json.loads(run("contract", "preview", "churn", "--base", "main", "--json").stdout)
    assert [(one["model"], one["what"]) for one in said["models"]] == [("churn", "removed")]


def test_a_base_that_git_does_not_know_says_how_to_get_it(contract: Path, run: Run) -> None:
    assert "git knows no revision 'origin/main'; fetch it first" in run("contract", "preview", code=3).stderr
