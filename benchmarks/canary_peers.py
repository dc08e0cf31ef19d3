"""What the sequential tests of gbstats and spotify-confidence take for one measure at one look, beside the engine's."""

from __future__ import annotations

from benchmarks.measure import Row, Target, absent, compared
from benchmarks.peers import PeerMissing, run_peer

REPEATS = {"gbstats": 2_000, "spotify_confidence": 20}
TITLES = {
    "gbstats": "gbstats 0.8.0: SequentialTwoSidedTTest on sums of one stratum",
    "spotify_confidence": "spotify-confidence 4.1.0: sequential ZTest on sums of three looks",
}


def decision_peers(benchmark: str, measure: str, microseconds: float, rows: int) -> list[Row]:
    """One row per peer; a peer that cannot be installed or run is a row that says so.

    Args:
        benchmark: name of the benchmark the rows belong to.
        measure: what was measured.
        microseconds: our own time for one measure.
        rows: how many times ours was measured.
    """
    return [_row(benchmark, measure, microseconds, rows, peer) for peer in TITLES]


def _row(benchmark: str, measure: str, microseconds: float, rows: int, peer: str) -> Row:
    try:
        seconds = float(run_peer(peer, ["time", str(REPEATS[peer])], script="sequential")["cpu_s"])
    except PeerMissing as missing:
        return absent(benchmark, measure, ours=microseconds, against=TITLES[peer], rows=rows, reason=str(missing))
    return compared(
        benchmark,
        measure,
        ours=microseconds,
        against=TITLES[peer],
        peer=seconds * 1e6,
        target=Target(1),
        rows=rows,
        note="CPU time in an environment of its own; no strata, no message",
    )
