"""Tevatron's formats: files of its documentation come in and go out byte for byte, and what does not fit is named."""

import json
import random

import pytest

from rader_ir.examples import Example, Passage
from rader_ir.tevatron import read_tevatron, write_tevatron

OLD = [
    {
        "query_id": "q1",
        "query": "Query: how many – élan?",
        "positive_passages": [{"docid": "a", "title": "", "text": "Eight."}],
        "negative_passages": [
            {"docid": "b", "title": "", "text": "Nine."},
            {"docid": "c", "title": "", "text": "Ten.\nOr more.", "score": 0.25},
        ],
    },
    {
        "query_id": "q2",
        "query": "Why?",
        "positive_passages": [{"docid": "b", "title": "", "text": "Nine."}],
        "negative_passages": [],
    },
]
NEW = [
    {
        "query_id": "q1",
        "query_text": "How many?",
        "positive_document_ids": ["a"],
        "negative_document_ids": ["b", "c"],
    },
    {"query_id": "q2", "query_text": "Why?", "positive_document_ids": ["b", "d"], "negative_document_ids": []},
]
CORPUS = [{"docid": name, "text": f"Text of {name}."} for name in "abcd"]


def dumped(records) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def lines(path, records):
    path.write_text(dumped(records), encoding="utf-8")
    return path


def passages(*names):
    return tuple(Passage(name, f"Text of {name}.") for name in names)


