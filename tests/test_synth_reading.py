r"""Replies of a language model, as they come, against what must be read in them; the wrong readings are those that they invite.

Where RaDeR's released code is known to read something else, that reading is written out here, by its description, and the test
shows that it differs.
"""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rader_ir.synth.reading import general_query, judgement, lexical_query, queries, said, summary, thought


def kept_by_the_released_code(reply: str) -> bool:
    """Its reading of a reflection, as described: what stands between "Relevant:" and the line's last sign; kept unless "False".

    Its prompt ends with "Relevant:", so the reply seldom holds the label, and without a line end the last letter is cut.
    """
    label = reply.partition("Relevant:")[2].partition("\n")
    found = label[0] if label[1] else label[0][:-1]
    return found.strip() != "False"


OLD_DEFECTS = {  # reply: the verdict that it states
    "True\nReason: 13 is prime.": True,
    "False\nReason: the modulus is not prime.": False,
    "False": False,
    "Relevant: False": False,
    "False, since the triangle has no right angle.": False,
    "**Relevant:** False\n**Reason:** no right angle": False,
    "No.": False,
    '{"relevant": false, "reason": "no right angle"}': False,
    "The theorem is not relevant.": False,
}


@pytest.mark.parametrize(("reply", "verdict"), OLD_DEFECTS.items())
def test_a_judgement_is_read_where_the_released_code_keeps_the_theorem(reply, verdict):
    assert kept_by_the_released_code(reply)
    assert judgement(reply)[0] is verdict


YES = [
    "True",
    "true.",
    "Yes",
    "Yes, 13 is prime and does not divide 7.",
    "Relevant: True",
    "relevant: yes\nreason: both hold",
    "Relevant:\nTrue\nReason: both hold",
    "**Relevant**: **True**",
    "### Relevant: True",
    "- Relevant: `True`",
    "Is it relevant? Yes.",
    "Verdict: True",
    "Relevant.",
    "The theorem is directly relevant because 13 is prime.",
    '{"relevant": true, "reason": "13 is prime"}',
    '{"Relevant": "True", "Reason": "13 is prime"}',
    "{'relevant': True, 'reason': '13 is prime'}",
    '```json\n{\n  "relevant": true,\n  "reason": "13 is prime"\n}\n```',
    'Here is my judgement: {"relevant": true}',
    '{"relevant": true, "reason": "13 is pr',
    '{"relevant": true',
    "<think>It is not relevant. No, wait.</think>\nTrue",
    "True\nReason: it is not only relevant but gives the answer.",
    "True. No theorem but this one counts them.",
    "True. Actually it is needed twice.",
    '{"relevant": true, "reason": "a prime or a power of one"}',
]
NO = [
    "false",
    "No",
    "No, the theorem needs a prime.",
    "Relevant: false",
    "relevant: No\nreason: it is true that 13 is prime, but nothing follows",
    "**Relevant**: **False**",
    "Relevance: False",
    "Answer: False",
    "Not relevant.",
    "Irrelevant",
    "It isn't directly relevant to the area.",
    "This theorem is irrelevant here.",
    '{"relevant": false}',
    '{"relevant": "no", "reason": "13"}',
    '{"relevant": "not relevant"}',
    '{"relevant": false, "reason": "it spea',
    '{"relevant": false, "reason": "While the theorem is relevant to circles, there is none."}',
    'Judgement:\n{"relevant": false, "reason": "x"}',
    "<think>True?</think>False",
    "False. It is true that 13 is prime.",
]
NEITHER = [
    "",
    "   \n",
    "Relevant:",
    "Reason: 13 is prime.",
    "True/False",
    "True or False",
    "Relevant: True / False",
    "Yes and no",
    "Relevant: True\nRelevant: False",
    "True\nFalse",
    "Relevant: partially",
    "Maybe.",
    "I cannot tell.",
    "I am not sure it is relevant.",
    "It is not clear whether the theorem is relevant.",
    "The theorem would be relevant if 12 were prime.",
    "No doubt about it",
    "The relevant quantity is 7.",
    "True\nReason: the theorem is not relevant.",
    "Relevant: True\nReason: it isn't relevant, as 12 is no prime.",
    "False\nReason: The theorem is relevant.",
    "No. The theorem is relevant.",
    '{"relevant": null}',
    '{"relevant": tr',
    '{"relevant"',
    '{"relevant": true, "relevant": false}',
    '{"relevant": "true or false"}',
    '{"reason": "13 is prime"}',
    '{"relevant": {"value": 1}}',
    "<think>Relevant: True",
    "Truely nothing",
    "Nothing follows.",
    "Trueness is relevance.",
    '{"relevant": true or false}',
    '{"relevant": true/false, "reason": "13"}',
    "True. No, wait: False.",
    "Relevant: True\nActually, no.",
    "Yes.\nHmm, on second thought: it is not.",
]


