"""Sampling: what an example gives and what shares a batch, held against counts by hand and against a check of every pair."""

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rader_ir.examples import Example, Passage
from rader_ir.seeded import shuffled
from rader_ir.train.sampling import batches, check_negatives, choose, order, source_batches

ROOT = Path(__file__).parents[1]
SEEDS = st.integers(-3, 2**40)
SMALL = st.integers(0, 9)


def passages(*names: str) -> list[Passage]:
    return [Passage(name, f"text {name}") for name in names]


def example(query_id: str, positives: str, negatives: str = "", query: str = "") -> Example:
    return Example(query_id, query or f"query {query_id}", passages(*positives), passages(*negatives))


@st.composite
def collections(draw) -> list[Example]:
    """Examples over six documents and few query texts, so that most of them are in each other's way."""
    made = []
    for number in range(draw(st.integers(0, 14))):
        names = draw(st.permutations("abcdef"))
        positives, negatives = draw(st.integers(1, 2)), draw(st.integers(1, 4))
        query = draw(st.sampled_from(["", "", "x", "y"]))
        made.append(example(f"q{number}", names[:positives], names[positives : positives + negatives], query))
    return made


@given(SEEDS, st.integers(0, 50), st.integers(1, 4))
def test_positives_take_turns(seed, epoch, count):
    """In any `count` epochs in a row each of `count` positives is chosen once."""
    one = example("q", "abcdefgh"[:count])
    chosen = [choose(one, seed=seed, epoch=epoch + i, negatives=0)[0].doc_id for i in range(count)]
    assert sorted(chosen) == sorted("abcdefgh"[:count])


@given(SEEDS, st.integers(1, 9), SMALL, st.integers(1, 8))
def test_negatives_come_before_any_comes_again(seed, count, wanted, epochs):
    """After every epoch the number of times that each negative came differs by at most one, and within one epoch too."""
    one = example("q", "z", "abcdefghi"[:count])
    came = Counter(dict.fromkeys("abcdefghi"[:count], 0))
    for epoch in range(epochs):
        chosen = [passage.doc_id for passage in choose(one, seed=seed, epoch=epoch, negatives=wanted)[1]]
        assert len(chosen) == wanted
        now = Counter(chosen)
        assert max(now.values(), default=0) - min(now[name] for name in came) <= 1
        came.update(chosen)
        assert max(came.values()) - min(came.values()) <= 1


def test_a_choice_depends_on_seed_epoch_and_example_alone():
    names = "abcdefghijkl"
    chosen = {
        (seed, epoch, query_id): choose(example(query_id, "z", names), seed=seed, epoch=epoch, negatives=6)[1]
        for seed in (1, 2)
        for epoch in (0, 1)
        for query_id in ("q1", "q2")
    }
    assert len({tuple(sorted(p.doc_id for p in group)) for group in chosen.values()}) == 8
    first, second = (chosen[1, epoch, "q1"] for epoch in (0, 1))
    assert {p.doc_id for p in first + second} == set(names), "two epochs of six see all twelve"
    again = choose(example("q1", "z", names, query="another"), seed=1, epoch=0, negatives=6)[1]
    assert [p.doc_id for p in again] == [p.doc_id for p in first]


def test_what_is_chosen_stays_the_same_from_version_to_version():
    """A run that is resumed after an update must see the same data; so these are written down."""
    assert shuffled("abcdef", 7, "q1") == ["b", "a", "e", "f", "c", "d"]
    one = example("q1", "yz", "abcdef")
    assert (
        "".join(p.doc_id for epoch in range(3) for p in choose(one, seed=7, epoch=epoch, negatives=4)[1])
        == "cadfbecadfbe"
    )
    many = [example(f"q{i}", "abcde"[i % 5], "vwxyz"[i % 5]) for i in range(12)]
    assert batches(many, seed=7, epoch=1, batch_size=4, negatives=1) == [[8, 11, 2, 4], [7, 5, 3, 9], [1, 0], [6, 10]]


def in_the_way(one: Example, other: Example, documents: dict[str, set[str]]) -> bool:
    """By the definition: equal queries, or a document of one with the text of any positive of the other."""
    pairs = ((one, other), (other, one))
    crossed = any({p.text for p in a.positives} & documents[b.query_id] for a, b in pairs)
    return crossed or one.query == other.query


def check(examples: list[Example], made: list[list[int]], *, seed: int, epoch: int, size: int, negatives: int) -> None:
    """Every example once, no batch too long, and no pair within a batch in each other's way."""
    assert sorted(place for batch in made for place in batch) == list(range(len(examples)))
    assert all(1 <= len(batch) <= size for batch in made)
    documents = {}
    for one in examples:
        positive, others = choose(one, seed=seed, epoch=epoch, negatives=negatives)
        documents[one.query_id] = {passage.text for passage in (positive, *others)}
    for batch in made:
        for i, place in enumerate(batch):
            for other in batch[:i]:
                assert not in_the_way(examples[place], examples[other], documents)


