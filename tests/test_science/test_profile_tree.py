"""A tree of profiles: merges by average linkage, whatever the order of the rows."""

import numpy as np
import pytest
from scipy.spatial.distance import cosine

from phenoassets.errors import ProfileError
from phenoassets.profile_tree import profile_tree


def naive_heights(x):
    """Average linkage from the definition: join the two groups whose members are nearest on average."""
    groups, heights = [[i] for i in range(len(x))], []
    while len(groups) > 1:
        pairs = [(a, b) for a in range(len(groups)) for b in range(a + 1, len(groups))]
        mean = [np.mean([cosine(x[i], x[j]) for i in groups[a] for j in groups[b]]) for a, b in pairs]
        a, b = pairs[int(np.argmin(mean))]
        heights.append(min(mean))
        groups[a] += groups.pop(b)
    return heights


def test_merges_are_those_of_the_definition_and_every_leaf_has_its_place():
    x = np.random.default_rng(0).normal(size=(9, 4))
    tree = profile_tree(x, [f"c{i}" for i in range(9)])
    np.testing.assert_allclose(tree["height"].to_numpy()[9:], naive_heights(x))
    leaves = tree.filter(tree["name"].is_not_null())
    assert sorted(leaves["position"]) == list(range(9))
    assert tree["n_leaves"][-1] == 9
    assert tree["position"].max() == 8


def test_the_order_of_rows_does_not_count():
    x, names = np.random.default_rng(1).normal(size=(7, 3)), [f"c{i}" for i in range(7)]
    order = np.random.default_rng(2).permutation(7)
    assert profile_tree(x, names).equals(profile_tree(x[order], [names[i] for i in order]))


@pytest.mark.parametrize(
    ("x", "names", "said"),
    [
        (np.ones((1, 2)), ["a"], "at least two leaves"),
        (np.ones((2, 2)), ["a", "a"], "stand there twice"),
        (np.array([[1.0, 0], [0, 0]]), ["a", "b"], "the profile of b has no length"),
    ],
)
def test_what_makes_no_tree_is_named(x, names, said):
    with pytest.raises(ProfileError, match=said):
        profile_tree(x, names)
