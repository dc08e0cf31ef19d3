"""The page: self-contained, sound for a screen reader, safe against what people write, and saying what the JSON says."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from retrain_assets.reports import pack_page
from retrain_assets.reports.index import index_of
from retrain_assets.reports.page import cell, evidence_parts, folded, index_page
from retrain_assets_tests.reports.conftest import packed, paged
from retrain_assets_tests.reports.sample import DRIFT, MODEL, Sample

ROADS = ["2013-04-01", "2013-07-01", "2013-08-01", "2013-11-01"]
VOID = {"meta", "br", "wbr", "link", "input", "img", "line", "rect", "circle", "polyline", "polygon"}


@pytest.fixture(params=[*ROADS, "index"])
def page(request: pytest.FixtureRequest, lived: Sample) -> str:
    if request.param == "index":
        return index_page(index_of(lived.ledger, lived.home, MODEL))
    return paged(lived, request.param)


def test_the_page_needs_nothing_from_elsewhere(page: str) -> None:
    assert "<script" not in page
    assert not re.search(r"https?://|@import|url\(|<link|<img", page)
    targets = re.findall(r'href="([^"]*)"', page)
    assert targets
    assert all(re.fullmatch(r"#[\w-]+|[\w.-]+\.(html|json)", target) for target in targets)


def test_the_page_is_well_formed_and_every_id_is_used_once(page: str) -> None:
    outline = read(page)
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    anchors = [target[1:] for target in outline.links if target.startswith("#")]
    assert set(anchors) <= set(outline.ids)


def test_tables_have_captions_and_scoped_headers(page: str) -> None:
    outline = read(page)
    assert outline.tables > 0
    assert outline.captions == outline.tables
    assert outline.unscoped == 0


def test_headings_never_skip_a_level(page: str) -> None:
    levels = read(page).headings
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_every_plot_has_words_for_those_who_do_not_see_it(lived: Sample) -> None:
    labels = re.findall(r'<svg class="plot"[^>]*role="img" aria-label="([^"]+)"', paged(lived, "2013-07-01"))
    assert len(labels) == paged(lived, "2013-07-01").count("<svg") == 14
    assert all(len(label) > 80 for label in labels)


def test_outcomes_are_words_and_not_colour_alone(lived: Sample) -> None:
    for sign, word in re.findall(
        r'<span class="state \w+"><span class="sign" aria-hidden="true">(.)</span>([^<]*)</span>', paged(lived, "2013-11-01")
    ):
        assert sign.strip()
        assert word.strip()


def test_what_people_write_cannot_become_markup(fresh: Sample) -> None:
    fresh.launch("2013-07-01", {"kind": "person", "reason": '<script>alert("x")</script><b>now</b>'})
    page = paged(fresh, "2013-07-01")
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_every_check_message_and_digest_of_the_json_is_on_the_page(lived: Sample) -> None:
    pack = packed(lived, "2013-11-01")
    words = text_of(pack_page(pack, "sha256:0"))
    for gate in pack["gates"]:
        for check in gate["checks"]:
            assert " ".join(check["message"].split()) in words, check["check"]
    for one in pack["verification"]["evidence"]:
        assert one["digest"] in words
    for row in pack["transitions"]:
        assert row["hash"][:12] in words


def test_a_failed_check_shows_its_table_without_a_click(lived: Sample) -> None:
    page = paged(lived, "2013-08-01")
    before_details = page.split("<details")[0]
    assert "Why no single feature separates label did not hold" in before_details
    assert "0.908" in before_details


def test_a_retrain_that_was_only_launched_has_a_page(fresh: Sample) -> None:
    fresh.launch("2013-07-01", DRIFT)
    words = text_of(paged(fresh, "2013-07-01"))
    assert "Under way" in words
    assert "not reached" in words
    assert "No decision is recorded yet." in words


def test_the_index_lists_the_newest_first_and_links_written_packs_only(fresh: Sample) -> None:
    for key in ("2013-07-01", "2013-07-01.2", "2013-07-01.10"):
        fresh.launch(key, {"kind": "person", "reason": "again"})
    index = index_of(fresh.ledger, fresh.home, MODEL)
    assert [one["retrain"] for one in index["retrains"]] == ["2013-07-01.10", "2013-07-01.2", "2013-07-01"]
    assert "<a href=" not in index_page(index)[index_page(index).index("<main") :]
    fresh.home.reports_dir(MODEL).mkdir(parents=True)
    (fresh.home.reports_dir(MODEL) / "2013-07-01.html").write_text("")
    assert 'href="2013-07-01.html"' in index_page(index_of(fresh.ledger, fresh.home, MODEL))


def test_the_index_tells_answer_effect_and_reigns(lived: Sample) -> None:
    index = index_of(lived.ledger, lived.home, MODEL)
    words = text_of(index_page(index))
    for answer in ("Rolled back", "Stopped at gate data", "Promoted", "First champion"):
        assert answer in words
    assert [reign["version"] for reign in index["reigns"]] == ["1", "2"]
    assert index["retrains"][2]["effects"][0]["result"]["state"] == "better"


def test_a_model_without_retrains_has_an_index(fresh: Sample) -> None:
    assert "No retrain is recorded." in index_page(index_of(fresh.ledger, fresh.home, MODEL))


def test_cells_and_evidence_are_shown_by_kind() -> None:
    assert cell(None) == '<span class="none">—</span>'
    assert cell(True) == "yes"
    assert cell(81234.0) == "81,234"
    assert cell("2013-07-01T06:00:00+00:00") == '<time datetime="2013-07-01T06:00:00+00:00">2013-07-01 06:00 UTC</time>'
    assert 'class="digest"' in cell("sha256:" + "a" * 64)
    assert cell("<b>") == "&lt;b&gt;"
    parts = evidence_parts({"n": 3, "rows": [{"auc": 0.5, "feature": "hour"}], "by": {"train": {"rows": 1}}, "empty": []})
    assert parts[0] == {"facts": [("n", 3)]}
    assert parts[1]["columns"] == ["feature", "auc"]
    assert parts[1]["numeric"] == {"auc"}
    assert parts[2]["rows"] == [{"": "train", "rows": 1}]


@dataclass
class Outline(HTMLParser):
    """What a browser would build, as far as these tests ask."""

    open: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    headings: list[int] = field(default_factory=list)
    tables: int = 0
    captions: int = 0
    unscoped: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if named.get("id"):
            self.ids.append(str(named["id"]))
        if tag == "a":
            self.links.append(str(named.get("href")))
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        self.tables += tag == "table"
        self.captions += tag == "caption"
        self.unscoped += tag == "th" and "scope" not in named

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes something else"


def read(page: str) -> Outline:
    outline = Outline()
    outline.feed(page)
    return outline


def text_of(page: str) -> str:
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", body)).split())


def test_what_is_too_long_for_a_cell_is_folded_and_nothing_else_is() -> None:
    looks = [{"event": number, "action": "keep"} for number in range(4)]
    table = folded(looks)
    assert table is not None
    assert (table["summary"], table["columns"], len(table["rows"])) == ("4 entries", ["action", "event"], 4)
    assert folded(looks[:3]) is None
    assert folded("as recorded") is None
    long = folded({f"parameter_{number}": number for number in range(60)})
    assert long is not None
    assert long["rows"] is None
    assert len(long["summary"]) < 100
    assert long["summary"].endswith("…")
