"""The study of the engine in a short setting: bounds a broken engine would break. The figures are those of the full setting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers import PeerMissing
from benchmarks.study import coverage, harm, no_effect, page, peers, power, traces
from benchmarks.study.batches import Setting
from benchmarks.study.decisions import decide_runs
from benchmarks.study.latency import Latency, engine_on, simulate_latency
from benchmarks.study.laws import Conversion, Law, Revenue, RevenuePerSession, WithCovariate, simulate, without_covariates
from benchmarks.study.ramps import Ramp
from benchmarks.study.results import keep
from benchmarks.study.returning import Returning, simulate_returning
from benchmarks.study.rules import SUCCESS, compared, engine, peeking, plan_for
from retrain_assets.experiment import judge

RAMP = Ramp((0.05, 0.25, 0.5), (8, 8, 16), (1_250,) * 32, (1.0, 1.1, 1.2))
TINY = Setting("tiny", 4, 4, 4, 1)


def random() -> np.random.Generator:
    return np.random.default_rng(4)


@pytest.fixture
def no_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_arguments: object, **_options: object) -> None:
        raise PeerMissing("it could not be installed: no network")

    monkeypatch.setattr(peers, "run_peer", missing)


@pytest.mark.parametrize("law", [Conversion(0.05), Revenue(), RevenuePerSession()], ids=lambda law: law.name)
def test_without_an_effect_a_drifting_ramp_neither_promotes_nor_rolls_back(law: Law) -> None:
    runs = simulate(law, RAMP, random(), 80)
    found = engine(runs, plan_for(RAMP))
    assert found.better.any(axis=1).sum() <= 4
    assert found.worse.any(axis=1).sum() <= 4


def test_the_same_canaries_fool_a_t_test_on_pooled_stages() -> None:
    runs = simulate(Conversion(0.05), RAMP, random(), 80)
    assert peeking(compared(runs, "pooled").z).better[:, RAMP.last_stage].any(axis=1).mean() > 0.2


def test_units_that_return_in_every_stage_neither_promote_nor_roll_back() -> None:
    found = engine(simulate_returning(Returning(600), RAMP, random(), 40), plan_for(RAMP))
    assert found.better.any(axis=1).sum() <= 2
    assert found.worse.any(axis=1).sum() <= 2


def test_strata_that_share_units_are_less_certain_than_strata_of_other_units() -> None:
    """The overlaps carry it: a fixed population's means are as uncertain as its units differ, however often they return."""
    spread = Returning(600, spread=0.2, rate=0.5, activity=0.5)
    runs = simulate_returning(spread, Ramp((0.5, 0.5, 0.5), (4, 4, 4), (1,) * 12, (1.0, 1.0, 1.0)), random(), 60)
    ends = [judge(SUCCESS, [*runs.looks(run)][-1][1], plan_for(RAMP, planned_units=1_800)) for run in range(60)]
    estimates = np.array([one.estimate for one in ends], dtype=float)
    widths = np.array([(one.upper or 0.0) - (one.lower or 0.0) for one in ends])
    assert np.median(widths) > 2 * 2.6 * estimates.std()


def test_no_effect_on_the_p95_is_no_effect_and_a_harm_is_seen() -> None:
    ramp = Ramp((0.25, 0.5), (3, 3), (1_500,) * 6, (1.0, 1.2))
    rng = random()
    none = engine_on([simulate_latency(Latency(), ramp, rng) for _ in range(20)], plan_for(ramp))
    harmed = engine_on([simulate_latency(Latency(), ramp, rng, effect=0.3) for _ in range(8)], plan_for(ramp))
    assert none.better.any(axis=1).sum() + none.worse.any(axis=1).sum() <= 2
    assert harmed.worse.any(axis=1).all()


def test_power_by_the_fixed_size() -> None:
    """80 % for a fixed-size test; at least 70 % with planned looks, 50 % at any look, and more than 80 % with the covariate."""
    adjusted = simulate(WithCovariate(), power.even_ramp(power.normal_units(0.2), 20), random(), 120, effect=0.2)
    plain = without_covariates(adjusted)
    anytime = engine(plain, plan_for(plain.ramp)).found.mean()
    planned = power.planned_looks(plain).mean()
    assert 0.38 <= anytime <= 0.62 < 0.68 <= planned <= 0.9
    assert engine(adjusted, plan_for(adjusted.ramp)).found.mean() >= 0.8
    assert power.planned_looks(adjusted).mean() >= 0.9


