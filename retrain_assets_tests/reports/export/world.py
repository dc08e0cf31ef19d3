"""A home whose people sign, with bundles of real files; its exports, unpacked; and the archive's script, run in process."""

from __future__ import annotations

import contextlib
import io
import json
import runpy
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from retrain_assets.bundle import Manifest
from retrain_assets.contract import Contract, canonical_json, sha256_hex
from retrain_assets.home import Home
from retrain_assets.ledger import Actor, Event, EventKind, Namespace, SystemKey
from retrain_assets.release import approvals, fold_platform
from retrain_assets.release.drafts import Drafts
from retrain_assets.release.platform import PLATFORM_KINDS
from retrain_assets.release.signing import Case, Signed
from retrain_assets.reports import write_pack
from retrain_assets.reports.export import Export, export_of
from retrain_assets_tests.release.people import by, line_of
from retrain_assets_tests.reports import sample
from retrain_assets_tests.reports.sample_evidence import CONTRACT, DORA, MODEL, RUTH, manifest_of

FIRST, KEY = "2013-04-01", "2013-07-01"
FILES = {"model.txt": b"tree\nleaf 1\nleaf 2\n", "calibration.json": b'{"kind":"none"}', "empty.json": b""}
Sign = Callable[[Case, Actor], Signed | None]


class SignedSample(sample.Sample):
    """The sample's home; its people sign, and its registry has bundles."""

    sign: Sign = staticmethod(lambda case, actor: by(actor, case, lasting=case.act == "approve"))

    @property
    def identity(self) -> str:
        return self.ledger.identity

    def bootstrap(self, key: str = FIRST) -> None:
        self.launch(key, {"kind": "person", "reason": "first model of this kind"}, DORA)
        self.offline(key, self.until_candidate(key, "1"), bootstrap=True)
        reason, ledger = "nothing to compare with; absolute limits hold", self.identity
        case = approvals.bootstrap_case(self.drafts(RUTH, reason), key, self.contract, ledger=ledger)
        signed = self.sign(case, RUTH)
        self.do(RUTH, reason, lambda drafts: approvals.bootstrap(drafts, key, self.contract, ledger=ledger, signed=signed))

    def approve(self, key: str, reason: str) -> None:
        ledger = self.identity
        case, _ = approvals.approval_case(self.drafts(RUTH, reason), key, ledger=ledger)
        signed = self.sign(case, RUTH)
        self.do(RUTH, reason, lambda drafts: approvals.approve(drafts, key, typed_by="ruth", ledger=ledger, signed=signed))

    def drafts(self, actor: Actor, reason: str) -> Drafts:
        return Drafts(self.state(), actor, self.now, reason, fold_platform(self.ledger.events(kinds=PLATFORM_KINDS)))

    def pack(self, key: str) -> None:
        from retrain_assets.release import retrains

        digest = write_pack(self.home, MODEL, key).digest
        self.do(sample.SYSTEM, "evidence pack made", lambda drafts: retrains.audit_recorded(drafts, key, digest, {}))

    def event(self, kind: EventKind, key: str = KEY) -> Event:
        return self.ledger.events(model=MODEL, retrain=key, kinds=[kind])[-1]

    def download(self, model: str, version: str) -> Path:
        """The registry's part."""
        retrain = next(
            one.retrain for one in self.ledger.events(kinds=[EventKind.CANDIDATE_REGISTERED]) if one.payload["version"] == version
        )
        folder = self.home.root / "registry" / model / version
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in {**FILES, "manifest.json": canonical_json(manifest_with_files(retrain or "").to_json())}.items():
            (folder / name).write_bytes(data)
        return folder


def manifest_with_files(key: str) -> Manifest:
    return replace(manifest_of(key), files={name: sha256_hex(data) for name, data in FILES.items()})


def signed_contract(**changes: Any) -> Contract:
    """The sample's contract with Ruth's and Paul's keys, and other changes."""
    values = CONTRACT.to_json()
    keys = {"allowed_signers": "\n".join(line_of(name) for name in CONTRACT.approval.approvers) + "\n"}
    values["approval"] |= keys | changes.pop("approval", {})
    return Contract.model_validate({**values, **changes})


def begun(root: Path, *, sign: Sign | None = None, contract: Contract | None = None) -> SignedSample:
    """An empty home."""
    world = SignedSample(Home(root), contract=contract or signed_contract())
    if sign is not None:
        world.sign = sign
    return world


def bootstrapped(root: Path, *, sign: Sign | None = None, contract: Contract | None = None) -> SignedSample:
    """A first champion, on Ruth's word."""
    world = begun(root, sign=sign, contract=contract)
    with patch.object(sample, "manifest_of", manifest_with_files):
        world.bootstrap()
    return world


def promoted(root: Path, *, sign: Sign | None = None, contract: Contract | None = None) -> SignedSample:
    """A first champion, and a challenger that Ruth approved with her key and that was promoted; its pack is on record."""
    world = bootstrapped(root, sign=sign, contract=contract)
    with patch.object(sample, "manifest_of", manifest_with_files):
        world.promoted(KEY)
    world.pack(KEY)
    return world


def exported(world: SignedSample, retrain: str = KEY, *, with_bundle: bool = True) -> Export:
    key = SystemKey.open(world.home.system_key_path)
    return export_of(world.home, world.ledger, MODEL, retrain, key=key, registry=world, with_bundle=with_bundle)


def unpacked(export: Export, folder: Path) -> Path:
    """The folder an archive unpacks to."""
    with tarfile.open(fileobj=io.BytesIO(export.archive)) as archive:
        archive.extractall(folder, filter="data")
    return folder / export.name


@dataclass(frozen=True)
class Said:
    """What the script printed and how it ended."""

    code: int
    lines: list[str]
    error: str = ""

    @property
    def faults(self) -> list[str]:
        return [line.removeprefix("FAULT  ") for line in self.lines if line.startswith("FAULT")]


def run(folder: Path, *arguments: str) -> Said:
    """The script in process; it may end by :class:`SystemExit` alone."""
    printed, code, error = io.StringIO(), 0, ""
    with patch.object(sys, "argv", ["verify.py", *arguments]), contextlib.redirect_stdout(printed):
        try:
            runpy.run_path(str(folder / "verify.py"))
        except SystemExit as ended:
            code, error = (0, "") if ended.code is None else (1, str(ended.code))
    return Said(code, printed.getvalue().splitlines(), error)


def run_alone(folder: Path, *arguments: str, python: str = sys.executable, cwd: Path | None = None) -> Said:
    """The script as somebody runs it: isolated, without site packages."""
    command = [python, "-I", "-S", str(folder / "verify.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)
    return Said(done.returncode, done.stdout.splitlines(), done.stderr)


def resign(folder: Path, key: SystemKey) -> None:
    """What somebody with the system's key would do after a change: sums and their signature anew."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    sums = "".join(
        f"{sha256_hex((folder / name).read_bytes())}  {name}\n" for name in names if not name.startswith("SHA256SUMS")
    ).encode()
    (folder / "SHA256SUMS").write_bytes(sums)
    (folder / "SHA256SUMS.sig").write_text(key.sign(sums, Namespace.EXPORT))


def document(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_bytes())
