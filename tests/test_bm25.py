"""BM25: scores against arithmetic written out here, rankings against real anchors, saving, and bad input."""

import gzip
import json
import math
import os
import random
import subprocess
import sys
from collections import Counter

import bm25s
import pytest

from rader_ir.analysis import analyse
from rader_ir.bm25 import BM25
from rader_ir.corpus import read_documents, read_queries
from rader_ir.evaluation import evaluate
from rader_ir.fusion import interpolate
from rader_ir.runs import cut, read_qrels, read_run
from tests.benchmarks import bm25_quality, collections
from tests.bm25_definition import Definition, stored_length

K1, B = 0.9, 0.4
TEXTS = {
    "d1": "A group is a set with a product.",
    "d2": "Every subgroup of a cyclic group is cyclic; the group of integers is cyclic.",
    "d3": "The product of two sets",
    "d4": "Rings and modules over a ring",
}


def weight(term, bag, bags):
    """Lucene's weight of a term in a bag of terms: idf * tf / (tf + k1 (1 - b + b len / avgdl))."""
    length, mean = sum(bag.values()), sum(sum(other.values()) for other in bags) / len(bags)
    df = sum(term in other for other in bags)
    idf = math.log(1 + (len(bags) - df + 0.5) / (df + 0.5))
    return idf * bag[term] / (bag[term] + K1 * (1 - B + B * length / mean))


def by_hand(query, bags, variant):
    """Scores of all documents that share a term with the query, by the definition of each variant."""
    known = set().union(*bags.values())
    terms = Counter(term for term in query if term in known)
    documents = list(bags.values())
    factors = {term: weight(term, terms, documents) if variant == "bright" else terms[term] for term in terms}
    scores = {
        doc_id: sum(factor * weight(term, bag, documents) for term, factor in factors.items() if term in bag)
        for doc_id, bag in bags.items()
    }
    return {doc_id: score for doc_id, score in scores.items() if score}


@pytest.fixture(scope="module")
def bags():
    """300 documents over 60 terms of very different frequency, some terms repeated."""
    generator = random.Random(0)
    return {
        f"d{n:03}": Counter(f"t{int(generator.paretovariate(0.7)) % 60}" for _ in range(generator.randint(1, 80)))
        for n in range(300)
    }


def test_one_score_in_full():
    index = BM25.build(TEXTS.items())
    # "group" stands twice in d2 and in 2 of 4 documents: idf = ln(1 + 2.5 / 2.5) = ln 2. Stop words do not count as length.
    lengths = [len(analyse(text)) for text in TEXTS.values()]
    assert lengths == [3, 8, 3, 4]
    saturation = 0.9 * (0.6 + 0.4 * 8 / 4.5)
    found = index.retrieve({"q": "groups"})["q"]
    assert list(found) == ["d2", "d1"]
    assert found["d2"] == pytest.approx(math.log(2) * 2 / (2 + saturation), rel=1e-6)


@pytest.mark.parametrize("variant", ["lucene", "bright"])
def test_all_scores_are_those_of_the_definition(bags, variant):
    index = BM25.build_tokens(bags.items(), variant=variant)
    query = ["t1", "t1", "t1", "t7", "t59", "t33", "t33", "unknown", "unknown"]
    found = index.retrieve({"q": " ".join(query)})["q"]
    expected = by_hand(query, bags, variant)
    assert found == pytest.approx(expected, rel=1e-6)
    assert [*found] == sorted(found, key=lambda doc_id: (-found[doc_id], doc_id))


def test_the_variants_differ_as_they_should(bags):
    """A repeated query term doubles Lucene's score; for `bright` it saturates, and a query's length counts."""
    lucene, bright = (BM25.build_tokens(bags.items(), variant=name) for name in ("lucene", "bright"))
    once, twice = (lucene.retrieve({"q": query})["q"] for query in ("t7", "t7 t7"))
    assert twice == pytest.approx({doc_id: 2 * score for doc_id, score in once.items()})
    once, twice = (bright.retrieve({"q": query})["q"] for query in ("t7", "t7 t7"))
    assert all(once[doc_id] < twice[doc_id] < 2 * once[doc_id] for doc_id in once)


