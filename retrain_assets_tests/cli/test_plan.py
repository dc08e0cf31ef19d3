from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from retrain_assets.experiment.estimation.confidence_sequence import one_sided_radius, tuning
from retrain_assets.serving import ExposureLog

from .conftest import Run, parsed
from .world import ATTRIBUTES, MODEL, SECOND, World, write_project


def rewritten(home: Path, **experiment: Any) -> None:
    """The project's contract with other terms of the experiment."""
    attributes = {**ATTRIBUTES, "experiment": {**ATTRIBUTES["experiment"], **experiment}}
    for file in (home.parent / "shop" / "defs" / MODEL, home.parent):
        for old in (file / "defs.yaml", file / "pyproject.toml"):
            old.unlink(missing_ok=True)
    (home.parent / "shop" / "defs" / MODEL).rmdir()
    write_project(home.parent, attributes)


def measures_of(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["measure"]: row for row in document["measures"]}


def test_plan_gives_units_and_days_of_each_stage_at_the_expected_traffic_when_none_is_seen(run: Run, candidates: World) -> None:
    document = parsed(run("plan", MODEL, "--json"))
    shadow, half = document["stages"]
    assert (shadow["challenger_units"], shadow["cohort_units"], shadow["days"]) == (20, 20, 1.0)
    assert (half["challenger_units"], half["cohort_units"]) == (20, 40)
    assert (half["filling_days"], half["maturing_days"], half["days"]) == (0.4, 1.0, 1.4)
    assert document["ramp_days"] == pytest.approx(2.4)
    assert document["last_stage_days_left"] == pytest.approx(13)
    assert document["planned_units_days"] == 10
    assert document["units_a_day_seen"] is False
    assert "no traffic of the cohort is logged in the last 14 days" in run("plan", MODEL).stdout


def test_without_traffic_nothing_is_said_about_chances_and_nothing_refused(run: Run, candidates: World) -> None:
    text = run("plan", MODEL).stdout
    assert "cost: what it can show is not known: no traffic of the champion is logged" in text
    assert "chance" not in text
    assert parsed(run("plan", MODEL, "--json"))["inconclusive"] is None


def test_before_any_look_the_champions_own_outcomes_give_the_variance(run: Run, ramping: World) -> None:
    document = parsed(run("plan", MODEL, "--json"))
    assert document["units_a_day_seen"] is True
    assert document["units_a_day"] == pytest.approx(600 / (95 / 24), rel=1e-6)
    measures = measures_of(document)
    assert measures["cost"]["variance_from"]["kind"] == "champion"
    assert measures["cost"]["variance"] == pytest.approx(9, rel=0.2)
    assert measures["complaint"]["champion_mean"] == pytest.approx(0.1, abs=0.05)
    text = run("plan", MODEL).stdout
    assert "new units a day, as seen in the cohort in the last 4.0 days" in text
    assert "the contract expects 100: correct experiment.expected_units_per_day" in text


def test_a_recorded_look_gives_the_variance_and_what_its_limits_can_show(run: Run, awaiting: World) -> None:
    measures = measures_of(parsed(run("plan", MODEL, "--json")))
    assert measures["cost"]["variance_from"]["retrain"] == SECOND
    assert measures["cost"]["variance"] == pytest.approx(9, rel=0.15)
    units = measures["cost"]["by_day"][-1]["units"]
    at_once = one_sided_radius(units, 4 * 9, tuning(1000, 0.05), 0.025) + 0.8416 * (4 * 9 / units) ** 0.5
    assert 0.85 * at_once < measures["cost"]["detectable"] < at_once, "many looks show a little more than one"
    assert measures["complaint"]["margin"] == 0.1
    assert 500 < measures["complaint"]["units_needed"] < 3000
    assert f"{SECOND}, look of 2024-04-05 06:00 UTC, 600 units" in run("plan", MODEL).stdout


def test_a_measure_that_was_defined_otherwise_in_the_recorded_look_is_taken_from_the_champion(run: Run, awaiting: World) -> None:
    rewritten(awaiting.home.root, success={"cost": {"direction": "decrease", "above": 10}})
    measures = measures_of(parsed(run("plan", MODEL, "--json")))
    assert measures["cost"]["variance_from"]["kind"] == "champion"
    assert measures["cost"]["variance"] == pytest.approx(0.25, abs=0.02)
    assert measures["complaint"]["variance_from"]["kind"] == "look"


def test_a_contract_that_cannot_conclude_is_refused_naming_field_and_remedy(run: Run, awaiting: World) -> None:
    rewritten(awaiting.home.root, guardrails={"complaint": {"direction": "decrease", "margin": 0.02}})
    refused = run("plan", MODEL, code=1)
    line = refused.stderr.strip()
    assert line.startswith("retrain: churn: guardrails.complaint: the experiment cannot conclude in time: margin 0.02 needs ")
    assert "days at 152 a day" in line
    assert "max_duration is 14d" in line
    assert "widen margin to 0." in line
    assert "lengthen max_duration to " in line
    assert "cannot conclude: guardrails.complaint" in refused.stdout, "the plan itself is printed all the same"
    document = parsed(run("plan", MODEL, "--json", code=1))
    assert [one["field"] for one in document["obstacles"]] == ["guardrails.complaint"]


