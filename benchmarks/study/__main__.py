"""``python -m benchmarks.study [PART ...] [--full]``: run the study, print its tables, and write the page from the full setting.

Results are kept below RETRAIN_HOME as study/PART.json, so that parts can be run one by one; ``page`` writes docs/statistics.md
and the plots in docs/images/ from what is kept.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.study import coverage, harm, no_effect, power, traces
from benchmarks.study.batches import FULL, SHORT, Setting
from benchmarks.study.results import keep, kept
from benchmarks.study.tables import printed

PARTS: dict[str, Callable[[Setting], Sequence[Any] | harm.Harm]] = {
    "no_effect": no_effect.no_effect,
    "power": power.power,
    "harm": harm.harm,
    "coverage": coverage.coverage,
    "traces": traces.traces,
}


def main() -> None:
    """Run the named parts, or all of them and the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one of {', '.join([*PARTS, 'page'])}; all by default")
    parser.add_argument("--full", action="store_true", help="the setting of the page: 20,000 runs where a run is cheap")
    given = parser.parse_args()
    if unknown := [name for name in given.parts if name not in (*PARTS, "page")]:
        parser.error(f"there is no part {unknown[0]!r}; choose from {', '.join([*PARTS, 'page'])}")
    setting = FULL if given.full else SHORT
    for name in given.parts or PARTS:
        if name == "page":
            continue
        started = time.perf_counter()
        keep(name, setting, PARTS[name](setting))
        print(printed(name, kept(name)))
        print(f"({name}, {setting.name} setting, {time.perf_counter() - started:.0f} s)\n")
    if "page" in given.parts or (given.full and not given.parts):
        from benchmarks.study.page import write_page

        print("\n".join(str(path) for path in write_page()))


if __name__ == "__main__":
    main()
