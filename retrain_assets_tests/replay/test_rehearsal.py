"""A contract rehearsed on its source's own history: it pauses for people, goes on where it was, and stays out of other homes."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from retrain_assets.contract import Contract, ContractError, RetrainError, StageError
from retrain_assets.home import Home
from retrain_assets.ledger import EventKind, Ledger
from retrain_assets.release import ReleaseController
from retrain_assets.replay.demo import RUTH, play_example, shipped_contract
from retrain_assets.replay.examples import EXAMPLES
from retrain_assets.replay.outcomes import known_outcomes
from retrain_assets.replay.people import signed
from retrain_assets.replay.rehearsal import Pause, rehearse
from retrain_assets.replay.teller import Teller
from retrain_assets.serving import ExposureLog

FIRST = date(2013, 3, 4)
QUIET = Teller(Console(quiet=True))


@pytest.fixture(scope="module")
def air_time() -> Contract:
    """The shipped contract with windows of a few weeks, so that a test trains on few rows."""
    values = shipped_contract("air_time").to_json()
    values["window"] = {"train": "24d", "holdout": "10d", "backtests": 1}
    values["gates"]["data"] |= {"min_rows": 2000, "min_holdout_rows": 500}
    values["gates"]["offline"] |= {"backtests": None}
    return Contract.model_validate(values)


@pytest.fixture(scope="module")
def flights() -> pl.DataFrame:
    return EXAMPLES["air_time"].rows().filter(pl.col("scheduled_at") < datetime(2013, 3, 12, tzinfo=UTC))


@pytest.fixture
def home(retrain_home: Path, empty_store: Path, flights: pl.DataFrame) -> Home:
    retrain_home.mkdir()
    shutil.copy(empty_store, retrain_home / "mlflow.db")
    (retrain_home / "sources" / "air_time").mkdir(parents=True)
    flights.write_parquet(retrain_home / "sources" / "air_time" / "flights.parquet")
    return Home(retrain_home)


def play(home: Home, contract: Contract, **more: object) -> Pause:
    return rehearse(home, contract, QUIET, person="dana.data@flights.example", first=FIRST, **more)  # type: ignore[arg-type]


def test_it_pauses_for_the_first_champion_and_goes_on_when_a_person_has_spoken(home: Home, air_time: Contract) -> None:
    pause = play(home, air_time, last=date(2013, 3, 7))
    assert (pause.day, pause.act, pause.retrain) == (FIRST, "bootstrap", str(FIRST))
    assert play(home, air_time, last=date(2013, 3, 7)).day == FIRST, "asking again changes nothing"
    assert len(Ledger(home.ledger_url).events(kinds={EventKind.RETRAIN_LAUNCHED})) == 1

    controller = ReleaseController.open(home)
    word = (air_time, str(FIRST), RUTH, "first champion")
    controller.bootstrap(*word, signed=signed(controller.bootstrap_case(*word)))
    ended = play(home, air_time, last=date(2013, 3, 7))
    assert (ended.what, ended.day) == (None, date(2013, 3, 8))

    exposures = ExposureLog(home).read_exposures("air_time")
    assert exposures["exposed_at"].dt.date().unique().sort().to_list() == [FIRST + timedelta(days=n) for n in range(4)]
    assert exposures["request_id"].n_unique() == exposures.height
    outcomes = ExposureLog(home).read_outcomes("air_time")
    both = outcomes.join(exposures, on="request_id")
    assert both.height == outcomes.height > 400
    assert (both["observed_at"] - both["exposed_at"]).unique().to_list() == [timedelta(days=1)]
    assert both["exposed_at"].max() < datetime(2013, 3, 7, tzinfo=UTC), "outcomes follow a label delay later"


def test_a_day_that_is_served_again_after_a_crash_leaves_what_it_left_before(home: Home, air_time: Contract) -> None:
    from retrain_assets.replay.demo import ruth

    play(home, air_time, last=FIRST, stand_in=ruth)
    before = ExposureLog(home).read_exposures("air_time")
    (home.root / "rehearsal" / "air_time" / "progress.json").write_text(f'{{"day": "{FIRST}", "told": 0}}')
    play(home, air_time, last=FIRST, stand_in=ruth)
    again = ExposureLog(home).read_exposures("air_time")
    assert before.height > 200
    assert again.drop("latency_ms").equals(before.drop("latency_ms"))


def test_several_classes_are_decided_by_name(retrain_home: Path, empty_store: Path) -> None:
    retrain_home.mkdir()
    shutil.copy(empty_store, retrain_home / "mlflow.db")
    home = Home(retrain_home)
    play_example(home, "arrival_band", QUIET, last=EXAMPLES["arrival_band"].first + timedelta(days=2))
    outcomes = ExposureLog(home).read_outcomes("arrival_band")
    assert outcomes["desk_cost"].is_in([0.0, 2.0, 3.0, 5.0, 6.0, 8.0, 12.0]).all()
    assert outcomes["missed_disruption"].is_in([0.0, 1.0]).all()


def test_it_stays_out_of_homes_that_are_not_its_own(tmp_path: Path, air_time: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    live = Home(tmp_path / "live")
    live.root.mkdir()
    (live.root / "ledger.db").write_bytes(b"somebody's")
    with pytest.raises(RetrainError, match="needs a home of its own"):
        play(live, air_time)
    other = Home(tmp_path / "other")
    (other.root / "rehearsal" / "churn").mkdir(parents=True)
    (other.root / "rehearsal" / "churn" / "progress.json").write_text('{"day": "2013-04-01", "told": 0}')
    (other.root / "clock.json").write_text('{"replay_now": "2013-04-01T06:00:00+00:00"}')
    with pytest.raises(RetrainError, match="another model"):
        play(other, air_time)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example")
    with pytest.raises(RetrainError, match="unset MLFLOW_TRACKING_URI"):
        play(Home(tmp_path / "new"), air_time)


def test_a_contract_that_cannot_be_rehearsed_says_what_to_write(tmp_path: Path, air_time: Contract) -> None:
    home = Home(tmp_path / "new")
    with pytest.raises(ContractError, match="write rehearsal"):
        play(home, air_time.model_copy(update={"rehearsal": None}))
    late = air_time.source.model_copy(update={"label_delay": timedelta(days=3)})
    with pytest.raises(ContractError, match="no outcome of history would count"):
        play(home, air_time.model_copy(update={"source": late}))


def test_days_without_the_history_they_need_are_refused(home: Home, air_time: Contract) -> None:
    with pytest.raises(RetrainError, match="give 2013-02-04 or later"):
        rehearse(home, air_time, QUIET, person="dana@flights.example", first=date(2013, 1, 20))
    with pytest.raises(RetrainError, match="before the first champion"):
        play(home, air_time, last=date(2013, 3, 1))
    long = air_time.window.model_copy(update={"train": timedelta(days=900)})
    with pytest.raises(ContractError, match="more than the source has"):
        rehearse(home, air_time.model_copy(update={"window": long}), QUIET, person="dana@flights.example")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("nothing", "returned NoneType"),
        ("fewer", "returned 1 rows for 2"),
        ("other_columns", "does not return absolute_error, short_by_15"),
        ("texts", "absolute_error is String"),
        ("raises", "raised KeyError"),
    ],
)
def test_a_function_of_outcomes_that_gives_something_else_is_named(air_time: Contract, function: str, message: str) -> None:
    path = f"retrain_assets_tests.replay.wrong_outcomes.{function}"
    wrong = air_time.model_copy(update={"rehearsal": air_time.rehearsal.model_copy(update={"outcomes": path})})
    scored = pl.DataFrame(
        {
            "air_time": [100.0, 90.0],
            "request_id": ["a", "b"],
            "unit_id": ["a", "b"],
            "exposed_at": [datetime(2013, 3, 4, tzinfo=UTC)] * 2,
            "_score": [99.0, 95.0],
            "_decision": pl.Series([None, None], dtype=pl.Boolean),
        }
    )
    with pytest.raises(StageError, match=message):
        known_outcomes(scored, wrong)
