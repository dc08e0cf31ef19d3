"""Changes, drawn at random, beside the ledger's database: evidence, bundles, flags, tokens, registry, packs."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.registry import DIGEST_TAG, HEAD_TAG
from retrain_assets_tests.cli.world import MODEL
from retrain_assets_tests.scenarios.tampering import Tampered, changed_file, draws, longer, one_byte, other_content


def test_evidence_that_was_changed_exchanged_or_taken_away_is_found_by_its_digest(tampered: Tampered) -> None:
    files = sorted(tampered.home.evidence_dir.glob("*/*.json"))
    for number, draw in enumerate(draws("evidence")):
        file, other = draw.sample(files, 2)
        change = draw.choice((one_byte(draw), Path.unlink, other_content(other), longer(draw)))
        look = tampered.told if number == 0 else lambda: tampered.found("evidence")
        said = changed_file(file, change, look)
        assert f"evidence sha256:{file.stem[:12]}" in said, f"{file.name}: {said!r}"


def test_bundles_that_were_changed_are_found_by_version(tampered: Tampered) -> None:
    files = sorted(path for path in tampered.home.mlflow_artifacts.rglob("*") if path.name in ("model.txt", "manifest.json"))
    assert len(files) == 8
    for number, draw in enumerate(draws("bundles")):
        file = draw.choice(files)
        change = draw.choice((one_byte(draw), one_byte(draw), Path.unlink, longer(draw)))
        look = tampered.told if number == 0 else lambda: tampered.found("bundles")
        said = changed_file(file, change, look)
        assert re.search(rf"{MODEL} version \d", said), f"{file}: {said!r}"


@pytest.mark.parametrize("name", ["flags", "tokens"])
def test_a_flag_document_and_tokens_that_were_changed_are_found(tampered: Tampered, name: str) -> None:
    file = tampered.home.root / f"{name}.json"
    for number, draw in enumerate(draws(name)):
        change = draw.choice((one_byte(draw), one_byte(draw), longer(draw), Path.unlink))
        look = tampered.told if number == 0 else lambda: tampered.found(name)
        said = changed_file(file, change, look)
        assert re.search(f"{name}.*it is (not what the ledger says|missing)", said), said


def test_what_was_changed_in_the_registry_is_found(tampered: Tampered) -> None:
    """Aliases, the head a version carries, and the digest of its bundle."""
    from mlflow import MlflowClient

    client = MlflowClient(tampered.home.mlflow_uri)
    for number, draw in enumerate(draws("registry")):
        version = draw.choice("1234")
        part, undo = _registry_change(client, version, draw)
        try:
            said = tampered.told() if number == 0 else tampered.found(part)
        finally:
            undo()
        assert re.search(rf"{MODEL}@c" if part == "aliases" else rf"version {version}\b", said), f"{part}: {said!r}"


def _registry_change(client: Any, version: str, draw: random.Random) -> tuple[str, Callable[[], None]]:
    """Change one thing; the part it is about, and how to take it back."""
    how = draw.choice(("alias", "head", "no head", "digest"))
    if how == "alias":
        champion = str(client.get_model_version_by_alias(MODEL, "champion").version)
        alias, other = draw.choice(("champion", "challenger")), draw.choice([one for one in "1234" if one != champion])
        client.set_registered_model_alias(MODEL, alias, other)
        if alias == "champion":
            return "aliases", lambda: client.set_registered_model_alias(MODEL, "champion", champion)
        return "aliases", lambda: client.delete_registered_model_alias(MODEL, "challenger")
    tag = DIGEST_TAG if how == "digest" else HEAD_TAG
    value = client.get_model_version(MODEL, version).tags[tag]
    if how == "no head":
        client.delete_model_version_tag(MODEL, version, tag)
    else:
        at = draw.randrange(len(value))
        other = draw.choice([letter for letter in "0123456789abcdef" if letter != value[at]])
        client.set_model_version_tag(MODEL, version, tag, value[:at] + other + value[at + 1 :])
    part = "bundles" if how == "digest" else "anchors"
    return part, lambda: client.set_model_version_tag(MODEL, version, tag, value)


def test_a_pack_that_was_changed_is_found_by_its_name(tampered: Tampered) -> None:
    files = sorted(tampered.home.reports_dir(MODEL).glob("*.json"))
    assert len(files) == 4
    for number, draw in enumerate(draws("packs")):
        file = draw.choice(files)
        change = draw.choice((one_byte(draw), one_byte(draw), longer(draw)))
        look = tampered.told if number == 0 else lambda: tampered.found("evidence")
        said = changed_file(file, change, look)
        assert f"{file} is not the evidence pack the ledger holds" in said, said
