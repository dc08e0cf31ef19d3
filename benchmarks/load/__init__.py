"""A load generator in a process of its own, the servers it is turned on, and the flights model they serve.

``python -m benchmarks.load PLAN.json RECORDS.npy`` is the generator; :func:`generate` starts it.
"""

from __future__ import annotations

from benchmarks.load.plan import LoadPlan
from benchmarks.load.records import ANSWERED, Records
from benchmarks.load.running import Running, generate, start

__all__ = ["ANSWERED", "LoadPlan", "Records", "Running", "generate", "start"]
