"""The pack's page of a canary: the call on its first screen, states as words, every number, readable on a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.experiment.look import Action, Cause
from retrain_assets.home import Home
from retrain_assets.reports import pack_page, words
from retrain_assets.reports.pictures import canary_pictures
from retrain_assets_tests.browser import chromium
from retrain_assets_tests.reports.rich import KEY, RichRoad
from retrain_assets_tests.reports.sample_evidence import MODEL
from retrain_assets_tests.reports.sample_looks import broken_look, harmful_look, rich_look, waiting_look
from retrain_assets_tests.reports.test_page import read, text_of

MADE = {"rich": rich_look, "harmful": harmful_look, "broken": broken_look, "waiting": waiting_look}


@pytest.fixture(scope="session")
def roads(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[RichRoad, dict[str, Any]]]:
    """A road for each hand-made look, with its pack."""
    made = {}
    for name, look in MADE.items():
        road = RichRoad(Home(tmp_path_factory.mktemp(name) / "home"))
        made[name] = (road, road.pack(look))
    return made


@pytest.fixture(params=[*MADE])
def pack(request: pytest.FixtureRequest, roads: dict[str, Any]) -> dict[str, Any]:
    return roads[request.param][1]


def page_of(pack: dict[str, Any]) -> str:
    return pack_page(pack, "sha256:" + "0" * 64)


def test_the_page_is_well_formed_with_everything_a_look_can_say(pack: dict[str, Any]) -> None:
    outline = read(page_of(pack))
    assert outline.open == []
    assert outline.captions == outline.tables
    assert outline.unscoped == 0
    assert len(outline.ids) == len(set(outline.ids))


def test_call_reason_states_and_distances_are_words_on_the_page(pack: dict[str, Any]) -> None:
    text, summary = text_of(page_of(pack)), pack["ramp"]["summary"]
    assert summary["call"]["word"] in text
    assert words.sentence(summary["call"]["why"]) in text
    for line in summary["measures"]:
        for said in (line["words"], line["change"], f"must {line['must']}: {line['distance']}"):
            assert said in text, line["name"]
    for warning in summary["warnings"]:
        assert warning in text
    assert summary["health"]["line"] in text
    for check in summary["health"]["checks"]:
        assert check["message"] in text


def test_what_has_no_value_is_a_dash_and_never_nan(pack: dict[str, Any]) -> None:
    text = text_of(page_of(pack))
    assert not re.search(r"\b(nan|NaN|inf|None|undefined)\b", text)


def test_an_open_retrain_says_what_its_canary_calls_for_before_anything_else(roads: dict[str, Any]) -> None:
    text = text_of(page_of(roads["waiting"][1]))
    assert text.index("Not shown yet: cost per flight") < text.index("What set it off")
    warned = text_of(page_of(roads["rich"][1]))
    assert warned.index("Read before deciding.") < warned.index("What set it off")


def test_a_rollback_names_both_sides_and_why_it_was_lost(roads: dict[str, Any]) -> None:
    pack = roads["harmful"][1]
    text = text_of(page_of(pack))
    assert pack["answer"]["failure"]["mode"] == "genuine_weakness"
    assert "Why it lost: genuine weakness" in text
    assert "healthy technically, worse commercially" in text
    for one in pack["answer"]["failure"]["evidence"]:
        assert one["name"] in text


def test_both_arms_and_the_features_that_moved_are_tables(roads: dict[str, Any]) -> None:
    text = text_of(page_of(roads["rich"][1]))
    assert "Both arms, technical side" in text
    assert "41 → 180" in text
    assert "wind_speed" in text
    assert "Not judged: " in text
    assert "labels of the newest day are not known yet" in text


def test_planned_looks_and_methods_are_tables_for_an_auditor(roads: dict[str, Any]) -> None:
    text = text_of(page_of(roads["rich"][1]))
    assert "O'Brien and Fleming" in text
    for method in ("asymptotic confidence sequence", "exact bounds for few events", "quantile limits"):
        assert method in text
    assert "42 %" in text, "the share of variance that covariates took out"


def test_every_look_is_a_row_that_says_when_it_was_planned_and_when_it_was_not_sound(roads: dict[str, Any]) -> None:
    ramp = roads["rich"][1]["ramp"]
    text = text_of(page_of(roads["rich"][1]))
    assert f"All {len(ramp['looks'])} looks" in text
    planned = [look["planned_look"] for look in ramp["looks"] if look["planned_look"]]
    assert planned == [1]
    assert "planned look 1" in text
    assert next(look["failing"] for look in ramp["looks"] if not look["valid"]) == ["missing_outcomes"]
    assert "not sound: missing outcomes" in text


def test_a_look_that_ends_the_experiment_without_harm_says_what_it_was(tmp_path: Path) -> None:
    pack = RichRoad(Home(tmp_path / "home")).pack(lambda: waiting_look(action=Action.REJECT, cause=Cause.INCONCLUSIVE))
    assert pack["answer"]["failure"]["mode"] == "inconclusive"
    assert "Not everything was shown in time" in text_of(page_of(pack))


def test_dagster_gets_the_ramp_the_intervals_and_the_segments_that_matter(roads: dict[str, Any]) -> None:
    road = roads["rich"][0]
    titles = re.findall(r"^\*\*(.*?)\*\*", canary_pictures(road.home, MODEL, KEY), flags=re.MULTILINE)
    assert [title.split(",")[0].split(" by ")[0] for title in titles] == [
        "The ramp",
        *("cost_per_flight", "missed_late_rate", "error_rate", "latency_p95"),
        *("cost_per_flight", "missed_late_rate"),
    ]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.mark.browser
@pytest.mark.parametrize(("name", "width", "height"), [("waiting", 1280, 800), ("waiting", 390, 844), ("broken", 390, 844)])
def test_the_first_screen_holds_the_action_and_the_reason(
    roads: dict[str, Any], browser: Any, tmp_path: Path, name: str, width: int, height: int
) -> None:
    pack = roads[name][1]
    (tmp_path / "pack.html").write_text(page_of(pack))
    page = browser.new_page(viewport={"width": width, "height": height})
    page.goto(f"file://{tmp_path}/pack.html")
    for part in (".call .word", ".call .why"):
        box = page.locator(part).first.bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= height, part
    assert pack["ramp"]["summary"]["call"]["word"] in page.locator(".call .word").first.inner_text()
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize("name", [*MADE])
def test_a_phone_scrolls_tables_and_never_the_page(roads: dict[str, Any], browser: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / "pack.html").write_text(page_of(roads[name][1]))
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(f"file://{tmp_path}/pack.html")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()
