"""Mining: which ranks become negatives, what each guard takes out, and where the rest came from, on lists made by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rader_ir.examples import Example, Passage, read_examples, write_examples
from rader_ir.mining import REASONS, Source, Window, judged_examples, mine
from rader_ir.runs import ranked

TEXTS = {f"d{i}": f"text number {i}" for i in range(1, 61)}
RUN = {"q1": {f"d{i}": 100.0 - i for i in range(1, 61)}}  # d1 stands first with 99, d60 last with 40


def example(positives=("d5",), negatives=(), query_id="q1", query="a query", **options) -> Example:
    there = {**TEXTS, **options.pop("texts", {})}
    sides = ([Passage(name, there[name]) for name in names] for names in (positives, negatives))
    return Example(query_id, query, *sides, **options)


def ids(one: Example) -> list[str]:
    return [passage.doc_id for passage in one.negatives]


def counts(**found: int) -> dict[str, int]:
    return {reason: found.get(reason, 0) for reason in REASONS}


def test_the_first_ones_that_pass():
    """d5 is the positive at rank 5, so the first six are d1 to d7 without it."""
    (mined,), removed = mine([example()], [Source("dense", RUN, Window(count=6))], TEXTS)
    assert ids(mined) == ["d1", "d2", "d3", "d4", "d6", "d7"]
    assert mined.negatives[0] == Passage("d1", "text number 1")
    assert mined.provenance["negatives"]["d6"] == {"run": "dense", "rank": 6, "score": 94.0}
    assert removed == counts(positive=1)


def test_a_window_is_drawn_from_by_seed():
    """Ranks 31 to 50 are d31 to d50. All are drawn by some seed, no other ever, and the same seed draws the same ten."""
    source, drawn = Source("bm25", RUN, Window(31, 50, 10)), set()
    for seed in range(30):
        (mined,), _ = mine([example()], [source], TEXTS, seed=seed)
        assert len(ids(mined)) == 10 and ids(mined) == sorted(ids(mined)), "in order of rank"
        assert mine([example()], [source], TEXTS, seed=seed)[0] == [mined]
        drawn |= set(ids(mined))
    assert drawn == {f"d{i}" for i in range(31, 51)}
    (other,), _ = mine([example(query_id="q2")], [Source("bm25", {"q2": RUN["q1"]}, source.window)], TEXTS, seed=29)
    assert ids(other) != ids(mined), "each query draws for itself"


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("31-50:10", Window(31, 50, 10)),
        ("31-50", Window(31, 50, None)),
        ("10", Window(1, None, 10)),
        ("7-7", Window(7, 7, None)),
    ],
)
def test_windows_are_written_in_short(text, window):
    assert Window.parse(text) == window


@pytest.mark.parametrize("text", ["", "50-31", "0-5", "0", "31-", "-5", "a-b", "1-5:0", "1-5:", ":5", "1-2-3", "1.5"])
def test_other_windows_are_refused(text):
    with pytest.raises(ValueError, match=r"names no ranks; write 31-50:10|holds no rank; give ranks from 1"):
        Window.parse(text)


def test_every_guard_by_hand():
    """Eight candidates, one for each reason and two that pass."""
    texts = {
        "pos": "A field is a ring.",
        "copy": "A field is a ring.",
        "same": "a $field$ is a ring",
        "asked": "Is a field, a ring?",
        "near": "near",
        "there": "there",
        "twin": "there",
        "far": "far",
        "farther": "farther",
    }
    scores = dict(
        zip(["near", "pos", "copy", "same", "asked", "there", "twin", "far", "farther"], range(9, 0, -1), strict=True)
    )
    given = example(["pos"], ["there"], query="Is a field a ring?", texts=texts)
    source = Source("run", {"q1": scores}, Window(1, 9, None))
    (mined,), removed = mine([given], [source], texts)
    assert ids(mined) == ["there", "near", "far", "farther"]
    assert removed == counts(positive=1, equal_text=1, equal_statement=1, query=1, repeated=2)
    (mined,), removed = mine([given], [source], texts, margin=5)
    assert ids(mined) == ["there", "far", "farther"]
    assert removed == counts(positive=1, equal_text=1, equal_statement=1, query=1, score=3), "the first reason counts"


def test_the_margin_is_measured_from_the_best_positive():
    """Positives have 95 and 90. With margin 10 a score of 85 and more goes: d15 goes, d16 stays."""
    source = Source("dense", RUN, Window(count=2))
    (mined,), removed = mine([example(["d10", "d5"])], [source], TEXTS, margin=10)
    assert ids(mined) == ["d16", "d17"] and removed == counts(positive=2, score=13)


def test_a_positive_that_a_run_does_not_list_stands_below_it():
    """Then every candidate outranks it; without margin that is nobody's business."""
    given, texts = example(["away"], texts={"away": "elsewhere"}), {**TEXTS, "away": "elsewhere"}
    (mined,), removed = mine([given], [Source("dense", RUN)], texts, margin=0)
    assert mined == given and removed == counts(score=60)
    (mined,), _ = mine([given], [Source("dense", RUN)], texts)
    assert len(mined.negatives) == 10


