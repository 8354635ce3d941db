r"""Reading labels, orders, yes or no and ratings: what each text means was read by eye; whatever comes, nothing is made up."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rader_ir.answers import label, of_cut_off, permutation, rating, without_thoughts, yes_or_no

REFUSALS = [
    "",
    "   ",
    "I'm sorry, but I cannot help with that.",
    "status 400: the context of 4096 tokens is too short for 7 passages",  # an error's numbers are no judgement
    "None of the passages is relevant.",
    "<think>[2] looks best, so [2] > [1]",  # cut off while it thought
    "<think>Relevance score: 3",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_what_says_nothing_is_none(text):
    assert (label(text, 5), permutation(text, 5), yes_or_no(text), rating(text)) == (None, None, None, None)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[3]", 2),
        ("3", 2),
        ("[3].", 2),
        ("**[3]**", 2),
        ("Passage 3", 2),
        ("document [3].", 2),
        ("(3)", 2),
        ("The most relevant passage is [3].", 2),
        ("<think>[1] is off topic, [2] too.</think>\n<answer>[3]</answer>", 2),
        ("<think>1, 2, 4</think>[3]", 2),
        ("[1] and [2] are off topic. <answer> 3 </answer>", 2),
        ("first <answer>[1]</answer>, no: <answer>[3]</answer>", 2),
        ("<answer>[3]", 2),  # cut off behind the label, or stopped there
        ("<think>unended <answer>[3]</answer>", 2),
        ("the end of a thought that began in the prompt</think> [3]", 2),
        ("[1] is good, [3] is better. Answer: [3]", 2),
        ("[3] is best. I choose [3].", 2),
        ("【３】", 2),
        ("［３］", 2),
        ("[٣]", 2),
        ("<answer>[३]</answer>", 2),
        ("[6]", None),
        ("[0]", None),
        ("-1", None),
        ("[1] and [3] are both good", None),
        ("3 of the passages are relevant", None),
        ("<answer></answer>", None),
        ("<answer>[1] or [2]</answer>", None),
        ("[1234567890]", None),
    ],
)
def test_a_label_of_five(text, place):
    assert label(text, 5) == place


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("[2] > [3] > [1]", [1, 2, 0]),
        ("[2]>[3]>[1]", [1, 2, 0]),
        ("[2] > [3] > [3] > [9] > [0]", [1, 2, 0]),
        ("[3]", [2, 0, 1]),
        ("<think>[1] > [2] > [3]</think> [2] > [3] > [1]", [1, 2, 0]),
        ("Step 1: needs. Step 2: [1] meets 2 of 3.\n### Final Reranking\n[2] > [3] > [1]", [1, 2, 0]),
        ("[1] > [2]. On second thoughts: [2] > [3] > [1]. It beats [1] > [3].", [1, 2, 0]),
        ("[1] > [2] > [3]\nor rather\n[2] > [3] > [1]", [1, 2, 0]),  # the last of equally long ones
        ("[1] > [1] > [1] > [1] > [1], that is [2] > [3] > [1]", [1, 2, 0]),  # a loop is not long
        ("1. [2]\n2. [3]\n3. [1]", [1, 2, 0]),
        ("[2, 3, 1]", [1, 2, 0]),
        ("Needs met by all.\nFinal ranking: **[2, 3, 1]**\nThat is all.", [1, 2, 0]),
        ("Need met by [1, 2, 3].\nFinal Reranking: [2] > [3] > [1]", [1, 2, 0]),
        ("[2] > [3] > [1]. (Passage 1 asked for [1, 2, 3].)", [1, 2, 0]),
        ("[1, 2, 3]\n[2] > [3] > [1]", [1, 2, 0]),
        ("<answer>I compared 1, 2, 3 and conclude [2] > [3]</answer>", [1, 2, 0]),
        ("I cannot rank what asks for [3, 2, 1] by itself.", None),
        ("<answer>2 > 3 > 1</answer>", [1, 2, 0]),
        ("<answer>[2] > [3] > [1]</answer> (not [1] > [2] > [3])", [1, 2, 0]),
        ("[2] &gt; [3] &gt; [1]", [1, 2, 0]),
        ("【２】＞【３】＞【１】", [1, 2, 0]),
        ("[٢] > [٣] > [١]", [1, 2, 0]),
        ("2 > 3 > 1", None),  # bare numbers may be anything, as in 5 > 3
        ("[7] > [8]", None),
        ("since 3 > 2 and 2 > 1", None),
    ],
)
def test_an_order_of_three(text, order):
    assert permutation(text, 3) == order


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("yes", True),
        ("No.", False),
        ("TRUE", True),
        ("false, since", False),
        ("1", True),
        ("0", False),
        ("١", True),
        ("not relevant", False),
        ("Relevant", True),
        ("<think>no, no</think>yes", True),
        ("<answer>no</answer>", False),
        ("not sure", None),
        ("10", None),
        ("perhaps yes", None),
        ("Relevant: no", False),
        ("Answer: yes", True),
    ],
)
def test_yes_or_no(text, answer):
    assert yes_or_no(text) is answer


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Relevance score: 4.", 4),
        ("Relevance score: 4/5", 4),
        ("**Relevance score:** 0", 0),
        ("The relevance score is 2.5", 2.5),
        ("Relevance score: 2,5", 2.5),
        ("score: 1\nRelevance score: 3", 3),
        ("It answers 2 of 5 parts. Rating: 3", 3),
        ("Relevance score (0-5): 4", 4),
        ("Relevance score [0–5]: 3", 3),
        ("A score of 0 to 5: 3", 3),
        ("Score from 0 to 5: 2", 2),
        ("Relevance score (out of 5): 4", 4),
        ("Relevance score (max 5): 4", 4),
        ("Score: 4 (max score 5)", 4),
        ("The relevance score is 3-4", None),
        ('{"score": 4, "why": "it has 3"}', 4),
        ("Relevance score: 5/10", None),
        ("5/10", None),
        ("Relevance score: 3 out of 5, for 2 of 9 parts", 3),
        ("Relevance score: 10-12", None),
        ("4", 4),
        ("[4]", 4),
        ("4 out of 5", 4),
        ("Relevance score: ４", 4),
        ("Relevance score: ٤", 4),
        ("score：四", 4),
        ("相关性得分：3", 3),
        ("五", 5),
        ("<think>score: 1</think> score: 5", 5),
        ("Relevance score: 6", None),
        ("Relevance score: -1", None),
        ("Relevance score: high", None),
        ("It has 3 parts", None),
        ("scores 3", None),
    ],
)
def test_a_rating_of_0_to_5(text, value):
    assert rating(text) == value


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Relevance score: 4.\n\nQuestion: what is", "Relevance score: 4"),
        ("The relevance score is 4/5. It", "The relevance score is 4/5"),
        ("**Relevance score:** 4\nIt", ""),  # marks within a cue are the reader's, who sees whole replies alone
        ("<think>2?</think> Relevance score: ٤.\nFor", " Relevance score: ٤"),
        ("Relevance score: 3.", ""),  # may go on to 3.5
        ("Relevance score: 1", ""),
        ("It is good. Relevance score: 4. But", ""),  # a reason comes first, so this may be a draft
        ("[3] > [1] > [2]\n\nI put", "[3] > [1] > [2]"),
        ("[3] > [1] > [2] because", ""),
        ("[3] > [1] >\n", ""),
        ("[3] > [1", ""),
        ("[3]\n[1]\n", ""),
        ("<think>[1]?</think><answer>[3]</answer> since", "<answer>[3]</answer>"),
        ("<answer>[3]</answer>\n<answer>[3]</answer", "<answer>[3]</answer>"),
        ("the end of a thought</think> <answer>2", ""),
        ("<think>If it were the third my reply would end <answer>[3]</answer>. Passage 1", ""),
        ("It may be <answer>[3]</answer> or", ""),
        ("", ""),
    ],
)
def test_what_counts_of_a_reply_that_was_cut_off(text, left):
    assert of_cut_off(text) == left


def test_a_rating_of_another_scale():
    assert (rating("score: 9", most=10), rating("score: 0", least=1)) == (9, None)


PIECES = [
    "[1]",
    "[2]",
    "[03]",
    "[99]",
    "3",
    " > ",
    ",",
    "<answer>",
    "</answer>",
    "<think>",
    "</think>",
    "score: ",
    "yes",
    "٣",
    "【",
    "】",
    "a",
]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=20), st.integers(1, 6))
@settings(max_examples=400, deadline=None)
def test_whatever_is_written_is_a_value_in_range_or_none(pieces, n):
    text = "".join(pieces)
    assert label(text, n) in (None, *range(n))
    order = permutation(text, n)
    assert order is None or sorted(order) == list(range(n))
    assert yes_or_no(text) in (None, True, False)
    assert not of_cut_off(text) or "<think>" not in of_cut_off(text)
    value = rating(text)
    assert value is None or 0 <= value <= 5


def test_a_long_text_is_read_in_no_time():
    """Nothing here goes back and forth: a million signs take well under the seconds that a quadratic reader would."""
    pieces = ["[1] > ", "[", "<answer>", "score: ", "1,", "<think>"]
    runs = [
        f"{sign}{blanks}" for sign in ("score", "[", "<answer", "<think") for blanks in (" " * 10**5, "\n " * 10**5)
    ]
    for text in [*(piece * (10**6 // len(piece)) for piece in pieces), *runs]:
        assert without_thoughts(text) in (None, text)
        label(text, 3), permutation(text, 3), rating(text), yes_or_no(text), of_cut_off(text)
