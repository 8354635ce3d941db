"""Rewards by hand, over answers as small models write them."""

import pytest

from rader_ir.train.rewards import format_reward, prorank_reward, rank_r1_reward, relevance_reward

ANSWERS = ["1", " 0 \n", "", "10", "1.", "yes", "-1", "1 0", "१"]


def test_prorank_by_hand():
    """Only the first two are one digit of two; with the label "1" the first alone is right."""
    assert format_reward(ANSWERS) == [1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert relevance_reward(ANSWERS, ["1"] * 9) == [1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert relevance_reward(ANSWERS, ["0"] * 9) == [0, 1, 0, 0, 0, 0, 0, 0, 0]
    assert prorank_reward(ANSWERS[:3], ["1", "1", "0"]) == [1.5, 0.5, 0]
    assert prorank_reward(["0"], ["0"], format_weight=2, relevance_weight=3) == [5]
    with pytest.raises(ValueError, match="zip"):
        relevance_reward(["1"], [])


@pytest.mark.parametrize(
    ("text", "reward"),
    [
        ("<think>a\nb</think>\n<answer>[3]</answer>", 1),
        ("<think></think><answer> [3] </answer> and more", 1),
        ("<answer>[3]</answer>", 0),  # no thought: the gate is shut
        ("<think>a<answer>[3]</answer>", 0),  # a thought that never ends
        ("<think>a</think> so <answer>[3]</answer>", 0),  # words between
        ("<think>a</think><answer>3</answer>", 0),  # not the label letter by letter
        ("<think>a</think><answer>[2]</answer>", 0),
        ("<think>a</think><answer>[3]", 0),
        ("", 0),
    ],
)
def test_rank_r1_by_hand(text, reward):
    assert rank_r1_reward([text], ["[3]"]) == [reward]


def test_a_thought_that_the_template_begins():
    written = ["a</think><answer>[3]</answer>", "a <answer>[3]</answer>", "<think>a</think><answer>[3]</answer>"]
    assert rank_r1_reward(written, ["[3]"] * 3, begun="<think>") == [1, 0, 1]
    assert rank_r1_reward(written, ["[3]"] * 3) == [0, 0, 1]
