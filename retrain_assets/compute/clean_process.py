"""A saved bundle tried in a fresh Python process, as serving would meet it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from retrain_assets.compute.parts import StoredTable

PROBE_ARGUMENTS = ("-m", "retrain_assets.bundle.probe")
TIMEOUT_S = 300.0
"""A process that has not answered by then hangs: its start takes seconds, and a million rows are scored in less than a minute."""

KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""All that the process inherits of the environment: where programs, shared libraries and temporary files are."""

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"), "1")
"""It runs beside a fit and leaves the other cores to it."""


@dataclass(frozen=True, slots=True)
class CleanAnswer:
    """What the process found: its scores and the features (name, kind) the bundle asks for, or why there are none."""

    scores: npt.NDArray[np.float64] | None = None
    features: tuple[tuple[str, str], ...] | None = None
    error: str | None = None


def in_clean_process(
    bundle: Path, digest: str, rows: Path, *, code: Sequence[Path] = (), timeout_s: float = TIMEOUT_S
) -> CleanAnswer:
    """Load a bundle in a process of its own and score the feature rows of a Parquet file with it.

    The process is this Python without any of this process's state: no ``PYTHONPATH``, no ``PYTHON*`` variable, no ``sys.path``
    but that of the installed packages, an empty temporary directory as working directory. So what is importable there is what is
    installed, this product among it, and that is where serving finds its code too. The team's own code is given to it only for a
    model of the team's own classes, which cannot be read without; the feature rows come ready from the snapshot.

    Args:
        bundle: directory of the bundle.
        digest: digest of its manifest.
        rows: Parquet file with the feature columns.
        code: folders that the model's own classes are imported from.
        timeout_s: seconds after which the process is ended.

    Returns:
        The scores in the order of the rows; with ``error``, one line, where the process refused, died or did not answer in time.
    """
    with tempfile.TemporaryDirectory(prefix="retrain-clean-") as answer:
        command = [sys.executable, "-E", "-P", "-W", "ignore", *PROBE_ARGUMENTS]
        arguments = [str(bundle.resolve()), digest, str(rows.resolve()), answer, *(str(folder) for folder in code)]
        environment = {name: os.environ[name] for name in KEPT if name in os.environ} | ONE_THREAD
        try:
            done = subprocess.run(
                [*command, *arguments],
                cwd=answer,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return CleanAnswer(error=f"it did not answer within {timeout_s:g} s and was ended")
        except OSError as error:
            return CleanAnswer(error=f"it could not be started ({error})")
        if done.returncode != 0:
            return CleanAnswer(error=_last_line(done.stderr) or f"it ended with exit code {done.returncode} and said nothing")
        return _read(Path(answer))


@contextmanager
def in_one_file(rows: Path) -> Iterator[Path]:
    """A Parquet file with the rows of a stored table: itself, or of a folder of parts a copy that is gone after the block.

    Raises:
        StageError: when it is missing or unreadable.
    """
    if not rows.is_dir():
        yield rows
        return
    with tempfile.TemporaryDirectory(prefix="retrain-rows-") as folder:
        file = Path(folder) / "rows.parquet"
        StoredTable.at(rows).read().write_parquet(file)
        yield file


def _read(answer: Path) -> CleanAnswer:
    from retrain_assets.bundle.probe import FEATURES, SCORES

    try:
        scores = np.load(answer / SCORES, allow_pickle=False)
        features = json.loads((answer / FEATURES).read_text())
    except (OSError, ValueError) as error:
        return CleanAnswer(error=f"its answer cannot be read ({error})")
    return CleanAnswer(scores, tuple((name, kind) for name, kind in features))


def _last_line(stderr: bytes) -> str:
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""
