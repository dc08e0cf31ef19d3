"""The chain of custody of a retrain: every field an auditor asks for, question by question, each with where it was read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from retrain_assets.reports.lineage.field import Fields
from retrain_assets.reports.lineage.judgement import policy_fields, result_fields
from retrain_assets.reports.lineage.keeping import activation_fields, keeping_fields, log_fields, outcome_fields
from retrain_assets.reports.lineage.making import code_fields, data_fields, environment_fields, training_fields
from retrain_assets.reports.lineage.origin import retrain_fields, system_fields, trigger_fields
from retrain_assets.reports.lineage.people import approval_fields, override_fields
from retrain_assets.reports.lineage.traffic import canary_fields, toggle_fields
from retrain_assets.reports.record import Record

QUESTIONS: tuple[tuple[str, tuple[Callable[[Record], Fields], ...]], ...] = (
    ("What is it, and what set it off?", (retrain_fields, trigger_fields)),
    ("How does it relate to earlier versions?", (system_fields,)),
    ("What data was it made from?", (data_fields,)),
    ("Which code made it?", (code_fields,)),
    ("In what environment, on what machine?", (environment_fields,)),
    ("How was it trained, and what did that cost?", (training_fields,)),
    ("By which rules was it judged?", (policy_fields,)),
    ("What was found before traffic, in total and by group?", (result_fields,)),
    ("How did it meet live traffic?", (toggle_fields, canary_fields)),
    ("Who let it serve?", (approval_fields, override_fields)),
    ("What served when, and where does a rollback lead?", (activation_fields,)),
    ("How did it end?", (outcome_fields,)),
    ("How long is it kept, and where are the logs?", (keeping_fields, log_fields)),
)
"""An auditor's questions, with the fields that answer each."""


def custody_of(record: Record) -> list[dict[str, Any]]:
    """Groups ``{"group", "rows"}``, a question each, of rows ``{"key", "field", "value", "why", "source", "event", "evidence"}``.

    Every record has every key. ``value`` is a scalar, a list or a mapping; it is None where there is none, and ``why`` then says
    why. ``source`` says in words where the value was read, ``event`` and ``evidence`` name it where it is one event or one piece
    of evidence. Facts of a stage are believed only as far as a digest in the ledger confirms them.
    """
    return [
        {"group": question, "rows": [field.to_json() for fields in asked for field in fields(record)]}
        for question, asked in QUESTIONS
    ]


def custody_fields(record: Record) -> dict[str, dict[str, Any]]:
    """The same rows by their key."""
    return {row["key"]: row for group in custody_of(record) for row in group["rows"]}
