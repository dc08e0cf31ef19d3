from __future__ import annotations

from typing import Any

import pytest

from retrain_assets.cli.terms_words import cohort_words, guardrail_words

from .conftest import Run, parsed
from .world import MODEL, TOGGLE, World


def test_show_names_everything_a_toggle_has(run: Run, ramping: World) -> None:
    text = run("toggle", "show", MODEL).stdout
    for line in (
        f"toggle:         {TOGGLE}",
        "owner:          team:accounts",
        "purpose:        Compare the retrained churn model with the champion",
        "created:        2024-04-01 06:00 UTC (4 days ago, by system:retrain_assets)",
        "expires:        2024-04-21 06:00 UTC",
        "remove by:      2024-05-01 06:00 UTC",
        "cohort:         those with region one of north, south",
        "guardrails:     complaint (lower is better) must not be worse by more than 0.1",
        "rollback:       to version 1, the champion",
        "review due:     2024-04-15 06:00 UTC",
    ):
        assert f"{line}\n" in text


def test_the_list_is_readable_at_a_hundred_columns(run: Run, act: Run, ramping: World) -> None:
    act("toggle", "hold", MODEL)
    assert max(len(line) for line in run("toggle", "list").stdout.splitlines()) <= 100


def test_age_and_debt_grow_and_the_report_says_what_settles_it(run: Run, act: Run, ramping: World) -> None:
    assert run("toggle", "debt").stdout == "no toggle debt\n"
    act("toggle", "hold", MODEL)
    ramping.forward(days=11)
    (row,) = [line for line in run("toggle", "list").stdout.splitlines() if line.startswith(TOGGLE)]
    assert row.split()[-4:] == ["15", "d", "2024-04-21", "2"]
    text = run("toggle", "debt", MODEL).stdout
    assert f"{TOGGLE}: held, in debt for 4 days: it is held since 2024-04-05, longer than 7d\n" in text
    assert f'    retrain toggle resume {TOGGLE} --reason "why"\n' in text
    assert f'    retrain toggle rollback {TOGGLE} --reason "why"  # or this\n' in text
    assert f"{TOGGLE}: review overdue, in debt for 1 day: nobody has said for more than 14d" in text
    assert text.endswith("2 in all, on 1 toggle\n")
    assert [(one["model"], one["kind"], one["days"]) for one in parsed(run("toggle", "debt", "--json"))] == [
        (MODEL, "held", 4),
        (MODEL, "review_overdue", 1),
    ]


def test_after_a_promotion_the_way_back_is_named_and_after_retirement_there_is_none(run: Run, act: Run, awaiting: World) -> None:
    act("approve", MODEL, "2024-04-01")
    awaiting.controller.decide(MODEL, "2024-04-01")
    assert "rollback:       to version 1, the previous champion\n" in run("toggle", "show", TOGGLE).stdout
    act("toggle", "retire", MODEL)
    assert "rollback:       none any more; it is retired\n" in run("toggle", "show", TOGGLE).stdout


@pytest.mark.parametrize(
    ("cohort", "share", "words"),
    [
        ({}, 1.0, "everyone"),
        ({}, 0.125, "12.5 % of everyone"),
        ({"tier": {"in": ["gold"]}}, 1.0, "those with tier gold"),
        (
            {"tier": {"in": ["gold", "silver"]}, "device": {"not_in": ["tv"]}},
            0.8,
            "80 % of those with tier one of gold, silver and device not tv",
        ),
        ({"seats": {"at_least": 3, "below": 200.5}}, 1.0, "those with seats at least 3 and seats below 200.5"),
        ({"segments": {"any_of": ["a", "b"]}}, 1.0, "those with segments holding any of a, b"),
    ],
)
def test_a_cohort_in_words(cohort: dict[str, Any], share: float, words: str) -> None:
    assert cohort_words(cohort, share) == words


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"direction": "decrease", "margin": 0.01}, "m (lower is better) must not be worse by more than 0.01"),
        (
            {"direction": "decrease", "column": "latency_ms", "quantile": 0.95, "max_regression": 0.2, "segment_margin": 0.5},
            "m (p95 of latency_ms, lower is better) must not be worse by more than 20 % of the champion's, "
            "in each segment by at most 50 %",
        ),
        (
            {"direction": "increase", "column": "spent", "per": "requests", "margin": 2.0, "segment_margin": 3.0},
            "m (spent per request, higher is better) must not be worse by more than 2, in each segment by at most 3",
        ),
        (
            {"direction": "decrease", "column": "wait", "above": 30.0, "margin": 0.1},
            "m (share with wait above 30, lower is better) must not be worse by more than 0.1",
        ),
        (
            {"direction": "increase", "aggregate": "sum", "margin": 0.1},
            "m (sum of m, higher is better) must not be worse by more than 0.1",
        ),
    ],
)
def test_a_guardrail_in_words(terms: dict[str, Any], words: str) -> None:
    assert guardrail_words("m", terms) == words
