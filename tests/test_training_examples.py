"""Files of training examples: what is written is read back, byte for byte, and what is unsound is named by file and line."""

import gzip
import json
import pickle
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rader_ir.examples import (
    KINDS,
    Example,
    Passage,
    excluded_ids,
    read_examples,
    source,
    without_negatives,
    write_examples,
)

SOUND = {
    "query_id": "q1",
    "query": "How many?",
    "positives": [{"doc_id": "a", "text": "Eight."}, {"doc_id": "b", "text": "Eight again.", "score": 0.5}],
    "negatives": [{"doc_id": "c", "text": "Nine.", "score": -1.0}],
    "kind": "cot",
    "provenance": {"question": "q", "negatives": {"c": {"run": "bm25", "rank": 31}}},
}
OTHER = {"query_id": "q2", "query": "Why?", "positives": [{"doc_id": "a", "text": "Eight."}], "negatives": []}


def lines(path, *records):
    path.write_text("".join(f"{record if isinstance(record, str) else json.dumps(record)}\n" for record in records))
    return path


def without(record, *names):
    return {name: value for name, value in record.items() if name not in names}


def changed(**values):
    return {**SOUND, **values}


def test_a_file_becomes_examples(tmp_path):
    first, second = read_examples(lines(tmp_path / "x.jsonl", SOUND, OTHER))
    assert first.positives == (Passage("a", "Eight."), Passage("b", "Eight again.", 0.5))
    assert (first.query, first.kind, first.negatives[0].score) == ("How many?", "cot", -1.0)
    assert second == Example("q2", "Why?", (Passage("a", "Eight."),))
    assert second.positives[0] is first.positives[0], "equal passages are in memory once"


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz"])
def test_what_is_read_is_written_byte_for_byte(tmp_path, name):
    opener = gzip.open if name.endswith(".gz") else open
    written = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in (SOUND, OTHER))
    with opener(tmp_path / name, "wt", encoding="utf-8", newline="\n") as file:
        file.write(written)
    write_examples(read_examples(tmp_path / name), tmp_path / f"again-{name}")
    with opener(tmp_path / f"again-{name}", "rt", encoding="utf-8", newline="") as file:
        assert file.read() == written


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\r\n"), min_size=1).filter(str.strip)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
SCORES = st.none() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXTS, lambda x: st.lists(x) | st.dictionaries(TEXTS, x)
)


@st.composite
def examples(draw):
    ids = draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
    texts = draw(st.lists(TEXTS, min_size=len(ids), max_size=len(ids), unique=True))
    passages = [Passage(doc_id, text, draw(SCORES)) for doc_id, text in zip(ids, texts, strict=True)]
    cut = draw(st.integers(1, len(ids)))
    provenance = draw(st.dictionaries(TEXTS, JSON, max_size=3))
    kind = draw(st.sampled_from(["", *KINDS]))
    return Example(draw(NAMES), draw(TEXTS), passages[:cut], passages[cut:], kind, provenance)


@given(st.lists(examples(), max_size=4, unique_by=lambda example: example.query_id))
def test_any_sound_example_is_read_back(tmp_path_factory, made):
    path = tmp_path_factory.mktemp("examples") / "x.jsonl"
    write_examples(made, path)
    assert read_examples(path) == made


def test_integer_ids_become_text(tmp_path):
    record = changed(query_id=7, positives=[{"doc_id": 8, "text": "Eight."}])
    (example,) = read_examples(lines(tmp_path / "x.jsonl", record))
    assert (example.query_id, example.positives[0].doc_id) == ("7", "8")


