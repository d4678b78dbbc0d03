import numpy as np
import pytest

from prunekit.heads.schedule import grid, heads_to_prune, keep_mask, reachable
from prunekit.models.layout import AttentionShape, Layout
from prunekit.support.errors import UserError


def test_grid_covers_none_to_all() -> None:
    assert grid(0.25) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert grid(0.3) == [0.0, 0.3, 0.6, 0.9, 1.0]
    assert len(grid(0.05)) == 21


def test_counts_of_the_released_code() -> None:
    """The 5 % grid of BERT-base, as the authors' script prunes it."""
    counts = [heads_to_prune(144, share) for share in grid(0.05)[1:]]
    assert counts == [7, 14, 21, 28, 36, 43, 50, 57, 64, 72, 79, 86, 93, 100, 108, 115, 122, 129, 136, 144]


def test_binary_fractions_lose_no_head() -> None:
    assert heads_to_prune(100, 0.29) == 29


def test_lowest_scores_go_first_over_all_layers() -> None:
    scores = np.array([[0.1, 0.9, 0.5], [0.2, 0.3, 0.8]])
    assert keep_mask(scores, 3).tolist() == [[False, True, True], [False, False, True]]


def test_floor_protects_the_best_of_each_layer() -> None:
    scores = np.array([[0.1, 0.2], [0.8, 0.9]])
    assert keep_mask(scores, 2, floor=1).tolist() == [[False, True], [False, True]]
    assert keep_mask(scores, 4, floor=1).sum() == 2


@pytest.mark.parametrize("seed", range(5))
def test_masks_by_a_plain_loop(seed: int) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.permutation(15.0 * np.arange(15)).reshape(3, 5)
    scores[1, 4] = scores[2, 0] = np.nan
    places = [(layer, head) for layer in range(3) for head in range(5) if not np.isnan(scores[layer, head])]
    for floor in range(4):
        best = set[tuple[int, int]]()
        for layer in range(3):
            best |= set(sorted((place for place in places if place[0] == layer), key=lambda at: -scores[at])[:floor])
        for count in range(14):
            going = sorted((place for place in places if place not in best), key=lambda at: scores[at])[:count]
            expected = {place for place in places if place not in going}
            assert set(zip(*np.nonzero(keep_mask(scores, count, floor)), strict=True)) == expected


def test_missing_heads_are_never_kept() -> None:
    scores = np.array([[0.5, np.nan], [0.1, 0.2]])
    assert keep_mask(scores, 1).tolist() == [[True, False], [False, True]]


def test_floor_above_a_layers_heads_is_refused() -> None:
    with pytest.raises(UserError, match="floor: 3 heads cannot stay in a layer of 2"):
        keep_mask(np.ones((2, 2)), 1, floor=3)


def test_shares_beyond_the_floors_reach() -> None:
    layout = Layout("bert", 8, 2, tuple(AttentionShape("self", layer, 4, 2, False) for layer in range(2)), ())
    assert reachable([0.0, 0.5, 0.75, 1.0], layout, floor=1) == [0.0, 0.5, 0.75]
    assert reachable([0.0, 1.0], layout, floor=0, wanted=1.0) == [0.0, 1.0]
    with pytest.raises(UserError, match=r"share: 0\.9 is out of reach with floor=1, at most 0\.750 is"):
        reachable([0.0], layout, floor=1, wanted=0.9)