def test_lucene_scores_are_those_of_bm25s(bags):
    peer = bm25s.BM25(method="lucene", k1=K1, b=B)
    peer.index([list(bag.elements()) for bag in bags.values()], show_progress=False)
    scores = peer.get_scores(["t1", "t1", "t7", "t59"])
    found = BM25.build_tokens(bags.items()).retrieve({"q": "t1 t1 t7 t59"})["q"]
    assert found == pytest.approx(
        {doc_id: score for doc_id, score in zip(bags, scores.tolist(), strict=True) if score}, rel=1e-6
    )


def test_lists_and_bags_of_terms_are_the_same_documents(bags):
    lists = [(doc_id, list(bag.elements())) for doc_id, bag in bags.items()]
    queries = {"q": "t1 t7"}
    assert BM25.build_tokens(lists).retrieve(queries) == BM25.build_tokens(bags.items()).retrieve(queries)


def test_texts_are_analysed_and_documents_without_a_match_stay_out():
    run = BM25.build(TEXTS.items()).retrieve({"a": "RINGS' products", "none": "topology", "empty": ""})
    assert set(run["a"]) == {"d1", "d3", "d4"}
    assert run["none"] == run["empty"] == {}


def test_ties_go_by_doc_id_also_at_the_cut():
    index = BM25.build((doc_id, "same words") for doc_id in ("c", "a", "d", "b"))
    assert list(index.retrieve({"q": "words"}, depth=3)["q"]) == ["a", "b", "c"]
    assert list(index.retrieve({"q": "words"}, depth=9)["q"]) == ["a", "b", "c", "d"]


def test_excluded_documents_are_gone_before_the_cut():
    index = BM25.build((name, "word " * (5 - n) + "other") for n, name in enumerate("abcde"))
    queries = {"q": "word", "r": "word"}
    run = index.retrieve(queries, depth=2, excluded={"q": ["a", "c", "not a document"]})
    assert [list(run[query_id]) for query_id in queries] == [["b", "d"], ["a", "b"]]


def test_the_order_of_documents_does_not_matter(bags):
    shuffled = random.Random(1).sample(sorted(bags), len(bags))
    queries = {"q": "t1 t7 t33"}
    run = BM25.build_tokens((doc_id, bags[doc_id]) for doc_id in shuffled).retrieve(queries, depth=50)
    assert run == BM25.build_tokens(bags.items()).retrieve(queries, depth=50)


def test_a_document_without_terms_counts_for_gensim_but_not_for_lucene():
    documents = [("a", "group"), ("b", "the"), ("c", "ring")]
    lucene, bright = (BM25.build(documents, variant=name) for name in ("lucene", "bright"))
    assert (len(lucene), lucene.mean_length, len(bright), bright.mean_length) == (2, 1, 3, 2 / 3)


@pytest.mark.parametrize("variant", ["lucene", "bright"])
def test_a_saved_index_gives_the_same_run(bags, tmp_path, variant):
    index = BM25.build_tokens(bags.items(), variant=variant, k1=1.2, b=0.75)
    index.save(tmp_path / "index")
    loaded = BM25.load(tmp_path / "index")
    queries = {"q": "t1 t7 t33 t33"}
    assert loaded.retrieve(queries) == index.retrieve(queries)
    assert repr(loaded) == repr(index) == f"<BM25 {variant}, k1=1.2, b=0.75, 300 documents>"
    loaded.save(tmp_path / "again")
    for path in (tmp_path / "index").iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_saving_refuses_a_folder_with_files_and_leaves_it_alone(bags, tmp_path):
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(FileExistsError, match=r"is not empty; give a new folder"):
        BM25.build_tokens(bags.items()).save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_failed_save_leaves_nothing(bags, tmp_path):
    index = BM25.build_tokens(bags.items())
    index.doc_ids[5] = object()  # what JSON cannot hold
    with pytest.raises(TypeError):
        index.save(tmp_path / "index")
    assert list(tmp_path.iterdir()) == []


def test_the_saved_bytes_do_not_depend_on_the_hash_seed(tmp_path):
    script = "import sys; from rader_ir.bm25 import BM25; BM25.build([('a', 'x y z'), ('b', 'y w')]).save(sys.argv[1])"
    for seed in "12":
        environment = os.environ | {"PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", script, str(tmp_path / seed)], env=environment, check=True)
    for path in (tmp_path / "1").iterdir():
        assert (tmp_path / "2" / path.name).read_bytes() == path.read_bytes()


