"""Scores are read where the text ends, and rerankers give them per query."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from rader_ir.checkpoints import read_folder
from rader_ir.cross_encoder import CrossEncoder
from rader_ir.rerank import open_reranker
from tests import tiny

QUERIES = ["prove it", "How many ways are there?", "nothing to rank"]
DOCS = [[*tiny.SENTENCES, "x"], [tiny.SENTENCES[0], "y " * 40, tiny.SENTENCES[0]], []]


@pytest.fixture(scope="module", params=["qwen2", "eos is pad", "llama"])
def reranker(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reranker")
    if request.param == "llama":
        return tiny.llama(folder, labels=1)
    return tiny.qwen2(
        folder, labels=1, pad="<|endoftext|>", eos="<|im_end|>" if request.param == "qwen2" else "<|endoftext|>"
    )


def by_hand(folder, query, doc):
    """Plain transformers, one pair, no padding: the head on the state of the end token."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    ids = [*tokenizer(f"query: {query} document: {doc}")["input_ids"], tokenizer.eos_token_id]
    with torch.inference_mode():
        return model.score(model.model(torch.tensor([ids])).last_hidden_state[0, -1]).item()


def test_decoders_equal_plain_transformers_in_any_batch(reranker):
    expected = [[by_hand(reranker, query, doc) for doc in docs] for query, docs in zip(QUERIES, DOCS, strict=True)]
    for budget in (1, 128, 100_000):
        made = CrossEncoder(reranker, batch_tokens=budget).score(QUERIES, DOCS)
        assert [len(scores) for scores in made] == [6, 3, 0]
        for scores, right in zip(made, expected, strict=True):
            assert scores.dtype == np.float32
            assert np.abs(scores - np.array(right, dtype=np.float32)).max(initial=0) < 2e-5


def test_pairs_and_their_tokens_are_counted(tiny_qwen2_reranker):
    """Equal pairs are read once; of a pair every token counts, the query's in each of its pairs and the end token too."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_qwen2_reranker)
    encoder = CrossEncoder(tiny_qwen2_reranker, max_length=50, batch_tokens=50)
    assert encoder.work == (0, 0)
    lengths = [
        min(50, len(tokenizer(f"query: {query} document: {doc}")["input_ids"]) + 1)
        for query, docs in zip(QUERIES, DOCS, strict=True)
        for doc in dict.fromkeys(docs)
    ]
    assert len(lengths) == 6 + 2 and lengths.count(50) == 5
    for times in (1, 2):
        encoder.score(QUERIES, DOCS)
        assert encoder.work == (times * len(lengths), times * sum(lengths))


@pytest.mark.parametrize("form", ["{query}{document}", "{query} {document}", "query: {query} document: {document}"])
def test_prefixes_are_shared_only_as_far_as_the_ids_agree(tiny_qwen2_reranker, form):
    """Where query and document run into one word, the tokenizer's merges cross the border and differ by document."""
    checkpoint = replace(read_folder(tiny_qwen2_reranker), pair_form=form)
    tokenizer = AutoTokenizer.from_pretrained(tiny_qwen2_reranker)
    model = AutoModelForSequenceClassification.from_pretrained(tiny_qwen2_reranker).eval()
    queries = ["the sample aver", "document: Every finite inte" * 30, " ", "\n"]
    docs = ["age converges", "gral domain", "", " ", "\n\nage", "age", "age converges to it", "\u00e9", "(1)"]
    queries_ids = {query: tokenizer(query)["input_ids"] for query in queries}
    crossed = 0
    for query, scores in zip(queries, CrossEncoder(checkpoint).score(queries, [docs] * len(queries)), strict=True):
        for doc, score in zip(docs, scores, strict=True):
            ids = tokenizer(form.format(query=query, document=doc))["input_ids"]
            crossed += form == "{query}{document}" and ids[: len(queries_ids[query])] != queries_ids[query]
            with torch.inference_mode():
                states = model.model(torch.tensor([[*ids, tokenizer.eos_token_id]])).last_hidden_state
                assert abs(score - model.score(states[0, -1]).item()) < 1e-4
    assert crossed > 3 or form != "{query}{document}"


