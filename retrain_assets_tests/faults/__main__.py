"""Run every fault and every clean month, and write docs/faults.md; fails if a clean month is blocked or a fault slips through."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from retrain_assets_tests.faults.page import page
from retrain_assets_tests.faults.run import run_both
from retrain_assets_tests.faults.table import FAULTS

PAGE = Path(__file__).parent.parent.parent / "docs" / "faults.md"

if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    short, long = run_both()
    target.write_text(page(short, long, datetime.now(UTC).date()), encoding="utf-8")
    blocked = [verdict.check for month in short.months for verdict in month.verdicts if not verdict.passed]
    expected = [fault for fault in FAULTS if fault.caught_by]
    missed = [fault.name for fault in expected if not any(run.found[fault.name].caught(fault) for run in (short, long))]
    sys.stdout.write(
        f"{target}: {len(short.found)} faults, not caught as said: {missed or 'none'}; "
        f"{len(short.months)} clean months, blocked by {blocked or 'nothing'}\n"
    )
    sys.exit(1 if blocked or missed else 0)
