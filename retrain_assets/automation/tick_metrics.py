"""What a sensor's tick leaves for those who watch the sensors: a span, a line in the log, counts and the ledger's metrics."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from retrain_assets.home import Home
from retrain_assets.observability import span
from retrain_assets.observability.sensor_metrics import count_tick
from retrain_assets.release import ReleaseController
from retrain_assets.release.metrics_file import keep_metrics_file

_LOG = logging.getLogger(__name__)

Count = Callable[[int, int, int, int], None]


@contextmanager
def counted_tick(sensor: str, home: Home) -> Iterator[Count]:
    """One tick; gives what is told of it at its end: looks, faults, runs asked for, models left. One that fails is a fault.

    A file that cannot be written is told in the log: nobody's release stands still for it.
    """
    began = time.monotonic()
    numbers = [0, 1, 0, 0]

    def count(looks: int, faults: int, requests: int, left: int) -> None:
        numbers[:] = [looks, faults, requests, left]

    try:
        with span(f"tick {sensor}", sensor=sensor):
            yield count
    finally:
        seconds = time.monotonic() - began
        looks, faults, requests, left = numbers
        _LOG.info("tick of %s: %d looks, %d faults, %d runs asked for, %d left, %.3f s", sensor, *numbers, seconds)
        try:
            count_tick(
                home.metrics_dir,
                sensor,
                seconds=seconds,
                looks=looks,
                faults=faults,
                requests=requests,
                left=left,
                ended=time.time(),
            )
        except OSError as error:
            _LOG.warning("the metrics of the %s sensor are not written: %s", sensor, error.strerror)


def keep_ledger_metrics(controller: ReleaseController, home: Home) -> None:
    """Have the ledger's metrics beside the sensors'; a file that cannot be written is told in the log."""
    try:
        keep_metrics_file(controller, home)
    except OSError as error:
        _LOG.warning("the metrics of the ledger are not written: %s", error.strerror)
