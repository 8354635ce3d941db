"""Groups become batches that keep their order, whatever the pieces they are read in, and batches an epoch without gaps."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rader_ir.examples import Example, Passage
from rader_ir.tokens import TextTokens
from rader_ir.train import sampling
from rader_ir.train.groups import ORDER, PIECES, TEACHER, Candidates, Groups, check_examples, plan
from rader_ir.train.models import open_base
from rader_ir.train.runtime import ROWS
from rader_ir.train.settings import RerankerOptions


def example(i, negatives=5, scored=True):
    def passage(kind, j, score):
        return Passage(f"{kind}{i}.{j}", f"{kind} {i} {j} " + "and more " * (1 + 7 * j % 9), score if scored else None)

    others = tuple(passage("other", j, j / 8) for j in range(negatives))
    return Example(f"q{i}", f"question {i}", (passage("right", 0, 2.0), passage("right", 1, 3.0)), others)


EXAMPLES = [example(i) for i in range(6)]


@pytest.fixture(scope="module", params=["qwen2", "bert"])
def tokens(request) -> TextTokens:
    folder = request.getfixturevalue("tiny_qwen2" if request.param == "qwen2" else "tiny_bert")
    return open_base(RerankerOptions(str(folder), max_doc_length=28), "score").tokens


def rows_of(batch, pad_id):
    """The pairs of a batch as lists of ids, by the mask, in the order that the loss will see."""
    rows = []
    for piece in batch[PIECES]:
        lengths = piece["attention_mask"].sum(dim=1)
        for ids, mask, length in zip(piece["input_ids"], piece["attention_mask"], lengths, strict=True):
            assert mask[:length].all() and (ids[length:] == pad_id).all()
            rows.append(ids[:length].tolist())
        assert (lengths.max() == piece["input_ids"].shape[1]).all()
    return [rows[i] for i in batch[ORDER]]


@pytest.mark.parametrize("negatives", [1, 2, 4])
def test_pieces_hold_each_pair_in_its_place(tokens, negatives):
    options = RerankerOptions("x", negatives=negatives, seed=3, loss="ranknet")
    groups = Groups(EXAMPLES, tokens, options)
    rows = [7, 0, 5]  # examples 1, 0 and 5, of epochs 1, 0 and 0
    batch = groups.read(rows)
    chosen = [sampling.choose(EXAMPLES[row % 6], seed=3, epoch=row // 6, negatives=negatives) for row in rows]
    passages = [passage for positive, others in chosen for passage in (positive, *others)]
    queries = [EXAMPLES[row % 6].query for row in rows for _ in range(1 + negatives)]
    wanted = tokens.pairs(queries, [passage.text for passage in passages], "", 28)
    assert rows_of(batch, tokens.tokenizer.pad_token_id) == wanted.rows and wanted.truncated > 0
    assert batch[ROWS].tolist() == rows and len(batch[PIECES]) == min(4, 1 + negatives)
    assert batch[TEACHER].tolist() == [
        [passage.score for passage in passages[start : start + 1 + negatives]]
        for start in range(0, len(passages), 1 + negatives)
    ]
    assert {name for piece in batch[PIECES] for name in piece} == set(tokens.tokenizer.model_input_names)
    assert groups.name(7) == "'q1'" and TEACHER not in Groups(EXAMPLES, tokens, replace(options, loss="softmax")).read(
        [0]
    )


def test_pieces_save_padding(tokens):
    """Pairs of one length share a piece: here less than a third of what one piece would pad."""
    lengths = np.array([5, 30] * 4)
    groups = Groups([long_and_short(i, lengths) for i in range(3)], tokens, RerankerOptions("x", negatives=7))
    batch = groups.read([0, 1, 2])
    tokens_read = sum(piece["input_ids"].numel() for piece in batch[PIECES])
    real = sum(int(piece["attention_mask"].sum()) for piece in batch[PIECES])
    whole = 24 * max(piece["input_ids"].shape[1] for piece in batch[PIECES])
    assert tokens_read - real < (whole - real) / 3


def long_and_short(i, lengths):
    passages = [Passage(f"{i}.{j}", f"{j} " + "a " * length) for j, length in enumerate(lengths)]
    return Example(f"q{i}", "what", tuple(passages[:1]), tuple(passages[1:]))


def flat(batches):
    return [row for batch in batches for row in batch]


def test_the_order_depends_on_no_batch():
    """Six examples, three epochs: each epoch holds each example once, in an order of its own, without a gap."""
    options = RerankerOptions("x", epochs=3, batch_size=8, seed=5)
    batches = plan(EXAMPLES, options, 1)
    assert [len(batch) for batch in batches] == [8, 8, 2]
    rows = flat(batches)
    epochs = [[row - 6 * epoch for row in rows[6 * epoch : 6 * epoch + 6]] for epoch in range(3)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(6))] * 3 and epochs[0] != epochs[1] != epochs[2]
    assert flat(plan(EXAMPLES, replace(options, batch_size=1, accumulation=8), 1)) == rows
    assert flat(plan(EXAMPLES, replace(options, seed=6), 1)) != rows


def test_devices_share_a_step_evenly():
    """Two devices, batches of 8 of 18 rows: each step's rows are those of one device; the last step has one for each."""
    options = RerankerOptions("x", epochs=3, batch_size=8)
    alone, shared = plan(EXAMPLES, options, 1), plan(EXAMPLES, options, 2)
    assert [len(batch) for batch in shared] == [4, 4, 4, 4, 1, 1]
    assert [flat(shared[i : i + 2]) for i in (0, 2, 4)] == alone
    assert [len(batch) for batch in plan(EXAMPLES, replace(options, epochs=1, batch_size=4), 4)] == [
        1
    ] * 4  # 2 are left out
    with pytest.raises(ValueError, match="batch_size 8 does not split among 3 devices; give a multiple"):
        plan(EXAMPLES, options, 3)
    with pytest.raises(ValueError, match="6 examples are fewer than the 8 devices"):
        plan(EXAMPLES, replace(options, epochs=1), 8)


