"""Rewards of answers that a language model writes while it learns by them: pure functions of texts, for `rader_ir.train.grpo`.

ProRank (arXiv:2506.03487, section 3) rewards a digit for its form and for being right; Rank-R1 (arXiv:2503.06034, section 3)
rewards a label that is right, but only where a thought in tags comes before it.
"""

import re
from collections.abc import Sequence

_REASONED = re.compile(r"<think>.*?</think>\s*<answer>(.*?)</answer>", re.S)


def is_digit(text: str) -> bool:
    """Whether an answer is 0 or 1 and nothing else; blanks around it do not count.

    >>> is_digit(" 1\\n"), is_digit("1."), is_digit("10")
    (True, False, False)
    """
    return text.strip() in ("0", "1")


def format_reward(texts: Sequence[str]) -> list[float]:
    """ProRank's reward of form: 1 for each answer that is a digit, else 0."""
    return [float(is_digit(text)) for text in texts]


def relevance_reward(texts: Sequence[str], labels: Sequence[str]) -> list[float]:
    """ProRank's reward of relevance: 1 for each answer that is its label ("0" or "1"), else 0."""
    return [float(text.strip() == label) for text, label in zip(texts, labels, strict=True)]


def prorank_reward(
    texts: Sequence[str], labels: Sequence[str], *, format_weight: float = 0.5, relevance_weight: float = 1.0
) -> list[float]:
    """The weighted sum of both; the paper does not tell its weights.

    >>> prorank_reward(["1", "0", "yes"], ["1", "1", "1"])
    [1.5, 0.5, 0.0]
    """
    both = zip(format_reward(texts), relevance_reward(texts, labels), strict=True)
    return [format_weight * form + relevance_weight * right for form, right in both]


def rank_r1_reward(texts: Sequence[str], labels: Sequence[str], *, begun: str = "") -> list[float]:
    """Rank-R1's reward: 1 where a thought is followed by the right label in tags, else 0. Form is a gate and earns nothing.

    Args:
        texts: what the model wrote.
        labels: such as "[3]"; what stands in the tags must be this, blanks around it aside.
        begun: what stands before every text already: "<think>", where a chat template begins the thought itself.

    >>> rank_r1_reward(["<think>so</think> <answer>[3]</answer>", "<answer>[3]</answer>"], ["[3]", "[3]"])
    [1.0, 0.0]
    """
    found = (_REASONED.search(begun + text) for text in texts)
    return [float(one is not None and one[1].strip() == label) for one, label in zip(found, labels, strict=True)]
