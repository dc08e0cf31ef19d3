"""Every file of an export, by its path below the export's folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from importlib.resources import files as resources

from retrain_assets.contract import CustodyError, canonical_json, sha256_hex
from retrain_assets.home import Home
from retrain_assets.ledger import Checkpoint, Ledger, Namespace, SystemKey
from retrain_assets.reports.export.approvals import approval_files
from retrain_assets.reports.export.archive import archive_bytes
from retrain_assets.reports.export.attestations import attested, public_pem
from retrain_assets.reports.export.chain import chain_files
from retrain_assets.reports.export.decision import decision_statement
from retrain_assets.reports.export.evidence import evidence_files
from retrain_assets.reports.export.lineage import lineage_file
from retrain_assets.reports.export.material import Bundles, Material, read_material
from retrain_assets.reports.export.mlbom import mlbom_of
from retrain_assets.reports.export.model_card import model_card
from retrain_assets.reports.export.provenance import provenance_statement
from retrain_assets.reports.export.readme import readme
from retrain_assets.reports.export.secrets import holds_secret
from retrain_assets.reports.page import pack_page

SUMS = "SHA256SUMS"
SCRIPT = "verify.py"


@dataclass(frozen=True)
class Export:
    """One export.

    Args:
        name: the folder in the archive.
        files: content by path below it.
        checkpoint: the signed head that covers its events.
        at: time of the retrain's last event, which every file in the archive gets.
    """

    name: str
    files: dict[str, bytes]
    checkpoint: Checkpoint
    at: datetime

    @cached_property
    def archive(self) -> bytes:
        """The archive; the same files give the same bytes."""
        return archive_bytes(self.name, self.files, self.at)

    @property
    def digest(self) -> str:
        """``sha256:…`` of the archive."""
        return "sha256:" + sha256_hex(self.archive)


def export_of(
    home: Home, ledger: Ledger, model: str, retrain: str, *, key: SystemKey, registry: Bundles, with_bundle: bool = True
) -> Export:
    """One retrain's record for somebody outside, whole or not at all.

    Args:
        home: where it was recorded.
        ledger: its ledger; a checkpoint is added where none by this key covers the retrain's events.
        model: the model.
        retrain: its key.
        key: the system's.
        registry: where the bundle is.
        with_bundle: with the bundle's files, not only its manifest.

    Raises:
        RetrainError: when the ledger knows no such retrain, or the bundle cannot be had.
        CustodyError: when the chain, evidence or the bundle is not what was recorded.
    """
    material = read_material(home, ledger, model, retrain, key=key, registry=registry, with_bundle=with_bundle)
    files = dict(_files(material, ledger))
    files["README.md"] = readme(material, set(files))
    for name in sorted(files):
        if holds_secret(files[name], material.secrets):
            raise CustodyError(
                "it would hold an address or a password that the contract names",
                where=name,
                remedy="nothing was exported; report this",
            )
    files[SUMS] = "".join(f"{sha256_hex(files[name])}  {name}\n" for name in sorted(files)).encode()
    files[f"{SUMS}.sig"] = key.sign(files[SUMS], Namespace.EXPORT).encode()
    return Export(material.name, files, material.checkpoint, material.record.events[-1].at)


def script() -> bytes:
    """``verify.py`` as it lies in every export."""
    return resources("retrain_assets.reports.export").joinpath("verify.py.txt").read_bytes()


def _files(material: Material, ledger: Ledger) -> Iterator[tuple[str, bytes]]:
    pack = canonical_json(dict(material.pack))
    yield "pack.json", pack
    yield "pack.html", pack_page(material.pack, "sha256:" + sha256_hex(pack)).encode()
    yield "contract.json", canonical_json(dict(material.contract))
    yield "custody.json", canonical_json(material.pack["custody"])
    yield "model-card.md", model_card(material)
    yield "openlineage.jsonl", lineage_file(material)
    yield from chain_files(material, ledger)
    yield from approval_files(material)
    yield from evidence_files(material)
    if (pem := public_pem(material.key)) is not None:
        yield "system.pem", pem
    if (decision := decision_statement(material)) is not None:
        yield from attested("decision", decision, material.key)
    if material.manifest is not None:
        yield "bundle/manifest.json", canonical_json(material.manifest.to_json())
        yield from ((f"bundle/{name}", data) for name, data in material.bundle.items())
    if (provenance := provenance_statement(material)) is not None:
        yield from attested("provenance", provenance, material.key)
    if (bom := mlbom_of(material)) is not None:
        yield "mlbom.cdx.json", canonical_json(bom)
    yield SCRIPT, script()
