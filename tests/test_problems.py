"""Problems as data sets write them, and what is left out of them with a word about it."""

import json
from pathlib import Path

import pytest

from rader_ir.problems import Problem, read_problems

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


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data are not here")
def test_every_gold_of_the_real_sets_is_readable():
    for name, count in {
        "math/gsm8k_test.jsonl": 1319,
        "math/aqua_test.jsonl": 254,
        "theoremqa/queries.jsonl": 537,
    }.items():
        problems, left = read_problems(SHARED / name)
        assert (len(problems), left) == (count, []), name
