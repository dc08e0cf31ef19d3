"""The JavaScript that the documentation gives clients makes the keys that the router makes, and flagd hashes both alike."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmh3
import pytest

from retrain_assets.routing import fractional, routing_key

HERE = Path(__file__).parent
DOCUMENT = HERE.parent.parent / "docs" / "data-formats.md"
UNITS = [
    "Zoë",
    "Zoe\u0308",
    "飞机 7",
    "🚀",
    "100% é",
    "%C3%AB",
    "a b+c/d?e=f&g#h'(i)*!~j",
    "\u0080\u07ff\u0800\uffff\U0010ffff",
    "\x00\x7f",
    "a\ud800",
    "\udc00b",
    "\ude80\ud83d",
    "\ud83d\ude80",
    "é" * 10_000,
    "plain",
    "",
]


def in_node(units: Sequence[str], snippet: str | None = None) -> list[tuple[str, int]]:
    """Key and hash of each unit as JavaScript makes them; skips without Node.js, fails there under CI."""
    node = shutil.which("node")
    if node is None:
        absent = "JavaScript needs Node.js; install nodejs"
        if os.environ.get("CI") == "true":
            pytest.fail(absent)
        pytest.skip(absent)
    given = json.dumps({"snippet": snippet, "units": list(units)})
    done = subprocess.run([node, str(HERE / "flagd_hash.mjs")], input=given, capture_output=True, check=True, encoding="utf-8")
    return [(key, hashed) for key, hashed in json.loads(done.stdout)]


@pytest.fixture(scope="module")
def snippet() -> str:
    """The function as the documentation prints it."""
    (found,) = re.findall(r"```js\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    return found


def test_the_hash_of_this_test_is_the_one_of_flagds_javascript(oracles) -> None:
    cases = oracles("flagd_fractional")
    hashes = in_node([case["flag_key"] + case["targeting_key"] for case in cases])
    assert [hashed for _, hashed in hashes] == [case["hash_u32_javascript"] for case in cases]


def test_the_documented_function_makes_the_routers_key_of_every_unit(snippet) -> None:
    assert [key for key, _ in in_node(UNITS, snippet)] == [routing_key(unit) for unit in UNITS]


def test_a_unit_of_any_script_has_one_hash_in_both_languages(snippet, oracles) -> None:
    units = [*UNITS, *(case["targeting_key"] for case in oracles("flagd_fractional"))]
    encoded = in_node(units, snippet)
    assert [hashed for _, hashed in encoded] == [mmh3.hash(routing_key(unit), signed=False) for unit in units]
    plain = [unit for unit in units if not unit.isascii() and unit.encode("utf-8", "ignore").decode() == unit]
    differing = [hashed != mmh3.hash(unit, signed=False) for unit, (_, hashed) in zip(plain, in_node(plain), strict=True)]
    assert all(differing)


def test_where_flagds_languages_disagree_the_encoded_key_gives_one_variant(snippet, oracles) -> None:
    def variant(hashed: int, weights: list[tuple[str, int]]) -> str | None:
        bucket, reached = hashed * sum(weight for _, weight in weights) >> 32, 0
        for name, weight in weights:
            reached += weight
            if bucket < reached:
                return name
        return None

    cases: list[dict[str, Any]] = [case for case in oracles("flagd_fractional") if not case["agree"] and not case["js_error"]]
    assert len(cases) > 30
    keys = in_node([case["flag_key"] + case["targeting_key"] for case in cases], snippet)
    for case, (key, hashed) in zip(cases, keys, strict=True):
        weights = [(pair[0], max(0, pair[1]) if len(pair) > 1 else 1) for pair in case["weights"]]
        assert variant(hashed, weights) == fractional(key, weights) is not None
        assert variant(case["hash_u32_javascript"], weights) == case["javascript"] != case["python"]
