"""The bundles: the files of every registered version are what its digest says, and the digest is the ledger's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from retrain_assets.cli.opening import registry_of
from retrain_assets.cli.verify.part import MALFORMED, Part
from retrain_assets.contract import CustodyError, RegistryUnavailable, sha256_hex
from retrain_assets.home import Home
from retrain_assets.ledger import Event, EventKind
from retrain_assets.registry import Registry

MANIFEST = "manifest.json"


def recorded_versions(events: Iterable[Event]) -> dict[tuple[str, str], str]:
    """Bundle digest by model and version, as the ledger has it."""
    return {
        (event.model, str(event.payload["version"])): str(event.payload["bundle"])
        for event in events
        if event.kind is EventKind.CANDIDATE_REGISTERED and {"version", "bundle"} <= set(event.payload)
    }


def opened_registry(home: Home, recorded: Mapping[tuple[str, str], str]) -> Registry | Part:
    """The registry; a part that says why there is none to look at. None is made."""
    file = home.mlflow_uri.removeprefix("sqlite:///")
    if file != home.mlflow_uri and not Path(file).exists():
        gone = (f"the registry is gone: {file} does not exist",) if recorded else ()
        return Part("bundles", f"{len(recorded)} versions", gone)
    return registry_of(home)


def bundles_part(home: Home, registry: Registry, recorded: Mapping[tuple[str, str], str]) -> Part:
    """Every version that is registered or recorded.

    A version that cannot be read leaves the part unchecked, and does not hide what is broken of the others.
    """
    faults, unread, files, seen, outside = [], [], 0, set(), set()
    for model in sorted({model for model, _ in recorded}):
        for version in registry.list_versions(model):
            key = (model, version.version)
            seen.add(key)
            where = f"{model} version {version.version}"
            if key in recorded and version.bundle != recorded[key]:
                faults.append(f"{where} is tagged with bundle {version.bundle}, the ledger has {recorded[key]}")
            try:
                folder = registry.download(model, version.version)
                files += sum(1 for _ in folder.iterdir())
                faults += _rewritten_manifest(folder, version.bundle, where)
                if home.mlflow_uri.startswith("sqlite:") and not folder.is_relative_to(home.root.absolute()):
                    outside.add(where)
            except CustodyError as error:
                faults.append(f"{where}: {error.line}")
            except RegistryUnavailable as error:
                unread.append(f"{where}: {error.line}")
            except MALFORMED as error:
                faults.append(f"{where}: its manifest.json is not the manifest of a bundle ({type(error).__name__}: {error})")
    faults += [f"{model} version {version} is not in the registry" for model, version in sorted(set(recorded) - seen)]
    unknown = [f"{model} version {version}" for model, version in sorted(seen - set(recorded))]
    notes = (
        *([f"not in the ledger and never active: {', '.join(unknown)}"] if unknown else []),
        *([f"read outside this home: {', '.join(sorted(outside))}"] if outside else []),
    )
    text = f"{len(seen)} registered versions, {files} files"
    if faults:
        return Part("bundles", text, (*faults, *unread), notes=notes)
    return Part("bundles", text, unchecked="; ".join(unread), notes=notes)


def _rewritten_manifest(folder: Path, digest: str, where: str) -> list[str]:
    """A manifest that says the same in other bytes: nothing that is served, and not what was written."""
    path = folder / MANIFEST
    if "sha256:" + sha256_hex(path.read_bytes()) == digest:
        return []
    return [f"{where}: {path}: its bytes are not those that were registered, though it says the same"]
