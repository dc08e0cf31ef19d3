"""What the work of this moment is about: model, retrain, toggle, run; carried to every log record and span."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

IDS = ("model", "retrain", "toggle", "run_id", "environment", "trace_id")
"""What every record carries, empty where it does not apply."""

_bound: ContextVar[Mapping[str, str]] = ContextVar("retrain_ids", default=MappingProxyType({}))


@contextmanager
def bound(**ids: str | None) -> Iterator[None]:
    """Whatever is logged inside is about these; an id that is None leaves the one from outside.

    Args:
        ids: ``model``, ``retrain``, ``toggle``, ``run_id``.
    """
    token = _bound.set({**_bound.get(), **{name: value for name, value in ids.items() if value}})
    try:
        yield
    finally:
        _bound.reset(token)


def current_ids() -> dict[str, str]:
    """Every one of :data:`IDS`, as it holds now."""
    ids = _bound.get()
    model, retrain = ids.get("model", ""), ids.get("retrain", "")
    return {
        **{name: ids.get(name, "") for name in IDS},
        "environment": os.environ.get("RETRAIN_ENVIRONMENT") or "default",
        "trace_id": trace_id_of(model, retrain) if model and retrain else "",
    }


def trace_id_of(model: str, retrain: str) -> str:
    """The trace of one retrain, 32 hexadecimal digits: the same wherever it is worked on, so that nothing has to be handed on."""
    here = os.environ.get("RETRAIN_ENVIRONMENT") or "default"
    return hashlib.sha256("\0".join((here, model, retrain)).encode()).hexdigest()[:32]
