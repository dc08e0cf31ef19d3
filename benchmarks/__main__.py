"""``python -m benchmarks [NAME ...]``: run the benchmarks, print their tables, write bench.json below RETRAIN_HOME."""

from __future__ import annotations

import argparse
import importlib
import time

from benchmarks.measure import Row
from benchmarks.table import print_table, write_json
from retrain_assets.home import Home

BENCHMARKS = (
    "routing",
    "ledger",
    "canary",
    "spark_canary",
    "drift",
    "drift_memory",
    "drift_alarms",
    "gates",
    "journal",
    "serving",
    "start",
    "three_years",
    "hundred_models",
)


def main() -> None:
    """Run the named benchmarks, or all of them. A missed target is a line in the table, not a failure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}; all by default")
    names = parser.parse_args().names or list(BENCHMARKS)
    if unknown := [name for name in names if name not in BENCHMARKS]:
        parser.error(f"there is no benchmark {unknown[0]!r}; choose from {', '.join(BENCHMARKS)}")
    path = Home.from_environment().root / "bench.json"
    rows: list[Row] = []
    for name in dict.fromkeys(names):
        started = time.perf_counter()
        rows += (found := importlib.import_module(f"benchmarks.{name}").run())
        print_table(found)
        print(f"({time.perf_counter() - started:.0f} s)\n")
        write_json(rows, path)
    missed = sum(row.holds is False for row in rows)
    unjudged = sum(row.holds is None for row in rows)
    print(f"{len(rows) - missed - unjudged} targets hold, {missed} missed, {unjudged} not judged; written to {path}")


if __name__ == "__main__":
    main()