def test_planned_looks_without_an_effect_keep_their_level() -> None:
    assert power.planned_looks(simulate(Conversion(0.05), power.even_ramp(8_000, 5), random(), 200)).sum() <= 12


@pytest.mark.parametrize("planned", [0, 5])
def test_a_challenger_ten_percent_worse_is_never_shipped(planned: int) -> None:
    ends = decide_runs(harm.harm_ramp(10_000), Conversion(0.05), -0.1, planned, random(), 25)
    assert [one for one in ends if one.action == "ask_approval"] == []


def test_harm_is_called_later_than_the_best_possible_test_calls_it_and_not_much_later() -> None:
    law, effect = Conversion(0.05), -0.5
    size = power.fixed_size(law, effect)
    part = harm._delay_part(law, power.even_ramp(size * 4, 40), 0.5, effect, size, random(), 60)
    units = {name: np.median(np.where(first < 0, 40, first + 1)) / 10 for name, first in part.first.items()}
    best = min(units[name] for name in units if name.startswith("SPRT"))
    assert best <= units[harm.OURS] <= 2.5
    assert units[harm.OURS] <= units[harm.CONFIRMED]


@pytest.mark.parametrize(
    ("law", "units", "share"),
    [
        (Conversion(0.001), 10_000, 0.5),
        (Conversion(0.05), 1_000, 0.05),
        (Revenue(), 10_000, 0.05),
        (RevenuePerSession(), 1_000, 0.5),
    ],
    ids=lambda value: str(getattr(value, "name", value)),
)
def test_limits_miss_the_true_effect_no_more_than_stated_at_any_look(law: Law, units: int, share: float) -> None:
    row = coverage._row(law.name, units, share, [coverage._means(law, units, share, random(), 120)])
    assert max(row.lower_ever, row.upper_ever) <= 0.025 + 3 * row.error
    assert row.claimed > 0.9


def test_a_peer_that_cannot_run_is_a_row_that_says_so(no_peers: None) -> None:
    rows = no_effect._rows("conversion", [no_effect._batch(simulate(Conversion(0.05), no_effect.RAMP, random(), 2))])
    assert {row.rule for row in rows if row.missing} == {
        row.rule for row in rows if "gbstats" in row.rule or "otify" in row.rule or "Growth" in row.rule
    }
    assert all(row.promoted is None and row.rolled_back is None for row in rows if row.missing)


def test_the_page_is_written_from_what_the_parts_found(no_peers: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRAIN_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(no_effect, "RAMP", Ramp((0.05, 0.5), (2, 3), (800,) * 5, (1.0, 1.2)))
    monkeypatch.setattr(no_effect, "LATENCY_RAMP", Ramp((0.05, 0.5), (1, 2), (800,) * 3, (1.0, 1.2)))
    monkeypatch.setattr(traces, "RAMP", no_effect.RAMP)
    monkeypatch.setattr(power, "LOOKS", 10)
    monkeypatch.setattr(harm, "LOOKS", 8)
    monkeypatch.setattr(coverage, "LOOKS", 3)
    monkeypatch.setattr(coverage, "LAWS", coverage.LAWS[:2])
    monkeypatch.setattr(coverage, "SIZES", (200,))
    monkeypatch.setattr(coverage, "LATENCY_SIZES", (200,))
    monkeypatch.setattr(harm, "SIZES", (5_000,))
    monkeypatch.setattr(harm, "HARMS", (0.5,))
    monkeypatch.setattr(power, "MULTIPLES", (0.0, 1.0))
    for name, part in (("no_effect", no_effect.no_effect), ("power", power.power), ("harm", harm.harm)):
        keep(name, TINY, part(TINY))
    keep("coverage", TINY, coverage.coverage(TINY))
    keep("traces", TINY, traces.traces(TINY))
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "statistics.md").write_text(f"# Before\n\n{page.BEGIN}\nlast year\n{page.END}\n\n## After\n", encoding="utf-8")
    monkeypatch.setattr(page, "PLOTS", {part: page.PLOTS[part] for part in ("traces", "harm")})
    written = page.write_page(docs)
    text = (docs / "statistics.md").read_text(encoding="utf-8")
    assert text.startswith("# Before")
    assert text.endswith("## After\n")
    assert "last year" not in text
    assert "could not run: it could not be installed: no network" in text
    assert all(path.stat().st_size > 1_000 for path in written)
    assert text.count("](images/study-") == 4
