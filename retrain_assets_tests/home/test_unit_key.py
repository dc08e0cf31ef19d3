"""The key of unit names: random, for its owner alone, the same for everybody who needs it at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from retrain_assets.home import Home
from retrain_assets.home.unit_key import unit_key


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    home = Home(tmp_path)
    first = home.unit_key()
    assert home.unit_key() == first
    assert len(first) == 32
    assert home.unit_key_path == tmp_path / "keys" / "units"
    assert home.unit_key_path.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in home.unit_key_path.parent.iterdir()] == ["units"]


def test_those_who_need_it_at_once_get_the_same(tmp_path: Path) -> None:
    together = Barrier(8)

    def need(_: int) -> bytes:
        together.wait()
        return unit_key(tmp_path / "keys" / "units")

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(need, range(8)))) == 1


def test_an_empty_or_short_file_is_no_key_and_is_left_as_it_is(tmp_path: Path) -> None:
    for content in (b"", b"x" * 15):
        (tmp_path / "units").write_bytes(content)
        with pytest.raises(ValueError, match=f"units: {len(content)} bytes are no key"):
            unit_key(tmp_path / "units")
        assert (tmp_path / "units").read_bytes() == content


def test_a_deleted_key_does_not_come_back(tmp_path: Path) -> None:
    home = Home(tmp_path)
    first = home.unit_key()
    home.unit_key_path.unlink()
    assert home.unit_key() != first


def test_the_key_can_be_kept_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRAIN_UNIT_KEY", str(tmp_path / "vault" / "units"))
    assert Home(tmp_path / "home").unit_key() == (tmp_path / "vault" / "units").read_bytes()
