"""Roots, compact ranges and proofs against RFC 6962's own definition, written down as it stands there."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain_assets.ledger.merkle import CompactRange, Tree, leaf_hash, node_hash, verify_inclusion

LEAVES = st.lists(st.binary(max_size=40), max_size=70)
SOME_LEAVES = st.lists(st.binary(max_size=40), min_size=1, max_size=70)
KNOWN = [bytes.fromhex(data) for data in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")] + [
    bytes(range(0x60, 0x70))
]
"""The leaves of the test vectors of certificate transparency."""


def root_by_definition(leaves: list[bytes]) -> bytes:
    """MTH of section 2.1."""
    if len(leaves) < 2:
        return leaf_hash(leaves[0]) if leaves else hashlib.sha256(b"").digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(root_by_definition(leaves[:split]), root_by_definition(leaves[split:]))


def path_by_definition(index: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of section 2.1.1."""
    if len(leaves) < 2:
        return []
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if index < split:
        return [*path_by_definition(index, leaves[:split]), root_by_definition(leaves[split:])]
    return [*path_by_definition(index - split, leaves[split:]), root_by_definition(leaves[:split])]


@pytest.mark.parametrize(
    ("size", "root"),
    [
        (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
        (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
        (5, "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
        (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
    ],
)
def test_the_vectors_of_certificate_transparency_hold(size: int, root: str) -> None:
    tree = CompactRange()
    tree.extend(KNOWN[:size])
    assert tree.root.hex() == Tree(KNOWN[:size]).root.hex() == root


@given(LEAVES)
def test_the_root_is_the_one_of_the_definition(leaves: list[bytes]) -> None:
    tree = CompactRange()
    tree.extend(leaves)
    assert tree.root == Tree(leaves).root == root_by_definition(leaves)


@given(LEAVES, LEAVES)
def test_a_compact_range_goes_on_from_its_peaks(first: list[bytes], then: list[bytes]) -> None:
    before = CompactRange()
    before.extend(first)
    after = CompactRange(before.size, before.peaks)
    for leaf in then:
        after.add(leaf)
    assert (after.size, after.root) == (len(first + then), root_by_definition(first + then))


@given(SOME_LEAVES, st.data())
def test_a_proof_is_the_path_of_the_definition_and_holds_for_its_leaf_place_size_and_root_alone(
    leaves: list[bytes], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    tree = Tree(leaves)
    path, root = tree.inclusion(index), tree.root
    assert list(path) == path_by_definition(index, leaves)
    assert verify_inclusion(leaves[index], index, tree.size, path, root)
    assert not verify_inclusion(leaves[index] + b"x", index, tree.size, path, root)
    assert not verify_inclusion(leaves[index], index, tree.size, path, leaf_hash(root))
    assert not verify_inclusion(leaves[index], index, tree.size, (*path, root), root)
    for other in {index + 1, index - 1, tree.size} - {index}:
        assert not verify_inclusion(leaves[index], other, tree.size, path, root) or leaves[index] == leaves[other]
    if path:
        assert not verify_inclusion(leaves[index], index, tree.size, path[:-1], root)
        bent = bytearray(path[data.draw(st.integers(0, len(path) - 1))])
        place = path.index(bytes(bent))
        bent[data.draw(st.integers(0, 31))] ^= 1
        assert not verify_inclusion(leaves[index], index, tree.size, (*path[:place], bytes(bent), *path[place + 1 :]), root)


def test_a_leaf_is_never_taken_for_a_node() -> None:
    """Two leaves' hashes as one leaf would otherwise give the same root."""
    pair = leaf_hash(b"a") + leaf_hash(b"b")
    assert Tree([pair]).root != Tree([b"a", b"b"]).root


@pytest.mark.parametrize(("size", "peaks"), [(1, []), (0, [b"x" * 32]), (3, [b"x" * 32]), (1, [b"short"]), (-1, [])])
def test_peaks_that_are_not_those_of_the_size_are_refused(size: int, peaks: list[bytes]) -> None:
    with pytest.raises(ValueError, match="not those of a tree"):
        CompactRange(size, peaks)


def test_a_leaf_the_tree_does_not_have_has_no_proof() -> None:
    with pytest.raises(IndexError):
        Tree([b"a"]).inclusion(1)
