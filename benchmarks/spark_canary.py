"""Canary aggregation on Spark local[2]: memory, time as rows grow, bytes moved; each size in a process of its own.

``python -m benchmarks.spark_canary ROWS FOLDER`` measures one size and prints JSON.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.canary_traffic import REGIONS, Ramp
from benchmarks.contract import canary_contract
from benchmarks.measure import Row, Target, absent, compared
from retrain_assets.compute.canary.inputs import Place
from retrain_assets.compute.canary.terms import Terms
from retrain_assets.compute.spark.canary_aggregation import ROWS_PER_PART, aggregate_spark, needed, summed_frame
from retrain_assets.compute.spark.canary_inputs import frames_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

NAME = "spark_canary"
SIZES = (10_000_000, 20_000_000, 50_000_000)
GB = 1e9
MEMORY_GB = 24.0
MOST_COLLECTED = 1_000_000
"""Bytes of sums that one part may send to the driver."""
DISK_BYTES_PER_ROW = 250
"""Of the generated files and Spark's shuffle together."""
HEAP = "4g"
LINEAR = Target(1.25)


def run(sizes: Sequence[int] = SIZES) -> list[Row]:
    if shutil.which("java") is None:
        return [absent(NAME, "canary aggregation on Spark", against="one machine", target=LINEAR, reason="Java is not installed")]
    free = shutil.disk_usage(tempfile.gettempdir()).free
    found = []
    for rows in sizes:
        if free < rows * DISK_BYTES_PER_ROW:
            reason = f"{rows * DISK_BYTES_PER_ROW / GB:.0f} GB of scratch space are needed, {free / GB:.0f} are free"
            return [absent(NAME, "canary aggregation on Spark", against="one machine", target=LINEAR, reason=reason)]
        with tempfile.TemporaryDirectory(prefix="spark-canary-") as folder:
            found.append(measured_apart(rows, Path(folder)))
    return [row for one in found for row in _rows(one, found[0])] + _fitted(found)


def measured_apart(rows: int, folder: Path) -> dict[str, Any]:
    """What one size takes, in a process of its own with all its children; ``peak_bytes`` is their memory together."""
    command = [sys.executable, "-m", "benchmarks.spark_canary", str(rows), str(folder)]
    told = {**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=told) as process:
        peak, done = [0], threading.Event()
        watch = threading.Thread(target=_watched, args=(process.pid, peak, done), daemon=True)
        watch.start()
        output, errors = process.communicate()
        done.set()
        watch.join()
    if process.returncode:
        raise RuntimeError(f"the measurement failed: {errors[-2000:]}")
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return {**found, "peak_bytes": peak[0]}


def measured(session: SparkSession, rows: int, folder: Path) -> dict[str, Any]:
    """Generate traffic by Spark, aggregate it, and say what that took."""
    ramp = Ramp()
    terms = Terms(canary_contract(), ramp.toggle, ramp.started, ramp.shares, ramp.begin)
    now = ramp.begin + ramp.length + timedelta(days=2)
    begun = time.perf_counter()
    generate(session, rows, folder, ramp)
    generated, processors = time.perf_counter(), _processor_seconds()
    exposures, outcomes = (frames_of(session, Place(kind, folder / kind)) for kind in ("exposures", "outcomes"))
    data, moved = aggregate_spark(exposures, outcomes, terms, now)
    seconds, processors = time.perf_counter() - generated, _processor_seconds() - processors
    units = sum(stage.champion.matured + stage.challenger.matured for stage in data.stages)
    return {
        "rows": rows,
        "seconds": seconds,
        "processor_seconds": processors,
        "generated_seconds": generated - begun,
        "file_bytes": sum(path.stat().st_size for path in folder.rglob("*.parquet")),
        "exposures": data.exposures,
        "outcomes": data.outcomes,
        "unit_stages": units,
        **{name: value for name, value in moved.to_json().items() if name != "rows"},
    }


