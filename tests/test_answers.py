r"""Finding answers: boxes with nested braces, stated answers, last numbers; what is not there is None."""

import gzip
import json

import pytest

from rader_ir.answers import boxed, final_answer, last_number, stated

ALL = ("boxed", "stated", "last_number")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"Hence \boxed{42}.", "42"),
        (r"$\boxed{\frac{1}{\sqrt{2}}}$", r"\frac{1}{\sqrt{2}}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\left\{x : x > \frac{1}{2}\right\}} done", r"\left\{x : x > \frac{1}{2}\right\}"),
        (r"First \boxed{3}, and then \boxed{4}.", "4"),
        (r"\fbox{7}", "7"),
        (r"\boxed {8}", "8"),
        (r"so \boxed 5$", "5"),
        (r"\boxed{ \text{Yes} }", r"\text{Yes}"),
        ("no box: the answer is 5", None),
        (r"\boxed{}", None),
        (r"\boxed{3}, later \boxed{}", None),
        (r"\boxed{3}, later \boxed{\frac{1}{2", None),  # cut off: the 3 was a step
        (r"\boxedword{3}", None),
        ("", None),
    ],
)
def test_the_last_box_with_nested_braces(text, answer):
    assert boxed(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is 5.", "5"),
        ("The answer is 3.14. Check it.", "3.14"),
        ("The final answer is: $\\frac{1}{2}$, as required.", r"\frac{1}{2}"),
        ("**Answer:** 12 eggs\nDone", "12 eggs"),
        ("So the answer to the question is 1,000 because 10^3 = 1,000.", "1,000"),
        ("ANSWER: (b)", "(b)"),
        ("She has 3.\n#### 70,000", "70,000"),
        ("The answer is 4. No wait. The answer is 6", "6"),
        ("The answer is not 5.", None),
        ("The answer is", None),
        ("I could not answer that.", None),
        ("5 + 7 = 12", None),
    ],
)
def test_the_last_stated_answer(text, answer):
    assert stated(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [("from 3 to -1,200.5 m", "-1,200.5"), ("about 3/4", "3/4"), ("50% off", "50%"), ("2, 3", "3"), ("none", None)],
)
def test_the_last_number(text, answer):
    assert last_number(text) == answer


def test_only_boxes_count_unless_other_ways_are_named():
    text = "5 + 7 = 12. The answer is twelve"
    assert [
        final_answer(text),
        final_answer(text, ways=("boxed", "stated")),
        final_answer(text, ways=("last_number",)),
    ] == [
        None,
        "twelve",
        "12",
    ]


@pytest.mark.parametrize("text", [r"The answer is 5: \boxed{}", r"The answer is 5: \boxed{\frac{5", r"answer: \boxed{"])
def test_an_empty_or_cut_off_box_is_no_answer_in_any_way(text):
    assert final_answer(text, ways=ALL) is None


def test_an_unknown_way_is_refused():
    with pytest.raises(
        ValueError, match="way 'guess' of finding an answer is unknown; choose of boxed, stated, last_number"
    ):
        final_answer("5", ways=("guess",))


def test_the_gold_answers_of_gsm8k_are_found(shared):
    with gzip.open(shared / "data" / "math" / "gsm8k_train.jsonl.gz", "rt", encoding="utf-8") as rows:
        solutions = [json.loads(row)["answer"] for row in rows]
    assert len(solutions) == 7473
    assert [stated(solution) for solution in solutions] == [solution.split("####")[1].strip() for solution in solutions]
