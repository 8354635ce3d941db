"""A teacher's scores: those that the reranker gives, for every passage, also after a kill."""

import pytest

from rader_ir.cli import main
from rader_ir.cross_encoder import CrossEncoder
from rader_ir.examples import Example, Passage, read_examples, write_examples
from rader_ir.rerank import open_reranker
from rader_ir.teach import teach


def examples() -> list[Example]:
    """Two queries that share a passage, one of whose texts has an id of its own in each."""
    shared = "a prime number has two divisors"
    first = Example(
        "q1", "what is prime", [Passage("a", shared)], [Passage("b", "cats sleep", 0.5)], provenance={"x": 1}
    )
    second = Example(
        "q2", "what do cats do", [Passage("b", "cats sleep")], [Passage("c", shared), Passage("d", "so it is")]
    )
    return [first, second]


def test_every_passage_gets_the_score_of_its_pair(tiny_qwen2_reranker, tmp_path):
    out = tmp_path / "taught.jsonl"
    write_examples(examples(), tmp_path / "in.jsonl")
    words = [
        "teach",
        str(tmp_path / "in.jsonl"),
        "--checkpoint",
        str(tiny_qwen2_reranker),
        "--out",
        str(out),
        "--quiet",
    ]
    assert main(words) == 0
    taught = read_examples(out)
    model = CrossEncoder(tiny_qwen2_reranker)
    for before, after in zip(examples(), taught, strict=True):
        passages = (*after.positives, *after.negatives)
        (scores,) = model.score([after.query], [[passage.text for passage in passages]])
        assert [passage.score for passage in passages] == pytest.approx(scores.tolist(), abs=1e-5)
        assert (before.query, before.provenance) == (after.query, after.provenance)
        assert [p.doc_id for p in before.negatives] == [p.doc_id for p in after.negatives]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "taught.jsonl"]


def test_a_bi_encoder_teaches_its_cosines(tiny_bert, tmp_path):
    teacher = open_reranker("biencoder", checkpoint=str(tiny_bert))
    taught = teach(examples(), teacher, tmp_path / "out.jsonl")
    assert taught == read_examples(tmp_path / "out.jsonl")
    assert all(-1.0001 <= p.score <= 1.0001 for e in taught for p in (*e.positives, *e.negatives))


def test_what_was_scored_before_a_kill_is_not_scored_again(tiny_qwen2_reranker, tmp_path):
    model, asked = CrossEncoder(tiny_qwen2_reranker), []

    class Broken:
        def __init__(self, after: int):
            self.after = after

        def fingerprint(self):
            return model.fingerprint()

        def score(self, queries, docs):
            if self.after == 0:
                raise KeyboardInterrupt
            self.after -= 1
            asked.extend(queries)
            return model.score(queries, docs)

    whole = teach(examples(), Broken(9), tmp_path / "whole.jsonl", group_size=1)
    with pytest.raises(KeyboardInterrupt):
        teach(examples(), Broken(1), tmp_path / "out.jsonl", group_size=1)
    assert teach(examples(), Broken(1), tmp_path / "out.jsonl", group_size=1) == whole
    assert asked == ["what is prime", "what do cats do", "what is prime", "what do cats do"]


def test_bad_input(tmp_path, capsys):
    (tmp_path / "none.jsonl").write_text("")
    assert main(["teach", str(tmp_path / "none.jsonl"), "--out", str(tmp_path / "x.jsonl")]) == 2
    assert "holds no examples" in capsys.readouterr().err
    teacher = open_reranker("biencoder", checkpoint="minilm")
    with pytest.raises(FileNotFoundError, match="its folder does not exist; make the folder"):
        teach(examples(), teacher, tmp_path / "no" / "x.jsonl")
