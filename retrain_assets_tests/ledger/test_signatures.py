"""Signatures: ours are ssh-keygen's and its are ours, and a change of anything signed is found."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from retrain_assets.contract import RetrainError, SignatureError, allowed_signers
from retrain_assets.ledger import Act, Namespace, Signature, Statement, sign, sign_with_ssh_keygen, verified
from retrain_assets_tests.release.people import key_of
from retrain_assets_tests.ssh_agent import running_agent

ANN = "ann@example.org"
NOW = datetime(2024, 5, 1, tzinfo=UTC)
STATEMENT = Statement(
    Act.APPROVE, "a" * 64, "churn", "2024-04-01", "churn-2024-04-01", {"bundle": "sha256:b"}, ANN, "Größe ✓", NOW, "n" * 32
)


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with running_agent(monkeypatch) as socket:
        yield socket


def keys(folder: Path, kind: str, *options: str, passphrase: str = "") -> Path:
    file = folder / f"id_{kind}"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, *options, "-N", passphrase, "-C", ANN, "-f", str(file)], check=True)
    return file


def signers_of(file: Path) -> str:
    return f"{ANN} {file.with_suffix('.pub').read_text()}"


@pytest.mark.parametrize(
    ("kind", "options"), [("ed25519", ()), ("rsa", ("-b", "2048")), ("ecdsa", ("-b", "256")), ("ecdsa", ("-b", "521"))]
)
def test_what_ssh_keygen_signs_is_verified_here(tmp_path: Path, kind: str, options: tuple[str, ...]) -> None:
    file = keys(tmp_path, kind, *options)
    armored = sign_with_ssh_keygen(STATEMENT.bytes, file, Namespace.APPROVE)
    found = verified(STATEMENT.bytes, armored, allowed_signers(signers_of(file)), ANN, Namespace.APPROVE, NOW)
    printed = subprocess.run(["ssh-keygen", "-l", "-f", str(file)], capture_output=True, text=True, check=True).stdout
    assert found.fingerprint == printed.split()[1]
    with pytest.raises(SignatureError, match="not of what it is said to be of"):
        verified(STATEMENT.bytes + b" ", armored, allowed_signers(signers_of(file)), ANN, Namespace.APPROVE, NOW)


def test_what_is_signed_here_ssh_keygen_verifies(tmp_path: Path) -> None:
    public = key_of(ANN).export_public_key().decode()
    (tmp_path / "signers").write_text(f"{ANN} {public}")
    (tmp_path / "sig").write_text(sign(STATEMENT.bytes, key_of(ANN), Namespace.APPROVE))
    command = ["ssh-keygen", "-Y", "verify", "-f", "signers", "-I", ANN, "-n", "approve@retrain-assets", "-s", "sig"]
    for data, code in ((STATEMENT.bytes, 0), (replace(STATEMENT, reason="other").bytes, 255)):
        done = subprocess.run(command, cwd=tmp_path, input=data, capture_output=True, check=False)
        assert done.returncode == code, done.stderr


def test_a_key_that_only_the_agent_has_signs(tmp_path: Path, agent: Path) -> None:
    file = keys(tmp_path, "ed25519")
    subprocess.run(["ssh-add", "-q", str(file)], check=True, capture_output=True)
    file.unlink()
    armored = sign_with_ssh_keygen(STATEMENT.bytes, file.with_suffix(".pub"), Namespace.APPROVE)
    assert verified(STATEMENT.bytes, armored, allowed_signers(signers_of(file)), ANN, Namespace.APPROVE, NOW)


def test_every_single_bit_of_a_signature_counts() -> None:
    armored = sign(b"statement", key_of(ANN), Namespace.APPROVE)
    lines = armored.strip().splitlines()
    packet = base64.b64decode("".join(lines[1:-1]))
    kind, public = key_of(ANN).export_public_key().decode().split()[:2]
    signers = allowed_signers(f"{ANN} {kind} {public}")
    for place in range(len(packet) * 8):
        spoilt = bytearray(packet)
        spoilt[place // 8] ^= 1 << place % 8
        text = "\n".join([lines[0], base64.b64encode(spoilt).decode(), lines[-1]])
        with pytest.raises(SignatureError):
            verified(b"statement", text, signers, ANN, Namespace.APPROVE, NOW)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "signature",
        "-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----",
        "-----BEGIN PGP SIGNATURE-----\nAA\n-----END",
    ],
)
def test_what_is_no_signature_is_refused(text: str) -> None:
    with pytest.raises(SignatureError, match="not an SSH signature"):
        Signature.parse(text)


def test_a_signature_cut_short_or_run_on_is_refused() -> None:
    lines = sign(b"statement", key_of(ANN), Namespace.APPROVE).strip().splitlines()
    packet = base64.b64decode("".join(lines[1:-1]))
    for wrong in (packet[:-1], packet + b"\0\0\0\1x", b"SSHSIF" + packet[6:], packet[:6] + b"\0\0\0\2" + packet[10:]):
        with pytest.raises(SignatureError, match="not a whole SSH signature"):
            Signature.parse("\n".join([lines[0], base64.b64encode(wrong).decode(), lines[-1]]))


def test_a_key_that_is_missing_or_does_not_open_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "never")
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(RetrainError, match="ssh-keygen does not sign"):
        sign_with_ssh_keygen(b"x", tmp_path / "nowhere", Namespace.APPROVE)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RetrainError, match="ssh-keygen is not installed; install OpenSSH"):
        sign_with_ssh_keygen(b"x", tmp_path / "nowhere", Namespace.APPROVE)


def test_each_act_is_signed_for_its_own_purpose() -> None:
    operate = {Act.HOLD, Act.ROLL_BACK, Act.KILL}
    assert {act for act in Act if act.namespace is Namespace.OPERATE} == operate
    assert {act.namespace for act in Act if act not in operate} == {Namespace.APPROVE}


def test_two_statements_of_the_same_are_two() -> None:
    values = {name: getattr(STATEMENT, name) for name in STATEMENT.__dataclass_fields__ if name != "nonce"}
    assert Statement(**values).digest != Statement(**values).digest


@pytest.mark.parametrize(("algorithm", "counts"), [(b"rsa-sha2-512", True), (b"rsa-sha2-256", True), (b"ssh-rsa", False)])
def test_an_rsa_key_does_not_sign_with_sha1(tmp_path: Path, algorithm: bytes, counts: bool) -> None:
    """As ssh-keygen has it."""
    import asyncssh

    key = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    signed = signed_message(b"a statement", Namespace.APPROVE)
    made = Signature(key.public_data, str(Namespace.APPROVE), b"sha512", key.sign(signed, algorithm))
    packet = b"SSHSIG" + (1).to_bytes(4, "big")
    packet += b"".join(map(_string, (made.key, made.namespace.encode(), b"", made.hash_name, made.value)))
    text = base64.encodebytes(packet).decode()
    (tmp_path / "sig").write_text(f"-----BEGIN SSH SIGNATURE-----\n{text}-----END SSH SIGNATURE-----\n")
    (tmp_path / "signers").write_text(f"ann {key.export_public_key().decode()}")
    command = ["ssh-keygen", "-Y", "verify", "-f", "signers", "-I", "ann", "-n", str(Namespace.APPROVE), "-s", "sig"]
    oracle = subprocess.run(command, cwd=tmp_path, input=b"a statement", capture_output=True, check=False)
    assert (oracle.returncode == 0) is counts, oracle.stderr
    if counts:
        made.verify(b"a statement")
    else:
        with pytest.raises(SignatureError, match="ssh-rsa is no algorithm that counts"):
            made.verify(b"a statement")


def signed_message(data: bytes, namespace: Namespace) -> bytes:
    """What an SSHSIG is a signature of."""
    parts = (str(namespace).encode(), b"", b"sha512", hashlib.sha512(data).digest())
    return b"SSHSIG" + b"".join(map(_string, parts))


def _string(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value
