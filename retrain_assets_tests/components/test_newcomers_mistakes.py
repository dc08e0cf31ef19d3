"""The mistakes of docs/troubleshooting.md, each made in a scaffolded project: the answer names place, field and remedy."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from retrain_assets.cli.app import app
from retrain_assets.cli.contracts import contract_of
from retrain_assets.compute.estimator import make_estimator
from retrain_assets.compute.request import StageRequest, StageResult
from retrain_assets.compute.stages.dataset import dataset
from retrain_assets.compute.stages.features import features
from retrain_assets.contract import Gate, RetrainError

from .newcomer import ANN, new_project, scaffold

NUMBER = count()
CUTOFF = datetime(2024, 3, 31, tzinfo=UTC)


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project as the scaffold leaves it."""
    project = new_project(tmp_path_factory.mktemp("newcomer") / "shop", "shop_of_mistakes")
    scaffold(project)
    return project


@dataclass
class Newcomer:
    """Somebody with a project of their own, whose next step is a mistake.

    Args:
        project: its root.
        model: folder of the model.
    """

    project: Path
    model: Path

    def edits(self, pattern: str, replacement: str, file: str = "defs.yaml") -> None:
        """Replace the first match in a file of the model."""
        path = self.model / file
        text, made = re.subn(pattern, replacement, path.read_text(), count=1)
        assert made, pattern
        path.write_text(text)

    def has_rows(self, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
        """Change the source."""
        path = self.project / "data" / "accounts.parquet"
        change(pl.read_parquet(path)).write_parquet(path)

    def contract_is_refused(self, model: str = "churn") -> str:
        """The line that every command says of the contract."""
        with pytest.raises(RetrainError) as caught:
            contract_of(model, self.project)
        return caught.value.line

    def gate_says(self) -> str:
        """What stops the data set or the features: the fault's line, or the messages of what did not pass."""
        try:
            rows = self._stage("dataset")
            made = self._stage("features", dataset=rows.outputs["dataset"]["uri"])
        except RetrainError as error:
            return error.line
        verdicts = [*rows.verdicts_of(Gate.DATA), *made.verdicts_of(Gate.DATA)]
        return "; ".join(f"{one.check}: {one.message}" for one in verdicts if not one.passed)

    def training_says(self) -> str:
        """What is wrong with the estimator."""
        with pytest.raises(RetrainError) as caught:
            make_estimator(contract_of("churn", self.project).trainer)
        return caught.value.line

    def is_told(self, *command: str) -> str:
        """What a command that is refused prints."""
        done = CliRunner().invoke(app, [*command])
        assert done.exit_code, done.output
        return done.stderr

    def _stage(self, stage: str, **inputs: str) -> StageResult:
        place = self.project / "stages" / stage
        place.mkdir(parents=True)
        contract = contract_of("churn", self.project).to_json()
        key = f"{CUTOFF:%Y-%m-%d}"
        request = StageRequest(stage, "churn", key, contract, inputs, str(place), {"cutoff": CUTOFF.isoformat()})  # type: ignore[arg-type]
        return {"dataset": dataset, "features": features}[stage](request)


@pytest.fixture
def newcomer(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Newcomer:
    """A copy of the project with a module name that no other test has imported; one stands in its root."""
    project = tmp_path / "shop"
    shutil.copytree(written, project)
    module = f"shop_of_mistakes_{next(NUMBER)}"
    (project / "shop_of_mistakes").rename(project / module)
    (project / "pyproject.toml").write_text((project / "pyproject.toml").read_text().replace("shop_of_mistakes", module))
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(project)
    monkeypatch.setenv("RETRAIN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RETRAIN_ACTOR", ANN)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return Newcomer(project, project / module / "defs" / "churn")


def test_without_a_mistake_nothing_is_refused(newcomer: Newcomer) -> None:
    assert newcomer.gate_says() == ""
    assert contract_of("churn", newcomer.project).model == "churn"


@pytest.mark.parametrize(
    ("pattern", "instead", "told"),
    [
        ("min_interval", "min_intervall", "cadence.min_intervall: there is no such field; did you mean min_interval?"),
        (r"min_rows: \d+", "min_rows: many", "gates.data.min_rows: 'many' is not a whole number; write one, such as 500"),
        (r"train: \d+d", "train: 90", "window.train: 90 is not a duration; write a number and a unit, such as 90d"),
        (r"approvers: \[.*?\]", "approvers: ann@example.org", "approval.approvers: 'ann@example.org' is not a list; write it in"),
        ("model: churn ", "model: churn-b2b ", "model: 'churn-b2b' is not written as it has to be; write small letters"),
        ("  task:", "\ttask:", "defs.yaml:6: is not YAML (found character '\\t' that cannot start any token); indent"),
        (r"min_rows: \d+", "min_rows:", "gates.data.min_rows: nothing is not a whole number; write one"),
        ("release: ann@example.org", "release: the crew", "owners.release: 'the crew' is not written as it has to be; write"),
        (r"    rollback: previous_champion\n", "", "toggle.rollback: is required; add it (Where a rollback leads)"),
        (r"holdout: \d+d", "holdout: 1d", "window.holdout must be longer than source.label_delay (1d)"),
    ],
    ids=["misspelt", "word", "no unit", "no list", "dash", "tab", "empty", "owner", "missing", "contradiction"],
)  # fmt: skip
def test_a_contract_that_is_not_valid_names_file_line_field_and_what_to_write(
    newcomer: Newcomer, pattern: str, instead: str, told: str
) -> None:
    newcomer.edits(pattern, instead)
    line = newcomer.contract_is_refused("churn-b2b" if "b2b" in instead else "churn")
    assert re.search(r"defs\.yaml:\d+: ", line)
    assert told in line


def test_a_copied_contract_with_the_same_model_is_refused_with_both_files(newcomer: Newcomer) -> None:
    shutil.copytree(newcomer.model, newcomer.model.with_name("other"))
    line = newcomer.contract_is_refused()
    assert "churn/defs.yaml and " in line
    assert "other/defs.yaml: model churn has two contracts; keep one" in line


def test_a_wrong_path_of_the_source_names_it_and_from_where_it_is_seen(newcomer: Newcomer) -> None:
    newcomer.edits("data/accounts.parquet", "data/acounts.parquet")
    said = newcomer.gate_says()
    assert "data/acounts.parquet: no such file; correct source.uri in the contract" in said
    assert f"it is seen from {newcomer.project}: start in the project's root" in said


def test_a_relative_path_seen_from_another_folder_names_that_folder(newcomer: Newcomer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(newcomer.model)
    assert f"it is seen from {newcomer.model}: start in the project's root, or write the whole path" in newcomer.gate_says()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"churned": (pl.col("churned") * 2).cast(pl.Int8)}, "rule of schema Rows: churned: isin([0, 1])"),
        ({"churned": pl.col("churned").cast(pl.String)}, "column 'churned' is String; the schema expects churned: Int8"),
        ({"seen_at": pl.col("seen_at").dt.strftime("%F %T")}, "column 'seen_at' is String; the schema expects seen_at: Datetime"),
        ({"seen_at": pl.col("seen_at").dt.replace_time_zone(None)}, "'seen_at' is Datetime(time_unit='us', time_zone=None"),
        ({"seen_at": pl.col("seen_at").dt.convert_time_zone("Asia/Tokyo")}, "time_zone='Asia/Tokyo'); the schema expects"),
        ({"account": pl.lit("a1"), "seen_at": pl.col("seen_at").dt.truncate("1h")}, "same account, seen_at"),
    ],
    ids=["not binary", "text label", "text time", "naive time", "local time", "unit not unique"],
)  # fmt: skip
def test_a_source_that_is_not_what_the_schema_says_names_column_and_what_is_expected(
    newcomer: Newcomer, change: dict[str, pl.Expr], told: str
) -> None:
    newcomer.has_rows(lambda rows: rows.with_columns(**change))
    assert told in newcomer.gate_says()


