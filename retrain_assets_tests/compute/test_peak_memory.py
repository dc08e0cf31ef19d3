from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from retrain_assets.compute import peak_memory as module
from retrain_assets.compute.peak_memory import peak_memory

MIB = 1024**2


def allocate(mebibytes: int) -> None:
    assert np.ones(mebibytes * MIB // 8).sum() > 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets the high-water mark be set back")
def test_it_is_the_peak_of_the_block_and_of_nothing_before_it() -> None:
    with peak_memory() as idle:
        pass
    allocate(900)
    with peak_memory() as small:
        allocate(300)
    assert idle.of == small.of == "fit"
    assert idle.mb is not None
    assert small.mb is not None
    assert 200 < small.mb - idle.mb < 600  # what other libraries give back meanwhile moves it a little


def test_where_the_mark_cannot_be_set_back_it_is_the_peak_since_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "_RESET", tmp_path / "nowhere" / "clear_refs")
    allocate(200)
    with peak_memory() as peak:
        pass
    assert peak.of == "process"
    assert peak.mb is not None
    assert peak.mb > 200


def test_it_is_measured_when_the_block_raises_too() -> None:
    with pytest.raises(ZeroDivisionError), peak_memory() as peak:
        raise ZeroDivisionError
    assert peak.mb is not None
