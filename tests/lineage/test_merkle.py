"""The tree is that of RFC 6962, and short paths lead from each of its leaves to its root."""

import pytest

from glassbox.lineage.parcel.merkle import Tree
from glassbox.lineage.parcel.verify import RefusedError, climbed, leaf_hash, node_hash, tree_root

#: The leaves and the roots over the first 1 to 8 of them by which logs of certificates are tested.
LEAVES = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def hashes(count):
    return [leaf_hash(b"", number.to_bytes(4, "big")) for number in range(count)]


def split_of(leaves):
    """Where RFC 6962 cuts a tree in two: after the largest power of two below its size."""
    return 1 << ((len(leaves) - 1).bit_length() - 1)


def root_by_the_rfc(leaves):
    if len(leaves) == 1:
        return leaves[0]
    cut = split_of(leaves)
    return node_hash(root_by_the_rfc(leaves[:cut]), root_by_the_rfc(leaves[cut:]))


def path_by_the_rfc(index, leaves):
    if len(leaves) == 1:
        return []
    cut = split_of(leaves)
    if index < cut:
        return [*path_by_the_rfc(index, leaves[:cut]), root_by_the_rfc(leaves[cut:])]
    return [*path_by_the_rfc(index - cut, leaves[cut:]), root_by_the_rfc(leaves[:cut])]


@pytest.mark.parametrize(("count", "root"), list(enumerate(ROOTS, 1)))
def test_without_salts_roots_are_those_of_certificate_transparency(count, root):
    leaves = [leaf_hash(b"", bytes.fromhex(leaf)) for leaf in LEAVES[:count]]
    assert Tree(leaves).root.hex() == tree_root(leaves).hex() == root


@pytest.mark.parametrize("count", [*range(1, 20), 63, 64, 65, 100])
def test_roots_and_paths_are_those_of_the_rfc_and_each_path_leads_to_the_root(count):
    leaves = hashes(count)
    tree = Tree(leaves)
    assert tree.root == root_by_the_rfc(leaves)
    for index, leaf in enumerate(leaves):
        path = tree.path(index)
        assert path == path_by_the_rfc(index, leaves)
        assert climbed(leaf, index, count, path) == tree.root


def test_another_leaf_place_count_or_path_does_not_lead_there():
    leaves = hashes(21)
    tree = Tree(leaves)
    for index, leaf in enumerate(leaves):
        path = tree.path(index)
        wrong = path.copy()
        wrong[index % len(wrong)] = bytes(32)
        assert climbed(leaf_hash(b"", b"?"), index, 21, path) != tree.root
        assert climbed(leaf, index, 21, wrong) != tree.root
        with pytest.raises(RefusedError, match="too short"):
            climbed(leaf, index, 21, path[:-1])
        with pytest.raises(RefusedError, match="too long"):
            climbed(leaf, index, 21, [*path, bytes(32)])
    # A neighbour's place asks for as many siblings, on the other side.
    assert climbed(leaves[0], 1, 21, tree.path(0)) != tree.root


def test_an_inner_node_passes_for_no_leaf():
    left, right = hashes(2)
    assert node_hash(left, right) != leaf_hash(b"", left + right)