def test_development_candidates_are_ranked_by_query():
    """Both queries have their right passages first and fourth: (1 + 1 / log2(5)) / (1 + 1 / log2(3)) by hand."""
    candidates = Candidates(EXAMPLES[:2])
    queries, docs = candidates.texts()
    assert queries == ["question 0"] * 7 + ["question 1"] * 7 and docs[0] == EXAMPLES[0].positives[0].text
    scores = np.array([9, 6, 8, 7, 5, 4, 3, 6, 9, 7, 8, 5, 4, 3], dtype=np.float32)
    found = candidates.measure(scores, "nDCG@10")
    assert found["nDCG@10"] == pytest.approx((1 + 1 / np.log2(5)) / (1 + 1 / np.log2(3)))
    with pytest.raises(ValueError, match="development examples have no negatives, so that there is nothing to rank"):
        Candidates([example(0, negatives=0)])


def test_examples_that_the_options_cannot_use():
    unscored = [*EXAMPLES, example(6, scored=False)]
    check_examples(unscored, RerankerOptions("x"))
    for loss in ("kl", "margin_mse", "ranknet"):
        check_examples(EXAMPLES, RerankerOptions("x", loss=loss))
        with pytest.raises(
            ValueError, match=f"'{loss}' learns from a teacher's scores, and 7 passages have none .*'right6.0'"
        ):
            check_examples(unscored, RerankerOptions("x", loss=loss))
    with pytest.raises(ValueError, match=r"1 of 2 examples have no negatives, first 'q7'"):
        check_examples([EXAMPLES[0], example(7, negatives=0)], RerankerOptions("x"))
    with pytest.raises(ValueError, match="there are no examples to train on"):
        check_examples([], RerankerOptions("x"))


def test_options_that_make_no_sense():
    for options, words in (
        ({"loss": "hinge"}, "option loss is 'hinge'; choose 'softmax', 'kl', 'margin_mse', 'ranknet'"),
        ({"negatives": 0}, "option negatives is 0; give 1 or more"),
        ({"loss": "kl", "temperature": 0.0}, "temperature is 0.0; give a number above 0"),
        ({"temperature": 2.0}, "loss 'softmax' has none; it is of loss 'kl'"),
        ({"max_query_length": 64}, "a reranker has none"),
    ):
        with pytest.raises(ValueError, match=words):
            RerankerOptions("x", **options)


def test_a_batch_is_made_of_tensors_that_travel(tokens):
    """Worker processes hand batches over, and devices get them: whole numbers, and the teacher's scores in float32."""
    batch = Groups(EXAMPLES, tokens, RerankerOptions("x", negatives=3, loss="kl")).read([0, 1])
    kinds = {tensor.dtype for piece in batch[PIECES] for tensor in piece.values()} | {
        batch[ORDER].dtype,
        batch[ROWS].dtype,
    }
    assert kinds == {torch.int64} and batch[TEACHER].dtype == torch.float32 and batch[TEACHER].shape == (2, 4)
