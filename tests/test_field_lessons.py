"""The texts that toy models are measured on were not learned from, and the check that says so sees one that was."""

from dataclasses import replace

import pytest

from tests.field_lessons import HELD, TOPICS, WORDS, check_new, learned_fields, new_fields, texts


def pair(example) -> frozenset:
    return frozenset(example.query_id.split("-"))


def test_words_that_are_measured_together_were_not_learned_together():
    """105 pairs of 15 words, each in one set alone; every text of an example holds both of its words."""
    learned = learned_fields(75)
    held = new_fields(learned)
    pairs = {pair(example) for example in (*learned, *held)}
    assert (len(learned), len(held), len(pairs)) == (75, HELD, len(WORDS) * (len(WORDS) - 1) / 2)
    assert all(
        pair(example) <= set(text.strip("?").split()) for example in (*learned, *held) for text in texts(example)
    )
    assert [len(texts(example)) for example in held] == [1 + len(TOPICS)] * HELD


def test_the_teacher_scores():
    [example] = learned_fields(1)
    assert [p.score for p in (*example.positives, *example.negatives)] == [3, 0, -0.25, -0.5, -0.75]
    assert [f" {topic} " in p.text for topic, p in zip(TOPICS, (*example.positives, *example.negatives), strict=True)]


def test_what_was_learned_from_is_seen():
    """One text alone, its words turned round; and a word that was never read."""
    learned = learned_fields(75)
    [held, *_] = new_fields(learned)
    _, doc, *_ = texts(learned[5])
    known = replace(held.negatives[0], text=" ".join(reversed(doc.split())))
    with pytest.raises(AssertionError, match="learned from and held out"):
        check_new(learned, [replace(held, negatives=(known,))])
    with pytest.raises(AssertionError, match="held out and never learned from"):
        check_new(learned, [replace(held, query="odd torus?")])
    with pytest.raises(AssertionError):
        check_new(learned, [])
