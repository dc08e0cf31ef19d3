"""Environments: parts laid over a contract, so that dev, staging and production have each their own of one file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError, WithJsonSchema
from pydantic_core import InitErrorDetails

DEFAULT_ENVIRONMENT = "default"
"""The name where no environment is set: the contract as it is written."""

PRODUCTION = "production"
"""The environment that customers meet; what people read says of every other that it is not this one."""

SAME_EVERYWHERE = ("model", "task", "purpose", "features", "trainer", "decision", "rehearsal", "environments")
"""Parts that say what the model is. What one environment showed is no evidence for another that fits or decides differently."""

PLACE_OF_SOURCE = ("uri", "format", "table", "version")
"""What may differ of the source: where the rows are, not what they mean."""

MAY_DIFFER = {
    "promoted_from": "The environment whose contract has to be promoted into this one first.",
    "owners": "Who answers for each gate.",
    "source": f"Where the rows come from: {', '.join(PLACE_OF_SOURCE)}.",
    "window": "How much history a retrain uses.",
    "gates": "Thresholds of the gates before traffic.",
    "experiment": "Champion against challenger on live traffic.",
    "toggle": "Terms of the release control of each challenger.",
    "approval": "Who approves a promotion.",
    "economics": "What an effect is worth, and what a promotion costs.",
    "cadence": "When retrains are launched.",
    "serving": "How the gateway answers for the model.",
    "notify": "Services that are told what happens.",
    "retention": "How long records and traffic are kept.",
    "compute": "Where heavy stages run.",
}
"""The parts that an environment may lay over the contract."""

EnvironmentName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Overlay = Annotated[
    dict[str, Any],
    BeforeValidator(lambda written: {} if written is None else written),
    WithJsonSchema(
        {
            "type": ["object", "null"],
            "properties": {name: {"description": about} for name, about in MAY_DIFFER.items()},
            "additionalProperties": False,
        }
    ),
]
"""Parts of a contract as they are written below ``environments``; none at all says: as the contract is written."""


def laid_over(base: Any, overlay: Any) -> Any:
    """One value laid over another: mappings are joined field by field, null removes a field, everything else replaces.

    Args:
        base: JSON-able value.
        overlay: what differs; left out fields stay as they are.
    """
    if not isinstance(overlay, Mapping):
        return overlay
    below = base if isinstance(base, Mapping) else {}
    kept = {name: value for name, value in below.items() if name not in overlay}
    return {**kept, **{name: laid_over(below.get(name), value) for name, value in overlay.items() if value is not None}}


def contract_in(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The values of a contract in one of its environments: its parts laid over the rest, without ``environments``."""
    base = {field: value for field, value in values.items() if field != "environments"}
    merged: dict[str, Any] = laid_over(base, values["environments"][name] or {})
    return merged


def in_each(values: Mapping[str, Any], names: Iterable[str], validated: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """The validated contract of each environment.

    Args:
        values: the contract as it is written.
        names: its environments.
        validated: from the values of one environment's contract to that contract.

    Raises:
        pydantic.ValidationError: every fault of every environment, at its place below ``environments``.
    """
    found: dict[str, Any] = {}
    faults: list[InitErrorDetails] = []
    for name in names:
        overlay = values["environments"][name] or {}
        if misplaced := list(_same_everywhere(name, overlay)):
            faults += misplaced
            continue
        try:
            found[name] = validated(contract_in(values, name))
        except ValidationError as error:
            faults += [_below(name, fault) for fault in error.errors(include_url=False)]
            continue
        faults += _unknown_origin(name, found[name].promoted_from, values["environments"])
    if faults:
        raise ValidationError.from_exception_data("Contract", faults)
    return found


def in_contract(path: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Where a place below ``environments`` stands in the contract of that environment; any other place as it is."""
    return path[2:] if path[:1] == ("environments",) and len(path) > 2 else path


def _same_everywhere(name: str, overlay: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
    for field, value in overlay.items():
        if field in SAME_EVERYWHERE:
            yield _fault(
                (name, field),
                value,
                "is the same in every environment; write it into the contract itself, not below environments",
            )
        elif field not in MAY_DIFFER:
            yield {"type": "extra_forbidden", "loc": ("environments", name, field), "input": value}
    source = overlay.get("source", {})
    if not isinstance(source, Mapping):
        yield _fault(
            (name, "source"), source, f"an environment may change {', '.join(PLACE_OF_SOURCE)} of it; write one of these"
        )
        return
    for field, value in source.items():
        if field not in PLACE_OF_SOURCE:
            what = f"says what the rows mean and is the same in every environment; only {', '.join(PLACE_OF_SOURCE)} may differ"
            yield _fault((name, "source", field), value, what)


def _unknown_origin(name: str, origin: str | None, environments: Mapping[str, Any]) -> list[InitErrorDetails]:
    others = [one for one in environments if one != name]
    if origin is None or origin in others:
        return []
    what = f"{origin!r} is no other environment of this contract; write one of {', '.join(others) or 'none: add one'}"
    return [_fault((name, "promoted_from"), origin, what)]


def _fault(place: tuple[str, ...], value: Any, what: str) -> InitErrorDetails:
    return {"type": "value_error", "loc": ("environments", *place), "input": value, "ctx": {"error": ValueError(what)}}


def _below(name: str, fault: Any) -> InitErrorDetails:
    """A fault of an environment's contract, at its place below ``environments``."""
    below: InitErrorDetails = {"type": fault["type"], "loc": ("environments", name, *fault["loc"]), "input": fault["input"]}
    if "ctx" in fault:
        below["ctx"] = fault["ctx"]
    return below
