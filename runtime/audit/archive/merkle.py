"""Merkle trees as in Certificate Transparency (RFC 6962, section 2.1), over SHA-256.

Leaves and inner nodes are hashed with different prefixes, so an inner node cannot pass as a leaf.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

LEAF_PREFIX = b"\x00"
NODE_PREFIX = b"\x01"


def leaf_hash(leaf: bytes) -> bytes:
    """Hash of one leaf."""
    return hashlib.sha256(LEAF_PREFIX + leaf).digest()


def merkle_root(leaves: Iterable[bytes]) -> bytes:
    """Root of the tree over `leaves`, in order. Reads them once.

    Memory is one hash per level: the complete subtrees so far, each at most half the size of the
    previous one.
    """
    subtrees: list[tuple[int, bytes]] = []
    for leaf in leaves:
        level, node = 0, leaf_hash(leaf)
        while subtrees and subtrees[-1][0] == level:
            node = _node(subtrees.pop()[1], node)
            level += 1
        subtrees.append((level, node))
    if not subtrees:
        return hashlib.sha256(b"").digest()
    _, root = subtrees.pop()
    while subtrees:
        root = _node(subtrees.pop()[1], root)
    return root


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(NODE_PREFIX + left + right).digest()
