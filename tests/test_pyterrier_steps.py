"""The small steps around retrieval: excluded documents, safe queries, texts, and BRIGHT's frames."""

import numpy as np
import pandas as pd
import pytest

pt = pytest.importorskip("pyterrier")

from pyterrier_rader import (  # noqa: E402
    Bm25Retriever,
    ExcludeDocuments,
    RaDeREncoder,
    RaDeRIndex,
    RaDeRReranker,
    RaDeRRetriever,
    SafeQueries,
    TextLoader,
    bright_frames,
)
from rader_ir import bright  # noqa: E402
from tests.pyterrier_cases import TEXTS, documents, results, topics  # noqa: E402
from tests.toys import WordEncoder, WordOverlap  # noqa: E402


def test_exclusion_closes_the_ranks():
    out = ExcludeDocuments({"q1": {"d1", "d3"}, "q9": {"d2"}})(results())
    kept = out[out["qid"] == "q1"]
    assert list(zip(kept["docno"], kept["score"], kept["rank"], strict=True)) == [
        ("d2", -1, 0),
        ("d4", -3, 1),
        ("d10", -4, 2),
    ]
    assert out["qid"].value_counts().to_dict() == {"q1": 3, "q2": 5, "q10": 5}


def test_exclusion_of_everything_leaves_typed_columns():
    one = results()[results()["qid"] == "q1"]
    out = ExcludeDocuments({"q1": list(TEXTS)})(one)
    assert len(out) == 0
    assert out.dtypes.to_dict() == one.dtypes.to_dict()


def test_exclusion_without_ranks_keeps_frames_of_sets():
    bare = results()[["qid", "query", "docno"]]
    out = ExcludeDocuments({"q1": ["d1"]})(bare)
    assert list(out.columns) == ["qid", "query", "docno"]
    assert len(out) == len(bare) - 1


def test_the_labels_of_bright_in_ir_datasets_become_exclusions():
    """A document labelled -100 answers the query in name only; PyTerrier's measures would count it as found."""
    qrels = pd.DataFrame([("q1", "d1", -100), ("q1", "d10", 1), ("q2", "d2", 1)], columns=["qid", "docno", "label"])
    exclude = ExcludeDocuments.from_qrels(qrels)
    assert exclude == ExcludeDocuments({"q1": ["d1"]})
    bm25 = Bm25Retriever.from_documents(documents().to_dict("records"))
    judged = qrels[qrels["label"] >= 0]
    plain, clean = (pt.Evaluate(s(topics()), judged, ["recip_rank"])["recip_rank"] for s in (bm25, bm25 >> exclude))
    assert (plain, clean) == (0.75, 1.0)


def ranking(docnos_by_qid) -> pt.Transformer:
    """A system that ranks documents as given, for a question that says nothing."""
    rows = [(q, d, -float(rank), rank, "") for q, docs in docnos_by_qid.items() for rank, d in enumerate(docs)]
    frame = pd.DataFrame(rows, columns=["qid", "docno", "score", "rank", "query"])
    return pt.Transformer.from_df(frame, uniform=True)


def test_an_experiment_counts_an_excluded_document_unless_it_is_taken_out():
    """The question itself, labelled -100, stands above its answer: nDCG@10 is 1 / log2(3) = .631, and 1.0 by BRIGHT's rule."""
    qrels = pd.DataFrame([("q", "itself", -100), ("q", "answer", 1)], columns=["qid", "docno", "label"])
    found = ranking({"q": ["itself", "answer"]})
    systems = {"as it is": found, "by the rule": found >> ExcludeDocuments.from_qrels(qrels)}
    asked = pd.DataFrame({"qid": ["q"], "query": [""]})
    table = pt.Experiment([*systems.values()], asked, qrels, ["ndcg_cut_10"], [*systems], plan="tree")
    assert dict(zip(table["name"], table["ndcg_cut_10"], strict=True)) == {
        "as it is": pytest.approx(1 / np.log2(3)),
        "by the rule": pytest.approx(1.0),
    }


@pytest.mark.parametrize(("task", "most"), [("aops", 11_218), ("theoremqa_questions", 11_206), ("leetcode", 1_119)])
def test_all_of_brights_own_exclusions_leave(shared, task, most):
    """For the query with most of them, its answers stand below every excluded document: found by none, then by all."""
    task_frames = bright_frames(task, source=shared / "data" / "bright")
    qid = max(task_frames.excluded, key=lambda name: len(task_frames.excluded[name]))
    excluded = sorted(task_frames.excluded[qid])
    assert len(excluded) == most
    answers = task_frames.qrels.query("qid == @qid")["docno"].tolist()
    found = ranking({qid: [*excluded, *answers]})
    asked = task_frames.topics[task_frames.topics["qid"] == qid]
    clean = (found >> ExcludeDocuments(task_frames.excluded))(asked)
    assert (clean["docno"].tolist(), clean["rank"].tolist()) == (answers, [*range(len(answers))])
    judged = task_frames.qrels[task_frames.qrels["qid"] == qid]
    plain, ruled = (pt.Evaluate(results, judged, ["ndcg_cut_10"])["ndcg_cut_10"] for results in (found(asked), clean))
    assert (plain, ruled) == (0.0, pytest.approx(1.0))


def test_exclusions_given_to_a_retriever_leave_before_the_cut():
    docs = documents().to_dict("records")
    bm25 = Bm25Retriever.from_documents(docs)
    best = bm25(topics()).groupby("qid")["docno"].first().to_dict()
    inside = Bm25Retriever(bm25.index, num_results=1, excluded={qid: [docno] for qid, docno in best.items()})(topics())
    second = bm25(topics()).query("rank == 1").set_index("qid")["docno"].to_dict()
    assert inside.set_index("qid")["docno"].to_dict() == second
    behind = (bm25 % 1 >> ExcludeDocuments({qid: [docno] for qid, docno in best.items()}))(topics())
    assert len(behind) == 0


