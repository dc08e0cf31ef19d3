"""Which of many numbers are among those that are looked for, where most are not and the numbers are hashes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.uint64]

_FEWEST_BITS, _MOST_BITS = 10, 24


class Lookup:
    """Numbers that are looked for. A table by their first bits tells for most others that they are not among them.

    Args:
        numbers: ascending, their first bits evenly spread as those of a hash.
    """

    def __init__(self, numbers: Numbers) -> None:
        self.numbers = numbers
        bits = min(max(len(numbers).bit_length() + 4, _FEWEST_BITS), _MOST_BITS)
        self._shift = np.uint64(64 - bits)
        self._table = np.zeros(2**bits, dtype=np.bool_)
        self._table[numbers >> self._shift] = True

    def places(self, others: Numbers) -> npt.NDArray[np.intp]:
        """Where among the others one of the numbers is; quickest where they are ascending."""
        if not len(self.numbers):
            return np.zeros(0, dtype=np.intp)
        places = np.flatnonzero(self._table[others >> self._shift])
        found = others[places]
        nearest = np.minimum(np.searchsorted(self.numbers, found), len(self.numbers) - 1)
        found_places: npt.NDArray[np.intp] = places[self.numbers[nearest] == found]
        return found_places


def distinct(ascending: Numbers) -> Numbers:
    """Ascending numbers, each once."""
    return ascending[np.concatenate([[True], ascending[1:] != ascending[:-1]])] if len(ascending) else ascending
