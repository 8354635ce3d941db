"""The report of examples against counts by hand, its table, its picture, and the files that examples are written to."""

import json

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib.image import imread

from rader_ir.examples import Example, Passage, read_examples
from rader_ir.synth.build import Built
from rader_ir.synth.exports import write_built
from rader_ir.synth.page import page
from rader_ir.synth.report import BINS, draw, markdown, report
from rader_ir.tevatron import read_tevatron

THEOREM = "The area of two circles equals the area of one square."  # six words: area two circl equal one squar


def example(
    number: int, kind: str, query: str, negatives: int, *, question="q1", doc_id="t1", split="train"
) -> Example:
    texts = [Passage(f"n{i}", f"negative {i}") for i in range(negatives)]
    provenance = {"source": "synthesis", "question_id": question, "split": split}
    return Example(f"e{number}", query, [Passage(doc_id, THEOREM)], texts, kind=kind, provenance=provenance)


EXAMPLES = [
    example(1, "llm", "One square and a zebra", 3),  # 5 words, 2 of 6, 2 in a row; 2 of 3 are taken
    example(
        2, "llm", "two circles equal the area", 0, question="q2", doc_id="t2", split="dev"
    ),  # 5 words, 4 of 6, 4 in a row; all are taken
    example(3, "llm", "zebra", 0, question="q2", doc_id="t1", split="dev"),  # 1 word, nothing
    example(4, "question", " ".join(["zebra"] * 2000), 1),
]
COUNTS = {"trees": 3, "general_query unreadable": 1200}


def test_the_numbers_by_hand():
    numbers = report(EXAMPLES, COUNTS)
    llm = numbers["kinds"]["llm"]
    assert (llm["examples"], llm["questions"], llm["theorems"], llm["without_negatives"]) == (3, 2, 2, 2)
    assert llm["negatives"] == {"mean": 1.0, "median": 0.0, "least": 0.0, "most": 3.0}
    assert llm["words"] == {"mean": round(11 / 3, 4), "median": 5.0, "least": 1.0, "most": 5.0}
    assert llm["overlap"] == {"mean": round(1 / 3, 4), "median": round(1 / 3, 4), "least": 0.0, "most": round(2 / 3, 4)}
    assert llm["taken"] == {"mean": round(5 / 9, 4), "median": round(2 / 3, 4), "least": 0.0, "most": 1.0}
    assert llm["run"] == {"mean": 2.0, "median": 2.0, "least": 0.0, "most": 4.0}
    total = numbers["kinds"]["total"]
    assert (total["examples"], total["questions"], total["without_negatives"]) == (4, 2, 2)
    assert list(numbers["kinds"]) == ["llm", "question", "total"], "in the paper's order, and only those that there are"
    assert numbers["splits"] == {"dev": {"examples": 2, "questions": 1}, "train": {"examples": 2, "questions": 1}}
    assert numbers["events"] == COUNTS and list(numbers["events"]) == sorted(COUNTS)
    assert json.loads(json.dumps(numbers)) == numbers


def test_histograms_by_hand():
    """Shares 0, 1/3 and 2/3 fall into the bins from 0, .3 and .6; 1 and 5 words into 1-2 and 4-6; 1 and 2,000 into the last."""
    kinds = report(EXAMPLES, {})["kinds"]
    shares = dict(zip(BINS["overlap"], kinds["llm"]["histograms"]["overlap"], strict=False))
    assert {edge: n for edge, n in shares.items() if n} == {0.0: 1, 0.3: 1, 0.6: 1}
    taken = dict(zip(BINS["taken"], kinds["llm"]["histograms"]["taken"], strict=False))
    assert {edge: n for edge, n in taken.items() if n} == {0.0: 1, 0.6: 1, 0.9: 1}
    lengths = dict(zip(BINS["words"], kinds["llm"]["histograms"]["words"], strict=False))
    assert {edge: n for edge, n in lengths.items() if n} == {1: 1, 4: 2}
    assert kinds["question"]["histograms"]["words"][-1] == 1


def test_nothing_gives_no_means():
    numbers = report([], {})
    assert numbers["kinds"]["total"]["examples"] == 0 and numbers["kinds"]["total"]["words"] is None
    assert "| total | 0 | 0 | 0 | – | – | 0 | – | – | – | – |" in markdown(numbers)


def test_the_table_by_hand():
    lines = markdown(report(EXAMPLES, COUNTS)).splitlines()
    assert lines[0].split(" | ")[1:4] == ["examples", "questions", "theorems"]
    assert lines[2] == "| llm: written by the model | 3 | 2 | 2 | 1 | 1 | 2 | 5 | 0.33 | 0.56 | 2 |"
    assert {line.count("|") for line in lines[:5]} == {12}
    assert "Examples by split: dev 2 of 1 questions; train 2 of 1 questions." in lines
    assert "| general_query unreadable | 1,200 |" in lines


