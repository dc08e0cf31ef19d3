"""What gbstats and spotify-confidence say about the same simulated data, each in an environment of its own."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.peers import run_peer
from benchmarks.study.ramps import Floats
from benchmarks.study.rules import ALPHA, Compared, Verdicts

GBSTATS_TUNING = 5_000
"""GrowthBook's default."""


def gbstats(data: Compared, *, tuning: float = GBSTATS_TUNING) -> Verdicts:
    """GrowthBook's sequential test at 95 %, two-sided (2.5 % on each side), at every look.

    Raises:
        PeerMissing: when it cannot be installed or run.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "given.npz", Path(folder) / "found.npz"
        np.savez(source, mean=data.mean, variance=data.variance, n=np.round(data.n), alpha=2 * ALPHA, tuning=tuning)
        run_peer("gbstats", ["limits", str(source), str(target)], script="sequential")
        found = np.load(target)
        return Verdicts(found["lower"] > 0, found["upper"] < 0)


def spotify_confidence(data: Compared) -> Verdicts:
    """Spotify's group-sequential z-test at 95 %, two-sided, every look planned, alpha spent in proportion to the squared share.

    Raises:
        PeerMissing: when it cannot be installed or run.
    """
    multiplier = np.full(data.n.shape[1], np.inf)
    usable = np.flatnonzero((data.variance[:2] > 0).all(axis=(0, 2)) & (data.n[:2] > 1).all(axis=(0, 2)))
    multiplier[usable] = _multiplier(data, usable)
    return Verdicts(data.z > multiplier, data.z < -multiplier)


_KNOWN: dict[bytes, Floats] = {}


def _multiplier(data: Compared, looks: np.ndarray) -> Floats:
    key = data.n[:2, looks].sum(axis=2).tobytes()
    if key not in _KNOWN:
        _KNOWN[key] = _asked(data, looks)
    return _KNOWN[key]


def _asked(data: Compared, looks: np.ndarray) -> Floats:
    two = {name: getattr(data, name)[:2][:, looks] for name in ("mean", "variance", "n")}
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "given.npz", Path(folder) / "found.npz"
        np.savez(source, **two, total=float(data.n[0, -1].sum()), alpha=2 * ALPHA)
        run_peer("spotify_confidence", ["limits", str(source), str(target)], script="sequential")
        return np.asarray(np.load(target)["multiplier"])


def do_no_harm(verdicts: Verdicts) -> Verdicts:
    """GrowthBook's decision criteria "Do No Harm": ship at the end unless the goal is significantly worse by then."""
    last = np.zeros(verdicts.worse.shape[1], dtype=bool)
    last[-1] = True
    return Verdicts(~verdicts.worse & last, verdicts.worse)
