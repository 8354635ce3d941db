"""Sorting by comparison as generators: windows, heap, tournament, all pairs; and the driver that advances many at once.

A generator yields a list of comparisons that do not depend on each other, each a list of positions as they stand now, and is sent
one answer for each; it returns a permutation of `range(n)`, best first. Positions are those of an earlier ranking, which decides
wherever an answer says nothing: without any answer it comes back as it was. No ordering knows a model, a prompt or a batch, so
whoever drives it may ask all queries side by side. Listwise windows are those of RankGPT (arXiv:2304.09542, section 4.2), the
heap over sets is that of setwise prompting and Rank-R1 (arXiv:2310.09497, section 3; arXiv:2503.06034).
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from itertools import pairwise
from typing import Any

# An answer of the orderings that choose is the place of the best in its comparison, of those that permute the places from best
# to worst; None, or whatever is no such thing, leaves the order as it stands.
Comparisons = list[list[int]]
Ordering = Generator[Comparisons, Sequence[Any], list[int]]
Ask = Callable[[int, int, list[int]], Awaitable[Any]]


def permuted(positions: Sequence[int], answer: Any) -> list[int]:
    """The positions as an answer orders them: what it repeats or makes up is dropped, what it leaves out follows in its order.

    >>> permuted([7, 8, 9], [2, 2, 5, 0]), permuted([7, 8, 9], None)
    ([9, 7, 8], [7, 8, 9])
    """
    given = answer if isinstance(answer, list | tuple) else ()
    named = [place for place in given if type(place) is int and 0 <= place < len(positions)]
    return [positions[place] for place in dict.fromkeys([*named, *range(len(positions))])]


def chosen(positions: Sequence[int], answer: Any) -> int:
    """The place that an answer chooses among the positions; where it chooses none of them, that of the first position.

    >>> chosen([9, 4, 7], 2), chosen([9, 4, 7], 3), chosen([9, 4, 7], None)
    (2, 1, 1)
    """
    if type(answer) is int and 0 <= answer < len(positions):
        return answer
    return min(range(len(positions)), key=positions.__getitem__)


def single_window(n: int) -> Ordering:
    """All positions in one comparison, which permutes: 1 call."""
    order = list(range(n))
    if n > 1:
        (answer,) = yield [order]
        order = permuted(order, answer)
    return order


def sliding_window(n: int, size: int = 20, stride: int = 10) -> Ordering:
    """Windows from the end to the front, each permuted; what is best rises with them.

    The last window begins at the front and is as long as the others, so every position is seen: with `n > size` these are
    1 + ceil((n - size) / stride) calls, 9 for 100, 20 and 10. With a perfect comparator the first `size - stride` are exact.

    Args:
        n: positions.
        size: of a window.
        stride: from one window's end to that of the next, at most `size`.

    Raises:
        ValueError: a size below 2, or a stride that leaves gaps.
    """
    _at_least("size", size, 2)
    if not 1 <= stride <= size:
        raise ValueError(f"stride is {stride}; give 1 to {size}, the size of a window, so that none is left out")
    order, end = list(range(n)), n
    while n > 1:
        start = max(0, end - size)
        window = order[start:end]
        (answer,) = yield [window]
        order[start:end] = permuted(window, answer)
        if start == 0:
            break
        end = max(size, end - stride) if n >= size else end - stride
    return order


def setwise_heap(n: int, children: int = 19, top: int = 10) -> Ordering:
    """The best `top` by a heap whose nodes have `children` each; a comparison chooses the best of a node and its children.

    Nodes of equal depth are compared together while the heap is built. What is not among the best keeps its order behind them.
    For 100, 19 and 10: at most 7 calls to build and 2 for each of the 9 sifts, 25 in all.

    Args:
        n: positions.
        children: of a node, one less than a comparison holds.
        top: how many are wanted in order.

    Raises:
        ValueError: no children, or no top.
    """
    _at_least("children", children, 1)
    _at_least("top", top, 1)
    heap, best = list(range(n)), []
    for level in reversed(_levels(n, children)):
        yield from _sift(heap, level, children)
    while heap and len(best) < top:
        heap[0], heap[-1] = heap[-1], heap[0]
        best.append(heap.pop())
        if len(best) < top:
            yield from _sift(heap, [0], children)
    return list(dict.fromkeys([*best, *range(n)]))


def _levels(n: int, children: int) -> list[list[int]]:
    """The nodes of a heap that have children, by depth."""
    levels, nodes = [], range(min(n, 1))
    while nodes and children * nodes[0] + 1 < n:
        levels.append([node for node in nodes if children * node + 1 < n])
        nodes = range(children * nodes[0] + 1, min(n, children * nodes[-1] + children + 1))
    return levels


def _sift(heap: list[int], nodes: list[int], children: int) -> Generator[Comparisons, Sequence[Any], None]:
    """Let what stands at `nodes`, whose subtrees do not meet, sink to its place."""
    while True:
        families = [
            [node, *range(children * node + 1, min(len(heap), children * node + children + 1))] for node in nodes
        ]
        families = [family for family in families if len(family) > 1]
        if not families:
            return
        asked = [[heap[node] for node in family] for family in families]
        answers = yield asked
        nodes = []
        for family, positions, answer in zip(families, asked, answers, strict=True):
            if place := chosen(positions, answer):
                heap[family[0]], heap[family[place]] = heap[family[place]], heap[family[0]]
                nodes.append(family[place])


def tournament(n: int, size: int = 20, top: int = 10) -> Ordering:
    """The best `top` by matches of `size`, whose winners meet again; after a winner has left, only its own matches are repeated.

    The matches of a round are one batch. For 100, 20 and 10: 6 calls for the first, then at most 2 for each further one, 24 in
    all. What is not among the best keeps its order behind them.

    Args:
        n: positions.
        size: of a match.
        top: how many are wanted in order.

    Raises:
        ValueError: matches of fewer than 2, or no top.
    """
    _at_least("size", size, 2)
    _at_least("top", top, 1)
    rounds: list[list[int | None]] = [list(range(n))]  # who plays each round; the last one has the winner alone
    while len(rounds[-1]) > 1:
        winners = yield from _matches(rounds[-1], range(-(-len(rounds[-1]) // size)), size)
        rounds.append(winners)
    best: list[int] = []
    while n and rounds[-1][0] is not None:
        best.append(rounds[-1][0])
        if len(best) == min(top, n):
            break
        place = best[-1]
        rounds[0][place] = None
        for before, after in pairwise(rounds):
            place //= size
            (after[place],) = yield from _matches(before, [place], size)
    return list(dict.fromkeys([*best, *range(n)]))


def _matches(players: list[int | None], numbers: Iterable[int], size: int) -> Generator:
    """The winners of matches by their numbers; who plays alone wins, and where nobody is left nobody does."""
    matches = [[one for one in players[size * i : size * i + size] if one is not None] for i in numbers]
    played = [match for match in matches if len(match) > 1]
    answers = iter((yield played) if played else ())
    return [match[chosen(match, next(answers))] if len(match) > 1 else next(iter(match), None) for match in matches]


def all_pairs(n: int) -> Ordering:
    """Every pair in both orders, n * (n - 1) calls in one batch; the order is that of the number of pairs won.

    A pair whose two answers contradict each other counts half for either, since a model that prefers what it reads first says
    nothing then (pairwise ranking prompting, arXiv:2306.17563, section 3). Ties keep their order.
    """
    pairs = [[i, j] for i in range(n) for j in range(n) if i != j]
    won = [0] * n
    if pairs:
        answers = yield pairs
        for pair, answer in zip(pairs, answers, strict=True):
            won[pair[chosen(pair, answer)]] += 1
    return sorted(range(n), key=lambda position: -won[position])


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ValueError(f"{name} is {value}; give a whole number of at least {least}")


async def lockstep(orderings: Sequence[Ordering], ask: Ask) -> list[list[int]]:
    """Advances all orderings together: what all of them wait for is asked side by side, then all go on.

    Args:
        orderings: one for each query, not begun yet.
        ask: answers one comparison, given the query's number, the comparison's number within the query from 0, and the positions.

    Returns:
        What the orderings return, in their order.
    """
    orders: list[list[int]] = [[]] * len(orderings)
    counts, sent = [0] * len(orderings), dict.fromkeys(range(len(orderings)))
    while True:
        waiting: dict[int, Comparisons] = {}
        for query, answers in sent.items():
            try:
                waiting[query] = orderings[query].send(answers)
            except StopIteration as end:
                orders[query] = end.value
        if not waiting:
            return orders
        flat = [(query, counts[query] + i, one) for query, ones in waiting.items() for i, one in enumerate(ones)]
        answered = iter(await together([ask(*each) for each in flat]))
        sent = {query: [next(answered) for _ in ones] for query, ones in waiting.items()}
        for query, ones in waiting.items():
            counts[query] += len(ones)


async def streaming(orderings: Sequence[Ordering], ask: Ask) -> list[list[int]]:
    """As `lockstep`, with the same calls and results, but an ordering goes on as soon as its own answers are there."""
    return await together([_alone(query, ordering, ask) for query, ordering in enumerate(orderings)])


async def _alone(query: int, ordering: Ordering, ask: Ask) -> list[int]:
    count, answers = 0, None
    while True:
        try:
            comparisons = ordering.send(answers)
        except StopIteration as end:
            return end.value
        answers = await together([ask(query, count + i, one) for i, one in enumerate(comparisons)])
        count += len(comparisons)


async def together(calls: Sequence[Awaitable[Any]]) -> list[Any]:
    """The results of calls made side by side, in their order; where one raises, the others are ended before that is raised."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