def test_a_window_longer_than_the_history_is_named_with_when_the_source_begins(newcomer: Newcomer) -> None:
    newcomer.edits(r"train: \d+d", "train: 400d")
    said = newcomer.gate_says()
    assert "the source begins on 2024-01-01, 318 days into a training window of 400: shorten window.train" in said or (
        "the source begins on 2024-01-01" in said and "shorten window.train, or launch a later cut-off" in said
    )


@pytest.mark.parametrize(
    ("pattern", "instead", "told"),
    [
        (r"    return rows.select\(", "    return rows.filter(nw.col('silence') > 0).select(", "return exactly one feature row"),
        ('"silence"', '"silence", "churned"', "returns the label 'churned' as a feature; drop it"),
        ('"silence"', '"silnce"', 'raised ColumnNotFoundError: unable to find column "silnce"'),
        ('"silence"', '"silence", "exit_interview"', "exit_interview"),
    ],
    ids=["drops rows", "returns the label", "misspells a column", "knows the future"],
)  # fmt: skip
def test_a_feature_function_that_does_not_do_its_work_is_named_with_the_remedy(
    newcomer: Newcomer, pattern: str, instead: str, told: str
) -> None:
    newcomer.edits(pattern, instead, "features.py")
    assert told in newcomer.gate_says()


@pytest.mark.parametrize(
    ("estimator", "told"),
    [
        ("lightgbm.LGBMClasifier", "module lightgbm has no LGBMClasifier; did you mean lightgbm.LGBMClassifier?"),
        ("catboost.CatBoostClassifier", "No module named 'catboost'); install the package that has catboost, or correct trainer"),
    ],
)  # fmt: skip
def test_an_estimator_that_is_not_there_is_answered_with_the_next_one_or_what_to_install(
    newcomer: Newcomer, estimator: str, told: str
) -> None:
    newcomer.edits("lightgbm.LGBMClassifier", estimator)
    assert told in newcomer.training_says()


@pytest.mark.parametrize(
    ("command", "environment", "told"),
    [
        ("launch churn", {}, "a reason is missing; add --reason"),
        ("launch churn --reason x", {"RETRAIN_ACTOR": ""}, "nobody is named as the one who acts; add --as you@example.org"),
        ("launch churn April --reason x", {}, "churn: 'April' is not a retrain key; write the cut-off date, as in 2013-07-01"),
        ("launch chrun --reason x", {}, "there is no contract of model 'chrun'; did you mean churn?"),
        ("launch churn --reason x", {"RETRAIN_HOME": "/proc/nothing"}, "/proc/nothing: nothing can be written there"),
        ("launch churn --reason x", {"DAGSTER_HOME": "/nowhere"}, "DAGSTER_HOME=/nowhere: there is no such folder; make it, or"),
        ("status churn", {"RETRAIN_HOME": "/nowhere"}, "there is no ledger here; set RETRAIN_HOME to the home that has one"),
        ("toggle rollback churn --reason x", {}, "there is no ledger here; set RETRAIN_HOME"),
    ],
)  # fmt: skip
def test_a_command_that_cannot_be_carried_out_says_what_to_give_or_set(
    newcomer: Newcomer, monkeypatch: pytest.MonkeyPatch, command: str, environment: dict[str, str], told: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert told in newcomer.is_told(*command.split())


def test_outside_of_a_project_the_answer_says_so(newcomer: Newcomer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"no dg project is around {tmp_path}, so go to the folder of yours" in newcomer.is_told(
        *["launch", "churn", "--reason", "x"]
    )
