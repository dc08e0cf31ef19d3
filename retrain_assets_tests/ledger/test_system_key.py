"""The system's key: made once, kept from others, and its signatures need nothing but ssh-keygen."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import asyncssh
import pytest

from retrain_assets.contract import CustodyError, RetrainError
from retrain_assets.ledger import Namespace, Signature, SystemKey


def test_a_missing_key_is_made_for_its_owner_alone_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "system"
    key = SystemKey.open(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert key.public_line.startswith("ssh-ed25519 AAAA")
    assert path.with_name("system.pub").read_text() == f"{key.public_line}\n"
    assert SystemKey.open(path) == key
    assert sorted(file.name for file in path.parent.iterdir()) == ["system", "system.pub"]
    listed = subprocess.run(["ssh-keygen", "-l", "-f", str(path)], capture_output=True, text=True, check=True).stdout
    assert key.fingerprint in listed


def test_it_never_shows_its_private_half(tmp_path: Path) -> None:
    key = SystemKey.open(tmp_path / "system")
    assert "PRIVATE" not in repr(key)
    assert "_private" not in repr(key)


def test_of_several_processes_that_make_it_at_once_one_does(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "system"
    code = f"""
import sys
from pathlib import Path
from retrain_assets.ledger import SystemKey
import asyncssh
print("ready", flush=True)
sys.stdin.readline()
print(SystemKey.open(Path({str(path)!r})).fingerprint)
"""
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = {process.communicate(timeout=60)[0].strip() for process in running}
    assert said == {SystemKey.open(path).fingerprint}
    assert [file.name for file in path.parent.iterdir() if file.name.startswith(".")] == []


def test_what_it_signs_ssh_keygen_verifies(tmp_path: Path) -> None:
    key = SystemKey.open(tmp_path / "system")
    armored = key.sign(b"the head\n", Namespace.CHECKPOINT)
    (tmp_path / "signed.sig").write_text(armored)
    (tmp_path / "allowed").write_text(f"system {key.public_line}\n")
    command = ["ssh-keygen", "-Y", "verify", "-f", "allowed", "-I", "system", "-n", str(Namespace.CHECKPOINT), "-s", "signed.sig"]
    assert subprocess.run(command, input=b"the head\n", cwd=tmp_path, check=False, capture_output=True).returncode == 0
    assert subprocess.run(command, input=b"another\n", cwd=tmp_path, check=False, capture_output=True).returncode != 0
    assert Signature.parse(armored).fingerprint == key.fingerprint


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602])
def test_a_key_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "system"
    SystemKey.open(path)
    path.chmod(mode)
    with pytest.raises(CustodyError, match=rf"others than its owner .* \(mode {mode:04o}\)"):
        SystemKey.open(path)


@pytest.mark.parametrize("content", [b"", b"not a key", b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"])
def test_a_file_that_is_no_key_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "system"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(CustodyError, match="not a private SSH key"):
        SystemKey.open(path)
    assert path.read_bytes() == content


def test_a_key_locked_with_a_passphrase_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "system"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(path)], check=True)
    with pytest.raises(CustodyError, match="locked with a passphrase"):
        SystemKey.open(path)


@pytest.mark.parametrize("name", ["ecdsa-sha2-nistp256", "ssh-rsa"])
def test_a_key_of_another_type_signs_as_well(tmp_path: Path, name: str) -> None:
    path = tmp_path / "system"
    path.write_bytes(asyncssh.generate_private_key(name).export_private_key("openssh"))
    path.chmod(0o600)
    key = SystemKey.open(path)
    Signature.parse(key.sign(b"data", Namespace.EXPORT)).verify(b"data")


def test_a_folder_nobody_can_write_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("a file where the folder should be")
    with pytest.raises(RetrainError, match="cannot be read or made"):
        SystemKey.open(tmp_path / "keys" / "system")
    assert not os.path.lexists(tmp_path / "system")


def test_the_public_half_beside_it_is_that_of_the_key_there_is(tmp_path: Path) -> None:
    first = SystemKey.open(tmp_path / "system")
    (tmp_path / "system").unlink()
    second = SystemKey.open(tmp_path / "system")
    assert first.public_line != second.public_line
    assert (tmp_path / "system.pub").read_text() == f"{second.public_line}\n"