def generate(session: SparkSession, rows: int, folder: Path, ramp: Ramp) -> None:
    """Exposures over all stages and one outcome each, below a folder; units return, no arm changes against the ramp."""
    from pyspark.sql import functions as sf

    ids = session.range(0, rows, 1, max(2, rows // 1_000_000))

    def drawn(salt: int) -> Any:
        return sf.pmod(sf.xxhash64("id", sf.lit(salt)), sf.lit(1_000_000)) / 1e6

    place = sf.col("id") / rows
    stage = sf.floor(place * len(ramp.stages)).cast("int")
    unit = sf.pmod(sf.xxhash64("id", sf.lit(1)), sf.lit(rows))
    bucket = sf.pmod(sf.xxhash64(unit, sf.lit(7)), sf.lit(10_000)) / 10_000

    def by_stage(values: Sequence[Any]) -> Any:
        return sf.element_at(sf.array(*map(sf.lit, values)), stage + 1)

    moment = sf.timestamp_micros(
        sf.lit(int(ramp.begin.timestamp() * 1e6)) + (place * (ramp.length / timedelta(microseconds=1))).cast("long")
    )
    keys = {"request_id": sf.concat(sf.lit("r"), sf.col("id").cast("string")), "unit_id": unit.cast("string")}
    exposures = {
        **keys,
        "model": sf.lit("benchmark"),
        "toggle": sf.lit(ramp.toggle),
        "revision": by_stage(list(ramp.stages)).cast("long"),
        "stage": by_stage([label for label, _ in ramp.stages.values()]),
        "arm": sf.when(bucket < by_stage([*ramp.shares.values()]), "challenger").otherwise("champion"),
        "version": sf.lit("1"),
        "bundle": sf.lit("sha256:b"),
        "exposed_at": moment,
        "latency_ms": sf.round(-sf.log(drawn(2) + 1e-6) * 10, 1),
        "error": drawn(3) < 0.01,
        "score": sf.round(drawn(4), 2),
        "shadow_score": sf.when(by_stage([*ramp.shares.values()]) == 0, sf.round(drawn(5), 2)),
        "region": sf.concat(sf.lit("region "), sf.pmod(unit, sf.lit(REGIONS)).cast("string")),
    }
    outcomes = {
        **keys,
        "observed_at": moment + sf.expr("INTERVAL 3 HOURS"),
        "revenue": sf.round(-sf.log(drawn(11) + 1e-6) * 20, 1),
        "converted": (drawn(12) < 0.2).cast("double"),
        "minutes": sf.round(-sf.log(drawn(13) + 1e-6) * 12, 1),
        "complained": (drawn(14) < 0.02).cast("double"),
    }
    for kind, columns in (("exposures", exposures), ("outcomes", outcomes)):
        frame: DataFrame = ids.select(*(column.alias(name) for name, column in columns.items()))
        frame.write.parquet(str(folder / kind))


def plan(session: SparkSession, folder: Path, parts: int) -> str:
    """The physical plan of the aggregation of some traffic, as ``explain`` shows it."""
    ramp = Ramp()
    terms = Terms(canary_contract(), ramp.toggle, ramp.started, ramp.shares, ramp.begin)
    read = [
        (kind, needed(frame, kind, terms))
        for kind in ("exposures", "outcomes")
        for frame in frames_of(session, Place(kind, folder / kind))
    ]
    frame = summed_frame(read, terms, ramp.begin + ramp.length, parts)  # type: ignore[arg-type]
    assert frame is not None
    with contextlib.redirect_stdout(io.StringIO()) as text:
        frame.explain()
    return text.getvalue()


def _rows(one: dict[str, Any], first: dict[str, Any]) -> Iterator[Row]:
    rows = one["rows"]
    yield compared(
        NAME,
        "peak memory of JVM and Python workers, GB",
        ours=one["peak_bytes"] / GB,
        against="this machine's memory",
        peer=MEMORY_GB,
        target=Target(1),
        rows=rows,
        note=f"heap {HEAP}, 2 cores; {one['file_bytes'] / GB:.1f} GB of Parquet read",
    )
    if one is not first:
        yield compared(
            NAME,
            "processor time per exposure",
            ours=one["processor_seconds"] / rows,
            against=f"the run of {first['rows']:,} exposures",
            peer=first["processor_seconds"] / first["rows"],
            target=LINEAR,
            rows=rows,
            note=f"{one['processor_seconds'] / first['processor_seconds']:.2f} times the processor time and "
            f"{one['seconds'] / first['seconds']:.2f} times the time for {rows / first['rows']:g} times the rows",
        )
    yield compared(
        NAME,
        "most sums collected from one part, kB",
        ours=one["most_collected_bytes"] / 1e3,
        against="1 MB",
        peer=MOST_COLLECTED / 1e3,
        target=Target(1),
        rows=rows,
        note=f"{one['collected_bytes'] / 1e6:.2f} MB from {one['parts']} parts of {ROWS_PER_PART:,} rows at most; shuffled: "
        f"{one['shuffled_bytes'] / GB:.2f} GB of compact rows, {one['shuffled_bytes'] / rows:.0f} bytes an exposure with outcome",
    )


def _fitted(found: Sequence[dict[str, Any]]) -> list[Row]:
    if len(found) < 3:
        return []
    rows, seconds = (np.array([one[name] for one in found], dtype=float) for name in ("rows", "processor_seconds"))
    slope, start = np.polyfit(rows, seconds, 1)
    off = seconds / (start + slope * rows) - 1
    shares = ", ".join(f"{size / 1e6:g} M {share:+.1%}" for size, share in zip(rows, off, strict=True))
    return [
        compared(
            NAME,
            "largest deviation of a processor time from the straight line, share",
            ours=float(np.abs(off).max()),
            against="a tenth",
            peer=0.1,
            target=Target(1),
            rows=int(rows[-1]),
            note=f"{shares}; the line begins at {start / seconds[0]:.0%} of the smallest run's time",
        )
    ]


def _watched(pid: int, peak: list[int], done: threading.Event) -> None:
    """Keep the largest memory of a process and all that came of it: proportional shares, so that nothing counts twice."""
    while not done.wait(0.5):
        peak[0] = max(peak[0], sum(map(_memory, _family(pid))))


def _family(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in children:
            yield from _family(int(child))


def _processor_seconds() -> float:
    """Processor time of this process and all that came of it, those that have ended included."""
    ticks = 0
    for pid in _family(os.getpid()):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def main() -> None:
    """Measure one size and print JSON."""
    from pyspark.sql import SparkSession

    rows, folder = int(sys.argv[1]), Path(sys.argv[2])
    builder = SparkSession.builder.master("local[2]").appName(NAME)
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": HEAP,
        "spark.local.dir": str(folder / "scratch"),
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    }
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    try:
        found = measured(session, rows, folder)
        found["plan"] = plan(session, folder, found["parts"])
    finally:
        session.stop()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
