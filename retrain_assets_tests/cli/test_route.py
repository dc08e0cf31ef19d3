from __future__ import annotations

import json
from pathlib import Path

import pytest

from retrain_assets.routing import compile_rule, rules_from_document

from .conftest import Run
from .world import MODEL, TOGGLE, World


def test_each_unit_gets_the_arm_that_serving_gives_it(run: Run, ramping: World, tmp_path: Path) -> None:
    rule = rules_from_document(ramping.flags())[MODEL]
    assign, now = compile_rule(rule), ramping.clock.now()
    names = [f"u{number}" for number in range(200)]
    file = tmp_path / "units.txt"
    file.write_text("\n".join(json.dumps({"unit": name, "region": "north"}) for name in names))
    lines = [line.split("\t") for line in run("route", MODEL, "--units", str(file)).stdout.splitlines()]
    expected = [assign(name, {"region": "north"}, now) for name in names]
    assert lines == [[name, one.arm, one.version, one.reason.value] for name, one in zip(names, expected, strict=True)]
    assert {arm for _, arm, _, _ in lines} == {"champion", "challenger"}


def test_lines_may_be_ids_or_objects_and_blank_lines_are_skipped(run: Run, ramping: World) -> None:
    lines = ["u1", "", '{"unit": "u1", "region": "south"}', '{"unit": 7, "region": "east"}', '{"region": "north"}', "żółw"]
    printed = [line.split("\t") for line in run("route", MODEL, "--units", "-", stdin="\n".join(lines)).stdout.splitlines()]
    assert [line[0] for line in printed] == ["u1", "u1", "7", "-", "żółw"]
    assert [line[3] for line in printed] == ["cohort_excluded", "ramp", "cohort_excluded", "no_unit", "cohort_excluded"]


def test_a_byte_order_mark_is_not_part_of_the_first_unit(run: Run, ramping: World) -> None:
    assert run("route", MODEL, "--units", "-", stdin=b"\xef\xbb\xbfu1\n").stdout.startswith("u1\t")


def test_json_is_one_object_a_line(run: Run, ramping: World) -> None:
    result = run("route", MODEL, "--units", "-", "--json", stdin='{"unit": "u1", "region": "south"}\nu2\n')
    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert (first["toggle"], first["revision"], first["stage"], first["reason"]) == (TOGGLE, 4, "50", "ramp")
    assert (second["toggle"], second["arm"], second["version"]) == (None, "champion", "1")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b'{"unit": ', "standard input:2: is not JSON"),
        (b'{"unit": [1]}', "standard input:2: unit [1] is neither text nor an integer"),
        (b"\xff\xfe", "standard input:2: is not UTF-8"),
    ],
)
def test_a_bad_line_is_named(run: Run, ramping: World, line: bytes, told: str) -> None:
    result = run("route", MODEL, "--units", "-", code=3, stdin=b"u1\n" + line + b"\n")
    assert told in result.stderr
    assert result.stdout.startswith("u1\t")


def test_a_missing_file_and_an_unknown_model_are_named(run: Run, ramping: World) -> None:
    assert "nowhere.txt: No such file or directory" in run("route", MODEL, "--units", "nowhere.txt", code=3).stderr
    assert "no model 'delay' is routed; models: churn" in run("route", "delay", "--units", "-", code=3, stdin="u").stderr


def test_an_edited_flag_document_is_not_believed(run: Run, ramping: World) -> None:
    document = ramping.flags()
    document["flags"][MODEL]["defaultVariant"] = "challenger"
    ramping.home.flags_path.write_text(json.dumps(document))
    assert "it was edited; run: retrain reconcile" in run("route", MODEL, "--units", "-", code=4, stdin="u").stderr
    ramping.home.flags_path.write_text("{")
    assert "is not JSON" in run("route", MODEL, "--units", "-", code=4, stdin="u").stderr


def test_a_deleted_flag_document_is_made_again(run: Run, ramping: World) -> None:
    ramping.home.flags_path.unlink()
    assert run("route", MODEL, "--units", "-", stdin="u1\n").stdout == "u1\tchampion\t1\tcohort_excluded\n"
