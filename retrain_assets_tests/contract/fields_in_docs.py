"""The tables of the contract's fields in docs/, made from the contract.

Made anew by ``python -m retrain_assets_tests.contract.fields_in_docs``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from retrain_assets.contract import Contract, format_duration

DOCS = Path(__file__).resolve().parents[2] / "docs"
SECTIONS = {
    "gates.md": ("gates",),
    "experiment.md": ("experiment", "economics"),
    "drift.md": ("cadence",),
    "serving.md": ("serving",),
    "toggles.md": ("toggle",),
    "approvals.md": ("approval",),
    "custody.md": ("retention",),
    "databricks.md": ("compute",),
    "sources.md": ("source",),
}
"""Page to the parts of the contract whose fields it lists."""


def fields(part: type[BaseModel], path: str) -> Iterator[tuple[str, FieldInfo]]:
    """Every field below a part of the contract by its path, parts included.

    ``NAME`` stands for a key, ``[]`` for an entry of a list.
    """
    for name, field in part.model_fields.items():
        here = f"{path}.{field.alias or name}"
        inner, suffix = _part_in(field.annotation)
        yield here, field
        if inner is not None:
            yield from fields(inner, here + suffix)


def table(parts: tuple[str, ...]) -> str:
    """The Markdown table of the fields below some parts of the contract."""
    lines = ["| field | default | meaning |", "|---|---|---|"]
    for part in parts:
        inner, _ = _part_in(Contract.model_fields[part].annotation)
        assert inner is not None
        for path, field in fields(inner, part):
            if words := (field.description or "").replace("|", "\\|"):
                ends = words if words.endswith("...") else words.removesuffix(".")
                lines.append(f"| `{path}` | {_default(field)} | {ends} |")
    return "\n".join(lines)


def section(page: str) -> str:
    """What stands between the markers of a page."""
    return f"{_begin(page)}\n\n{table(SECTIONS[page])}\n\n{END}"


def written(page: str) -> str:
    """A page with its section as the contract has it now; what a page without the markers is."""
    text = (DOCS / page).read_text(encoding="utf-8")
    head, found, rest = text.partition(_begin(page))
    _, closed, tail = rest.partition(END)
    return head + section(page) + tail if found and closed else text


END = "<!-- end of the fields -->"


def _begin(page: str) -> str:
    return f"<!-- fields below {', '.join(SECTIONS[page])}: python -m retrain_assets_tests.contract.fields_in_docs -->"


def _part_in(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """The part of the contract that a field holds, and how its path goes on."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _part_in(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return next((found for arg in get_args(annotation) if (found := _part_in(arg))[0] is not None), (None, ""))
    if origin is dict:
        return _part_in(get_args(annotation)[1])[0], ".NAME"
    if origin is list:
        return _part_in(get_args(annotation)[0])[0], "[]"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    return None, ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "as below"
    if value is None or value in ([], {}, ()):
        return "none"
    if isinstance(value, timedelta):
        return f"`{format_duration(value)}`"
    if isinstance(value, Enum):
        return f"`{value.value}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list):
        return ", ".join(f"`{format_duration(item) if isinstance(item, timedelta) else item}`" for item in value)
    if isinstance(value, dict):
        return "`{" + ", ".join(f"{name}: {item:g}" for name, item in value.items()) + "}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


if __name__ == "__main__":
    for page in SECTIONS:
        (DOCS / page).write_text(written(page), encoding="utf-8")
