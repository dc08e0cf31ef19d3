"""Evidence is found by its digest, and only if it is what was stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrain_assets.contract import CustodyError, digest_of
from retrain_assets.ledger import EvidenceStore

VALUE = {"b": [1, 2.5, None], "a": "ü"}


@pytest.fixture
def store(tmp_path: Path) -> EvidenceStore:
    return EvidenceStore(tmp_path / "home" / "evidence")


def test_a_value_is_found_by_the_digest_of_its_canonical_json(store: EvidenceStore) -> None:
    digest = store.put(VALUE)
    assert digest == digest_of(VALUE)
    assert store.get(digest) == VALUE
    assert digest in store
    assert store.put({"a": "ü", "b": [1, 2.5, None]}) == digest


def test_changed_evidence_is_refused_and_named(store: EvidenceStore) -> None:
    digest = store.put(VALUE)
    store.path(digest).write_text('{"a":"x"}')
    with pytest.raises(CustodyError, match="was changed"):
        store.get(digest)
    assert [(broken.digest, "was changed" in broken.message) for broken in store.verify()] == [(digest, True)]


def test_storing_again_mends_what_was_changed(store: EvidenceStore) -> None:
    digest = store.put(VALUE)
    store.path(digest).write_text("{")
    assert store.put(VALUE) == digest
    assert store.verify() == []


def test_missing_evidence_is_named_when_it_was_recorded(store: EvidenceStore) -> None:
    kept, gone = store.put(VALUE), store.put({"c": 1})
    store.path(gone).unlink()
    assert store.verify() == []
    (broken,) = store.verify([kept, gone])
    assert broken.digest == gone
    assert "is missing" in broken.message
    with pytest.raises(CustodyError, match="is missing"):
        store.get(gone)


@pytest.mark.parametrize("digest", ["", "sha256:abc", "md5:" + "0" * 64, "sha256:" + "/" * 64, "sha256:" + "A" * 64])
def test_what_is_no_digest_is_refused(store: EvidenceStore, digest: str) -> None:
    with pytest.raises(CustodyError, match="not an evidence digest"):
        store.get(digest)


def test_numbers_json_does_not_have_are_not_stored(store: EvidenceStore) -> None:
    with pytest.raises(ValueError, match="nan"):
        store.put({"value": float("nan")})
    assert not store.directory.exists()