def test_an_answer_to_an_equal_query_is_no_negative():
    """Two examples ask the same and have one answer each; neither's is trained against by the other."""
    both = [example(["d1"]), example(["d2"], query_id="q2"), example(["d3"], query_id="q3", query="another")]
    run = {query_id: RUN["q1"] for query_id in ("q1", "q2", "q3")}
    mined, removed = mine(both, [Source("dense", run, Window(count=2))], TEXTS)
    assert [ids(one) for one in mined] == [["d3", "d4"], ["d3", "d4"], ["d1", "d2"]]
    assert removed == counts(positive=4)


def test_sources_follow_each_other_and_none_repeats():
    """The second list holds the same documents from d3 on; d3 and d4 are there already, d5 is the positive."""
    second = {"q1": {f"d{i}": 10.0 - i for i in range(3, 9)}}
    sources = [Source("one", RUN, Window(1, 4, None)), Source("two", second, Window(count=2))]
    (mined,), removed = mine([example(negatives=["d60"], provenance={"question": "x"})], sources, TEXTS)
    assert ids(mined) == ["d60", "d1", "d2", "d3", "d4", "d6", "d7"]
    assert mined.provenance["question"] == "x" and list(mined.provenance["negatives"]) == ids(mined)[1:]
    assert mined.provenance["negatives"]["d7"] == {"run": "two", "rank": 5, "score": 3.0}
    assert removed == counts(repeated=2, positive=1)


def test_mining_again_adds_to_what_is_recorded():
    first, _ = mine([example()], [Source("one", RUN, Window(count=1))], TEXTS)
    (mined,), removed = mine(first, [Source("two", RUN, Window(count=1))], TEXTS)
    assert {doc_id: origin["run"] for doc_id, origin in mined.provenance["negatives"].items()} == {
        "d1": "one",
        "d2": "two",
    }
    assert removed == counts(repeated=1)


def test_what_an_example_excludes_itself_has_no_rank_either():
    """The theorems that helped with the same question, as `rader synthesize` notes them: d1 and d3; the caller excludes d2."""
    given = example(provenance={"excluded_ids": ["d1", "d3"]})
    (mined,), removed = mine([given], [Source("dense", RUN, Window(1, 3, None))], TEXTS, excluded={"q1": {"d2"}})
    assert ids(mined) == ["d4", "d6"] and removed == counts(positive=1)  # ranks 1 to 3 are d4, d5, d6
    assert mined.provenance["negatives"]["d6"]["rank"] == 3


def test_excluded_documents_have_no_rank():
    """Without d1 to d3, rank 1 is d4 and rank 2 the positive."""
    (mined,), removed = mine(
        [example()], [Source("dense", RUN, Window(1, 3, None))], TEXTS, excluded={"q1": {"d1", "d2", "d3", "unknown"}}
    )
    assert ids(mined) == ["d4", "d6"] and removed == counts(positive=1)
    assert mined.provenance["negatives"]["d6"]["rank"] == 3


def test_a_query_without_a_list_stays_as_it_is():
    given = [example(), example(query_id="q2", query="another")]
    mined, _ = mine(given, [Source("dense", RUN)], TEXTS)
    assert len(mined[0].negatives) == 10 and mined[1] == given[1]


