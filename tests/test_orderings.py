"""Orderings: a permutation under any answers, the exact top under a perfect oracle, calls within counted bounds.

The oracle knows every position's value, so the right order is `sorted`; answers that are none are drawn by Hypothesis.
"""

import asyncio
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rader_ir.orderings import (
    all_pairs,
    lockstep,
    permuted,
    setwise_heap,
    single_window,
    sliding_window,
    streaming,
    tournament,
)

PERMUTING = {
    "single": lambda n: single_window(n),
    "window": lambda n: sliding_window(n, 5, 3),
    "overlapping by all but one": lambda n: sliding_window(n, 4, 1),
    "side by side": lambda n: sliding_window(n, 4, 4),
}
CHOOSING = {
    "heap": lambda n: setwise_heap(n, 3, 4),
    "binary heap": lambda n: setwise_heap(n, 1, 3),
    "tournament": lambda n: tournament(n, 4, 4),
    "pairs": lambda n: all_pairs(n),
}
ORDERINGS = PERMUTING | CHOOSING
RIGHT = {
    "single": 99,
    "window": 2,
    "overlapping by all but one": 3,
    "heap": 4,
    "binary heap": 3,
    "tournament": 4,
    "pairs": 99,
}
every = pytest.mark.parametrize("name", ORDERINGS)


def driven(ordering, answer) -> tuple[list[int], list[list[int]]]:
    """What an ordering returns, and all that it asked, with `answer(positions)` for each comparison."""
    asked, answers = [], None
    while True:
        try:
            comparisons = ordering.send(answers)
        except StopIteration as end:
            return end.value, asked
        assert comparisons and all(len(set(one)) == len(one) >= 2 for one in comparisons)
        answers = [answer(one) for one in comparisons]
        asked += comparisons


def oracle(name: str, values):
    """By the kind of ordering: the places from best to worst, or the place of the best."""
    if name in PERMUTING:
        return lambda one: sorted(range(len(one)), key=lambda place: -values[one[place]])
    return lambda one: max(range(len(one)), key=lambda place: values[one[place]])


ANYTHING = st.one_of(
    st.none(),
    st.integers(-3, 30),
    st.booleans(),
    st.text(max_size=3),
    st.lists(st.one_of(st.integers(-3, 30), st.none(), st.text(max_size=2)), max_size=12),
)


@every
@given(n=st.integers(0, 40), data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_answers_give_a_permutation(name, n, data):
    answers = data.draw(st.lists(ANYTHING, min_size=1, max_size=50))
    turn = iter(range(10**6))
    order, _ = driven(ORDERINGS[name](n), lambda one: answers[next(turn) % len(answers)])
    assert sorted(order) == list(range(n))


@pytest.mark.parametrize("name", RIGHT)
@given(n=st.integers(0, 40), seed=st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_a_perfect_oracle_gives_the_exact_top(name, n, seed):
    values = random.Random(seed).sample(range(100), n)
    order, _ = driven(ORDERINGS[name](n), oracle(name, values))
    best = sorted(range(n), key=lambda i: -values[i])
    assert order[: RIGHT[name]] == best[: RIGHT[name]]
    assert sorted(order) == list(range(n))


@every
@pytest.mark.parametrize("n", [0, 1, 2, 7, 40])
def test_no_readable_answer_keeps_the_order(name, n):
    assert driven(ORDERINGS[name](n), lambda one: None)[0] == list(range(n))


@pytest.mark.parametrize("n", [0, 1])
@every
def test_nothing_to_compare_asks_nothing(name, n):
    assert driven(ORDERINGS[name](n), lambda one: pytest.fail("asked")) == (list(range(n)), [])


@pytest.mark.parametrize(
    ("n", "size", "stride", "calls"),
    [
        (100, 20, 10, 9),
        (30, 20, 10, 2),
        (25, 20, 10, 2),
        (20, 20, 10, 1),
        (15, 20, 10, 1),
        (21, 20, 20, 2),
        (1000, 20, 10, 99),
    ],
)
def test_calls_of_the_window(n, size, stride, calls):
    """1 + ceil((n - size) / stride); every position is seen, and no window is shorter than it must be."""
    _, asked = driven(sliding_window(n, size, stride), lambda one: None)
    assert len(asked) == calls == 1 + max(0, math.ceil((n - size) / stride))
    assert {i for one in asked for i in one} == set(range(n))
    assert all(len(one) == min(n, size) for one in asked)


@pytest.mark.parametrize(
    ("n", "children", "top", "most"),
    [(100, 19, 10, 25), (100, 9, 10, 34), (100, 3, 10, 85), (50, 19, 10, 22), (20, 19, 10, 10), (1000, 19, 10, 84)],
)
def test_calls_of_the_heap(n, children, top, most):
    for seed in range(40):
        values = random.Random(seed).sample(range(n), n)
        order, asked = driven(setwise_heap(n, children, top), oracle("heap", values))
        assert len(asked) <= most
        assert [values[i] for i in order[:top]] == list(range(n - 1, n - 1 - top, -1))
        assert max(map(len, asked)) <= children + 1


@given(answers=st.lists(st.integers(0, 19), min_size=1, max_size=40))
@settings(max_examples=200, deadline=None)
def test_calls_of_the_heap_are_bounded_whatever_is_answered(answers):
    turn = iter(range(10**6))
    _, asked = driven(setwise_heap(100, 19, 10), lambda one: answers[next(turn) % len(answers)] % len(one))
    assert len(asked) <= 25


def test_calls_of_the_tournament():
    """100 in matches of 20 are 5 and a final; then a match of the first round and a final for each of 9."""
    values = random.Random(5).sample(range(100), 100)
    order, asked = driven(tournament(100, 20, 10), oracle("tournament", values))
    assert len(asked) == 6 + 9 * 2
    assert [values[i] for i in order[:10]] == list(range(99, 89, -1))


def test_nodes_of_equal_depth_are_one_batch():
    """100 nodes, 19 children: the five nodes below the root that have children at once, then the root."""
    ordering = setwise_heap(100, 19, 10)
    first = ordering.send(None)
    assert [one[0] for one in first] == [1, 2, 3, 4, 5] and [len(one) for one in first] == [20, 20, 20, 20, 5]
    assert ordering.send([0] * 5) == [list(range(20))]


def test_pairs_are_asked_in_both_orders_and_a_contradiction_counts_for_neither():
    order, asked = driven(all_pairs(3), lambda one: 0)  # always what is read first
    assert (order, len(asked)) == ([0, 1, 2], 6)
    order, _ = driven(all_pairs(3), lambda one: one.index(2) if 2 in one else 0)
    assert order == [2, 0, 1]


def test_what_a_permutation_repeats_makes_up_or_leaves_out():
    assert permuted([4, 5, 6], [1, 1, 9, -1]) == [5, 4, 6]
    assert permuted([4, 5, 6], "210") == permuted([4, 5, 6], [True]) == [4, 5, 6]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: sliding_window(9, 1, 1), "size is 1"),
        (lambda: sliding_window(9, 4, 5), "stride is 5; give 1 to 4"),
        (lambda: sliding_window(9, 4, 0), "stride is 0"),
        (lambda: setwise_heap(9, 0, 1), "children is 0"),
        (lambda: setwise_heap(9, 3, 0), "top is 0"),
        (lambda: tournament(9, 1, 1), "size is 1"),
        (lambda: tournament(9, 3, 0), "top is 0"),
    ],
)
def test_settings_out_of_range_are_refused(make, told):
    with pytest.raises(ValueError, match=told):
        next(make())


