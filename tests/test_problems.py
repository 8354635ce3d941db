"""Problems as data sets write them, and what is left out of them with a word about it."""

import json
from pathlib import Path

import pytest

from rader_ir.problems import Problem, read_answers, read_exclusions, read_problems

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def written(tmp_path, *records) -> Path:
    path = tmp_path / "problems.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("record", "question", "answer"),
    [
        ({"problem_id": "p", "question": "2 + 2?", "answer": 4}, "2 + 2?", 4),
        ({"id": "p", "problem": "2 + 2?", "solution": r"It is \boxed{3+1}."}, "2 + 2?", "3+1"),  # MATH, NuminaMath
        ({"id": "p", "question": "2 + 2?", "answer": "2 + 2 = <<2+2=4>>4\n#### 4"}, "2 + 2?", "4"),  # GSM8K
        (
            {"id": "p", "question": "2 + 2?", "options": ["A)3", "B)4"], "rationale": "...", "correct": "B"},
            "2 + 2?\nA)3\nB)4",
            "B)4",
        ),  # AQuA
        ({"query_id": "p", "text": "Is 2 even?", "answer": True}, "Is 2 even?", True),  # TheoremQA
        ({"query_id": "p", "text": "Roots?", "answer": [1, 6]}, "Roots?", [1, 6]),
        ({"id": "p", "Question": "Is 2 even?", "Answer": "True", "Answer_type": "bool"}, "Is 2 even?", "True"),
        ({"id": "p", "question": "2 + 2?", "answer": "", "solution": r"\boxed{4}"}, "2 + 2?", "4"),
        ({"id": "p", "question": "2 + 2?", "answer": None, "solution": r"\boxed{4}"}, "2 + 2?", "4"),
        ({"id": "p", "question": "Which?", "answer": "b"}, "Which?", "b"),  # an option without options stays
    ],
)
def test_layouts(tmp_path, record, question, answer):
    problems, left = read_problems(written(tmp_path, record))
    assert problems == [Problem("p", question, answer)]
    assert left == []


def test_a_record_without_an_id_is_named_by_its_line(tmp_path):
    path = written(tmp_path, {"question": "a?", "answer": "1"}, {"question": "b?", "answer": "2"})
    assert [problem.problem_id for problem in read_problems(path)[0]] == ["line-1", "line-2"]


def test_what_cannot_be_checked_is_listed_and_left_out(tmp_path):
    path = written(
        tmp_path,
        {"id": "good", "question": "a?", "answer": "1"},
        {"id": "none", "question": "b?"},
        {"id": "unboxed", "question": "c?", "solution": "so it is four"},
        {"id": "object", "question": "d?", "answer": {"x": 1}},
        {"id": "empty", "question": "e?", "answer": "the solution holds #### "},
        {"id": "mute", "answer": "1"},
        {"id": "shown", "question": "f?", "answer": "proof", "solution": "Clear."},
    )
    problems, left = read_problems(path)
    assert [problem.problem_id for problem in problems] == ["good"]
    assert [line.split(": ", 1)[1].split()[0] for line in left] == [
        "none",
        "unboxed",
        "object",
        "empty",
        "mute",
        "shown",
    ]
    assert f"{path}:2: none has no answer; expected answer, gold_answer, correct or a boxed solution" == left[0]


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([{"id": "a", "question": "x?", "answer": "1"}] * 2, "'a' stands twice"),
        ([{"id": "a", "answer": "1"}], "a has no question; expected a text as question, problem, text, query"),
        ([{"id": "a", "question": " ", "answer": "1"}], "a has no question"),
        ([{"id": "a", "question": "x?"}], "no problem with an answer"),
        ([], "it is empty"),
        ([{"id": "a", "question": "x?", "answer": "1", "gold_documents": "d1"}], "expected a list of document ids"),
    ],
)
def test_bad_files_are_refused(tmp_path, records, message):
    with pytest.raises(ValueError, match=message):
        read_problems(written(tmp_path, *records))


def test_answers_may_stand_in_another_file_with_or_without_brights_prefix(tmp_path):
    """TheoremQA's own file is one list with capitals; its answers go before the file's, which has none that is one."""
    listed = tmp_path / "test.json"
    rows = [
        {"id": "a/1.json", "Question": "old?", "Answer": [1, 6], "Picture": None},
        {"id": "a/2.json", "Answer": True},
    ]
    listed.write_text(json.dumps([*rows, {"id": "a/3.json", "Question": "bare?"}]))
    known = read_answers(listed)
    assert known == {"a/1.json": [1, 6], "a/2.json": True}
    lines = tmp_path / "answers.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_answers(lines) == known
    given = [{"id": f"TheoremQA_a/{i}.json", "query": "new?", "gold_answer": "N/A", "gold_ids": ["7"]} for i in (1, 3)]
    problems, left = read_problems(
        written(tmp_path, *given, {"id": "a/2.json", "query": "?", "answer": 5}), known=known
    )
    assert problems == [Problem("TheoremQA_a/1.json", "new?", [1, 6], ("7",)), Problem("a/2.json", "?", True)]
    assert len(left) == 1 and "TheoremQA_a/3.json has no answer" in left[0]


def test_hidden_answers_are_not_read(tmp_path):
    path = written(tmp_path, {"id": "a", "question": "x?", "answer": 3}, {"id": "b", "question": "y?"}, {"id": "c"})
    problems, left = read_problems(path, hide_answers=True)
    assert problems == [Problem("a", "x?", None), Problem("b", "y?", None)] and "c has no question" in left[0]
    with pytest.raises(ValueError, match="has no question; it is empty"):
        read_problems(written(tmp_path), hide_answers=True)


def test_excluded_documents(tmp_path):
    rows = [{"id": "a", "excluded_ids": ["d1", "d2"]}, {"id": "b", "excluded_ids": ["N/A"]}, {"Excluded_IDs": ["d3"]}]
    assert read_exclusions(written(tmp_path, *rows)) == {"a": {"d1", "d2"}, "line-3": {"d3"}}
    with pytest.raises(ValueError, match="excluded_ids is 'd1'; expected a list"):
        read_exclusions(written(tmp_path, {"id": "a", "excluded_ids": "d1"}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"id": "a", "answer": 1}', "expected one JSON list of objects"),
        ("[1]", "expected one JSON list of objects"),
        ("[", r"test\.json:1: broken JSON"),
        ('[{"answer": 1}]', "record 1: no id"),
        ('[{"id": "a", "answer": 1}, {"id": "a", "answer": 2}]', "record 2: id 'a' stands twice"),
        ('[{"id": "a"}]', "has no answer; expected records with an id"),
    ],
)
def test_bad_files_of_answers_are_refused(tmp_path, text, message):
    (tmp_path / "test.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_answers(tmp_path / "test.json")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data are not here")
def test_every_gold_of_the_real_sets_is_readable():
    for name, count in {
        "math/gsm8k_test.jsonl": 1319,
        "math/aqua_test.jsonl": 254,
        "theoremqa/queries.jsonl": 537,
    }.items():
        problems, left = read_problems(SHARED / name)
        assert (len(problems), left) == (count, []), name
