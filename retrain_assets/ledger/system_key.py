"""The system's own key: one SSH key in a file that only its owner reads, made at first use."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from retrain_assets.contract import CustodyError, RetrainError, fingerprint_of
from retrain_assets.ledger.signatures import Namespace, sign

if TYPE_CHECKING:
    from asyncssh import SSHKey


@dataclass(frozen=True, slots=True)
class SystemKey:
    """A private key the system signs with.

    Args:
        path: its file.
        public_line: the public half as OpenSSH writes it: type, key, comment.
        fingerprint: ``SHA256:…`` of the public half.
    """

    path: Path
    public_line: str
    fingerprint: str
    _private: SSHKey = field(repr=False, compare=False)

    @classmethod
    def open(cls, path: Path) -> Self:
        """The key in a file; a new Ed25519 key, readable for its owner alone, where there is no file.

        Its public half is written beside it with ``.pub`` at the end, over that of a key that was there before.
        Of several processes that make it at once, one does.

        Raises:
            CustodyError: when others than the owner may read or write the file, or it is not a private key.
            RetrainError: when it cannot be read or written.
        """
        import asyncssh

        path = Path(path)
        try:
            if not path.exists():
                _make(path)
            data = _read_private(path)
            key = asyncssh.import_private_key(data)
            made = cls._of(path, key)
            _publish(path, made.public_line)
        except (asyncssh.KeyEncryptionError, asyncssh.KeyImportError) as error:
            if "passphrase" in str(error).lower():
                raise CustodyError(
                    "the system key is locked with a passphrase, which nobody is there to type",
                    where=str(path),
                    remedy="give a key without one: ssh-keygen -p -f FILE",
                ) from error
            raise CustodyError(
                f"this is not a private SSH key ({error})",
                where=str(path),
                remedy="restore it from a backup, or move it away to get a new key",
            ) from error
        except OSError as error:
            raise RetrainError(
                f"the system key cannot be read or made ({error.strerror})",
                where=str(path),
                remedy="check the folder's rights, or set RETRAIN_SYSTEM_KEY",
            ) from error
        return made

    def sign(self, data: bytes, namespace: Namespace) -> str:
        """The armored SSHSIG of bytes, which ``ssh-keygen -Y verify`` checks."""
        return sign(data, self._private, namespace)

    @classmethod
    def _of(cls, path: Path, key: SSHKey) -> Self:
        words = key.export_public_key("openssh").decode().split()
        return cls(path, " ".join([*words[:2], "retrain-assets-system"]), fingerprint_of(key.public_data), key)


def _make(path: Path) -> None:
    """Write a new key; the name appears with the whole file behind it, and whoever comes second leaves the first one."""
    import asyncssh

    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = asyncssh.generate_private_key("ssh-ed25519", comment="retrain-assets-system").export_private_key("openssh")
    scratch = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        _write(scratch, text, 0o600)
        try:
            os.link(scratch, path)
        except FileExistsError:
            return
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        scratch.unlink(missing_ok=True)


def _read_private(path: Path) -> bytes:
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise CustodyError(
                f"others than its owner can read or change the system key (mode {mode:04o})",
                where=str(path),
                remedy=f"if nobody did, chmod 600 {path}; otherwise move it away, and a new key is made and recorded",
            )
        return file.read()


def _publish(path: Path, line: str) -> None:
    public = path.with_name(f"{path.name}.pub")
    if public.exists() and public.read_bytes().split()[:2] == line.encode().split()[:2]:
        return
    scratch = public.with_name(f".{public.name}.{uuid4().hex}")
    _write(scratch, f"{line}\n".encode(), 0o644)
    scratch.replace(public)


def _write(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
