"""Questions that are ready: what auditors ask, each one SELECT over the tables, with parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from retrain_assets.contract import RetrainError
from retrain_assets.reports.query.database import Answer, Database
from retrain_assets.reports.query.question_texts import TEXTS

NOW = "now"
"""Default of a moment: the time of the home's clock."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value a question needs.

    Args:
        name: as in ``--param name=value``.
        doc: what it is.
        default: taken where it is not given: a text, :data:`NOW`, None for "any"; a parameter that is required has none of these.
        required: whether it has to be given.
        moment: whether it is a date or time; a date alone means its first moment in UTC.
    """

    name: str
    doc: str
    default: str | None = None
    required: bool = False
    moment: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """One question: name, what it answers, its parameters, its SELECT."""

    name: str
    asks: str
    parameters: tuple[Parameter, ...]
    sql: str

    def values(self, given: Mapping[str, str], now: datetime) -> dict[str, Any]:
        """The value of every parameter.

        Args:
            given: as written.
            now: the clock's time.

        Raises:
            RetrainError: for one that is unknown, missing or no moment.
        """
        known = {one.name: one for one in self.parameters}
        for name in given:
            if name not in known:
                close = get_close_matches(name, known, n=1)
                remedy = f"did you mean {close[0]}?" if close else f"its parameters: {', '.join(known) or 'none'}"
                raise RetrainError(f"it has no parameter {name!r}", where=self.name, remedy=remedy)
        return {one.name: _value(one, given.get(one.name), now, self.name) for one in self.parameters}

    def answer(self, database: Database, given: Mapping[str, str], now: datetime) -> Answer:
        """What the record says.

        Raises:
            RetrainError: as :meth:`values`.
        """
        return database.ask(self.sql, self.values(given, now))


def question(name: str) -> Question:
    """The question of that name.

    Raises:
        RetrainError: naming the nearest one.
    """
    if name not in QUESTIONS:
        close = get_close_matches(name, QUESTIONS, n=1)
        remedy = f"did you mean {close[0]}?" if close else "retrain audit query --list names the questions; or write one SELECT"
        raise RetrainError(f"there is no question {name!r}", where="query", remedy=remedy)
    return QUESTIONS[name]


def _value(parameter: Parameter, written: str | None, now: datetime, where: str) -> Any:
    text = parameter.default if written is None else written
    if text is None:
        if parameter.required:
            example = "2024-05-01" if parameter.moment else "VALUE"
            raise RetrainError(
                f"{parameter.name} is missing: {parameter.doc}", where=where, remedy=f"add --param {parameter.name}={example}"
            )
        return None
    if not parameter.moment:
        return text
    if text == NOW:
        return now
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise RetrainError(
            f"{parameter.name} {text!r} is no date or time", where=where, remedy="write 2024-05-01 or 2024-05-01T09:00:00+00:00"
        ) from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=now.tzinfo)


_MODEL = Parameter("model", "one model; every model where it is not given")
_AS_OF = Parameter("as_of", "the moment to look from", default=NOW, moment=True)

QUESTIONS: dict[str, Question] = {
    name: Question(name, asks, parameters, TEXTS[name].strip())
    for name, asks, parameters in (
        (
            "live_on",
            "what was live at a moment: champion, and challenger with its share of traffic",
            (Parameter("date", "the moment; a date is its begin, UTC", required=True, moment=True), _MODEL),
        ),
        (
            "why_live",
            "what put a version live: gates, looks, approvals, activation",
            (Parameter("version", "the registry version", required=True), _MODEL),
        ),
        (
            "approved_by",
            "everything somebody approved, withdrew or rejected",
            (Parameter("approver", "who, an e-mail address", required=True),),
        ),
        ("unsigned_approvals", "approvals without a signature", (_MODEL,)),
        (
            "alone_at_night",
            "who acted outside working hours without a second person",
            (
                Parameter("from_hour", "first hour of the night, UTC", default="20"),
                Parameter("to_hour", "hour the night ends, UTC", default="7"),
            ),
        ),
        ("overridden", "retrains with overrides, in force or not", (_MODEL,)),
        ("rollbacks", "every rollback with the time to recover", (_MODEL,)),
        ("open_follow_ups", "emergencies nobody has looked into yet", (_MODEL, _AS_OF)),
        (
            "trained_on",
            "every model trained on a data set",
            (Parameter("dataset", "digest of the data set, or its beginning", required=True),),
        ),
        ("toggles_past_expiry", "toggles open past their expiry or removal date", (_AS_OF,)),
        ("stopped_per_gate", "which share of the ended retrains each gate stopped", (_MODEL,)),
        ("time_to_promotion", "days from trigger to promotion", (_MODEL,)),
        (
            "changed_between",
            "every event that changed what is live, in a period",
            (
                Parameter("from", "begin", required=True, moment=True),
                Parameter("to", "end", default=NOW, moment=True),
                _MODEL,
            ),
        ),
        ("launched_and_approved_alone", "promotions whose only approver launched the retrain", (_MODEL,)),
    )
}
"""The questions by name."""
