"""``retrain serve`` as far as it refuses; that it serves, the gateway's own tests show."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from .conftest import Run


@pytest.fixture
def routed(retrain_home: Path) -> Path:
    """A home with a flag document; more is not asked for before workers start."""
    retrain_home.mkdir()
    (retrain_home / "flags.json").write_text('{"flags": {}}')
    return retrain_home


def test_a_home_without_a_ledger_is_named_before_anything_starts(run: Run, retrain_home: Path) -> None:
    assert f"sqlite:///{retrain_home}/ledger.db: there is no ledger here; set RETRAIN_HOME" in run("serve", code=3).stderr
    assert not retrain_home.exists()


def test_a_port_that_is_taken_is_bad_input(run: Run, routed: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"serve: port {port} of 127.0.0.1 is taken; give another" in run("serve", "--port", port, code=3).stderr


def test_strangers_need_tokens(run: Run, routed: Path) -> None:
    told = run("serve", "--host", "0.0.0.0", "--port", "0", code=1).stderr
    assert "can be reached from elsewhere, and there are no tokens; make one with retrain token add" in told


def test_a_name_that_is_no_address_is_bad_input(run: Run, routed: Path) -> None:
    assert "give --host a name or an address of this machine" in run("serve", "--host", "no such host", code=3).stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--max-body", "0"], "'0' is no size; write 500k, 1m or 2m"),
        (["--max-body", "1t"], "'1t' is no size"),
        (["--rotate-after", "30"], "'30' is not a duration"),
        (["--rotate-after", "0s"], "0s is no time to wait"),
        (["--port", "65536"], "65536 is not in the range"),
        (["--workers", "0"], "0 is not in the range"),
        (["--drain", "-1"], "-1 is not in the range"),
    ],
)
def test_an_option_that_makes_no_sense_is_a_wrong_command_line(run: Run, arguments: list[str], told: str) -> None:
    assert told in run("serve", *arguments, code=2).stderr
