"""What an executor refused, as the error it raised there: one line for people, not the stack of two machines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from retrain_assets.contract import StageError

_REFUSAL = re.compile(r"^\s*retrain_assets\.contract\.errors\.\w+: (?P<line>.+)$", re.MULTILINE)


@contextmanager
def refusals_of_executors() -> Iterator[None]:
    """In this block what an executor's code refused is raised here with the same words, and other faults by their class.

    Raises:
        StageError: with the line of the executor's error; of faults of Spark itself without words, which may hold values of rows.
    """
    from pyspark.errors import PySparkException

    try:
        yield
    except PySparkException as error:
        found = _REFUSAL.search(str(error))
        if found is not None:
            raise StageError(found["line"]) from error
        fault = error.getCondition() or type(error).__name__
        raise StageError(f"the executors fail ({fault})", where="engine spark", remedy="see the log of the Spark run") from error
