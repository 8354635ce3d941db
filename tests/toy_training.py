"""Examples small enough to be learned by heart, and options that do so in seconds."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rader_ir.examples import Example, Passage

THINGS = [
    *("prime", "field", "graph", "cycle", "odd", "even", "integral", "domain"),
    *("bipartite", "determinant", "product", "sample", "average", "value", "law", "large"),
]


def examples(count: int = 16, negatives: int = 3, *, first: int = 0) -> list[Example]:
    """Each query names a thing and a number, and only its positive names both."""
    return [_example(i, negatives) for i in range(first, first + count)]


def _example(i: int, negatives: int) -> Example:
    thing, others = THINGS[i % len(THINGS)], THINGS[i % len(THINGS) + 1 :] + THINGS
    wrong = tuple(Passage(f"n{i}.{j}", f"the {others[j]} {i + j} is another") for j in range(negatives))
    return Example(f"q{i}", f"what is {thing} {i}?", (Passage(f"p{i}", f"the {thing} {i} is a thing"),), wrong)


QUICK = dict(
    batch_size=8,
    negatives=2,
    learning_rate=1e-2,
    warmup_steps=0,
    log_steps=1,
    lora_dropout=0.0,
    gradient_checkpointing=False,
    piece_size=None,
)


@contextmanager
def broken_off(groups: type, *, batch: int) -> Iterator[None]:
    """What is done in it ends by Ctrl-C when `groups` is about to read its batch of that number, from 1."""
    read, count = groups.read, 0

    def watched(self, rows):
        nonlocal count
        count += 1
        if count == batch:
            raise KeyboardInterrupt
        return read(self, rows)

    groups.read = watched
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        groups.read = read