@pytest.mark.parametrize(
    ("reply", "verdict"), [(r, True) for r in YES] + [(r, False) for r in NO] + [(r, None) for r in NEITHER]
)
def test_a_judgement(reply, verdict):
    assert judgement(reply)[0] is verdict


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("True\nReason: 13 is prime.", "13 is prime."),
        ("**Reason:** both\nhold\n**Relevant:** True", "both hold **Relevant:** True"),
        ('{"relevant": true, "reason": "so $\\frac12 \\neq 0$,\\nand \\"more\\""}', r'so $\frac12 \neq 0$, and "more"'),
        ('{"relevant": true, "reason": "so $\\\\frac12$"}', r"so $\frac12$"),
        ('{"relevant": false, "reason": "it speaks of', "it speaks of"),
        ("{'relevant': False, 'explanation': 'none'}", "none"),
        ("False", ""),
    ],
)
def test_the_reason_of_a_judgement(reply, reason):
    assert judgement(reply)[1] == reason


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ('{"equal": true, "reason": "both are a half"}', True),
        ('{"equal": false, "reason": "the sign differs"}', False),
        ("True", True),
        ("Equal: No", False),
        ("The two answers are the same.", True),
        ("They are not equal.", False),
        ("The second answer is incorrect.", False),
        ('{"relevant": true}', None),
        ("", None),
    ],
)
def test_a_judgement_on_two_answers(reply, verdict):
    assert judgement(reply, label="equal")[0] is verdict


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="Relvant:TruFse \n{}\"',.!?*yYnNo/", max_size=40), st.sampled_from(["relevant", "equal"]))
def test_no_reply_raises_and_a_verdict_needs_one_of_its_words(reply, label):
    verdict, reason = judgement(reply, label=label)
    assert verdict in (True, False, None) and isinstance(reason, str)
    if verdict is True:
        assert re.search("true|yes|relevant", reply, re.I)


def one(reply: str) -> dict[str, str]:
    (found,) = queries(reply)
    return found


FERMAT = {
    "name": "Fermat's little theorem",
    "statement": r"If $p$ is prime and $p \nmid a$, then $a^{p-1} \equiv 1 \pmod{p}$.",
    "preconditions": "p is prime; p does not divide a",
    "why": "13 is prime",
    "subject": "number theory",
}
FERMAT["text"] = f"Theorem Name: {FERMAT['name']}\nTheorem Statement: {FERMAT['statement']}"
# By what makes it hard, a reply that asks for that theorem.
SAME = {
    "as the prompt has it": (
        "Theorem 1: {name}\n"
        "Theorem statement: {statement}\n"
        "Preconditions: {preconditions}\n"
        "Why they hold: {why}\n"
        "Subject: {subject}"
    ),
    "capital S, other words": (
        "Theorem 1: {name}\n"
        "Theorem Statement: {statement}\n"
        "Preconditions: {preconditions}\n"
        "Why Preconditions are Satisfied: {why}\n"
        "Subject: {subject}"
    ),
    "capitals": (
        "THEOREM 1: {name}\n"
        "THEOREM STATEMENT: {statement}\n"
        "PRECONDITIONS: {preconditions}\n"
        "WHY THEY HOLD: {why}\n"
        "SUBJECT: {subject}"
    ),
    "bold labels": (
        "**Theorem 1:** {name}\n"
        "**Theorem Statement:** {statement}\n"
        "**Preconditions:** {preconditions}\n"
        "**Why they hold:** {why}\n"
        "**Subject:** {subject}"
    ),
    "bold lines and bullets": (
        "### **Theorem 1: {name}**\n"
        "- **Statement**: {statement}\n"
        "- **Preconditions**: {preconditions}\n"
        "- **Why**: {why}\n"
        "- **Subject**: {subject}"
    ),
    "numbered title": (
        "1. **{name}**\n"
        "   - Statement: {statement}\n"
        "   - Conditions: {preconditions}\n"
        "   - Why it applies: {why}\n"
        "   - Field: {subject}"
    ),
    "heading alone": (
        "Theorem 1\n"
        "Name: {name}\n"
        "Statement: {statement}\n"
        "Assumptions: {preconditions}\n"
        "Justification: {why}\n"
        "Subject area: {subject}"
    ),
    "other order, words before and after": (
        "Sure, this would help:\n"
        "\n"
        "Theorem name: {name}\n"
        "Subject: {subject}\n"
        "Preconditions: {preconditions}\n"
        "Why they are satisfied: {why}\n"
        "Theorem statement: {statement}"
    ),
    "after thinking": (
        "<think>Theorem 1: Euler\n"
        "</think>Theorem: {name}\n"
        "Statement: {statement}\n"
        "Preconditions: {preconditions}\n"
        "Why: {why}\n"
        "Subject: {subject}\n"
        "\n"
        "That is all."
    ),
    "lines that go on": (
        "Theorem 1: {name}\n"
        "Theorem statement:\n"
        "{statement}\n"
        "Preconditions:\n"
        "  {preconditions}\n"
        "Why they hold:\n"
        "{why}\n"
        "Subject:\n"
        "{subject}"
    ),
}


