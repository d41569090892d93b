from __future__ import annotations

import pytest
import torch
from algorithms.token_scores import score_tokens

from vapo.algorithms.vgpo import VGPO

SCORES = score_tokens([0.5] * 5, image_similarity=[-0.5, 0.0, 0.5, 0.3, 0.1])  # stretched: 0, 0.5, 1, 0.8, 0.6


@pytest.mark.parametrize(
    ("options", "focus"),
    [
        ({"late_boost": 0.0}, [0, 0.5, 1, 0.8, 0.6]),
        # Of the last three tokens, the nearest one gets 1 * (1 + 0.4 * 2/4) = 1.2; all are divided by it.
        ({"late_boost": 0.4}, [0, 0.5 / 1.2, 1, 0.8 / 1.2, 0.6 / 1.2]),
        # Of the last two tokens, the nearer one gets 0.8 * (1 + 0.4 * 3/4) = 1.04; all are divided by it.
        ({"late_boost": 0.4, "late_share": 0.4}, [0, 0.5 / 1.04, 1 / 1.04, 1, 0.6 / 1.04]),
        # All of the last four: 0.5 * 1.1, 1 * 1.2, 0.8 * 1.3, 0.6 * 1.4.
        ({"late_boost": 0.4, "late_share": 0.8, "late_tokens": 1.0}, [0, 0.55 / 1.2, 1, 1.04 / 1.2, 0.84 / 1.2]),
        ({"late_share": 0.0}, [0, 0.5, 1, 0.8, 0.6]),
        ({"late_tokens": 0.0}, [0, 0.5, 1, 0.8, 0.6]),
    ],
)
def test_focus_by_hand(options, focus):
    torch.testing.assert_close(VGPO(**options).find_focus(SCORES), torch.tensor(focus).float())


def test_tokens_weigh_by_their_distance_from_the_mean():
    """w = 0, 0.5, 1, 0.8, 0.6, whose mean is 0.58."""
    weights = VGPO(late_boost=0.0).token_weights(SCORES)
    torch.testing.assert_close(weights, torch.tensor([0.42, 0.92, 1.42, 1.22, 1.02]))
    strong = VGPO(late_boost=0.0, intra=3.0).token_weights(SCORES)
    torch.testing.assert_close(strong, torch.tensor([0.1, 0.76, 2.0, 1.66, 1.06]))


def test_a_response_is_summed_up():
    assert VGPO(late_boost=0.0).summarize(SCORES) == pytest.approx(2.9)


def test_responses_weigh_by_their_distance_from_their_groups_mean():
    """Stretched within each group: 0, 0.5, 1 with the mean 0.5, and 0, 0, 1 with the mean 1/3; at least 0.9."""
    first, second, alike, none = VGPO().response_weights([[2.0, 3.0, 4.0], [7.0, 7.0, 9.0], [5.0, 5.0], []])
    assert first == pytest.approx([0.9, 1.0, 1.5]) and second == pytest.approx([0.9, 0.9, 5 / 3])
    assert (alike, none) == ([1.0, 1.0], [])


@pytest.mark.parametrize("similarity", [[0.0, 0.0, 0.0], [0.4]])
def test_without_an_image_and_with_one_token_all_weigh_1(similarity):
    scores = score_tokens([0.5] * len(similarity), image_similarity=similarity)
    assert VGPO().token_weights(scores).tolist() == [1.0] * len(similarity) and VGPO().summarize(scores) == 0


def test_what_is_measured_is_not_changed():
    before = SCORES.image_similarity.clone()
    VGPO().find_focus(SCORES)
    assert torch.equal(SCORES.image_similarity, before)
