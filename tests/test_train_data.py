"""Files of examples to training and development sets, and what a development set measures."""

import numpy as np
import pytest

from rader_ir.examples import Example, Passage, write_examples
from rader_ir.train.data import load, split
from rader_ir.train.dev import DevSet
from rader_ir.train.settings import Data
from tests.toy_training import examples


def test_files_are_read_in_order_and_ids_stand_once(tmp_path):
    write_examples(examples(3), tmp_path / "a.jsonl")
    write_examples(examples(2, first=3), tmp_path / "b.jsonl.gz")
    (tmp_path / "docs.jsonl").write_text('{"doc_id": "d", "text": "one more"}\n')
    both, docs = (str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl.gz")), str(tmp_path / "docs.jsonl")
    learned, dev, more = load(Data(both, dev=both[:1], dev_docs=docs), seed=0)
    assert learned == examples(5) and dev == examples(3) and list(more) == [("d", "one more")]
    with pytest.raises(ValueError, match=r"a.jsonl, example 1: query id 'q0' stands twice"):
        load(Data((both[0], both[0])), seed=0)
    with pytest.raises(FileNotFoundError, match=r"there is no file .*c.jsonl of examples; `rader mine`"):
        load(Data((str(tmp_path / "c.jsonl"),)), seed=0)


def test_a_query_is_on_one_side_with_all_its_examples():
    def of(i):
        return Example(f"q{i}", f"query {i // 2}", (Passage(f"p{i}", f"text {i}"),))

    twice = [of(i) for i in range(40)]
    learned, dev = split(twice, 0.1, seed=3)
    assert len(dev) == 4 and len({e.query for e in dev}) == 2
    assert (
        not {e.query for e in dev} & {e.query for e in learned} and sorted([*learned, *dev], key=twice.index) == twice
    )
    assert split(twice, 0.1, seed=3) == (learned, dev) != split(twice, 0.1, seed=4)
    with pytest.raises(ValueError, match=r"a share of 0\.01 of 20 queries leaves 20 to train on and 0 for development"):
        split(twice, 0.01, seed=0)


def test_a_development_set_is_searched_as_a_whole():
    """Vectors by hand: q1's positive comes second of three, q2's third; the further document counts."""
    one = Example("q1", "first", (Passage("a", "A"),), (Passage("b", "B"),))
    two = Example("q2", "second", (Passage("b", "B"),), ())
    vectors = {"A": [0.9, 0.1], "B": [0.1, 0.2], "C": [1.0, 0.9], "first": [1.0, 0.0], "second": [0.0, 1.0]}
    asked = []

    def encode(texts, kind):
        asked.append((kind, texts))
        return np.array([vectors[text] for text in texts], dtype=np.float32)

    dev = DevSet([one, two], [("c", "C")])
    assert dev.measure(encode, "RR") == {"RR": (1 / 2 + 1 / 2) / 2}
    assert asked == [("document", ["A", "B", "C"]), ("query", ["first", "second"])]
    without = Example("q1", "first", (Passage("a", "A"),), (Passage("b", "B"),), provenance={"excluded_ids": ["c"]})
    assert DevSet([without, two], [("c", "C")]).measure(encode, "RR") == {"RR": (1 + 1 / 2) / 2}
    with pytest.raises(ValueError, match="document 'a' of the development set has two texts, 'A' and 'X'"):
        DevSet([one], [("a", "X")])


def test_negatives_that_answer_are_left_out_and_told(tmp_path, caplog):
    right, copy = Passage("a", "Let $x \\ge 0$.", 2.0), Passage("b", "let $x \\geq 0$", 1.0)
    near, far, unscored = Passage("c", "near", 1.8), Passage("d", "far", 0.5), Passage("e", "unscored")
    write_examples([Example("q", "what", (right,), (copy, near, far, unscored))], tmp_path / "x.jsonl")
    for margin, kept in ((None, "cde"), (0.5, "de")):
        caplog.clear()
        (example,), _, _ = load(Data((str(tmp_path / "x.jsonl"),), margin=margin), 0)
        assert "".join(passage.doc_id for passage in example.negatives) == kept
        assert "1 by equal_statement" in caplog.text and ("1 by score" in caplog.text) == (margin is not None)
    with pytest.raises(ValueError, match=r"option data\.margin is -1\.0; give 0 or more"):
        Data(("x",), margin=-1)
    write_examples([Example("q", "what", (right,), (unscored,))], tmp_path / "y.jsonl")
    with pytest.raises(ValueError, match=r"option data\.margin is 0\.5, and no negative has a score .*`rader teach`"):
        load(Data((str(tmp_path / "y.jsonl"),), margin=0.5), 0)