def test_loading_nothing_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no BM25 index \(no rader_bm25.json\); write one by"):
        BM25.load(tmp_path)


def test_every_half_written_file_is_noticed(bags, tmp_path):
    BM25.build_tokens(bags.items()).save(tmp_path / "whole")
    for name in sorted(path.name for path in (tmp_path / "whole").iterdir()):
        content = (tmp_path / "whole" / name).read_bytes()
        for kept in (0, len(content) // 2, len(content) - 1):
            (tmp_path / "whole" / name).write_bytes(content[:kept])
            with pytest.raises(ValueError, match=r"whole is a half-written or damaged BM25 index .*; build it again"):
                BM25.load(tmp_path / "whole")
        (tmp_path / "whole" / name).unlink()
        with pytest.raises((ValueError, FileNotFoundError)):
            BM25.load(tmp_path / "whole")
        (tmp_path / "whole" / name).write_bytes(content)
    BM25.load(tmp_path / "whole")


def test_parts_of_two_indexes_are_noticed(bags, tmp_path):
    BM25.build_tokens(bags.items()).save(tmp_path / "one")
    meta = json.loads((tmp_path / "one" / "rader_bm25.json").read_text())
    meta["doc_ids"].pop()
    (tmp_path / "one" / "rader_bm25.json").write_text(json.dumps(meta))
    with pytest.raises(ValueError, match="299 ids of variant 'lucene' for 300 documents"):
        BM25.load(tmp_path / "one")


@pytest.mark.parametrize(
    ("documents", "options", "error", "message"),
    [
        ([("a", "x"), ("a", "y")], {}, ValueError, "document id 'a' stands twice"),
        ([], {}, ValueError, "none of the 0 documents holds a term"),
        ([("a", "the"), ("b", "")], {}, ValueError, "none of the 2 documents holds a term"),
        ([("a", None)], {}, TypeError, "the text of 'a' is None; expected a string"),
        ([("a", "x")], {"variant": "okapi"}, ValueError, "variant 'okapi' is unknown; choose 'lucene' or 'bright'"),
        ([("a", "x")], {"k1": -0.1}, ValueError, "k1 is -0.1; expected a finite number from 0 on"),
        ([("a", "x")], {"k1": math.nan}, ValueError, "k1 is nan"),
        ([("a", "x")], {"b": 1.5}, ValueError, "b is 1.5; expected a number from 0 to 1"),
    ],
)
def test_bad_input_is_refused(documents, options, error, message):
    with pytest.raises(error, match=message):
        BM25.build(documents, **options)


def test_bad_queries_are_refused():
    index = BM25.build(TEXTS.items())
    with pytest.raises(TypeError, match="the text of 'q' is nan; expected a string"):
        index.retrieve({"q": math.nan})
    with pytest.raises(ValueError, match="depth 0 keeps no document"):
        index.retrieve({"q": "group"}, depth=0)


@pytest.mark.parametrize(
    "setting", collections.SETTINGS, ids=lambda setting: "-".join((setting.name, *setting.query_fields))
)
def test_quality_agrees_with_lucene(shared, setting):
    """nDCG@10 within .01 of what Lucene gives; what is left comes from its rounding of document lengths."""
    loaded = collections.load(setting, shared / "data")
    values = evaluate(bm25_quality.ours(loaded), loaded.qrels, collections.MEASURES)
    assert list(values.values()) == pytest.approx(setting.bm25, abs=0.01)


def apart(found, expected):
    """The largest relative difference between two lists of the same documents."""
    assert found.keys() == expected.keys()
    return max((abs(score / expected[doc_id] - 1) for doc_id, score in found.items()), default=0.0)


@pytest.fixture(scope="module")
def theorems(shared):
    """BRIGHT's theoremqa_theorems: bags of stemmed terms, questions, judgements, RaDeR's run, Lucene's run of the questions."""
    data = shared / "data"
    with gzip.open(data / "bright_theot_bow" / "bow.jsonl.gz", "rt", encoding="utf-8") as lines:
        bags = {record["doc_id"]: record["tf"] for record in map(json.loads, lines)}
    assert len(bags) == 23_839
    released = data / "rader_runs" / "RaDeR-gte-Qwen2-LLMq_CoT_lexical" / "theoremqa_theorems"
    return (
        bags,
        read_queries(data / "bright" / "topics" / "theoremqa_theorems.jsonl.gz", fields=["query"])[0],
        read_qrels(data / "bright" / "qrels" / "theoremqa_theorems.tsv"),
        read_run(released / "hybrid_BM25_Rader.json.gz"),
        read_run(data / "bright_theot_bow" / "bm25_original_queries.top1000.json.gz"),
    )


@pytest.mark.parametrize("variant", ["lucene", "bright"])
@pytest.mark.parametrize("name", ["bright_theoq_mini", "bright_pony_pages"])
def test_scores_of_real_texts_are_those_of_the_definition(shared, name, variant):
    """Every score of BRIGHT's questions over two corpora, to 1e-6 of it; texts as long as a page of documentation."""
    texts = dict(read_documents(shared / "data" / name / "corpus.jsonl.gz"))
    queries, _ = read_queries(shared / "data" / name / "queries.jsonl")
    definition = Definition({doc_id: Counter(analyse(text)) for doc_id, text in texts.items()})
    found = BM25.build(texts.items(), variant=variant, blank_ids="allow").retrieve(queries, depth=len(texts))
    for query_id, text in queries.items():
        assert apart(found[query_id], definition.scores(analyse(text), variant)) < 1e-6


def test_query_weighted_scores_of_the_theorems_are_those_of_the_definition(theorems):
    bags, queries, *_ = theorems
    definition = Definition(bags)
    found = BM25.build_tokens(bags.items(), variant="bright").retrieve(queries, depth=len(bags))
    for query_id, text in queries.items():
        assert apart(found[query_id], definition.scores(analyse(text), "bright")) < 1e-6


def test_the_theorems_measure_as_they_should(theorems):
    """Lucene's .0229; Table 1 of RaDeR has .049, by query-weighted BM25 over another export of the corpus: ours has .0435."""
    bags, queries, qrels, *_ = theorems
    runs = {name: BM25.build_tokens(bags.items(), variant=name).retrieve(queries) for name in ("lucene", "bright")}
    lucene, bright = (evaluate(run, qrels, "nDCG@10")["nDCG@10"] for run in runs.values())
    assert lucene == pytest.approx(0.0229, abs=0.003)
    assert bright == pytest.approx(0.0435, abs=0.0005)


def test_fused_with_raders_run_the_theorems_measure_as_lucenes_run_does(theorems):
    """.2732, .4040 and .4343 at alpha .5, .8 and 1; lengths that Lucene rounds change a query or two of 76 at .5."""
    bags, queries, qrels, dense, _ = theorems
    plain = BM25.build_tokens(bags.items()).retrieve(queries)
    for alpha, expected, apart in ((0.5, 0.2732, 0.003), (0.8, 0.4040, 5e-5), (1.0, 0.4343, 5e-5)):
        figure = evaluate(interpolate(dense, plain, alpha=alpha), qrels, "nDCG@10")["nDCG@10"]
        assert figure == pytest.approx(expected, abs=apart)


def test_rounded_lengths_are_all_that_parts_us_from_lucene(theorems):
    """The definition with lengths as Lucene stores them gives its 76,000 rows, its figures, its scores to the 4 digits kept."""
    bags, queries, qrels, dense, lucene = theorems
    definition = Definition(bags, stored_length)
    run = cut({name: definition.scores(analyse(text), "lucene") for name, text in queries.items()}, 1000)
    assert sum(map(len, lucene.values())) == 76_000
    for query_id, scores in run.items():
        assert scores.keys() == lucene[query_id].keys()
        assert max(abs(score - lucene[query_id][doc_id]) for doc_id, score in scores.items()) < 6e-5
    assert evaluate(run, qrels, "nDCG@10 R@1000") == pytest.approx({"nDCG@10": 0.0229, "R@1000": 0.3813}, abs=5e-5)
    fused = interpolate(dense, run, alpha=0.5)
    assert evaluate(fused, qrels, "nDCG@10")["nDCG@10"] == pytest.approx(0.2732, abs=5e-5)
