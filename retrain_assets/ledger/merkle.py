"""Merkle trees as certificate transparency has them: leaf and node hashes, root, compact range, inclusion proofs.

B. Laurie, A. Langley, E. Kasper, Certificate Transparency (RFC 6962), section 2.1; verification as in RFC 9162, section 2.1.3.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

EMPTY_ROOT = hashlib.sha256(b"").digest()
"""Root of a tree without leaves."""

_LEAF, _NODE, _SIZE = b"\x00", b"\x01", 32


def leaf_hash(data: bytes) -> bytes:
    """Hash of a leaf's data."""
    return hashlib.sha256(_LEAF + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node."""
    return hashlib.sha256(_NODE + left + right).digest()


class CompactRange:
    """What of a tree is enough to go on with it: the roots of its complete subtrees, largest first.

    Args:
        size: number of leaves so far.
        peaks: their subtree roots, one for each bit that is set in ``size``.

    Raises:
        ValueError: for another number of peaks, or one that is no hash.
    """

    __slots__ = ("_peaks", "size")

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        if size < 0 or len(peaks) != size.bit_count() or any(len(peak) != _SIZE for peak in peaks):
            raise ValueError(f"{len(peaks)} peaks are not those of a tree of {size} leaves")
        self.size = size
        self._peaks = list(peaks)

    def add(self, data: bytes) -> None:
        """Append a leaf."""
        self.extend((data,))

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Append leaves in their order."""
        sha256, peaks, size = hashlib.sha256, self._peaks, self.size
        for data in leaves:
            peak, rest = sha256(_LEAF + data).digest(), size
            while rest & 1:
                peak = sha256(_NODE + peaks.pop() + peak).digest()
                rest >>= 1
            peaks.append(peak)
            size += 1
        self.size = size

    @property
    def peaks(self) -> tuple[bytes, ...]:
        """Roots of the complete subtrees, largest first."""
        return tuple(self._peaks)

    @property
    def root(self) -> bytes:
        """Root of the whole tree."""
        if not self._peaks:
            return EMPTY_ROOT
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = node_hash(peak, root)
        return root


class Tree:
    """A whole tree, for inclusion proofs of many leaves; 64 bytes a leaf.

    Args:
        leaves: the leaves' data.
    """

    def __init__(self, leaves: Iterable[bytes]) -> None:
        level = bytearray().join(map(leaf_hash, leaves))
        self.size = len(level) // _SIZE
        self._levels = [level]
        while len(level) > _SIZE:  # an odd last node rises as it is
            pairs = range(0, len(level), 2 * _SIZE)
            level = bytearray().join(
                hashlib.sha256(_NODE + level[at : at + 2 * _SIZE]).digest() if at + _SIZE < len(level) else level[at:]
                for at in pairs
            )
            self._levels.append(level)

    @property
    def root(self) -> bytes:
        """Root of the tree."""
        return bytes(self._levels[-1]) if self.size else EMPTY_ROOT

    def inclusion(self, index: int) -> tuple[bytes, ...]:
        """The audit path of the leaf at an index (from 0), from the leaf up.

        Raises:
            IndexError: for a leaf the tree does not have.
        """
        if not 0 <= index < self.size:
            raise IndexError(index)
        path = []
        for level in self._levels[:-1]:
            sibling = (index ^ 1) * _SIZE
            if sibling < len(level):
                path.append(bytes(level[sibling : sibling + _SIZE]))
            index >>= 1
        return tuple(path)


def verify_inclusion(data: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether a leaf is the one at an index (from 0) of the tree of a size with a root."""
    if not 0 <= index < size:
        return False
    node, last, left = leaf_hash(data), size - 1, list(path)
    while last:
        if index & 1 or index < last:
            if not left:
                return False
            sibling = left.pop(0)
            node = node_hash(sibling, node) if index & 1 else node_hash(node, sibling)
        index, last = index >> 1, last >> 1
    return not left and node == root
