"""docs/audit.md says of tables and questions what they are."""

from __future__ import annotations

from pathlib import Path

from retrain_assets.cli.reproduction import CauseKind
from retrain_assets.reports.query import QUESTIONS, TABLES

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "audit.md").read_text(encoding="utf-8")


def test_the_page_has_every_table_with_its_columns_in_order() -> None:
    for table in TABLES.values():
        rows = "\n".join(f"| `{one.name}` | {one.type} | {one.doc} |" for one in table.columns)
        expected = f"### {table.name}\n\nA row is {table.row}.\n\n| column | type | what it says |\n|---|---|---|\n{rows}\n"
        assert expected in PAGE, f"write in docs/audit.md:\n{expected}"
    described = PAGE.partition("## Tables")[2]
    assert described.count("\n### ") == len(TABLES)


def test_the_page_has_every_question_with_its_parameters() -> None:
    expected = ["| question | what it answers | parameters |", "|---|---|---|"]
    for one in QUESTIONS.values():
        names = ", ".join(f"`{known.name}`" if known.required else f"[`{known.name}`]" for known in one.parameters)
        expected.append(f"| `{one.name}` | {one.asks} | {names} |")
    assert "\n".join(expected) + "\n" in PAGE


def test_the_page_names_every_cause() -> None:
    shown = PAGE.partition("### Causes")[2].partition("\n### ")[0]
    untold = {CauseKind.UNKNOWN}
    assert [kind for kind in CauseKind if kind not in untold and kind.value not in shown] == []