def test_the_old_format_comes_and_goes_byte_for_byte(tmp_path):
    examples = read_tevatron(lines(tmp_path / "old.jsonl", OLD))
    assert examples[0].positives == (Passage("a", "Eight."),)
    assert examples[0].negatives[1] == Passage("c", "Ten.\nOr more.", 0.25)
    assert examples[0].negatives[0] is examples[1].positives[0], "equal passages are in memory once"
    write_tevatron(examples, tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_text(encoding="utf-8") == dumped(OLD)


def test_the_new_format_comes_and_goes_byte_for_byte(tmp_path):
    corpus = lines(tmp_path / "corpus.jsonl", CORPUS)
    examples = read_tevatron(lines(tmp_path / "new.jsonl", NEW), corpus=corpus)
    assert examples == [
        Example("q1", "How many?", passages("a"), passages("b", "c")),
        Example("q2", "Why?", passages("b", "d")),
    ]
    write_tevatron(examples, tmp_path / "again.jsonl", corpus=tmp_path / "documents.jsonl")
    assert (tmp_path / "again.jsonl").read_text() == dumped(NEW)
    assert (tmp_path / "documents.jsonl").read_text() == dumped(CORPUS)


def test_either_format_keeps_what_it_has_a_place_for(tmp_path):
    rng = random.Random(7)
    texts = {f"d{i}": f"text {i} \\frac{{1}}{{{i}}}\n {'x' * i}" for i in range(40)}
    examples = []
    for i in range(30):
        chosen = [Passage(name, texts[name]) for name in rng.sample(sorted(texts), rng.randint(1, 9))]
        cut = rng.randint(1, len(chosen))
        examples.append(Example(f"q{i}", f"query {i}", chosen[:cut], chosen[cut:]))
    write_tevatron(examples, tmp_path / "old.jsonl.gz")
    assert read_tevatron(tmp_path / "old.jsonl.gz") == examples
    write_tevatron(examples, tmp_path / "new.jsonl", corpus=tmp_path / "docs.jsonl.gz")
    assert read_tevatron(tmp_path / "new.jsonl", corpus=tmp_path / "docs.jsonl.gz") == examples


def test_titles_and_integer_ids_of_others(tmp_path):
    old = {
        "query_id": 7,
        "query": "?",
        "answers": ["unused"],
        "positive_passages": [
            {"docid": 1, "title": "Head", "text": "Body."},
            {"doc_id": 2, "title": None, "text": "x"},
        ],
        "negative_passages": None,
    }
    (example,) = read_tevatron(lines(tmp_path / "old.jsonl", [old]))
    assert example == Example("7", "?", (Passage("1", "Head\nBody."), Passage("2", "x")))
    new = {"query_id": 7, "query_text": "?", "positive_document_ids": [1], "negative_document_ids": []}
    corpus = lines(tmp_path / "corpus.jsonl", [{"docid": 1, "title": "Head", "text": "Body."}])
    (example,) = read_tevatron(lines(tmp_path / "new.jsonl", [new]), corpus=corpus)
    assert example == Example("7", "?", (Passage("1", "Head\nBody."),))


def test_clashes_are_refused_or_dropped(tmp_path):
    """Of five negatives one is a positive by id, one by text, one stands twice: two are left, in their order."""
    given = [("a", "x"), ("z", "Eight."), ("b", "Nine."), ("c", "Ten."), ("b", "Nine.")]
    negatives = [{"docid": name, "title": "", "text": text} for name, text in given]
    path = lines(tmp_path / "old.jsonl", [{**OLD[0], "negative_passages": negatives}])
    with pytest.raises(ValueError, match=r"old\.jsonl:1: query 'q1': 'a' stands twice, as positive and as negative"):
        read_tevatron(path)
    (example,) = read_tevatron(path, clashes="drop")
    assert example.negatives == (Passage("b", "Nine."), Passage("c", "Ten."))
    with pytest.raises(ValueError, match="clashes 'ignore' is unknown; choose 'refuse' or 'drop'"):
        read_tevatron(path, clashes="ignore")


BAD_OLD = {
    "no positives": ({"positive_passages": []}, "query 'q1' has no positives"),
    "null text": ({"positive_passages": [{"docid": "a", "title": "", "text": None}]}, "the text is empty or null"),
    "no id": (
        {"negative_passages": [{"title": "", "text": "x"}]},
        "negative_passages, number 1: no id; expected one of",
    ),
    "a string": ({"negative_passages": ["x"]}, "negative_passages, number 1 is 'x'; expected an object"),
    "no list": ({"negative_passages": {"docid": "a"}}, "expected a list"),
    "query empty": ({"query": ""}, "the text of query 'q1' is empty"),
    "a score": (
        {"negative_passages": [{"docid": "d", "text": "x", "score": "high"}]},
        "negative_passages, number 1: the score of 'd' is 'high' (str); expected a finite number",
    ),
    "the other format": (
        {"positive_document_ids": ["a"]},
        "the new format, whose texts are in a corpus; give its file",
    ),
}


@pytest.mark.parametrize(("values", "complaint"), BAD_OLD.values(), ids=BAD_OLD)
def test_an_unsound_line_of_the_old_format_is_named(tmp_path, values, complaint):
    path = lines(tmp_path / "old.jsonl", [OLD[1], {**OLD[0], **values}])
    with pytest.raises(ValueError) as caught:
        read_tevatron(path)
    assert str(caught.value).startswith(f"{path}:2: ") and complaint in str(caught.value)


BAD_NEW = {
    "unknown document": ({"negative_document_ids": ["e"]}, "document 'e' is not in "),
    "an id on both sides": ({"negative_document_ids": ["a"]}, "'a' stands twice, as positive and as negative"),
    "no id": ({"negative_document_ids": [None]}, "negative_document_ids, number 1 is None; expected a string"),
    "the other format": ({"positive_passages": []}, "the old format, which carries its texts; leave corpus out"),
    "a query twice": ({"query_id": "q2"}, "query id 'q2' stands twice, first at "),
}


@pytest.mark.parametrize(("values", "complaint"), BAD_NEW.values(), ids=BAD_NEW)
def test_an_unsound_line_of_the_new_format_is_named(tmp_path, values, complaint):
    path = lines(tmp_path / "new.jsonl", [NEW[1], {**NEW[0], **values}])
    with pytest.raises(ValueError) as caught:
        read_tevatron(path, corpus=lines(tmp_path / "corpus.jsonl", CORPUS))
    assert str(caught.value).startswith(f"{path}:2: ") and complaint in str(caught.value)


def test_a_field_left_out_and_a_document_twice_are_named(tmp_path):
    path = lines(tmp_path / "new.jsonl", [{key: value for key, value in NEW[0].items() if key != "query_text"}])
    with pytest.raises(ValueError, match=r"new\.jsonl:1: no field 'query_text'; the record has query_id, positive_doc"):
        read_tevatron(path, corpus=lines(tmp_path / "corpus.jsonl", CORPUS))
    with pytest.raises(ValueError, match=r"twice\.jsonl: document 'b' stands twice"):
        read_tevatron(lines(path, NEW), corpus=lines(tmp_path / "twice.jsonl", [*CORPUS, CORPUS[1]]))


def test_one_id_with_two_texts_has_no_place_in_a_corpus(tmp_path):
    examples = [Example("q1", "?", (Passage("a", "one"),)), Example("q2", "?", (Passage("a", "two"),))]
    (tmp_path / "new.jsonl").write_text("old")
    with pytest.raises(ValueError, match="query 'q2': document 'a' has another text than before"):
        write_tevatron(examples, tmp_path / "new.jsonl", corpus=tmp_path / "corpus.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["new.jsonl"], "neither file is written by half"
    write_tevatron(examples, tmp_path / "old.jsonl")
    assert read_tevatron(tmp_path / "old.jsonl") == examples
    with pytest.raises(ValueError, match="give them files of their own"):
        write_tevatron(examples, tmp_path / "x.jsonl", corpus=tmp_path / "x.jsonl")
