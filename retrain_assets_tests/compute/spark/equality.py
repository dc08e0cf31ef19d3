"""Equal results of both engines: the same structure and words, numbers to 1e-9."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

TOLERANCE = 1e-9


def assert_close(left: Any, right: Any, where: str = "") -> None:
    """Fail with the place of the first difference."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        assert list(left) == list(right), where
        for name in left:
            assert_close(left[name], right[name], f"{where}.{name}")
    elif isinstance(left, Sequence) and not isinstance(left, str) and isinstance(right, Sequence):
        assert len(left) == len(right), where
        for at, (one, other) in enumerate(zip(left, right, strict=True)):
            assert_close(one, other, f"{where}[{at}]")
    elif isinstance(left, float) and isinstance(right, float):
        same = (math.isnan(left) and math.isnan(right)) or math.isclose(left, right, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        assert same, f"{where}: {left!r} and {right!r}"
    else:
        assert left == right, f"{where}: {left!r} and {right!r}"
