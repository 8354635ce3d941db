"""DeAR's pointwise stage and both stages together: ids, padding, the order of one after the other, doors."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from rader_ir.checkpoints import find_checkpoint, write_config
from rader_ir.rerank import open_reranker
from rader_ir.rerank.dear import PAIRS, POINTWISE, DeAR, DeARPointwise, pair_form
from rader_ir.rerank.dear_listwise import DeARListwise
from tests import tiny
from tests.judging import WordJudge
from tests.thousand import candidates, reranked
from tests.toys import WordOverlap

QUERIES = ["what is the law of large numbers?", "graph " * 60]
DOCS = [["the sample average converges", "product " * 400, ""], ["a cycle <|begin_of_text|> of a graph", "odd"]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A Llama with a head of one label, in DeAR's layout."""
    made = tiny.llama(tmp_path_factory.mktemp("dear"), labels=1)
    from dataclasses import replace

    write_config(made, replace(find_checkpoint(made), pair_form=pair_form("<|begin_of_text|>"), **PAIRS))
    return made


def rows(tokenizer, query: str, doc: str) -> list[int]:
    """Each text encoded by itself, cut, and a beginning token before each: 32 tokens of one, 193 of the other."""
    doc = doc.replace("<|begin_of_text|>", " ")
    parts = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in (f"query: {query}", f"document: {doc}")]
    lead = [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in ("query:", "document:")]
    bos = tokenizer.bos_token_id
    return [bos, *parts[0][: 30 + lead[0]], bos, *parts[1][: 191 + lead[1]]]


def test_pairs_are_two_texts_with_a_beginning_each(folder):
    """The ids are those of two texts encoded apart, the cut ones too, up to one token where a cut text ends."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ranker = DeARPointwise(folder)
    ranker.score(QUERIES, DOCS)
    ids = ranker.model._tokens.pairs(*zip(*pairs(), strict=True), "", 228).rows
    assert all(row.count(tokenizer.bos_token_id) == 2 for row in ids) and max(map(len, ids)) <= 228
    assert ids == [rows(tokenizer, *pair)[:228] for pair in pairs()]


def pairs():
    return [(query, doc) for query, texts in zip(QUERIES, DOCS, strict=True) for doc in texts]


@pytest.mark.parametrize("padding", [0, 1, 8])
def test_scores_are_the_heads_whatever_is_padded(folder, padding):
    """The oracle is the library's own head with the right padding id, on rows padded by so much more."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    made = [rows(tokenizer, *pair)[:228] for pair in pairs()]
    model, pad = AutoModelForSequenceClassification.from_pretrained(folder).eval(), tokenizer.eos_token_id
    model.config.pad_token_id = pad
    width = max(map(len, made)) + padding
    ids = torch.tensor([row + [pad] * (width - len(row)) for row in made])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in made])
    with torch.inference_mode():
        expected = model(ids, attention_mask=mask).logits[:, 0].numpy()
    ranker = DeARPointwise(folder)
    found = np.concatenate(ranker.score(QUERIES, DOCS))
    np.testing.assert_allclose(found, expected, atol=2e-5)
    assert np.ptp(expected) > 0.05 and ranker.truncated == 3  # a long document, and two pairs of the long query