@pytest.mark.parametrize("form", SAME)
def test_a_query_is_read_whatever_its_form(form):
    fields = {name: value for name, value in FERMAT.items() if name != "text"}
    reply = SAME[form]
    for name, value in fields.items():
        reply = reply.replace(f"{{{name}}}", value)
    assert one(reply) == FERMAT


@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize("form", ["object", "list", "theorems", "numbered", "fenced"])
def test_a_query_in_json_with_its_tex_escaped_or_not(form, escaped):
    fields = {
        "Theorem Name": FERMAT["name"],
        "theorem_statement": FERMAT["statement"],
        "preconditions": ["p is prime", "p does not divide a"],
        "why_preconditions_are_satisfied": FERMAT["why"],
        "subject": FERMAT["subject"],
    }
    whole = {"list": [fields], "theorems": {"theorems": [fields]}, "numbered": {"theorem_1": fields}}.get(form, fields)
    reply = json.dumps(whole)
    reply = reply if escaped else reply.replace("\\\\", "\\")
    assert one(f"```json\n{reply}\n```" if form == "fenced" else reply) == FERMAT


def released_reading(reply: str) -> tuple[list[str], list[str]]:
    """Names and statements as the released code finds them: one list for each label, spelled exactly so, paired by place."""
    return [re.findall(rf"^{label}: (.*)$", reply, re.M) for label in (r"Theorem \d", "Theorem Statement")]


def test_a_lower_case_label_neither_loses_a_field_nor_shifts_the_others():
    reply = "Theorem 1: A\nTheorem statement: of A\nTheorem 2: B\nTheorem Statement: of B"
    names, statements = released_reading(reply)
    assert list(zip(names, statements, strict=False)) == [("A", "of B")]  # B's statement under A's name
    assert [(found["name"], found["statement"]) for found in queries(reply)] == [("A", "of A"), ("B", "of B")]


def test_bold_labels_are_labels():
    reply = "**Theorem 1:** A\n**Theorem Statement:** of A"
    assert released_reading(reply) == [[], []]
    assert (one(reply)["name"], one(reply)["statement"]) == ("A", "of A")


def test_a_missing_field_is_empty_and_shifts_nothing():
    blocks = ["Theorem 1: A\nPreconditions: of A", "Theorem 2: B\nTheorem statement: of B"]
    reply = "\n\n".join([*blocks, "Theorem statement: of C\nSubject: algebra"])
    empty = dict.fromkeys(("name", "statement", "preconditions", "why", "subject"), "")
    assert queries(reply) == [
        empty | {"name": "A", "preconditions": "of A", "text": "Theorem Name: A"},
        empty | {"name": "B", "statement": "of B", "text": "Theorem Name: B\nTheorem Statement: of B"},
        empty | {"statement": "of C", "subject": "algebra", "text": "Theorem Statement: of C"},
    ]


def test_the_same_theorem_is_asked_for_once():
    assert [found["name"] for found in queries("Theorem 1: A\nTheorem 2: B\nTheorem 3: **a**")] == ["A", "B"]


def test_stars_and_underscores_of_formulas_stay():
    assert one("Theorem 1: dual\nStatement: $x_1 * y^*$ and *a*")["statement"] == "$x_1 * y^*$ and *a*"


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "I need no theorem.",
        "Preconditions: none\nSubject: algebra",
        '[{"name": "A", "stat',
        '{"query": "A"}',
        "[1, 2]",
        "<think>Theorem 1: A",
        "Theorem 1:\nTheorem statement:",
        '{"name": {"text": "A"}}',
    ],
)
def test_a_reply_without_a_query_gives_none(reply):
    assert queries(reply) == []


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(["Theorem 1: ", "Statement: ", "**", "x^*", "\n", "Subject:", "{", '"name": ', "[", "1. "])
    )
)
def test_every_query_has_all_fields_and_a_text_to_search_with(pieces):
    for found in queries("".join(pieces)):
        assert list(found) == ["name", "statement", "preconditions", "why", "subject", "text"] and found["text"].strip()


