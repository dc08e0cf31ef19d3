"""Why something recomputed can differ: what is here against what was recorded of code, packages, platform and product."""

from __future__ import annotations

import inspect
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from retrain_assets.bundle import Manifest, environment
from retrain_assets.cli.reproduction.results import Cause, CauseKind
from retrain_assets.cli.reproduction.stored import Stored
from retrain_assets.compute.code import import_path, product_digest, source_digest
from retrain_assets.compute.estimator import estimator_version, threads_of
from retrain_assets.contract import Contract, RetrainError, digest_of, sha256_hex


def surroundings(stored: Stored) -> tuple[Cause, ...]:
    """Everything recorded about where the retrain was made that is otherwise here: code, packages, platform, product."""
    manifest = stored.manifest
    found = list(feature_code(stored))
    if manifest is not None:
        found += packages_differ(manifest, stored.contract)
        found += platform_differs(manifest, stored.contract)
    if not stored.home.unit_key_path.exists():
        found.append(
            Cause(CauseKind.EVIDENCE, f"{stored.home.unit_key_path} is gone: units have other names in evidence made now")
        )
    return (*found, *_product(stored))


def nothing_known(stored: Stored) -> Cause:
    """That nothing on record is otherwise here; with the commit where another one is, which is all that is left."""
    elsewhere = "; ".join(places_differ(stored))
    text = "feature code, packages, platform and what the stages rest on are those of then"
    return Cause(CauseKind.UNKNOWN, f"{text}; otherwise here: {elsewhere}" if elsewhere else text)


def feature_code(stored: Stored) -> Iterator[Cause]:
    """The feature function's file, where it is not the recorded one."""
    recorded = stored.subjects.get("features")
    if recorded is None:
        return
    path = stored.contract.features
    try:
        here = source_digest(path, "features")
    except RetrainError as error:
        yield Cause(CauseKind.FEATURE_CODE, f"{path} is not here ({error.what})")
        return
    if here != recorded:
        file = Path(inspect.getfile(import_path(path, "features")))
        yield Cause(
            CauseKind.FEATURE_CODE,
            f"{path} in {file}: recorded {_short(recorded)}, here {_short(here)}{_where(stored, path, file, recorded)}",
        )


def places_differ(stored: Stored) -> list[str]:
    """Facts of the place that stand in the manifest and are otherwise here, in words: commit, packages, platform."""
    manifest = stored.manifest
    if manifest is None:
        return []
    from retrain_assets.compute.code import commit_of

    told: list[str] = []
    try:
        here = commit_of(stored.contract.features)
    except RetrainError:
        here = {"commit": None, "dirty": None}
    for name in ("commit", "dirty"):
        if manifest.code.get(name) != here[name]:
            told.append(f"{name} {_text(manifest.code.get(name))} → {_text(here[name])}")
    return [
        *told,
        *(cause.text for cause in (*packages_differ(manifest, stored.contract), *platform_differs(manifest, stored.contract))),
    ]


def packages_differ(manifest: Manifest, contract: Contract) -> Iterator[Cause]:
    """Packages, the estimator's own included, that are of another version here than in the manifest."""
    recorded, here = dict(manifest.environment.get("packages", {})), environment()["packages"]
    differing = [
        f"{name} {recorded.get(name, 'absent')} → {here.get(name, 'absent')}"
        for name in sorted({*recorded, *here})
        if recorded.get(name) != here.get(name)
    ]
    estimator = str(manifest.code.get("estimator"))
    try:
        now = estimator_version(contract.trainer)
    except RetrainError as error:
        now = f"not here ({error.what})"
    if estimator != now and not any(one.startswith(estimator.split(" ")[0]) for one in differing):
        differing.append(f"estimator {estimator} → {now}")
    if differing:
        yield Cause(CauseKind.PACKAGES, ", ".join(differing))


def platform_differs(manifest: Manifest, contract: Contract) -> Iterator[Cause]:
    """Python, platform and number of threads, where another one is here than in the manifest."""
    recorded, here = manifest.environment, environment(threads_of(contract.trainer))
    differing = [
        f"{name} {recorded.get(name)} → {here[name]}"
        for name in ("python", "platform", "threads")
        if recorded.get(name) != here[name]
    ]
    if differing:
        yield Cause(CauseKind.PLATFORM, ", ".join(differing))


def _product(stored: Stored) -> Iterator[Cause]:
    """The product's code, or the schema's: whether the stages' recorded basis comes out with what is here."""
    manifest = stored.manifest
    version = str(manifest.code.get("product")) if manifest is not None else None
    from retrain_assets import __version__

    if version is not None and version != __version__:
        yield Cause(CauseKind.PRODUCT, f"version {version} → {__version__}")
        return
    if _same_basis(stored) is False:
        commit = f" of commit {manifest.code['commit'][:12]}" if manifest is not None and manifest.code.get("commit") else ""
        yield Cause(CauseKind.PRODUCT, f"what stages rest on (product or schema) is not the code{commit} that made it")


def _same_basis(stored: Stored) -> bool | None:
    """Whether stage ``features`` rested on the product and schema code that is here; None where that cannot be told."""
    result, recorded = stored.stage("features"), stored.basis("features")
    if result is None or recorded is None or "dataset" not in stored.subjects or "features" not in stored.subjects:
        return None
    try:
        parts: Mapping[str, Any] = {
            "request": result.request_digest,
            "inputs": {"dataset": stored.subjects["dataset"]},
            "source": None,
            "features": stored.subjects["features"],
            "estimator": None,
            "schema": source_digest(stored.contract.source.schema_, "source.schema"),
            "product": product_digest(),
        }
    except RetrainError:
        return None
    return digest_of(parts) == recorded


def _where(stored: Stored, path: str, file: Path, recorded: str) -> str:
    """Where git has the recorded code, if it has."""
    commit = stored.manifest.code.get("commit") if stored.manifest is not None else None
    if not commit:
        return ""
    try:
        done = subprocess.run(["git", "-C", str(file.parent), "show", f"{commit}:./{file.name}"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    if digest_of({"path": path, "sha256": sha256_hex(done.stdout)}) != recorded:
        return ""
    return f"; commit {commit[:12]} has the recorded one"


def _text(value: Any) -> str:
    return value[:12] if isinstance(value, str) else str(value)


def _short(digest: str) -> str:
    return f"{digest[:19]}…"
