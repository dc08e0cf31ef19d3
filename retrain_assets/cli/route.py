"""``retrain route``: which arm each unit gets, as serving decides it from flags.json."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from retrain_assets.cli.options import json_option, model_argument
from retrain_assets.cli.show import NOTHING, plain
from retrain_assets.contract import CustodyError, RetrainError, SourceError
from retrain_assets.home import Home

if TYPE_CHECKING:
    from retrain_assets.routing import Assignment, RoutingRule


@click.command()
@model_argument
@click.option("--units", "source", required=True, metavar="FILE|-", help="One unit a line: its id, or a JSON object.")
@json_option
def route(model: str, source: str, as_json: bool) -> None:
    """Which arm each unit gets, as serving decides.

    Prints one line a unit: unit, arm, version, reason, separated by tabs; with --json one JSON object a line.

    An input line is a unit's id, or a JSON object such as {"unit": "u1", "country": "SE"} whose other keys are the unit's
    attributes for the cohort. Nothing is acted on.
    """
    from retrain_assets.routing import compile_rule

    home = Home.from_environment()
    assign, now = compile_rule(_rule(home, model)), home.clock.now()
    shown = _as_json if as_json else _as_line
    for unit, attributes in _units(source):
        sys.stdout.write(shown(unit, assign(unit, attributes, now)))


def _rule(home: Home, model: str) -> RoutingRule:
    from retrain_assets.routing import rules_from_document

    if not home.flags_path.exists():
        from retrain_assets.cli.opening import open_controller

        open_controller(home)
    try:
        document = json.loads(home.flags_path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        document = {"flags": {}}
    except ValueError as error:
        raise CustodyError(f"is not JSON ({error})", where=str(home.flags_path), remedy="run retrain reconcile") from error
    rules = rules_from_document(document)
    if model not in rules:
        known = ", ".join(rules) or "none yet"
        raise RetrainError(f"no model {model!r} is routed", where=str(home.flags_path), remedy=f"models: {known}")
    return rules[model]


def _units(source: str) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """Units with their attributes; empty lines are skipped."""
    with click.open_file(source, "rb") as lines:
        for number, raw in enumerate(lines, start=1):
            where = f"{'standard input' if source == '-' else source}:{number}"
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError as error:
                raise SourceError(f"is not UTF-8 ({error.reason})", where=where, remedy="write the units in UTF-8") from error
            if line:
                yield _unit(line, where) if line.startswith("{") else (line, {})


def _unit(line: str, where: str) -> tuple[str | None, dict[str, Any]]:
    try:
        attributes = json.loads(line)
    except ValueError as error:
        raise SourceError(f"is not JSON ({error})", where=where, remedy='write a unit\'s id or {"unit": "u1"}') from error
    unit = attributes.pop("unit", None)
    if unit is not None and (isinstance(unit, bool) or not isinstance(unit, str | int)):
        raise SourceError(f"unit {json.dumps(unit)} is neither text nor an integer", where=where, remedy='write {"unit": "u1"}')
    return None if unit is None else str(unit), attributes


def _as_line(unit: str | None, given: Assignment) -> str:
    named = NOTHING if unit is None else plain(unit)
    return f"{named}\t{given.arm}\t{given.version or NOTHING}\t{given.reason}\n"


def _as_json(unit: str | None, given: Assignment) -> str:
    value = {
        "unit": unit,
        "arm": given.arm,
        "version": given.version or None,
        "reason": str(given.reason),
        "toggle": given.toggle,
        "revision": given.revision,
        "stage": given.stage,
    }
    return json.dumps(value, ensure_ascii=False) + "\n"
