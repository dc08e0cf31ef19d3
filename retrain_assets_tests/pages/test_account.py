"""Every block of every page is run, read, or named with the reason why not; and no name stands there for nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from retrain_assets.contract import Contract
from retrain_assets_tests.pages import CHECKOUT, PAGES, Block, read
from retrain_assets_tests.pages.account import NEEDS_A_WORKSPACE, NOT_TYPED, OUTPUT, PARSED, RUN_BY, TYPED
from retrain_assets_tests.pages.shell import commands
from retrain_assets_tests.pages.steps import STEPS

BLOCKS = [block for page in PAGES for block in read(page.name)]
FLIGHTS = yaml.safe_load((CHECKOUT / "retrain_assets" / "defs" / "flight_delay" / "defs.yaml").read_text())["attributes"]


def is_accounted_for(block: Block) -> bool:
    kind = (block.page, block.language)
    return (
        block.language in (*OUTPUT, *PARSED)
        or kind in RUN_BY
        or kind == NEEDS_A_WORKSPACE
        or (block.language in TYPED and block.page in STEPS)
    )


def test_every_block_is_run_or_read_or_says_why_not() -> None:
    assert [block.place for block in BLOCKS if not is_accounted_for(block)] == []


def test_a_test_that_runs_a_page_reads_it() -> None:
    for (page, language), test in RUN_BY.items():
        assert (page, language) in {(block.page, block.language) for block in BLOCKS}
        assert page in (Path(__file__).parents[1] / test).read_text(encoding="utf-8")


def test_what_is_not_typed_is_on_its_page() -> None:
    for page, beginning in NOT_TYPED:
        lines = [one.line for block in read(page) if block.language == "console" for one in commands(block.text)]
        assert any(line.startswith(beginning) for line in lines), (page, beginning)


def test_no_page_has_code_that_is_only_indented() -> None:
    for page in PAGES:
        fenced, before = False, ""
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            fenced ^= line.lstrip().startswith("```")
            assert fenced or before.strip() or not line.startswith("    "), f"{page.name}:{number}"
            before = line


@pytest.mark.parametrize("block", [one for one in BLOCKS if one.language == "json"], ids=lambda block: block.place)
def test_json_is_json(block: Block) -> None:
    try:
        json.loads(block.text)
    except json.JSONDecodeError:
        for line in block.text.splitlines():
            json.loads(line)


def overlaid(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    return under | {
        name: overlaid(under[name], value) if isinstance(value, dict) and isinstance(under.get(name), dict) else value
        for name, value in over.items()
    }


@pytest.mark.parametrize("block", [one for one in BLOCKS if one.language == "yaml"], ids=lambda block: block.place)
def test_yaml_is_yaml_and_a_fragment_of_a_contract_makes_one(block: Block) -> None:
    found = yaml.safe_load(block.text)
    if set(found) <= {"adjust_for", "looks"}:
        found = {"experiment": {"max_duration": "29d", **found}}
    if not set(found) <= set(Contract.model_fields) or block.page in ("trainers.md", "own-gates.md", "own-metrics.md"):
        return
    under = dict(FLIGHTS)
    if "table" in found.get("source", {}):
        under["source"] = {name: value for name, value in FLIGHTS["source"].items() if name != "uri"}
    if "compute" in found:
        under.pop("compute")
    if "approvers" in found.get("approval", {}):
        lines = FLIGHTS["approval"]["allowed_signers"].splitlines()
        found["approval"]["allowed_signers"] = "\n".join(
            f"{person} {' '.join(line.split()[1:])}" for person, line in zip(found["approval"]["approvers"], lines, strict=False)
        )
        under["approval"] = {name: value for name, value in FLIGHTS["approval"].items() if name != "teams"}
    Contract.model_validate(overlaid(under, found))
