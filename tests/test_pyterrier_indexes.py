"""Indexes behind PyTerrier: written in pipelines and from texts, opened, searched, and guarded against the wrong encoder."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

pt = pytest.importorskip("pyterrier")

from pyterrier_rader import Bm25Index, Bm25Retriever, RaDeREncoder, RaDeRIndex, RaDeRRetriever  # noqa: E402
from tests.pyterrier_cases import TEXTS, documents, results, topics  # noqa: E402
from tests.toys import WordEncoder  # noqa: E402

DOCS = documents().to_dict("records")


@pytest.fixture
def encoder():
    return RaDeREncoder(WordEncoder())


@pytest.fixture
def index(tmp_path, encoder):
    return (encoder >> RaDeRIndex(tmp_path / "index")).index(DOCS)


def test_retrieval_ranks_by_inner_product(index, encoder):
    """Against the scores of all pairs, computed by numpy."""
    engine = encoder.checkpoint
    scores = engine.encode_queries(list(topics()["query"])) @ engine.encode_docs(list(TEXTS.values())).T
    out = (encoder >> index.retriever(num_results=3))(topics())
    for qid, row in zip(topics()["qid"], scores, strict=True):
        wanted = sorted(zip(-row, TEXTS, strict=True))[:3]
        found = out[out["qid"] == qid]
        assert found["docno"].tolist() == [docno for _, docno in wanted]
        np.testing.assert_allclose(found["score"], [-score for score, _ in wanted], atol=1e-6)
    assert {"query_vec", "query", "difficulty"} <= set(out.columns)


def test_an_index_of_texts_is_that_of_their_vectors(tmp_path, index, encoder):
    texts = RaDeRIndex(tmp_path / "texts", encoder).index(DOCS)
    for one, other in zip(index.get_corpus_iter(), texts.get_corpus_iter(), strict=True):
        assert one["docno"] == other["docno"]
        np.testing.assert_allclose(one["doc_vec"], other["doc_vec"], atol=1e-6)
    assert texts.made_by == index.made_by == encoder.describe()
    assert texts.index_inputs() == [["docno", "text"]]
    assert texts.retriever()(topics())["docno"].tolist() == (encoder >> index.retriever())(topics())["docno"].tolist()


def test_modes(tmp_path, index, encoder):
    with pytest.raises(FileExistsError, match=r"holds an index; .*mode='overwrite'"):
        index.index([])
    assert (encoder >> index.indexer(mode="append")).index([{"docno": "new", "text": "zebra"}]) is index
    assert len(index) == 6
    assert (encoder >> index.retriever(num_results=1))(topics()).query("qid == 'q10'")["docno"].tolist() == ["new"]
    (encoder >> index.indexer(mode="overwrite")).index(DOCS[:2])
    assert len(index) == 2
    with pytest.raises(ValueError, match="mode 'replace' is unknown; choose 'create', 'overwrite', 'append'"):
        index.indexer(mode="replace")


def test_overwriting_removes_nothing_where_there_is_no_index(tmp_path, encoder):
    (tmp_path / "thesis.txt").write_text("ten years of work")
    (encoder >> RaDeRIndex(tmp_path).indexer(mode="overwrite")).index(DOCS)
    with pytest.raises(FileExistsError, match="is not empty"):
        Bm25Index(tmp_path).indexer(mode="overwrite").index(DOCS)
    assert (tmp_path / "thesis.txt").read_text() == "ten years of work"


@pytest.mark.parametrize(
    ("docs", "message"),
    [
        ([], "no document came"),
        ([{"docno": "a", "text": "x"}], "document 'a' has no doc_vec; put an encoder before the index"),
        ([{"docno": "a", "doc_vec": np.ones(3)}, {"docno": "a", "doc_vec": np.ones(3)}], "'a'"),
        ([{"docno": "a", "doc_vec": np.ones(3)}, {"docno": "b", "doc_vec": np.ones(4)}], "'b'"),
        ([{"docno": "a", "doc_vec": np.full(3, np.nan)}], "'a'"),
    ],
)
def test_bad_documents_are_named_and_leave_no_index(tmp_path, docs, message):
    index = RaDeRIndex(tmp_path / "index")
    with pytest.raises(ValueError, match=message):
        index.index(docs)
    assert not index.built()


WRITERS = {
    "bm25": lambda path: Bm25Index(path),
    "texts": lambda path: RaDeRIndex(path, RaDeREncoder(WordEncoder())),
    "vectors": lambda path: RaDeRIndex(path),
}
every_writer = pytest.mark.parametrize("make", WRITERS.values(), ids=WRITERS.keys())


@every_writer
@pytest.mark.parametrize("nameless", [{}, {"docno": None}, {"docno": np.nan}])
def test_a_document_without_docno_is_shown(tmp_path, make, nameless):
    with pytest.raises(ValueError, match=r"a document has no docno: \{.*'a graph'.*\}; give every document a docno"):
        make(tmp_path / "index").index([nameless | {"text": "a graph", "doc_vec": np.ones(3)}])


@every_writer
def test_whole_numbers_are_docnos_too(tmp_path, make):
    vectors = WordEncoder().encode_docs(list(TEXTS.values()))
    docs = [{"docno": i, "text": text, "doc_vec": vectors[i]} for i, text in enumerate(TEXTS.values())]
    retriever = make(tmp_path / "index").index(docs).retriever()
    queries = pd.DataFrame({"qid": ["1"], "query": [TEXTS["d3"]]})
    vectors = queries[["qid"]].assign(query_vec=[vectors[2]])
    assert retriever(queries if make is WRITERS["bm25"] else vectors)["docno"][0] == "2"


def test_an_index_of_no_texts_is_refused(tmp_path, encoder):
    index = RaDeRIndex(tmp_path / "index", encoder)
    with pytest.raises(ValueError, match=r"no document came for .*index; give dicts with docno and text"):
        index.index([])
    assert not index.built()


def test_an_unknown_kind_of_search_is_refused_at_once():
    with pytest.raises(ValueError, match="search kind 'ivf' is unknown; choose 'flat', 'hnsw', 'sq8', 'fp16'"):
        RaDeRRetriever("nowhere", kind="ivf")


def test_vectors_of_two_encoders_do_not_meet_in_an_index(tmp_path):
    one, other = (RaDeREncoder(WordEncoder(name)).doc_encoder() for name in ("one", "other"))
    rows = [*one(DOCS[:1]), *other(DOCS[1:2])]
    with pytest.raises(ValueError, match=r"document 'd2' and those before it .* different encoders.*'one' / 'other'"):
        RaDeRIndex(tmp_path / "index").index(rows)


def test_queries_of_another_encoder_are_refused_unless_asked_for(index):
    stranger = RaDeREncoder(WordEncoder("stranger"))
    with pytest.raises(ValueError, match="different encoders: checkpoint: 'words' / 'stranger'"):
        (stranger >> index.retriever())(topics())
    with pytest.raises(ValueError, match="different encoders"):
        index.retriever(encoder=stranger)(topics())
    assert len((stranger >> index.retriever(check=False))(topics())) == 15
    with pytest.raises(ValueError, match=r"the queries have 3 dimensions and .* has 64"):
        index.retriever()(topics().assign(query_vec=[np.ones(3)] * 3))


def test_vectors_from_anywhere_are_searched_and_indexed(tmp_path):
    rows = [{"docno": docno, "doc_vec": vector} for docno, vector in zip("abc", np.eye(3), strict=True)]
    index = RaDeRIndex(tmp_path / "index").index(rows)
    asked = topics().assign(query_vec=list(np.eye(3)[::-1]))
    found = index.retriever(num_results=1)(asked).set_index("qid")["docno"].to_dict()
    assert found == {"q1": "c", "q2": "b", "q10": "a"}
    with pytest.raises(ValueError, match="does not say which encoder made its vectors; give one: RaDeRIndex"):
        index.retriever()(topics())


def test_exclusions_leave_before_the_cut(index, encoder):
    whole = (encoder >> index.retriever())(topics())
    best = whole.query("rank == 0").set_index("qid")["docno"].to_dict()
    cut = encoder >> index.retriever(num_results=1, excluded={qid: [docno] for qid, docno in best.items()})
    assert cut(topics())["docno"].tolist() == whole.query("rank == 1")["docno"].tolist()


def test_other_kinds_of_search(index, encoder):
    index.open().add_hnsw()
    index.open().add_quantised("sq8")
    flat = (encoder >> index.retriever(num_results=2))(topics())
    for kind in ("hnsw", "sq8"):
        found = (encoder >> index.retriever(num_results=2, kind=kind))(topics())
        assert found[["qid", "docno"]].to_numpy().tolist() == flat[["qid", "docno"]].to_numpy().tolist()


def test_a_folder_is_an_index_too(index, encoder):
    found = RaDeRRetriever(str(index.path), encoder, num_results=2)(topics())
    assert found["docno"].tolist() == (encoder >> index.retriever(num_results=2))(topics())["docno"].tolist()


def test_a_folder_of_the_engine_opens_and_its_own_checkpoint_encodes(tmp_path, tiny_qwen2):
    from rader_ir.encoder import Encoder
    from rader_ir.index_writer import build_index

    engine = Encoder(tiny_qwen2, max_doc_length=16)
    made = build_index(tmp_path / "index", TEXTS.items(), engine)
    wanted = made.retrieve(dict(zip(topics()["qid"], topics()["query"], strict=True)), engine, depth=3)
    out = RaDeRRetriever(tmp_path / "index", num_results=3)(topics())
    assert {(q, d): s for q, d, s in zip(out["qid"], out["docno"], out["score"], strict=True)} == pytest.approx(
        {(q, d): s for q, row in wanted.items() for d, s in row.items()}, abs=1e-6
    )


def test_a_scorer_of_the_index_ranks_as_the_encoder_does_by_the_texts(tmp_path, tiny_qwen2):
    encoder = RaDeREncoder(tiny_qwen2, max_doc_length=16)
    index = RaDeRIndex(RaDeRIndex(tmp_path / "index", encoder).index(DOCS).path)
    wanted = encoder.text_scorer(num_results=2)(results())[["qid", "docno", "score"]]
    for scorer in (index.scorer(num_results=2), index.scorer(encoder, num_results=2)):
        found = scorer(results().drop(columns="text"))[["qid", "docno", "score"]]
        pd.testing.assert_frame_equal(found, wanted, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="different encoders"):
        index.scorer(RaDeREncoder(tiny_qwen2, max_doc_length=8))(results())


def test_an_encoder_with_forms_and_pooling_of_its_own_comes_back_from_the_folder(tmp_path, tiny_qwen2):
    from rader_ir.checkpoints import read_folder

    own = replace(read_folder(tiny_qwen2), pooling="mean", eos="tokenizer", causal=False)
    encoder = RaDeREncoder(own, forms="plain", max_doc_length=16)
    index = RaDeRIndex(tmp_path / "index", encoder).index(DOCS)
    wanted = index.retriever(num_results=3)(topics())
    pd.testing.assert_frame_equal(RaDeRRetriever(index.path, num_results=3)(topics()), wanted)


def test_a_killed_run_goes_on_where_it_stopped(tmp_path):
    class Dying(WordEncoder):
        def encode_docs(self, texts):
            if len(self.asked) >= 2048:
                raise KeyboardInterrupt
            return super().encode_docs(texts)

    docs = [{"docno": f"d{i}", "text": f"text {i}"} for i in range(3000)]
    with pytest.raises(KeyboardInterrupt):
        RaDeRIndex(tmp_path / "index", RaDeREncoder(Dying())).index(docs)
    engine = WordEncoder()
    index = RaDeRIndex(tmp_path / "index", RaDeREncoder(engine)).index(docs)
    assert len(index) == 3000
    assert len(engine.asked) == 3000 - 2048


def test_bm25_of_both_variants_is_that_of_the_engine(tmp_path):
    from rader_ir.bm25 import BM25

    asked = dict(zip(topics()["qid"], topics()["query"], strict=True))
    for variant in ("lucene", "bright"):
        index = Bm25Index(tmp_path / variant, variant=variant, k1=1.2, b=0.75).index(DOCS)
        wanted = BM25.build(TEXTS.items(), variant=variant, k1=1.2, b=0.75).retrieve(asked)
        for retriever in (index.retriever(), Bm25Retriever(tmp_path / variant)):
            out = retriever(topics())
            assert {(q, d): s for q, d, s in zip(out["qid"], out["docno"], out["score"], strict=True)} == pytest.approx(
                {(q, d): s for q, row in wanted.items() for d, s in row.items()}
            )
        memory = Bm25Retriever.from_documents(DOCS, variant=variant, k1=1.2, b=0.75)
        pd.testing.assert_frame_equal(memory(topics()), index.retriever()(topics()))


def test_bm25_settings_that_the_folder_was_not_built_with_are_refused(tmp_path):
    Bm25Index(tmp_path, variant="bright", k1=2).index(DOCS)
    assert len(Bm25Index(tmp_path)) == len(Bm25Index(tmp_path, variant="bright", k1=2.0, b=0.4)) == len(DOCS)
    wanted = r"built with \{'variant': 'bright', 'k1': 2\}, and \{'variant': 'lucene', 'k1': 0.9\} is asked for"
    other = Bm25Index(tmp_path, variant="lucene", k1=0.9)
    with pytest.raises(ValueError, match=wanted):
        other.retriever()(topics())
    assert other.indexer(mode="overwrite").index(DOCS).bm25().settings == {"variant": "lucene", "k1": 0.9, "b": 0.4}


def test_bm25_takes_any_text_and_finds_nothing_quietly():
    bm25 = Bm25Retriever.from_documents(DOCS)
    asked = pd.DataFrame(
        {"qid": ["1", "2", "3"], "query": ['what\'s $x^{2}$ + (a/b)? "q" : ~ ^ {b} [x]', "", "odd cycle?"]}
    )
    out = bm25(asked)
    assert out["qid"].unique().tolist() == ["3"]
    nothing = bm25(asked.iloc[:2])
    assert nothing.dtypes.to_dict() == out.dtypes.to_dict()


@pytest.mark.parametrize("count", [0, -1, 2.5, None])
def test_retrievers_need_a_count_of_results(count):
    for retriever in (Bm25Retriever, RaDeRRetriever):
        with pytest.raises(ValueError, match=f"num_results is {count}; give a whole number of at least 1$"):
            retriever("nowhere", num_results=count)


def test_bm25_indexes_are_not_overwritten_by_chance(tmp_path):
    index = Bm25Index(tmp_path / "bm25").index(DOCS)
    with pytest.raises(FileExistsError, match="mode='overwrite'"):
        index.index(DOCS)
    assert len(index.indexer(mode="overwrite").index(DOCS[:2])) == 2
    with pytest.raises(ValueError, match="document 'e' has no text in 'text'"):
        Bm25Index(tmp_path / "other").index([{"docno": "e", "text": None}])
    with pytest.raises(ValueError, match="mode 'append' is unknown"):
        index.indexer(mode="append")


def test_other_formats_and_docnos_with_blanks(tmp_path):
    flex = pytest.importorskip("pyterrier_dr").FlexIndex
    docs = [{**document, "docno": f"{document['docno']} b"} for document in DOCS]
    encoder = RaDeREncoder(WordEncoder())
    with pytest.raises(ValueError, match="holds a blank"):
        RaDeRIndex(tmp_path / "refused", encoder).index(docs)
    index = RaDeRIndex(tmp_path / "both", encoder, formats=["pyserini", "flex"], blank_ids="allow").index(docs)
    queries = pd.DataFrame({"qid": ["1"], "query": [DOCS[0]["text"]]})
    ours = index.retriever()(queries)
    theirs = (encoder >> flex(str(tmp_path / "both")).np_retriever(num_results=len(DOCS)))(queries)
    assert ours["docno"][0] == theirs.sort_values("rank")["docno"].iloc[0] == docs[0]["docno"]


def test_an_index_of_passages_ranks_documents_by_their_best(tmp_path):
    encoder = RaDeREncoder(WordEncoder(), passage_length=4, passage_stride=2)
    passages = list(encoder.passages(iter(DOCS)))
    assert {passage["docno"].split("%p")[0] for passage in passages} == {document["docno"] for document in DOCS}
    assert len(passages) > len(DOCS)
    index = (encoder.doc_encoder() >> RaDeRIndex(tmp_path / "passages")).index(passages)
    dense = encoder.query_encoder() >> index.retriever() >> pt.text.max_passage()
    queries = pd.DataFrame({"qid": ["1", "2"], "query": [DOCS[0]["text"], DOCS[1]["text"]]})
    pairs = queries.merge(pd.DataFrame(DOCS), how="cross")
    expected = encoder.text_scorer()(pairs)
    found = dense(queries).merge(expected, on=["qid", "docno"], suffixes=("", "_whole"))
    assert len(found) == len(expected) == 2 * len(DOCS)
    assert found["score"].to_numpy() == pytest.approx(found["score_whole"].to_numpy(), abs=1e-6)
    with pytest.raises(ValueError, match="passages need a length in tokens"):
        next(RaDeREncoder(WordEncoder()).passages(DOCS))


def test_bm25_over_docnos_with_blanks(tmp_path):
    docs = [{**document, "docno": f"{document['docno']} b"} for document in DOCS]
    queries = pd.DataFrame({"qid": ["1"], "query": [DOCS[0]["text"]]})
    for make in (
        Bm25Retriever.from_documents,
        lambda docs, **options: Bm25Index(tmp_path, **options).index(docs).retriever(),
    ):
        with pytest.raises(ValueError, match="holds a blank"):
            make(docs)
        assert make(docs, blank_ids="allow")(queries)["docno"][0] == docs[0]["docno"]
