"""The report of an experiment: groups of collections, what averages are of, notes, and texts."""

import json
from dataclasses import replace

import pytest

pytest.importorskip("scipy")
pytest.importorskip("matplotlib")

from rader_ir.bright import TASKS, has_long
from rader_ir.experiment import Outcome
from rader_ir.experiment_report import mean_of, report
from rader_ir.runs import write_run
from tests.test_experiment import AOPS, DENSE, DOCUMENTS, PONY, QUESTIONS, RERANK, run


def test_what_a_mean_is_of():
    assert mean_of(list(TASKS)) == mean_of(list(reversed(TASKS))) == "the mean of the 12 tasks of BRIGHT"
    assert mean_of(["pony"]) == "the mean of 1 of the 12 tasks of BRIGHT"
    assert mean_of([f"{task}-long" for task in TASKS if has_long(task)]) == (
        "the mean of 8 of the 8 tasks of BRIGHT that have whole pages"
    )
    assert mean_of(["pony", "scifact"]) == mean_of(["pony", "pony-long"]) == "the mean of 2 collections"


def test_the_average_weighs_collections_not_queries(tmp_path):
    """Twelve tasks, of which the first has a thousand queries at 1 and the others one at 0: the mean is 1/12."""
    values = {name: {"P@1": {"q": 0.0}} for name in TASKS}
    values["biology"] = {"P@1": {f"q{number}": 1.0 for number in range(1000)}}
    (written,) = report(Outcome({"s": values}), tmp_path)
    assert written.means == {"s": {"P@1": pytest.approx(1 / 12)}}
    assert "0.0833" in (tmp_path / "report/report.txt").read_text()


def test_wins_and_losses_have_texts_and_each_corpus_is_read_once(tmp_path):
    given = tmp_path / "runs"
    given.mkdir()
    write_run({"q1": {"d4": 2.0}, "q2": {"d6": 1.0}}, given / "pony.trec")
    write_run({"q1": {"d4": 2.0}, "q3": {"d 3": 1.0}}, given / "aops.trec")
    opened = []

    def documents():
        opened.append(1)
        return iter(DOCUMENTS.items())

    collections = [replace(PONY, documents=documents), replace(AOPS, documents=documents)]
    outcome, _ = run(tmp_path / "out", [f"a=run:{given}", "b=bm25", "c=bm25-bright"], collections)
    before = len(opened)
    report(outcome, tmp_path / "out", baseline="a")
    assert len(opened) - before == 2
    text = (tmp_path / "out/report/wins_losses.md").read_text()
    assert PONY.queries["q1"] in text and DOCUMENTS["d1"] in text and DOCUMENTS["d4"] in text
    told = json.loads((tmp_path / "out/report/report.json").read_text())
    notes = told["tables"][0]["notes"]
    assert {f"a, {name}: 1 of 3 queries missing, scored 0." for name in ("Pony", "AoPS")} < set(notes)
    assert "average: the mean of 2 of the 12 tasks of BRIGHT." in notes


def test_relevant_documents_that_the_documents_lack_are_told(tmp_path):
    """Of d1, d5, d6, d 3 and d7 two are taken away; a run that is given says nothing of documents."""
    fewer = {doc_id: text for doc_id, text in DOCUMENTS.items() if doc_id not in ("d1", "d7")}
    pony = replace(PONY, documents=lambda: iter(fewer.items()))
    told = "Pony: 2 of 5 relevant documents are not in the documents."
    for measures in (None, None, ["P@1"]):
        outcome, _ = run(tmp_path / "out", ["bm25", f"r={RERANK}"], [pony, AOPS], first="bm25", measures=measures)
        assert outcome.absent == {"pony": 2}
        assert told in report(outcome, tmp_path / "out")[0].tables[0].notes
    assert outcome.kept == 4
    given, _ = run(tmp_path / "given", [f"run:{tmp_path / 'out/bm25'}"], [pony])
    assert given.absent == {} and told not in report(given, tmp_path / "given")[0].tables[0].notes


def test_a_report_says_what_was_measured(tmp_path):
    """Two tasks in two states of their judgements; a reranker that reads the questions, of which one task is left."""
    fixed = replace(AOPS, version="as corrected", instruction="")
    asked = {"questions": lambda collection: QUESTIONS, "rerank_depth": 2, "depth": 5}
    outcome, _ = run(tmp_path, ["bm25", f"r={RERANK}", DENSE], [PONY, fixed], first="bm25", **asked)
    (written,) = report(outcome, tmp_path)
    assert written.tables[0].notes[1:6] == (
        "average: the mean of 2 of the 12 tasks of BRIGHT.",
        "Data of Pony: as made up.",
        "Data of AoPS: as corrected.",
        "Lists of 5 documents at most.",
        "r: the first 2 of bm25 reranked, by the questions themselves.",
    )
    told = json.loads((tmp_path / "report/report.json").read_text())["measured"]
    systems = {"bm25": "bm25", "r": "rerank:rader:some/reranker over bm25", "dense-minilm": "dense:minilm"}
    assert told["systems"] == systems
    assert (told["depth"], told["rerank_depth"], told["rerankers_read"]) == (5, 2, "questions")
    pony = {
        "name": "bright/pony",
        "version": "as made up",
        "content": PONY.key(),
        "queries": 3,
        "instruction": "Find: ",
    }
    assert told["collections"]["pony"] == pony and told["collections"]["aops"]["version"] == "as corrected"
    outcome, _ = run(tmp_path, ["bm25", DENSE], [fixed], depth=5)
    (written,) = report(outcome, tmp_path)
    assert written.tables[0].notes[1:5] == (
        "1 of the 12 tasks of BRIGHT.",
        "Data: as corrected.",
        "Queries without their tasks' instructions.",
        "Lists of 5 documents at most.",
    )