@given(collections(), SEEDS, st.integers(0, 3), st.integers(1, 5), st.integers(0, 5))
def test_batches_hold_each_example_once_and_none_in_the_way_of_another(examples, seed, epoch, size, negatives):
    made = batches(examples, seed=seed, epoch=epoch, batch_size=size, negatives=negatives)
    check(examples, made, seed=seed, epoch=epoch, size=size, negatives=negatives)
    assert made == batches(list(examples), seed=seed, epoch=epoch, batch_size=size, negatives=negatives)


@given(st.integers(0, 60), st.integers(1, 20), SEEDS)
def test_without_anything_in_the_way_batches_are_as_few_as_can_be(count, size, seed):
    examples = [Example(f"q{i}", f"query {i}", passages(f"p{i}"), passages(f"n{i}")) for i in range(count)]
    made = batches(examples, seed=seed, epoch=0, batch_size=size, negatives=1)
    assert len(made) == -(-count // size)
    check(examples, made, seed=seed, epoch=0, size=size, negatives=1)


def test_a_short_rest_takes_from_larger_batches():
    """Nine by four makes 4 + 4 + 1, a mean of 3, and the last one is brought to half of it, 2."""
    examples = [Example(f"q{i}", f"query {i}", passages(f"p{i}")) for i in range(9)]
    made = batches(examples, seed=0, epoch=0, batch_size=4, negatives=0)
    assert sorted(map(len, made)) == [2, 3, 4]


def test_examples_with_one_answer_all_get_batches_of_their_own():
    examples = [example(f"q{i}", "a", "b") for i in range(5)]
    assert sorted(batches(examples, seed=1, epoch=0, batch_size=4, negatives=1)) == [[i] for i in range(5)]


@pytest.mark.parametrize(("of", "sizes"), [("there", [1, 2]), ("elsewhere", [3])])
def test_what_an_example_excludes_stands_in_no_batch_of_it(of, sizes):
    """q0 excludes q1's positive, a document of its own source alone; q2 is in nobody's way."""
    examples = [example(f"q{i}", "abc"[i], "xyz"[i]) for i in range(3)]
    examples[0] = replace(examples[0], provenance={"source": "there", "excluded_ids": ["b"]})
    examples[1] = replace(examples[1], provenance={"source": of})
    for seed in range(5):
        made = batches(examples, seed=seed, epoch=0, batch_size=3, negatives=1)
        assert sorted(map(len, made)) == sizes and not ([0, 1] in map(sorted, made) and of == "there")
        assert sorted(place for batch in made for place in batch) == [0, 1, 2]


def test_a_negative_that_another_excludes_is_in_its_way():
    examples = [example("q0", "a", "x"), example("q1", "b", "y")]
    examples[0] = replace(examples[0], provenance={"excluded_ids": ["y", "unknown"]})
    assert sorted(map(len, batches(examples, seed=0, epoch=0, batch_size=2, negatives=1))) == [1, 1]
    assert sorted(map(len, batches(examples, seed=0, epoch=0, batch_size=2, negatives=0))) == [2]


def test_a_shared_negative_is_in_nobodys_way():
    examples = [example("q1", "a", "z"), example("q2", "b", "z"), example("q3", "c", "z")]
    (batch,) = batches(examples, seed=1, epoch=0, batch_size=3, negatives=1)
    assert sorted(batch) == [0, 1, 2]


def test_any_positive_counts_not_only_the_chosen_one():
    """'b' is an answer to q1 though its turn is 'a' in one of the epochs; as a negative of q2 it keeps them apart in both."""
    examples = [example("q1", "ab"), example("q2", "c", "b")]
    for epoch in (0, 1):
        assert len(batches(examples, seed=1, epoch=epoch, batch_size=2, negatives=0)) == 1
        with_negatives = [example("q1", "ab", "y"), examples[1]]
        assert len(batches(with_negatives, seed=1, epoch=epoch, batch_size=2, negatives=1)) == 2


def test_epochs_and_seeds_differ():
    examples = [Example(f"q{i}", f"query {i}", passages(f"p{i}")) for i in range(40)]
    orders = {tuple(order(examples, seed=seed, epoch=epoch)) for seed in (0, 1) for epoch in (0, 1)}
    assert len(orders) == 4 and all(sorted(one) == list(range(40)) for one in orders)
    made = {str(batches(examples, seed=s, epoch=e, batch_size=8, negatives=0)) for s in (0, 1) for e in (0, 1)}
    assert len(made) == 4


def test_every_process_sees_the_same():
    """Sets and dicts of strings are laid out by a number that differs from process to process; nothing follows from it."""
    script = (
        "from tests.test_sampling import *\n"
        "many = [example(f'q{i}', 'abcdefgh'[i % 7], 'qrstuvwxyz'[i % 9 :]) for i in range(50)]\n"
        "print(batches(many, seed=3, epoch=2, batch_size=8, negatives=3), choose(many[0], seed=1, epoch=1, negatives=3))"
    )
    printed = set()
    for number in ("1", "2", "3"):
        environment = {**os.environ, "PYTHONHASHSEED": number, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        printed.add(done.stdout)
    assert len(printed) == 1


def test_examples_without_negatives_are_refused_where_each_needs_some():
    examples = [example("q1", "a", "b"), *(example(f"q{i}", "a") for i in (2, 3, 4, 5))]
    complaint = r"4 of 5 examples have no negatives, first 'q2', 'q3', 'q4', and 11 are wanted of each; mine some"
    with pytest.raises(ValueError, match=complaint):
        check_negatives(examples, 11)
    with pytest.raises(ValueError, match=complaint):
        batches(examples, seed=1, epoch=0, batch_size=2, negatives=11)
    with pytest.raises(ValueError, match="1 of 1 examples have no negatives, first 'q2'"):
        choose(examples[1], seed=1, epoch=0, negatives=1)
    check_negatives(examples, 0)
    assert len(batches(examples, seed=1, epoch=0, batch_size=2, negatives=0)) == 5


def test_a_batch_holds_at_least_one():
    with pytest.raises(ValueError, match="batch_size is 0; expected 1 or more"):
        batches([], seed=1, epoch=0, batch_size=0, negatives=0)


def test_real_theorems(shared):
    """1,024 statements that share their theorems: at 16 a batch two more batches than without anything in the way at most."""
    from rader_ir.corpus import read_documents, read_queries
    from rader_ir.runs import read_qrels

    folder = shared / "data" / "stacks_theorems"
    texts = dict(read_documents(folder / "corpus.jsonl.gz"))
    queries, _ = read_queries(folder / "queries.train.jsonl")
    examples = []
    for query_id, judged in read_qrels(folder / "qrels" / "train.tsv").items():
        negatives = [name for name in shuffled(sorted(texts), query_id)[:30] if name not in judged]
        positives, others = ([Passage(name, texts[name]) for name in names] for names in (judged, negatives))
        examples.append(Example(query_id, queries[query_id], positives, others))
    for size, negatives, most in ((16, 0, 66), (16, 11, 66), (64, 0, 24)):
        made = batches(examples, seed=5, epoch=1, batch_size=size, negatives=negatives)
        check(examples, made, seed=5, epoch=1, size=size, negatives=negatives)
        assert len(made) <= most


@pytest.mark.parametrize("size", [1, 3, 64])
def test_batches_of_one_source_hold_each_example_once(size):
    sources = [{"source": "ab"[i % 3 == 0]} if i % 5 else {} for i in range(50)]
    learned = [replace(example(f"q{i}", "a"), provenance=each) for i, each in enumerate(sources)]
    found = source_batches(learned, seed=3, epoch=1, batch_size=size)
    assert sorted(place for batch in found for place in batch) == list(range(50))
    for batch in found:
        assert len(batch) <= size
        assert len({learned[place].provenance.get("source", "") for place in batch}) == 1
    lengths = [len(batch) for batch in found if learned[batch[0]].provenance.get("source") == "a"]
    assert max(lengths) - min(lengths) <= 1
    assert found == source_batches(learned, seed=3, epoch=1, batch_size=size)
    assert found != source_batches(learned, seed=3, epoch=2, batch_size=size)


def test_shares_take_turns_until_all_examples_came():
    """A third of nine: three epochs take each example once; the other source comes whole in each."""
    learned = [replace(example(f"q{i}", "a"), provenance={"source": "third"}) for i in range(9)]
    learned += [example(f"r{i}", "a") for i in range(4)]
    epochs = [order(learned, seed=1, epoch=epoch, shares={"third": 1 / 3}) for epoch in range(6)]
    for first in (0, 3):
        three = epochs[first : first + 3]
        assert sorted(place for epoch in three for place in epoch if place < 9) == list(range(9))
    assert all(sorted(place for place in epoch if place >= 9) == [9, 10, 11, 12] for epoch in epochs)
    assert [place for place in epochs[0] if place < 9] != [place for place in epochs[3] if place < 9]
    found = source_batches(learned, seed=1, epoch=0, batch_size=2, shares={"third": 1 / 3})
    assert sorted(place for batch in found for place in batch) == sorted(epochs[0])
    found = batches(learned, seed=1, epoch=0, batch_size=1, negatives=0, shares={"third": 1 / 3})
    assert sorted(place for batch in found for place in batch) == sorted(epochs[0])
    with pytest.raises(ValueError, match="names the source 'fourth'; the examples have third, "):
        order(learned, seed=1, epoch=0, shares={"fourth": 0.5})
