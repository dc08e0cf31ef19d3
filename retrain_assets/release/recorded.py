"""What was just recorded, for the log and the trace of the retrain it is about."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from retrain_assets.ledger import Event
from retrain_assets.observability import bound, happened

_LOG = logging.getLogger(__name__)


def tell_recorded(events: Sequence[Event], seconds: float) -> None:
    """Write one line a change into the log, and one step into the trace.

    Args:
        events: of one change, in their order; at least one.
        seconds: how long it took from the decision to the record.
    """
    first, kinds = events[0], ", ".join(str(event.kind) for event in events)
    with bound(model=first.model, retrain=first.retrain, toggle=events[-1].toggle):
        _LOG.info("recorded %s (event %d) by %s: %s", kinds, events[-1].sequence, first.actor, first.reason)
        happened(f"change {first.kind}", seconds, sequence=events[-1].sequence, actor=first.actor.kind, kinds=kinds)