def test_out_of_memory_halves_queries_and_documents_and_loses_nothing(tiny_qwen2_reranker):
    queries = [f"query {i} " * (i + 3) for i in range(6)]
    docs = [[f"document {j} " * (j + 1) for j in range(7)] for _ in queries]
    encoder = CrossEncoder(tiny_qwen2_reranker)
    whole = encoder.score(queries, docs)
    failed, seen = [], []

    def small_memory(module, arguments):
        (failed if arguments[0].numel() > 90 else seen).append(arguments[0].numel())
        if arguments[0].numel() > 90:
            raise torch.OutOfMemoryError("CUDA out of memory")

    hook = encoder.open().model.model.embed_tokens.register_forward_pre_hook(small_memory)
    try:
        again = encoder.score(queries, docs)
    finally:
        hook.remove()
    whole_read = seen_in_full(encoder, queries, docs)  # one pass or two, each filled up by a 32nd at most
    assert len(failed) >= 2 and len(seen) > len(whole_read)
    assert sum(seen) == pytest.approx(sum(whole_read), rel=1 / 32)
    assert all(np.abs(a - b).max() < 1e-5 for a, b in zip(whole, again, strict=True))


def test_out_of_memory_beside_prefixes_reads_fewer_of_them(tiny_qwen2_reranker, capsys):
    """Memory for 110 tokens: a prefix has 46, the longest document 62, so that it fits beside one prefix and not beside two."""
    queries, docs = [f"{i} " * 20 for i in range(5)], [["a graph is bipartite " * 6, "prove it", "x"]] * 5
    reranker = CrossEncoder(tiny_qwen2_reranker, verbose=True)
    whole = reranker.score(queries, docs)
    held, failed = 0, 0

    def small_memory(module, arguments):
        nonlocal held, failed
        states, positions = arguments
        prefixes = positions.min() == 0
        if len(states) + (0 if prefixes else held) > 110:
            failed += 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        held = len(states) if prefixes else held

    hook = reranker.open().model.model.rotary_emb.register_forward_pre_hook(small_memory)
    capsys.readouterr()
    try:
        again = reranker.score(queries, docs)
    finally:
        hook.remove()
    assert failed > 3 and "15/15" in capsys.readouterr().err
    assert all(np.abs(a - b).max() < 1e-5 for a, b in zip(whole, again, strict=True))


def seen_in_full(encoder, queries, docs) -> list[int]:
    """Tokens that each forward reads where memory is enough."""
    seen = []
    hook = encoder.open().model.model.embed_tokens.register_forward_pre_hook(lambda _, a: seen.append(a[0].numel()))
    try:
        encoder.score(queries, docs)
    finally:
        hook.remove()
    return seen


def test_a_query_is_read_once_for_all_its_documents(tiny_qwen2_reranker):
    query, docs = "prove it " * 30, [f"document {i}" for i in range(20)]
    encoder = CrossEncoder(tiny_qwen2_reranker)
    encoder.open()
    length = len(encoder._tokens.tokenizer(query)["input_ids"])
    assert sum(seen_in_full(encoder, [query], [docs])) < length + 20 * 15


def test_berts_equal_plain_transformers(tmp_path):
    folder = tiny.bert(tmp_path, labels=1)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    made = CrossEncoder(folder).score(QUERIES, DOCS)
    for query, docs, scores in zip(QUERIES, DOCS, made, strict=True):
        for doc, score in zip(docs, scores, strict=True):
            with torch.inference_mode():
                right = model(**tokenizer(query, doc, return_tensors="pt")).logits[0, 0].item()
            assert abs(score - right) < 2e-5


@pytest.mark.parametrize("make", [tiny.qwen2, tiny.bert])
def test_threads_may_share_a_reranker_and_its_tokenizer(tmp_path, make):
    """They meet where the model is opened, and where pairs are cut, to different lengths."""
    folder = make(tmp_path, labels=1)
    queries, docs = ["prove it", "what is"], [["a graph is bipartite " * i for i in range(1, 12)]] * 2
    limits = [40, 40, 40, 30]
    alone = {limit: CrossEncoder(folder, max_length=limit).score(queries, docs) for limit in set(limits)}
    shared = {limit: CrossEncoder(folder, max_length=limit) for limit in alone}
    with ThreadPoolExecutor(len(limits)) as threads:
        runs = [threads.submit(shared[limit].score, queries, docs) for limit in limits * 5]
        for limit, run in zip(limits * 5, runs, strict=True):
            assert all(np.abs(a - b).max() < 1e-5 for a, b in zip(alone[limit], run.result(), strict=True))
    assert shared[40].open().tokenizer.backend_tokenizer.truncation is None


def test_documents_and_long_queries_are_cut_and_counted(tiny_qwen2_reranker):
    encoder = CrossEncoder(tiny_qwen2_reranker, max_length=40)
    long = "converges to the expected value " * 20
    assert encoder.score(["prove it"], [[long, "x"]])[0].shape == (2,)
    assert encoder.truncated == 1
    query = "a graph contains no odd cycle " * 20
    read = encoder._tokens.shortened([query], "", 40)[query]
    assert 20 < len(read) < len(query)
    cut, same = (encoder.score([text], [["x", long]])[0] for text in (query, read))
    assert np.abs(cut - same).max() < 1e-5 and encoder.truncated == 1 + 2 + 1