@pytest.mark.parametrize("batch_tokens", [1, 500, None])
def test_padding_to_the_full_length_is_read_as_the_released_code_reads_it(folder, batch_tokens):
    """The library's head with padding id 0 where end tokens pad, so that it takes the 228th place; not a text's end."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    made, end = [rows(tokenizer, *pair)[:228] for pair in pairs()], tokenizer.eos_token_id
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    model.config.pad_token_id = 0
    ids = torch.tensor([row + [end] * (228 - len(row)) for row in made])
    assert end != 0 and max(map(len, made)) < 228
    with torch.inference_mode():
        mask = torch.tensor([[1] * len(row) + [0] * (228 - len(row)) for row in made])
        expected = model(ids, attention_mask=mask).logits[:, 0].numpy()
    ranker = DeARPointwise(folder, padding="max_length", batch_tokens=batch_tokens)
    docs = [*DOCS[:1], [*DOCS[1], DOCS[1][0]], []]  # an equal one, and none
    found = ranker.score([*QUERIES, "none"], docs)
    np.testing.assert_allclose(np.concatenate(found), [*expected, expected[3]], atol=2e-5)
    assert [len(each) for each in found] == [3, 3, 0] and ranker.truncated == 3 and ranker.work == (5, 5 * 228)
    plain = DeARPointwise(folder)
    assert np.abs(np.concatenate(plain.score(QUERIES, DOCS)) - expected).max() > 1e-3
    assert ranker.fingerprint() != plain.fingerprint()


def test_padding_of_other_kinds(tmp_path, folder, capsys):
    from rader_ir.cli import main

    with pytest.raises(ValueError, match="padding 'longest' is unknown; choose 'none' or 'max_length'"):
        DeARPointwise(folder, padding="longest")
    with pytest.raises(ValueError, match="reads a head behind end tokens"):
        DeARPointwise(tiny.bert(tmp_path, labels=1), padding="max_length").score(["a"], [["b"]])
    ranker = DeARPointwise(folder, padding="max_length", passage_length=3)
    text = "odd cycle graph integers product"
    (pieces,) = ranker.model.passages([text], 3)
    alone = DeARPointwise(folder, padding="max_length").score(QUERIES[:1], [pieces])[0]
    assert len(pieces) > 1 and ranker.score(QUERIES[:1], [[text]])[0][0] == pytest.approx(alone.max(), abs=1e-5)
    for system in ("rader", "icr", "rank-r1 --lm http://127.0.0.1:9/v1"):
        words = f"rerank run --docs docs --queries queries --out out --padding max_length --system {system}"
        assert main(words.split()) == 2
        assert "padding" in capsys.readouterr().err


def test_released_checkpoints_open_by_name():
    for name, checkpoint in POINTWISE.items():
        opened = DeARPointwise(name).model.checkpoint
        assert opened is checkpoint and opened.pair_form == "query: {query}<|begin_of_text|>document: {document}"
        assert (opened.max_doc_length, opened.eos) == (228, "tokenizer")
    assert open_reranker("dear-pointwise").model.checkpoint.name in POINTWISE


def test_the_listwise_stage_orders_the_best_of_the_pointwise_one():
    """Of five documents the words shared put 4, 2, 0 first; the judge, shown these three, agrees on 4 and 2 by its own count.

    What it was shown is what the pointwise stage put first, and what it was not stays behind in that order.
    """
    docs = [["odd", "zebra", "odd cycle", "horse", "an odd cycle graph"]]
    judge = WordJudge()
    both = DeAR(WordOverlap(), DeARListwise(judge, first=3))
    ranking = both.rank(["odd cycle of a graph"], docs)[0]
    assert ranking.order == [4, 2, 0, 1, 3] and ranking.scores.tolist() == [3, 2, 4, 1, 5]
    prompt = judge.asked[0][-1]["content"]
    assert prompt.index("an odd cycle graph") < prompt.index("[2] odd cycle") and "zebra" not in prompt
    assert [bool(text) for text in ranking.reasoning] == [True, False, True, False, True]
    assert both.statistics[0].calls == 1 and both.score(["a"], [[]])[0].tolist() == []
    with pytest.raises(ValueError, match="2 queries were given with 1 lists"):
        both.score(["a", "b"], [["c"]])


def test_stages_in_pyterrier():
    pytest.importorskip("pyterrier")
    from pyterrier_rader import DeARListwiseReranker, DeARReranker
    from tests.pyterrier_cases import results

    frame, options = results(), {"checkpoint": WordOverlap()}
    pointwise = DeARReranker(stage="pointwise", **options)(frame)
    listwise = DeARReranker(WordJudge(), stage="listwise", first=3)(frame)
    both = DeARReranker(WordJudge(), first=3, **options)(frame)
    one_by_one = DeARListwiseReranker(WordJudge(), first=3)(pointwise)
    assert both.equals(one_by_one)
    assert DeARReranker(WordJudge(), stage="listwise").work == (0, 0)
    assert listwise.equals(DeARListwiseReranker(WordJudge(), first=3)(frame))
    assert set(pointwise["score"]) != set(both["score"])
    asked = dict(shuffle=True, query_words=2, streaming=False, concurrency=2)
    stages = DeARReranker(WordJudge(), padding="max_length", **asked).stages()
    assert stages[0].padding == "max_length" and {name: getattr(stages[1], name) for name in asked} == asked
    with pytest.raises(ValueError, match="stage 'first' is unknown"):
        DeARReranker(stage="first")
    with pytest.raises(ValueError, match="give lm, or choose stage 'pointwise'"):
        DeARReranker()


def test_a_thousand_candidates_with_equal_texts_among_them(folder, tmp_path):
    scores = reranked(DeARPointwise(folder), tmp_path, query=QUERIES[0])
    some = range(0, 1000, 99)
    alone = [DeARPointwise(folder).score(QUERIES[:1], [[candidates()[place]]])[0][0] for place in some]
    np.testing.assert_allclose(scores[some], alone, atol=2e-5)