@pytest.mark.parametrize(
    ("reply", "step"),
    [
        ("So $14 + 9 = 23$.", "So $14 + 9 = 23$."),
        ("Step 2: So $x = 3$.", "So $x = 3$."),
        ("**Step 2:** So $x = 3$.", "So $x = 3$."),
        ("Next step: So $x = 3$.\n\nStep 3: And so on.", "So $x = 3$."),
        ("Step 2: So $x = 3$.\nStep 3: And so on.", "So $x = 3$."),
        ("2. So $x = 3$.\n3. And so on.", "So $x = 3$."),
        ("Step 2:\nSo\n\\[ x = 3 \\]", r"So \[ x = 3 \]"),
        ("So\n3. That is all", "So 3. That is all"),
        ("- 3x = 5", "- 3x = 5"),
        ("So 6 * 7 = 42 # done", "So 6 * 7 = 42 # done"),
        ("- We add.", "We add."),
        ("3.5 apples are left.", "3.5 apples are left."),
        ("<think>hm\n\nhm</think>\n\nSo $x = 3$.", "So $x = 3$."),
        ("<think>hm", None),
        ("  ", None),
        ("Step 4:", None),
    ],
)
def test_a_thought_is_one_step_on_one_line(reply, step):
    assert thought(reply) == step


def test_what_was_said_comes_after_the_thinking():
    assert said("<think>a</think> b <think>c</think>\nd ") == "d"
    assert said("<thinking>a") is None and said("  ") is None and said(" a ") == "a"


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        ("Lagrange - the order of H\ndivides that of G.", "Lagrange - the order of H divides that of G."),
        ("**Summary:** Lagrange - it divides.", "Lagrange - it divides."),
        ('"Lagrange - it divides."', "Lagrange - it divides."),
        ("Short summary: it - this is a summary: of it.", "Short summary: it - this is a summary: of it."),
        ("<think>", None),
        ("Summary:", None),
    ],
)
def test_a_summary(reply, sentence):
    assert summary(reply) == sentence


@pytest.mark.parametrize(
    ("reply", "query"),
    [
        ("Conditions: both hold.\nQuery: Which sums end?", "Which sums end?"),
        ("Query: a draft\nQuery: Which sums end?", "Which sums end?"),
        ("**Query:** Which sums end?", "Which sums end?"),
        ("**Query**: Which\nsums end?\n\nI hope that helps.", "Which sums end?"),
        ('Conditions: hold.\nSearch query: "Which sums end?"', "Which sums end?"),
        ('{"conditions": "hold", "query": "Which sums end?"}', "Which sums end?"),
        ("The conditions hold.", None),
        ("The query: of no use", None),
        ("### Query:\nWhich sums end?", "Which sums end?"),
        ("Query: Which sums end?\nReason: they converge.", "Which sums end?"),
        ("Query: Which sums\n**Why they hold:** they converge.", "Which sums"),
        ('query : "Is $f\'(x)$ odd?"', "Is $f'(x)$ odd?"),
        ("Conditions {x}.\nQuery: Is {y} odd?", "Is {y} odd?"),
        ('```json\n{"query": "Which sums end?"}\n```', "Which sums end?"),
        ("Query:", None),
        ("", None),
        ('{"conditions": "hold"}', None),
        ('{"query": 5}', None),
        ('{"query": "Which sums e', None),
        ("<think>Query: a", None),
    ],
)
def test_a_general_query_is_what_follows_the_last_label(reply, query):
    assert general_query(reply) == query


@pytest.mark.parametrize(
    ("reply", "query"),
    [
        ("Query: Which sums end?", "Which sums end?"),
        ("Which sums end?", "Which sums end?"),
        ("**Which sums end?**", "Which sums end?"),
        ("Sure, here it is.\n\nWhich sums end?", None),
        ("Sure, here it is:\nWhich sums end?", None),
        ("Sure!\nQuery: Which sums end?", "Which sums end?"),
        ("Query:", None),
        ('{"text": "a"}', None),
        ("", None),
    ],
)
def test_a_lexical_query_may_lack_its_label(reply, query):
    assert lexical_query(reply) == query