PROBLEMS = {"given": 1200, "with a tree": 1200, "finished": 1100, "solved": 7, "right by majority": 5, "rollouts": 9}
PROBLEMS |= {"left_out": ["a", "b", "c"], "verdicts": {"kept": 4, "rejected": 3000}, "nodes": {}}
PROBLEMS |= {"events": {"query unreadable": 12, "reflection failed: timeout": 2, "thought repeated": 99}}


def test_the_page_begins_with_the_problems():
    lines = page({"problems": PROBLEMS, "examples": report(EXAMPLES, COUNTS)}).splitlines()
    assert lines[0] == "# Data synthesis" and lines[2] == "## Problems"
    rows = [line.split(" | ")[:2] for line in lines[6:12]]
    expected = [
        ("given", "1,200"),
        ("left out", "3"),
        ("finished", "1,100"),
        ("solved", "7"),
        ("right by majority", "5"),
    ]
    assert rows == [[f"| {name}", number] for name, number in [*expected, ("rollouts", "9")]]
    assert lines[13].startswith("Verdicts of lookups: kept 4, rejected 3,000, used 0, failed 0. *Kept*: ")
    assert {"| query unreadable | 12 |", "| reflection failed: timeout | 2 |"} < {
        *lines[15 : lines.index("## Examples")]
    }
    assert "\n".join(lines[lines.index("## Examples") + 2 :]) + "\n" == markdown(report(EXAMPLES, COUNTS))


def test_a_page_without_events_says_so():
    assert "No reply failed or could not be read in the trees." in page({"problems": {**PROBLEMS, "events": {}}})


def test_a_page_of_a_call_that_made_no_examples_says_so():
    told = page({"problems": PROBLEMS})
    assert "Examples were not made by this call. `examples.jsonl`, if there is one, is of an earlier state" in told
    assert "budget" not in told and "No example came out" not in told and "| total |" not in told
    stopped = page({"problems": PROBLEMS}, stopped="200 calls")
    assert "The budget of 200 calls ended this call before examples were made; the same call goes on" in stopped
    assert "Examples were not made by this call." in stopped


NOTHING_KEPT = {**PROBLEMS, "verdicts": {"rejected": 5}}


@pytest.mark.parametrize(
    ("problems", "events", "why"),
    [
        (PROBLEMS, {}, "no theorem was kept on a way to a right answer."),
        ({**PROBLEMS, "solved": 0}, {}, "no theorem was kept on a way to a right answer; no problem was solved."),
        (
            NOTHING_KEPT,
            {},
            "no theorem was kept on a way to a right answer; reflection kept nothing that the lookups found.",
        ),
        (PROBLEMS, {"theorems on right paths": 2}, "theorems stood on ways to right answers, but every query"),
    ],
)
def test_a_page_without_examples_says_why_and_where_to_look(problems, events, why):
    told = page({"problems": problems, "examples": report([], {**events, "general_query dropped": 7})})
    assert f"**No example came out.** This is likely because {why}" in told
    look = "Look at these events first: `query unreadable` (12), `general_query dropped` (7), `reflection failed: timeout` (2)."
    assert look in told.splitlines()
    assert "| total | 0 |" in told


def test_the_picture_shows_the_kinds(tmp_path):
    """The colours of the kinds that there are, and not those of others, stand in the picture; without examples none does."""

    def colours(examples) -> set[int]:
        draw(report(examples, {}), tmp_path / "picture.png")
        pixels = (imread(tmp_path / "picture.png")[..., :3] * 255).round().astype(int).reshape(-1, 3)
        palette = [(31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40)]  # C0 to C3 of matplotlib
        return {i for i, colour in enumerate(palette) if (np.abs(pixels - colour).max(axis=1) <= 2).sum() > 50}

    assert colours(EXAMPLES) == {0, 2} and colours([]) == set()


def test_files_of_every_side(tmp_path):
    """Ours read back equal; Tevatron's, which keep neither kind nor provenance, hold the same queries and passages."""
    built = Built(tuple(EXAMPLES), {})
    dev = [EXAMPLES[1], EXAMPLES[2]]
    written = write_built(built, tmp_path)
    assert written[0].name == "examples.jsonl" and len(written) == 9 == len({*written})
    assert read_examples(tmp_path / "examples.jsonl") == EXAMPLES and read_examples(tmp_path / "dev.jsonl") == dev
    old = read_tevatron(tmp_path / "tevatron" / "dev.texts.jsonl")
    new = read_tevatron(tmp_path / "tevatron" / "dev.jsonl", corpus=tmp_path / "tevatron" / "dev.corpus.jsonl")
    expected = [(one.query_id, one.query, one.positives, one.negatives) for one in dev]
    for read in (old, new):
        assert [(one.query_id, one.query, one.positives, one.negatives) for one in read] == expected
    before = {path: path.read_bytes() for path in written}
    write_built(built, tmp_path)
    assert {path: path.read_bytes() for path in written} == before


def test_a_side_that_is_gone_leaves_no_file(tmp_path):
    write_built(Built(tuple(EXAMPLES), {}), tmp_path)
    write_built(Built((EXAMPLES[0],), {}), tmp_path)
    assert not list(tmp_path.rglob("dev*")) and len(read_examples(tmp_path / "train.jsonl")) == 1
