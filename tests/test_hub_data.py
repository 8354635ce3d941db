"""Tables are found by name, read in order, and refused where they are not whole."""

import pytest

from rader_ir.hub_data import count_rows, find_table, published_id, published_text, read_corpus, read_table
from tests.bright_folders import write_jsonl, write_parquet

pytest.importorskip("pyarrow")

ROWS = [{"id": str(number), "text": f"text {number}"} for number in range(7)]


def test_a_table_reads_the_same_in_every_form(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", ROWS)
    write_jsonl(tmp_path / "b.jsonl.gz", ROWS)
    write_parquet(tmp_path / "c", ROWS, parts=3)
    write_parquet(tmp_path / "d", ROWS)
    (tmp_path / "d-00000-of-00001.parquet").rename(tmp_path / "d.parquet")
    for name, count in [("a", None), ("b", None), ("c", 7), ("d", 7)]:
        paths = find_table(tmp_path, name)
        assert [record for _, record in read_table(paths)] == ROWS
        assert count_rows(paths) == count
    assert [path.name for path in find_table(tmp_path, "c")] == [f"c-0000{part}-of-00003.parquet" for part in range(3)]
    places = [where for where, _ in read_table(find_table(tmp_path, "c"))]
    assert places[3:5] == [f"{tmp_path}/c-00001-of-00003.parquet, row {row}" for row in (1, 2)]


def test_columns_are_read_alone(tmp_path):
    write_parquet(tmp_path / "c", ROWS[:1])
    assert [record for _, record in read_table(find_table(tmp_path, "c"), ["text"])] == [{"text": "text 0"}]


def test_the_first_name_that_is_there_is_taken(tmp_path):
    write_jsonl(tmp_path / "data/test.jsonl", ROWS)
    assert find_table(tmp_path, "qrels/test", "data/test") == [tmp_path / "data/test.jsonl"]
    with pytest.raises(FileNotFoundError, match=r"no table qrels\.jsonl.* or data\.jsonl"):
        find_table(tmp_path, "qrels", "data")


def test_a_name_that_begins_like_another_is_no_part_of_it(tmp_path):
    write_parquet(tmp_path / "test", ROWS[:2])
    write_parquet(tmp_path / "test-hard", ROWS[2:4])
    assert [record["id"] for _, record in read_table(find_table(tmp_path, "test"))] == ["0", "1"]


@pytest.mark.parametrize(("parts", "lost"), [(3, 0), (3, 2), (2, 1)])
def test_missing_parts_are_told(tmp_path, parts, lost):
    write_parquet(tmp_path / "c", ROWS, parts=parts)
    (tmp_path / f"c-0000{lost}-of-0000{parts}.parquet").unlink()
    with pytest.raises(ValueError, match="the parts are not one whole"):
        find_table(tmp_path, "c")


def test_parts_of_two_divisions_are_told(tmp_path):
    write_parquet(tmp_path / "c", ROWS, parts=2)
    write_parquet(tmp_path / "c", ROWS)
    with pytest.raises(ValueError, match="the parts are not one whole: c-00000-of-00001"):
        find_table(tmp_path, "c")


def test_texts_of_a_published_corpus_are_taken_as_they_are(tmp_path):
    rows = [
        {"_id": "1", "title": "Head", "text": "body"},
        {"_id": "2", "title": " ", "text": "alone"},
        {"_id": "3", "title": None, "text": "  "},
    ]
    write_jsonl(tmp_path / "corpus.jsonl", rows)
    assert list(read_corpus(find_table(tmp_path, "corpus"))) == [("1", "Head body"), ("2", "alone"), ("3", "")]


@pytest.mark.parametrize("write", [write_jsonl, write_parquet])
def test_a_published_corpus_has_its_texts_where_any_corpus_has_them(tmp_path, write):
    """All names that `read_documents` takes, in its order, and BRIGHT's `content`; lists joined, what is empty left out."""
    row = {
        "docid": "1",
        "content": "f",
        "contents": "e",
        "sentences": ["c", " ", "d"],
        "text": "",
        "name": "b",
        "title": "a",
    }
    stem = tmp_path / ("corpus.jsonl" if write is write_jsonl else "corpus")
    write(stem, [row])
    assert list(read_corpus(find_table(tmp_path, "corpus"))) == [("1", "a b c d e f")]


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: published_id({"name": "1"}, ("id", "_id"), "row 1"), "row 1: no id; expected one of id, _id"),
        (lambda: published_id({"id": "a\tb"}, ("id",), "row 1"), "row 1: id is 'a.tb'"),
        (
            lambda: published_text({"body": "x"}, ("text",), "row 1"),
            "row 1: no text; expected text, the record has body",
        ),
        (
            lambda: published_text({"title": "x", "body": "y"}, ("title", "text"), "row 1"),
            "row 1: no text; expected title, text, the record has title, body",
        ),
        (
            lambda: published_text({"text": 7}, ("text",), "row 1"),
            "row 1: text holds '7', a int; expected text or a list",
        ),
        (lambda: published_text({"text": "\ud800"}, ("text",), "row 1"), "half a surrogate pair"),
    ],
)
def test_broken_records_are_told(call, complaint):
    with pytest.raises(ValueError, match=complaint):
        call()