def test_the_remedy_that_is_named_is_enough(run: Run, awaiting: World) -> None:
    rewritten(awaiting.home.root, guardrails={"complaint": {"direction": "decrease", "margin": 0.02}})
    remedy = parsed(run("plan", MODEL, "--json", code=1))["obstacles"][0]["remedy"]
    wide = float(remedy.removeprefix("widen margin to ").split()[0])
    rewritten(awaiting.home.root, guardrails={"complaint": {"direction": "decrease", "margin": wide}})
    assert measures_of(parsed(run("plan", MODEL, "--json")))["complaint"]["chance_shown"] >= 0.8


def test_an_effect_to_plan_for_can_be_given(run: Run, awaiting: World) -> None:
    small = parsed(run("plan", MODEL, "--json", "--effect", "cost=2%", code=1))
    assert measures_of(small)["cost"]["truth"] == "given"
    assert [one["field"] for one in small["obstacles"]] == ["success.cost"]
    large = parsed(run("plan", MODEL, "--json", "--effect", "cost=20%"))
    assert measures_of(large)["cost"]["chance_shown"] > 0.99
    assert large["inconclusive"]["at_most"] < 0.1


@pytest.mark.parametrize(
    ("written", "said"),
    [("price=3%", "'price' is not a success measure"), ("cost=soon", "soon"), ("cost", "share"), ("cost=-3%", "no improvement")],
)
def test_an_effect_that_cannot_be_is_refused(run: Run, candidates: World, written: str, said: str) -> None:
    assert said in run("plan", MODEL, "--effect", written, code=3).stderr


def test_planned_looks_are_planned_with_their_own_boundaries(run: Run, awaiting: World) -> None:
    anytime = measures_of(parsed(run("plan", MODEL, "--json", "--effect", "cost=5%", code=1)))["cost"]["chance_shown"]
    rewritten(awaiting.home.root, looks={"after": ["4d", "8d", "12d"]})
    document = parsed(run("plan", MODEL, "--json", "--effect", "cost=5%"))
    assert document["looks"]["planned"] is True
    assert document["looks"]["days"] == pytest.approx([5, 9, 13])
    assert document["looks"]["z"][-1] == pytest.approx(2.0, abs=0.05)
    assert measures_of(document)["cost"]["chance_shown"] > anytime, "looks fixed in advance show more"
    assert "planned looks on days 5, 9, 13 since arming" in run("plan", MODEL).stdout


def test_a_last_look_after_the_end_is_named(run: Run, awaiting: World) -> None:
    rewritten(awaiting.home.root, looks={"after": ["7d", "13d"]}, min_stage={"units": 300, "duration": "1d"})
    line = run("plan", MODEL, code=1).stderr
    assert "churn: looks.after" in line
    assert "the last planned look falls on day 15.0 after arming, and max_duration is 14d; let the last look be 12d" in line


def test_too_little_traffic_for_the_ramp_itself_is_named(run: Run, awaiting: World) -> None:
    rewritten(awaiting.home.root, ramp=["shadow", 2, 50, 100], min_stage={"units": 12, "duration": "1d"}, max_duration="13d")
    exposures = ExposureLog(awaiting.home).read_exposures(MODEL)
    few = exposures["unit_id"].unique().sort()[:180].implode()
    for file in awaiting.home.exposures_dir(MODEL).glob("*.parquet"):
        pl.read_parquet(file).filter(pl.col("unit_id").is_in(few)).write_parquet(file)
    line = run("plan", MODEL, code=1).stderr
    assert "churn: min_stage.units" in line
    assert "approval can be asked for on day" in line
    assert "max_duration is 13d; lower it below 12" in line


def test_a_guardrail_must_be_shown_in_every_segment_that_has_a_margin(run: Run, awaiting: World) -> None:
    guardrails = {"complaint": {"direction": "decrease", "margin": 0.1, "segment_margin": 0.05}}
    rewritten(awaiting.home.root, guardrails=guardrails, segments=["region"])
    document = parsed(run("plan", MODEL, "--json", code=1))
    (row,) = document["segments"]
    assert (row["segment"], row["margin"]) == ("region=north", 0.05)
    assert "segment_margin 0.05 in region=north needs" in run("plan", MODEL, code=1).stderr


def test_values_that_are_all_equal_are_said_to_be(run: Run, ramping: World) -> None:
    for file in ramping.home.outcomes_dir(MODEL).glob("*.parquet"):
        pl.read_parquet(file).with_columns(cost=pl.lit(12.0)).write_parquet(file)
    text = run("plan", MODEL).stdout
    assert "cost: what it can show is not known: all 3" in text
    assert "values of the champion are equal (12), which gives no measure of chance" in text


def test_a_share_without_any_event_is_planned_with_the_exact_bounds(run: Run, ramping: World) -> None:
    for file in ramping.home.outcomes_dir(MODEL).glob("*.parquet"):
        pl.read_parquet(file).with_columns(complaint=pl.lit(0.0)).write_parquet(file)
    row = measures_of(parsed(run("plan", MODEL, "--json")))["complaint"]
    assert row["bounds"] == "exact"
    assert 0 < row["units_needed"] < 800, "no event bounds a share by about 8 / n in each arm"


def test_outcomes_that_are_missing_are_said_to_be(run: Run, ramping: World) -> None:
    for file in ramping.home.outcomes_dir(MODEL).glob("*.parquet"):
        file.unlink()
    text = run("plan", MODEL).stdout
    assert "complaint: what it can show is not known: the champion has no matured unit with a value" in text


def test_traffic_that_stopped_long_ago_says_nothing_about_a_day(run: Run, ramping: World) -> None:
    ramping.clock.set(ramping.clock.now() + timedelta(days=40))
    assert "no traffic of the cohort is logged in the last 14 days, so the contract's expected 100" in run("plan", MODEL).stdout
