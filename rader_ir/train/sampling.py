"""What an example gives in an epoch, and which examples share a batch (RaDeR, arXiv:2505.18405, section 3).

All here are pure functions of examples, seed and epoch, so every process of a run and every resumed run sees the same data in
the same order. Against Tevatron, which they follow: negatives come without replacement, all of them before one comes again; and
a batch, whose documents are negatives of all its other queries, holds no query and no answer twice.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from rader_ir.examples import Example, Passage, excluded_ids, source, without_negatives
from rader_ir.seeded import shuffled


def choose(example: Example, *, seed: int, epoch: int, negatives: int) -> tuple[Passage, tuple[Passage, ...]]:
    """The positive and the negatives that an example gives in an epoch, counted from 0.

    Positives take turns in a seeded order. Negatives go round in another: each epoch takes up where the last one stopped, so all
    come before one comes again, and where there are fewer than wanted they repeat as evenly as can be.

    Args:
        example: the choice depends on its query_id and its passages, not on the other examples.
        seed, epoch: the same ones give the same passages.
        negatives: how many; 0 for a batch in which only the other queries' documents are negatives.

    Raises:
        ValueError: the example has no negatives and some are wanted.
    """
    if negatives and not example.negatives:
        _refuse_bare([example.query_id], 1, negatives)
    positives = shuffled(example.positives, seed, example.query_id, "positives")
    others = shuffled(example.negatives, seed, example.query_id, "negatives")
    start = epoch * negatives
    taken = tuple(others[(start + i) % len(others)] for i in range(negatives))
    return positives[epoch % len(positives)], taken


def taken(
    examples: Sequence[Example], row: int, *, seed: int, negatives: int
) -> tuple[Example, Passage, tuple[Passage, ...]]:
    """The example of a row, and the positive and the negatives that it gives: row r is example r mod n in epoch r div n."""
    epoch, place = divmod(row, len(examples))
    return examples[place], *choose(examples[place], seed=seed, epoch=epoch, negatives=negatives)


def row_name(examples: Sequence[Example], row: int) -> str:
    """The query_id of a row, for messages."""
    return repr(examples[row % len(examples)].query_id)


def check_negatives(examples: Sequence[Example], negatives: int) -> None:
    """Refuse, before any work, examples without negatives where each needs some.

    Raises:
        ValueError: says how many lack them, which the first are, and what to do.
    """
    if negatives and (bare := without_negatives(examples)):
        _refuse_bare(bare, len(examples), negatives)


def order(
    examples: Sequence[Example], *, seed: int, epoch: int, shares: Mapping[str, float] | None = None
) -> list[int]:
    """The places of the examples of an epoch in its order, for groups that share nothing with each other.

    Args:
        examples: all.
        seed, epoch: the same ones give the same order.
        shares: {source: part of its examples that an epoch takes}, 1 where it is not named. Epochs take up where the last one
            stopped in a seeded order, so all examples come before one comes again. What each then gives goes by the epoch.

    Raises:
        ValueError: a source that no example has.
    """
    if not shares:
        return shuffled(range(len(examples)), seed, epoch, "order")
    by_source: dict[str, list[int]] = {}
    for place, example in enumerate(examples):
        by_source.setdefault(source(example), []).append(place)
    if unknown := [name for name in shares if name not in by_source]:
        raise ValueError(
            f"option shares names the source {unknown[0]!r}; the examples have {', '.join(by_source) or 'none'}"
        )
    taken = []
    for name, places in by_source.items():
        share, count = shares.get(name, 1.0), len(places)
        start, end = round(epoch * share * count), round((epoch + 1) * share * count)
        rounds = {turn: shuffled(places, seed, turn, name) for turn in range(start // count, -(-end // count))}
        taken += [rounds[i // count][i % count] for i in range(start, end)]
    return shuffled(taken, seed, epoch, "order")


def check_planned(batches: Sequence[Sequence[int]], shares: Mapping[str, float] | None, epochs: int) -> None:
    """Refuse, by a ValueError, a run without a single batch."""
    if not batches:
        raise ValueError(
            f"nothing is left to train on: option shares, {dict(shares or {})}, takes no example in {epochs} epochs; raise a "
            "share, or epochs"
        )


def batches(
    examples: Sequence[Example],
    *,
    seed: int,
    epoch: int,
    batch_size: int,
    negatives: int,
    shares: Mapping[str, float] | None = None,
) -> list[list[int]]:
    """The places of an epoch's examples in batches within which no document is answer and negative at once.

    In a batch no two queries have the same text, and no document that `choose` takes for one query has the text of any positive
    of another, or of a document of the other's source that the other excludes (`examples.excluded_ids`). An example that fits
    into no batch so far waits for the next one. Few documents or many common answers thus make more and smaller batches; one that
    would stay below half the mean takes examples from larger ones, lest the few in it weigh much more than others. Nothing here
    depends on the number of processes.

    Args:
        examples: with query_ids of their own.
        seed, epoch: the same ones give the same batches.
        batch_size: the most queries in a batch.
        negatives: of each query, as given to `choose`.
        shares: as `order` takes them.

    Raises:
        ValueError: a batch_size below 1; an example without negatives where some are wanted.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; expected 1 or more")
    check_negatives(examples, negatives)
    members = _members(examples, seed, epoch, negatives)
    waiting = deque(members[place] for place in order(examples, seed=seed, epoch=epoch, shares=shares))
    count = len(waiting)
    made: list[_Batch] = []
    while waiting:
        made.append(_filled(waiting, batch_size))
    _even_out(made, least=-(-count // max(1, 2 * len(made))))
    return [[member.place for member in batch.members] for batch in shuffled(made, seed, epoch, "batches")]


def source_batches(
    examples: Sequence[Example],
    *,
    seed: int,
    epoch: int,
    batch_size: int,
    shares: Mapping[str, float] | None = None,
) -> list[list[int]]:
    """The places of an epoch's examples in batches that hold examples of one source each, in a seeded order.

    A source's batches differ by one example at most in size. Answers may stand in a batch more than once.

    Args:
        examples: `provenance["source"]` is their source; those without one are a source too.
        seed, epoch: the same ones give the same batches.
        batch_size: the most queries in a batch.
        shares: as `order` takes them.

    Raises:
        ValueError: a batch_size below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; expected 1 or more")
    by_source: dict[str, list[int]] = {}
    for place in order(examples, seed=seed, epoch=epoch, shares=shares):
        by_source.setdefault(source(examples[place]), []).append(place)
    made = []
    for _, places in sorted(by_source.items()):
        count = -(-len(places) // batch_size)
        made += [places[i * len(places) // count : (i + 1) * len(places) // count] for i in range(count)]
    return shuffled(made, seed, epoch, "batches")


class _Member(NamedTuple):
    """An example in an epoch, its texts as numbers."""

    place: int
    query: int
    barred: frozenset[
        int
    ]  # all positives and what the example excludes: no document of another member may be among them
    documents: frozenset[int]  # those that stand in the batch


class _Batch:
    """Members that get along, and what is in them."""

    def __init__(self):
        self.members: list[_Member] = []
        self.queries: set[int] = set()
        self.documents: set[int] = set()
        self.barred: set[int] = set()  # positives, and what members exclude

    def takes(self, member: _Member) -> bool:
        """Whether the member gets along with those that are here."""
        return (
            member.query not in self.queries
            and self.barred.isdisjoint(member.documents)
            and self.documents.isdisjoint(member.barred)
        )

    def add(self, member: _Member) -> None:
        self.members.append(member)
        self.queries.add(member.query)
        self.barred |= member.barred
        self.documents |= member.documents


def _members(examples: Sequence[Example], seed: int, epoch: int, negatives: int) -> list[_Member]:
    numbers: dict[str, int] = {}

    def numbered(texts: Iterable[str]) -> Iterator[int]:
        return (numbers.setdefault(text, len(numbers)) for text in texts)

    texts: dict[tuple[str, str], set[str]] = {}  # by source and doc_id
    for example in examples:
        for passage in (*example.positives, *example.negatives):
            texts.setdefault((source(example), passage.doc_id), set()).add(passage.text)
    members = []
    for place, example in enumerate(examples):
        positive, others = choose(example, seed=seed, epoch=epoch, negatives=negatives)
        (query,) = numbered([example.query])
        apart = [text for doc_id in excluded_ids(example) for text in texts.get((source(example), doc_id), ())]
        barred = frozenset(numbered((*(passage.text for passage in example.positives), *apart)))
        documents = frozenset(numbered(passage.text for passage in (positive, *others)))
        members.append(_Member(place, query, barred, documents))
    return members


def _filled(waiting: deque[_Member], size: int) -> _Batch:
    """A batch of those that get along, first come, first served; the others keep their places in the queue."""
    batch, passed_over = _Batch(), []
    while waiting and len(batch.members) < size:
        member = waiting.popleft()
        if batch.takes(member):
            batch.add(member)
        else:
            passed_over.append(member)
    waiting.extendleft(reversed(passed_over))
    return batch


def _even_out(made: list[_Batch], least: int) -> None:
    """Bring short batches to `least` members where larger ones have some that fit; none of those falls below it."""
    donors = deque(batch for batch in made if len(batch.members) > least)
    for batch in made:
        refused = 0  # donors in a row that had nothing fitting
        while len(batch.members) < least and refused < len(donors):
            donor = donors[0]
            donors.rotate(-1)
            fitting = next((member for member in reversed(donor.members) if batch.takes(member)), None)
            refused += 1
            if fitting is not None:
                refused = 0
                donor.members.remove(fitting)
                batch.add(fitting)
                if len(donor.members) == least:
                    donors.pop()  # the last one since the rotation


def _refuse_bare(bare: Sequence[str], count: int, negatives: int) -> None:
    raise ValueError(
        f"{len(bare)} of {count} examples have no negatives, first {', '.join(map(repr, bare[:3]))}, and {negatives} are wanted "
        "of each; mine some (`rader mine`, which leaves such examples out with --require-negatives), or train a retriever with "
        "negatives = 0"
    )
