"""What serving tells whoever counts: answers by arm, drops, refusals, flips."""

from __future__ import annotations

from typing import Protocol

from retrain_assets.routing import Arm


class Meter(Protocol):
    """Counts; called in the event loop, so it must be quick."""

    def answered(self, model: str, arm: Arm, rows: int, errors: int, seconds: float) -> None:
        """Rows of one request that an arm had to answer, on how many it failed, and the time of its own scoring call."""

    def dropped(self, model: str, rows: int) -> None:
        """Rows that should have been scored beside the answer and were not."""

    def shadowed(self, model: str, arm: Arm, rows: int, errors: int) -> None:
        """Rows that an arm scored beside the answer, and on how many of them it failed."""

    def refused(self, model: str, why: str) -> None:
        """A request that was not answered, by its error: ``unknown_model``, ``bad_request``, ``not_ready``, ``model_late``,
        ``model_failed``, ``log_unavailable``; ``not_logged``: one that was answered by the champion without being on record.
        """

    def flipped(self, model: str, revision: int) -> None:
        """From now on the model is routed by another rule."""


class NoMeter:
    """Counts nothing."""

    def answered(self, model: str, arm: Arm, rows: int, errors: int, seconds: float) -> None:
        """See :class:`Meter`."""

    def dropped(self, model: str, rows: int) -> None:
        """See :class:`Meter`."""

    def shadowed(self, model: str, arm: Arm, rows: int, errors: int) -> None:
        """See :class:`Meter`."""

    def refused(self, model: str, why: str) -> None:
        """See :class:`Meter`."""

    def flipped(self, model: str, revision: int) -> None:
        """See :class:`Meter`."""


NO_METER = NoMeter()