UNSOUND = {
    "no positives": (
        changed(positives=[]),
        "query 'q1' has no positives; give it a document that answers it, or leave",
    ),
    "positives missing": (
        without(SOUND, "positives"),
        "no field 'positives'; the object has query_id, query, negatives",
    ),
    "positives null": (changed(positives=None), "positives is None (NoneType); expected a list of {doc_id, text}"),
    "query empty": (changed(query=" \n"), "the text of query 'q1' is empty; give one, or leave it out"),
    "query a number": (changed(query=8), "the text of query 'q1' is 8 (int); expected a string"),
    "half a pair": (
        r'{"query_id": "q1", "query": "\ud835", "positives": [{"doc_id": "a", "text": "Eight."}]}',
        "the text of query 'q1': half a surrogate pair at character 0",
    ),
    "id empty": (changed(query_id=""), "query_id is ''; an id may not be empty"),
    "id a fraction": (changed(query_id=1.5), "query_id is 1.5; expected a string or an integer"),
    "id true": (changed(query_id=True), "query_id is True; expected a string or an integer"),
    "text empty": (
        changed(negatives=[*SOUND["negatives"], {"doc_id": "d", "text": ""}]),
        "negatives, number 2: the text of 'd' is empty",
    ),
    "text a list": (
        changed(positives=[{"doc_id": "a", "text": ["Eight."]}]),
        "positives, number 1: the text of 'a' is ['Eight.'] (list); expected a string",
    ),
    "document a string": (
        changed(negatives=["d"]),
        "negatives, number 1 is 'd' (str); expected an object {doc_id, text}",
    ),
    "document without text": (changed(negatives=[{"doc_id": "d"}]), "negatives, number 1: no field 'text'"),
    "score a string": (
        changed(negatives=[{"doc_id": "d", "text": "x", "score": "1"}]),
        "the score of 'd' is '1' (str); expected a finite number",
    ),
    "score infinite": (
        json.dumps(changed(negatives=[{"doc_id": "d", "text": "x", "score": float("inf")}])),
        "the score of 'd' is inf (float); expected a finite number",
    ),
    "score beyond floats": (
        changed(negatives=[{"doc_id": "d", "text": "x", "score": 10**400}]),
        "(int); expected a finite number",
    ),
    "an id on both sides": (
        changed(negatives=[{"doc_id": "a", "text": "x"}]),
        "query 'q1': 'a' stands twice, as positive and as negative; keep it once",
    ),
    "a text on both sides": (
        changed(negatives=[{"doc_id": "z", "text": "Eight again."}]),
        "query 'q1': negative 'z' has the text of positive 'b'; take it out of the negatives",
    ),
    "a negative twice": (
        changed(negatives=SOUND["negatives"] * 2),
        "query 'q1': 'c' stands twice, as negative and as negative; keep it once",
    ),
    "unknown kind": (
        changed(kind="CoT"),
        "kind 'CoT' is unknown; choose cot, llm, question, lexical, or leave it empty",
    ),
    "provenance a list": (changed(provenance=[]), "provenance is []; expected an object"),
    "unknown field": (changed(negative=[]), "unknown field 'negative'; expected query_id, query, positives, negatives"),
    "unknown field of a document": (
        changed(negatives=[{"docid": "d", "text": "x"}]),
        "negatives, number 1: unknown field 'docid'; expected doc_id, text, score",
    ),
    "Tevatron's old format": (
        {"query_id": "q", "query": "?", "positive_passages": []},
        "'positive_passages' is a field of Tevatron's; read the file by read_tevatron",
    ),
    "Tevatron's new format": ({"query_id": "q", "positive_document_ids": []}, "read the file by read_tevatron"),
    "broken JSON": ('{"query_id": "q1"', "broken JSON"),
    "no object": ("[]", "a list; expected one JSON object per line"),
}


@pytest.mark.parametrize(("record", "complaint"), UNSOUND.values(), ids=UNSOUND)
def test_an_unsound_line_is_named_by_file_and_line(tmp_path, record, complaint):
    path = lines(tmp_path / "x.jsonl", OTHER, "", record)
    with pytest.raises(ValueError) as caught:
        read_examples(path)
    assert str(caught.value).startswith(f"{path}:3: ") and complaint in str(caught.value)


def test_a_query_id_that_stands_twice_is_named_by_both_lines(tmp_path):
    path = lines(tmp_path / "x.jsonl", SOUND, OTHER, SOUND)
    with pytest.raises(ValueError, match=r"x\.jsonl:3: query id 'q1' stands twice, first at .*x\.jsonl:1; give each"):
        read_examples(path)
    example = read_examples(lines(path, SOUND))[0]
    with pytest.raises(ValueError, match="example 2: query id 'q1' stands twice, first at example 1"):
        write_examples([example, example], tmp_path / "y.jsonl")


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"query_id": 7}, "query_id is 7"),
        ({"positives": [{"doc_id": "a", "text": "x"}]}, "positives holds .*expected nothing but Passage"),
        ({"negatives": "ab"}, "negatives is 'ab'"),
    ],
)
def test_an_unsound_example_cannot_be_made(values, complaint):
    with pytest.raises(ValueError, match=complaint):
        Example(**{"query_id": "q", "query": "?", "positives": (Passage("a", "x"),), **values})


@pytest.mark.parametrize("provenance", [{"run": ("bm25", 3)}, {"rank": float("nan")}, {7: "x"}, {"run": object()}])
def test_provenance_that_would_change_is_refused_and_the_old_file_stays(tmp_path, provenance):
    (tmp_path / "x.jsonl").write_text("old")
    example = Example("q", "?", (Passage("a", "x"),), provenance=provenance)
    with pytest.raises(ValueError, match="the provenance of query 'q'"):
        write_examples([example], tmp_path / "x.jsonl")
    assert (tmp_path / "x.jsonl").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_examples_without_negatives_are_sound_and_named():
    plain = Example("q1", "?", (Passage("a", "x"),))
    full = Example("q2", "?", (Passage("a", "x"),), (Passage("b", "y"),))
    assert without_negatives([plain, full]) == ["q1"]


def test_examples_travel_between_processes_and_stand_in_sets():
    example = Example("q1", "?", [Passage("a", "x", 1)], provenance={"from": "here"})
    assert pickle.loads(pickle.dumps(example)) == example
    assert example.positives == (Passage("a", "x", 1.0),) and len({example, example}) == 1


def test_excluded_ids_are_a_list_of_documents_that_answer_nothing():
    made = Example("q", "what", [Passage("p", "this")], provenance={"excluded_ids": ["q"], "source": "s"})
    assert excluded_ids(made) == {"q"} and source(made) == "s"
    assert excluded_ids(replace(made, provenance={})) == frozenset() and source(replace(made, provenance={})) == ""
    for wrong in ("q", 3, [3]):
        with pytest.raises(ValueError, match=r"query 'q': excluded_ids is .*expected a list of document ids"):
            excluded_ids(replace(made, provenance={"excluded_ids": wrong}))
    with pytest.raises(ValueError, match="excluded_ids has 'p', which is a positive"):
        excluded_ids(replace(made, provenance={"excluded_ids": ["p"]}))