def test_whole_numbers_are_excluded_too(tmp_path):
    """Frames and qrels that pandas read have integer ids; each class leaves out what it is told."""
    docs = [{"docno": str(i), "text": text} for i, text in enumerate(TEXTS.values())]
    asked = topics().assign(qid=[1, 2, 3])
    dense = RaDeRIndex(tmp_path / "dense", RaDeREncoder(WordEncoder())).index(docs)
    bm25 = Bm25Retriever.from_documents(docs).index
    for systems in (lambda excluded: Bm25Retriever(bm25, excluded=excluded), lambda e: dense.retriever(excluded=e)):
        whole, cut = systems(None)(asked), systems({1: [0, 4]})(asked)
        gone = whole["qid"].eq(1) & whole["docno"].isin(["0", "4"])
        assert gone.sum() == 2
        assert cut[["qid", "docno"]].to_numpy().tolist() == whole[~gone][["qid", "docno"]].to_numpy().tolist()


@pytest.mark.parametrize(
    ("excluded", "message"),
    [
        (pd.DataFrame(), r"excluded is a DataFrame; give \{qid: docnos\}, or qrels to ExcludeDocuments.from_qrels"),
        (["d1"], "excluded is a list"),
        ({"q1": "d0"}, r"excluded holds 'd0' for query 'q1'; give a collection of docnos: \['d0'\]"),
        ({"q1": 7}, "excluded holds 7 for query 'q1'"),
    ],
)
def test_exclusions_are_a_mapping_to_collections(excluded, message):
    for make in (
        ExcludeDocuments,
        lambda given: Bm25Retriever("nowhere", excluded=given),
        lambda given: RaDeRRetriever("nowhere", excluded=given),
    ):
        with pytest.raises(TypeError, match=message):
            make(excluded)


TRICKY = {
    'what\'s $x^{2}$ + (a/b)? "quote" : colon ~ ^ {brace} [x]': "what s x 2 a b quote colon brace x",
    r"\frac{1}{2}\int_0^\infty e^{-x}\,dx": "frac 1 2 int 0 infty e x dx",
    "Poincaré's ∑ naïve_name": "Poincaré s naïve name",
    "?!": "",
    "": "",
}


def test_safe_queries_keep_words_only():
    frame = pd.DataFrame({"qid": [str(i) for i in range(len(TRICKY))], "query": list(TRICKY)})
    out = SafeQueries()(frame)
    assert out["query"].tolist() == list(TRICKY.values())
    assert out["query_0"].tolist() == list(TRICKY)
    twice = (SafeQueries() >> SafeQueries())(frame)
    assert twice["query_1"].tolist() == list(TRICKY)


def test_rerankers_behind_safe_queries_read_the_question_again():
    """By PyTerrier's own reset, or by naming the column; both see what was asked."""
    asked = pd.DataFrame({"qid": ["1"], "query": ["odd-cycle?"]})
    found = SafeQueries() >> Bm25Retriever.from_documents(documents().to_dict("records")) >> TextLoader(TEXTS)
    reset, named = WordOverlap(), WordOverlap()
    one = (found >> pt.rewrite.reset() >> RaDeRReranker(reset))(asked)
    other = (found >> RaDeRReranker(named, query_field="query_0"))(asked)
    assert {query for query, _ in reset.pairs} == {query for query, _ in named.pairs} == {"odd-cycle?"}
    assert one["query"].unique().tolist() == ["odd-cycle?"]
    assert one["score"].tolist() == other["score"].tolist()


def test_texts_are_added_or_the_documents_named():
    frame = results().drop(columns="text").set_axis([1] * 15)
    out = TextLoader(TEXTS, text_field="body")(frame)
    assert out["body"].tolist() == [TEXTS[docno] for docno in frame["docno"]]
    with pytest.raises(ValueError, match="docno 'd1', 'd10': no text in column 'body'"):
        TextLoader({d: text for d, text in TEXTS.items() if "1" not in d}, text_field="body")(frame)
    with pytest.raises(TypeError, match="texts is a list"):
        TextLoader(list(TEXTS))


def test_bright_frames_hold_what_an_experiment_needs(shared):
    topics, qrels, excluded = bright_frames("theoremqa_theorems", source=shared / "data" / "bright")
    split = bright.load("theoremqa_theorems", source=shared / "data" / "bright")
    assert list(topics.columns) == ["qid", "query"]
    assert dict(zip(topics["qid"], topics["query"], strict=True)) == split.queries
    assert len(topics) == 76
    assert list(qrels.columns) == ["qid", "docno", "label"]
    assert qrels["label"].dtype == np.int64
    assert {(q, d): n for q, d, n in qrels.to_numpy().tolist()} == {
        (q, d): n for q, row in split.qrels.items() for d, n in row.items()
    }
    assert excluded == split.excluded


def test_bright_frames_bring_instructions_for_the_encoder(shared):
    frames = bright_frames("biology", source=shared / "data" / "bright", instructions=True)
    engine = WordEncoder()
    RaDeREncoder(engine)(frames.topics.head(2))
    told = set(engine.asked)
    engine.asked.clear()
    RaDeREncoder(engine, task="biology")(frames.topics.head(2)[["qid", "query"]])
    assert told == set(engine.asked)
    assert all(text.startswith("Instruct: Given a biology post") for text in told)
    ExcludeDocuments(frames.excluded)


def test_an_unknown_task_is_refused():
    with pytest.raises(ValueError, match="task 'botany' is unknown; choose 'biology'"):
        bright_frames("botany")
