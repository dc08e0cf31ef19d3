"""What the scaffold reads from a source, what it refuses, and that what it writes is a valid contract with working code."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from pathlib import Path

import click
import polars as pl
import pytest
import yaml

from retrain_assets.cli.contracts import contract_of
from retrain_assets.components import RetrainComponent
from retrain_assets.contract import Contract
from retrain_assets_tests.simulation import accounts

from .newcomer import new_project, scaffold

NUMBER = count()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder below a module name of its own."""
    return tmp_path / "shop"


def shop(folder: Path, rows: pl.DataFrame | None = None) -> Path:
    return new_project(folder, f"shop_of_scaffolding_{next(NUMBER)}", rows)


def test_roles_are_inferred_and_said_with_their_reasons(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    contract = contract_of("churn", scaffold(shop(folder)))
    said = capsys.readouterr().out
    assert (contract.source.event_time, contract.source.unit, contract.source.label) == ("seen_at", "account", "churned")
    assert contract.task == "binary_classification"
    assert "event time: seen_at, the only date or time" in said
    assert "unit: account, the only text that names every row" in said
    assert "gate data would let the newest rows pass" in said


def test_what_says_the_label_is_left_out_and_declared_late(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = scaffold(shop(folder))
    contract = contract_of("churn", target)
    assert contract.source.known_after_prediction == ["exit_interview", "churned"]
    assert "exit_interview" not in (target / "features.py").read_text().split("# Left out")[0]
    assert "left out: exit_interview says the label by itself" in capsys.readouterr().out


def test_what_is_missing_where_the_label_is_missing_and_what_never_varies_are_left_out(folder: Path) -> None:
    rows = accounts(days=90).with_row_index("row")
    cancelled = pl.col("row") % 20 == 0
    rows = rows.with_columns(
        churned=pl.when(cancelled).then(None).otherwise(pl.col("churned")),
        refund=pl.when(cancelled).then(None).otherwise(pl.col("tenure").reverse()),
        country=pl.lit("NZ"),
    ).drop("row", "exit_interview")
    contract = contract_of("churn", scaffold(shop(folder, rows)))
    assert contract.source.known_after_prediction == ["refund", "churned"]
    assert contract.gates.data.max_missing["churned"] == pytest.approx(0.10)


def test_windows_and_traffic_fit_the_history(folder: Path) -> None:
    contract = contract_of("churn", scaffold(shop(folder)))
    assert contract.window.train + contract.window.holdout + contract.source.label_delay < timedelta(days=90)
    assert contract.experiment.expected_units_per_day == 60
    assert 0 < contract.gates.data.min_rows < contract.window.train.days * 60


@pytest.mark.parametrize(
    ("label", "task", "measure"),
    [(pl.col("silence") * 10 + pl.col("tenure"), "regression", "absolute_error"),
     (pl.when(pl.col("silence") > 0.7).then(pl.lit("gone")).when(pl.col("tenure") > 2).then(pl.lit("kept"))
      .otherwise(pl.lit("new")), "multiclass", "mistake")],
    ids=["regression", "multiclass"],
)  # fmt: skip
def test_the_task_follows_from_the_label(folder: Path, label: pl.Expr, task: str, measure: str) -> None:
    rows = accounts(days=90).with_columns(worth=label, silence=pl.col("silence").shuffle(3), tenure=pl.col("tenure").shuffle(4))
    contract = contract_of("churn", scaffold(shop(folder, rows.drop("churned")), label="worth"))
    assert contract.task == task
    assert list(contract.experiment.success) == [measure]


@pytest.mark.parametrize(
    ("change", "options", "told"),
    [
        ({"churned": pl.col("churned") * 2}, {}, "--label churned: is not binary: it holds 0, 2; a binary label is 0/1"),
        ({"churned": pl.lit(1)}, {}, "--label churned: has one value, so there is nothing to predict"),
        ({}, {"label": "chruned"}, "--label: there is no column 'chruned'; did you mean churned?"),
        ({"seen_at": pl.col("seen_at").dt.strftime("%Y-%m-%d %H:%M")}, {}, "'seen_at' is text that reads as one"),
        ({"seen_at": pl.col("seen_at").dt.truncate("100d")}, {}, "too few days for a training and a held-out window"),
        ({"account": pl.col("region"), "second": pl.col("region")}, {}, "it cannot be told what stays on one arm"),
        ({}, {"source": "nowhere.parquet"}, "nowhere.parquet: no such file; correct the path; it is seen from"),
        ({}, {"known": "regoin"}, "--known: there is no column 'regoin'; did you mean region?"),
        ({}, {"owner": "the crew"}, "--owner: 'the crew' names nobody; write team:NAME or an e-mail address"),
        ({}, {"task": "clustering"}, "--task: 'clustering' is not a task; write one of binary_classification"),
        ({}, {"label_delay": "soon"}, "--label-delay: 'soon' is not a duration; write a number and a unit"),
        ({}, {"model": "2nd model"}, "--model: '2nd model' is no name of a model"),
        ({}, {"approver_key": "pyproject.toml"}, "--approver-key pyproject.toml: there is no readable key; make a key with"),
    ],
    ids=["other", "one label", "column", "text", "one day", "no unit", "no file", "known", "who", "task", "wait", "name", "key"],
)  # fmt: skip
def test_what_it_cannot_tell_is_refused_in_one_line_and_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, pl.Expr], options: dict[str, str], told: str
) -> None:
    project = shop(folder, accounts(days=30).with_columns(**change))
    monkeypatch.chdir(folder.parent)
    with pytest.raises(click.ClickException) as caught:
        scaffold(project, **options)
    assert told in caught.value.message
    assert "\n" not in caught.value.message
    assert not list(project.rglob("defs/churn"))