def test_an_encoder_is_refused(tiny_qwen2):
    with pytest.raises(ValueError, match="makes vectors; open it with Encoder, or rerank by its vectors"):
        CrossEncoder(tiny_qwen2)
    with pytest.raises(ValueError, match="makes vectors"):
        CrossEncoder("minilm")


def test_several_labels_are_refused(tmp_path):
    with pytest.raises(ValueError, match="gives 3 numbers per pair; a reranker gives 1"):
        CrossEncoder(tiny.qwen2(tmp_path, labels=3)).score(["a"], [["b"]])


def test_a_head_that_is_missing_is_not_made_up(tiny_qwen2, tmp_path):
    folder = tmp_path / "one label"
    shutil.copytree(tiny_qwen2, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "id2label": {"0": "relevance"}}))
    with pytest.raises(ValueError, match=r"lacks weights that a 'score' head needs: score.weight; it is an encoder"):
        CrossEncoder(replace(read_folder(folder), head="score")).score(["a"], [["b"]])


@pytest.mark.parametrize(
    ("queries", "docs", "words"),
    [
        (["a"], [], "1 queries were given with 0 lists of documents"),
        (["a"], ["text"], "where a list of texts was expected"),
        ([None], [["x"]], "query 0 is None"),
        (["a"], [["x", None]], "document 1 is None"),
    ],
)
def test_bad_input(tiny_qwen2_reranker, queries, docs, words):
    with pytest.raises(ValueError, match=words):
        CrossEncoder(tiny_qwen2_reranker).score(queries, docs)


def test_nothing_to_score_loads_nothing(tiny_qwen2_reranker):
    encoder = CrossEncoder(tiny_qwen2_reranker)
    assert [scores.tolist() for scores in encoder.score(["a", "b"], [[], []])] == [[], []]
    assert encoder.score([], []) == [] and encoder._loaded is None


def test_rader_scores_documents_by_their_best_passage(tiny_qwen2_reranker):
    plain = open_reranker("rader", checkpoint=tiny_qwen2_reranker)
    by_passage = open_reranker("rader", checkpoint=tiny_qwen2_reranker, passage_length=8, passage_stride=4)
    text = tiny.SENTENCES[0]
    pieces = by_passage.model.passages([text], 8, 4)[0]
    assert len(pieces) > 2
    best = plain.score(["prove it"], [pieces])[0].max()
    made = by_passage.score(["prove it", "none"], [[text, "x"], []])
    assert abs(made[0][0] - best) < 1e-5 and len(made[1]) == 0
    assert abs(made[0][1] - plain.score(["prove it"], [["x"]])[0][0]) < 1e-5
    assert plain.fingerprint() != by_passage.fingerprint()


def test_biencoder_scores_are_inner_products(tiny_qwen2):
    from rader_ir.encoder import Encoder

    encoder = Encoder(tiny_qwen2)
    expected = encoder.encode_docs(DOCS[0]) @ encoder.encode_queries(QUERIES[:1])[0]
    made = open_reranker("biencoder", checkpoint=tiny_qwen2).score(QUERIES, DOCS)
    assert np.abs(made[0] - expected).max() < 1e-5 and [len(scores) for scores in made] == [6, 3, 0]
    shared = open_reranker("biencoder", checkpoint=encoder, passage_length=8).score(["prove it"], [[tiny.SENTENCES[0]]])
    pieces = encoder.passages([tiny.SENTENCES[0]], 8)[0]
    best = (encoder.encode_docs(pieces) @ encoder.encode_queries(["prove it"])[0]).max()
    assert abs(shared[0][0] - best) < 1e-5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"system": "idcm"}, "system 'idcm' has no published model; give `checkpoint`: a folder of `rader train idcm`"),
        ({"system": "rank-r1", "lm": None}, "system 'rank-r1' asks a language model; give `lm`: a server's URL"),
        ({"system": "other"}, "system 'other' is unknown; choose 'rader', 'biencoder'"),
        ({"system": "rader", "checkpiont": "x"}, "unexpected keyword argument 'checkpiont'"),
        ({"system": "rader", "passage_stride": 3}, "passage_stride 3 was given without passage_length"),
        ({"system": "rader", "passage_length": 3, "passage_stride": 4}, "leave gaps or are empty"),
        ({"system": "biencoder", "checkpoint": "minilm", "passage_length": 0}, "leave gaps or are empty"),
    ],
)
def test_rerankers_refuse_what_they_do_not_know(options, words):
    with pytest.raises(ValueError, match=words):
        open_reranker(**options)
