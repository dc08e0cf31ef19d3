"""The first page of an export: what it is, the answer, how to check it in two commands, what that proves and what it does not."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from retrain_assets.ledger import timestamp
from retrain_assets.reports import words
from retrain_assets.reports.export.approvals import Word, words_of
from retrain_assets.reports.export.evidence import withheld_of
from retrain_assets.reports.export.material import Material
from retrain_assets.reports.export.model_card import told

FILES = {
    "pack.html": "the record as a page; begin here",
    "pack.json": "the same as data",
    "custody.json": "what went into the model and what came out, each value with the event it was read from",
    "model-card.md": "model card, in the sections of Mitchell et al. (2019)",
    "contract.json": "the release contract in force: what was asked of the model, who may approve",
    "approvals/": "what people signed, by the number of the event, and their signatures",
    "decision.dsse.json": "the decision, attested by the system (in-toto Statement v1, DSSE v1)",
    "provenance.dsse.json": "how the model was made, attested by the system (SLSA Provenance v1)",
    "decision.dsse": "the very bytes whose signature is in the envelope; `provenance.dsse` likewise",
    "mlbom.cdx.json": "what the model is made of (CycloneDX 1.6 ML-BOM)",
    "openlineage.jsonl": "the runs that made it (OpenLineage 2-0-2 run events)",
    "events.jsonl": "the ledger's events about it; the SHA-256 of a line is the hash of the event",
    "checkpoint.json": "the end of the ledger as the system signed it, with the root of the Merkle tree",
    "inclusion.json": "for the hash of each event the siblings on its way to that root",
    "allowed_signers": "whose signatures count: the system's, and those of the people the contract names",
    "system.pem": "the system's public key in the form DSSE tools read",
    "evidence/": "the tables behind checks and looks; each file is named by its SHA-256",
    "bundle/": "the model, as it was registered; `manifest.json` names its parts",
    "withheld.json": "what is not here, and why",
    "verify.py": "checks all this",
    "SHA256SUMS": "the SHA-256 of every file",
}


def readme(material: Material, files: set[str]) -> bytes:
    """The page as Markdown.

    Args:
        material: what the export is made of.
        files: paths of the other files.
    """
    said = words_of(material)
    answer, withheld = material.pack["answer"], withheld_of(material)
    return (
        _template()
        .render(
            model=material.record.model,
            retrain=material.record.retrain,
            answer=answer,
            by=" and ".join(words.actor(one) for one in answer["by"]),
            decided=material.pack["decision"] is not None,
            overrides=material.pack["overrides"],
            purpose=material.contract.get("purpose"),
            fingerprint=material.key.fingerprint,
            checkpoint=material.checkpoint,
            checkpoint_at=timestamp(material.checkpoint.at),
            signed=any(word.signed for word in said),
            unsigned=any(word.signed is None for word in said),
            bundle=bool(material.bundle),
            withheld=list(_withheld(withheld)),
            said=[_told(word) for word in said],
            files=[(name, what) for name, what in FILES.items() if _is_here(name, files)],
            told=told,
            moment=words.moment,
        )
        .encode()
    )


def _told(word: Word) -> dict[str, Any]:
    key, command = (word.event.payload["signed"]["key"], word.command) if word.signed is not None else (None, None)
    return {
        "event": word.event,
        "at": timestamp(word.event.at),
        "what": words.words(str(word.event.kind)),
        "signed": word.signed is not None,
        "key": key,
        "command": command,
    }


def _withheld(withheld: dict[str, Any]) -> Iterator[str]:
    yield from withheld["events"].values()
    yield from (f"evidence {name[:12]}…: {why}" for name, why in withheld["evidence"].items())
    yield from (f"{what}: {withheld[what]}" for what in ("bundle", "contract") if withheld[what])


def _is_here(name: str, files: set[str]) -> bool:
    return name in {*files, "SHA256SUMS"} or (name.endswith("/") and any(one.startswith(name) for one in files))


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("retrain_assets.reports.export", ""),
        autoescape=False,  # Markdown, not HTML
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("README.md.jinja")