def test_what_does_not_fit_together_is_named():
    with pytest.raises(ValueError, match="dense has lists for 1 queries, and none of the 1 given is among them"):
        mine([example(query_id="q7")], [Source("dense", RUN)], TEXTS)
    with pytest.raises(ValueError, match="dense: document 'x' of query 'q1' is not among the documents; give those"):
        mine([example()], [Source("dense", {"q1": {"x": 1.0}})], TEXTS)
    with pytest.raises(ValueError, match="margin is -1; expected 0 or more"):
        mine([example()], [Source("dense", RUN)], TEXTS, margin=-1)
    with pytest.raises(ValueError, match="query 'q1': provenance of negatives is 'mine'; expected an object"):
        mine([example(provenance={"negatives": "mine"})], [Source("dense", RUN)], TEXTS)


def test_judgements_become_examples():
    """Relevance 1 and more answers; what a query excludes does not; q3 has no answer left, q4 no judgements."""
    queries = {f"q{i}": f"query {i}" for i in (1, 2, 3, 4)}
    qrels = {"q1": {"d1": 1, "d2": 0, "d3": 2}, "q2": {"d4": 1, "d5": 1}, "q3": {"d6": 0}, "q9": {"d7": 1}}
    made = judged_examples(queries, qrels, TEXTS, excluded={"q2": ["d5"]}, kind="question")
    assert [(one.query_id, [p.doc_id for p in one.positives]) for one in made] == [("q1", ["d1", "d3"]), ("q2", ["d4"])]
    assert made[0].query == "query 1" and made[0].kind == "question" and made[0].negatives == ()
    with pytest.raises(ValueError, match="query 'q1': document 'x' is judged relevant and not among the documents"):
        judged_examples(queries, {"q1": {"x": 1}}, TEXTS)
    with pytest.raises(ValueError, match="none of 4 queries has a relevant document among the judgements of 1"):
        judged_examples(queries, {"q9": {"d7": 1}}, TEXTS)


@st.composite
def mined(draw):
    names = [f"d{i}" for i in range(1, draw(st.integers(2, 13)))]
    texts = {name: draw(st.sampled_from(["x", "X.", "y", "z", name, name])) for name in names}
    lists = [{name: draw(st.integers(0, 5)) for name in draw(st.sets(st.sampled_from(names)))} for _ in range(2)]
    first = draw(st.integers(1, 4))
    windows = [
        Window(first, draw(st.integers(first, 12)), draw(st.none() | st.integers(1, 4))),
        Window(count=draw(st.integers(1, 4))),
    ]
    sources = [
        Source(f"run {i}", {"q1": one}, window) for i, (one, window) in enumerate(zip(lists, windows, strict=True))
    ]
    positive = draw(st.sampled_from(names))
    given = Example("q1", draw(st.sampled_from(["q", "y?"])), [Passage(positive, texts[positive])])
    margin = draw(st.none() | st.integers(0, 3))
    left_out = draw(st.sets(st.sampled_from(names)))
    return given, sources, texts, {"q1": left_out}, margin, draw(st.integers(0, 9))


@given(mined())
def test_whatever_is_mined_passes_every_guard_and_is_where_it_is_said_to_be(case):
    given, sources, texts, excluded, margin, seed = case
    (one,), removed = mine([given], sources, texts, excluded=excluded, margin=margin, seed=seed)
    origins = one.provenance.get("negatives", {})
    assert list(origins) == ids(one)
    folded = [texts[name].strip(".?").lower() for name in ids(one)]
    assert not {given.positives[0].text.strip(".").lower(), given.query.strip("?")} & set(folded)
    assert len({texts[name] for name in ids(one)}) == len(ids(one)), "no text twice"
    looked_at = 0
    for source in sources:
        listed = {name: score for name, score in source.run["q1"].items() if name not in excluded["q1"]}
        order = [name for name, _ in ranked(listed)]
        window = order[source.window.first - 1 : source.window.last]
        taken = [name for name, origin in origins.items() if origin["run"] == source.name]
        assert set(taken) <= set(window) and len(taken) <= (source.window.count or len(order))
        for name in taken:
            assert origins[name] == {"run": source.name, "rank": order.index(name) + 1, "score": listed[name]}
            if margin is not None:
                assert listed[name] < listed.get(given.positives[0].doc_id, min(listed.values())) - margin
        looked_at += len(window)
    assert removed.total() + len(ids(one)) <= looked_at


def test_mined_examples_are_written_and_read_back(tmp_path):
    made, _ = mine([example()], [Source("dense", RUN)], TEXTS)
    write_examples(made, tmp_path / "x.jsonl")
    assert read_examples(tmp_path / "x.jsonl") == made
