"""docs/faults.md and the code name the same faults, and every fault says what it is."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from retrain_assets_tests.faults.fault import REFUSED, Fault
from retrain_assets_tests.faults.page import COMMAND
from retrain_assets_tests.faults.road import STAGES
from retrain_assets_tests.faults.table import FAMILIES, FAULTS

DOCS = Path(__file__).parent.parent.parent / "docs"


@pytest.fixture(scope="module")
def page() -> str:
    return (DOCS / "faults.md").read_text(encoding="utf-8")


def test_the_page_lists_every_fault_of_the_code_and_no_other(page: str) -> None:
    listed = re.findall(r"^\| `([a-z0-9_]+)` \|", page, flags=re.MULTILINE)
    assert [name for name in listed if name in {fault.name for fault in FAULTS}] == [fault.name for fault in FAULTS]
    assert {name for name in listed if not name.startswith("gates")} == {fault.name for fault in FAULTS}


def test_the_page_names_the_command_that_makes_it_and_the_twelve_months(page: str) -> None:
    assert COMMAND in page
    twelve = page[page.index("## Twelve months") : page.index("## The shipped contract")]
    assert re.findall(r"^\| (\d{4}-\d{2}-01) \|", twelve, flags=re.MULTILINE) == [
        *(f"2013-{month:02}-01" for month in range(2, 13)),
        "2014-01-01",
    ]
    assert "verdicts; 0 did not pass" in " ".join(page.split())


def test_each_fault_has_a_name_of_its_own_and_one_sentence() -> None:
    assert [name for name, count in Counter(fault.name for fault in FAULTS).items() if count > 1] == []
    for fault in FAULTS:
        assert re.fullmatch(r"[a-z][a-z0-9_]+", fault.name)
        assert re.fullmatch(r"[A-Z0-9].*\.", fault.happened), fault.name
        assert "\n" not in fault.happened


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_caught_by_named_checks_or_says_why_it_is_missed(fault: Fault) -> None:
    assert bool(fault.caught_by) != bool(fault.missed)
    assert not fault.needs or fault.caught_by
    for check in fault.caught_by:
        assert re.fullmatch(rf"{REFUSED}({'|'.join(STAGES)})|[a-z][a-z0-9_]+", check)


def test_faults_go_beyond_the_schema() -> None:
    """At least 45 faults are said to be caught, a third or more of them by other means than schema and reader of the source."""
    caught = [fault for fault in FAULTS if fault.caught_by]
    beyond = [fault for fault in caught if not {"schema_holds", f"{REFUSED}dataset"} & set(fault.caught_by)]
    assert len(caught) >= 45
    assert 3 * len(beyond) >= len(caught)
    assert set(FAMILIES) >= {"Time", "Labels", "Feature code", "Training", "Candidate and evaluation"}