SIZES = [100, 0, 1, 37, 20, 2]


def worlds() -> list[list[int]]:
    return [random.Random(n).sample(range(n), n) for n in SIZES]


def drive(driver, wait, make=lambda n: setwise_heap(n, 19, 10), name="heap"):
    """Results, the set of all calls, and how many were under way at most and after how many rounds of waiting."""
    values, calls, peak = worlds(), [], [0, 0]

    async def ask(query, number, positions):
        calls.append((query, number, tuple(positions)))
        peak[0] += 1
        peak[1] = max(peak)
        for _ in range(wait(query, number)):
            await asyncio.sleep(0)
        peak[0] -= 1
        return oracle(name, values[query])(positions)

    return asyncio.run(driver([make(n) for n in SIZES], ask)), sorted(calls), peak[1]


@pytest.mark.parametrize("make", [("heap", lambda n: setwise_heap(n, 19, 10)), ("window", lambda n: sliding_window(n))])
def test_lockstep_and_streaming_make_the_same_calls_whatever_takes_how_long(make):
    name, ordering = make
    alone = [driven(ordering(n), oracle(name, v)) for n, v in zip(SIZES, worlds(), strict=True)]
    for driver in (lockstep, streaming):
        for wait in (lambda query, number: 1, lambda query, number: 1 + (7 * query + number) % 5):
            orders, calls, _ = drive(driver, wait, ordering, name)
            assert orders == [order for order, _ in alone]
            assert [(q, i) for q, i, _ in calls] == [
                (q, i) for q, (_, asked) in enumerate(alone) for i in range(len(asked))
            ]
            assert [list(one) for _, _, one in calls] == [one for _, asked in alone for one in asked]


def test_queries_are_under_way_together():
    """The first level of the heaps of 100 and 37 (5 nodes and 1), and the single comparisons of 20 and 2."""
    assert drive(lockstep, lambda query, number: 3)[2] == 5 + 1 + 1 + 1


def test_streaming_lets_no_query_wait_for_a_slow_one():
    ends = []

    async def ask(query, number, positions):
        await asyncio.sleep(0.5 if query == 0 else 0)
        ends.append(query)

    asyncio.run(streaming([single_window(3), sliding_window(100)], ask))
    assert ends == [1] * 9 + [0]


@pytest.mark.parametrize("driver", [lockstep, streaming])
def test_an_exception_ends_the_other_calls(driver):
    ended = []

    async def ask(query, number, positions):
        try:
            await asyncio.sleep(0 if query else 60)
        except asyncio.CancelledError:
            ended.append(query)
            raise
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        asyncio.run(driver([single_window(3), single_window(3)], ask))
    assert ended == [0]


@pytest.mark.parametrize("driver", [lockstep, streaming])
def test_no_queries(driver):
    assert asyncio.run(driver([], None)) == []