def test_columns_somebody_vouches_for_are_features_and_the_calendar_needs_nobodys_word(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = accounts(days=90, per_day=60).with_columns(told=pl.col("churned").fill_null(0) * 10.0)
    target = scaffold(shop(folder, rows), name="cautious")
    assert "--known exit_interview,told" in capsys.readouterr().out
    contract = yaml.safe_load((target / "defs.yaml").read_text())["attributes"]
    assert "told" in contract["source"]["known_after_prediction"]
    assert contract["gates"]["data"]["vetted_features"] == ["hour_of_day", "day_of_week"]
    assert contract["experiment"]["adjust_for"] == {"champion_score": True}

    contract = yaml.safe_load((scaffold(folder, name="vouched", known="told") / "defs.yaml").read_text())["attributes"]
    assert "told" not in contract["source"]["known_after_prediction"]
    assert contract["gates"]["data"]["vetted_features"] == ["told", "hour_of_day", "day_of_week"]


def test_nothing_is_written_over(folder: Path) -> None:
    project = shop(folder)
    target = scaffold(project)
    (target / "features.py").write_text("mine")
    with pytest.raises(click.ClickException, match="exists and is not written over; give another folder"):
        scaffold(project)
    assert (target / "features.py").read_text() == "mine"


def test_a_dash_in_the_folders_name_becomes_an_underscore_in_the_models(folder: Path) -> None:
    target = scaffold(shop(folder), name="churn-b2b")
    assert yaml.safe_load((target / "defs.yaml").read_text())["attributes"]["model"] == "churn_b2b"


def test_every_field_it_writes_has_a_comment_or_stands_below_one(folder: Path) -> None:
    lines = (scaffold(shop(folder)) / "defs.yaml").read_text().splitlines()
    sections = [line for line in lines if line.startswith("  ") and not line.startswith("   ") and line.rstrip().endswith(":")]
    assert not sections, sections


def test_the_component_describes_itself_without_the_marks_of_a_docs_tool() -> None:
    assert ":class:" not in (RetrainComponent.__doc__ or "")
    missing = [name for name, field in Contract.model_fields.items() if not field.description]
    assert not missing
