"""A task of BRIGHT is the same whether it comes from exports, from the hub's tables on disk, or from a hub over loopback."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from rader_ir import bright
from rader_ir.bright_sources import CORRECTED, FOLDERS, REVISION
from tests import bright_folders, hub
from tests.test_bright import EXCLUDED

pytest.importorskip("pyarrow")

PONY = ({"0": "first?", "1": "second?"}, {"0": {"a_1": 1, "a_2": 1}, "1": {"b_1": 1}}, {})
AOPS = ({"0": "x?", "7": "y?"}, {"0": {"p 1": 1}, "7": {"p 2": 1}}, {"0": frozenset({"p 2", "p 3"})})
PAGES = {"0": {"a": 1}, "1": {"b": 1}}


@pytest.fixture(params=["exports", "tables"])
def folder(request, tmp_path):
    return (bright_folders.export_folder if request.param == "exports" else bright_folders.hub_folder)(tmp_path)


def parts(collection):
    return collection.queries, collection.qrels, collection.excluded


def test_a_folder_of_either_layout(folder):
    pony, aops = bright.collection("pony", source=folder), bright.collection("aops", source=folder)
    assert (parts(pony), parts(aops)) == (PONY, AOPS)
    assert list(pony.documents()) == list(pony.documents()) == [("a_1", "one"), ("a_2", "two"), ("b_1", "")]
    assert list(aops.documents()) == [("p 1", "P"), ("p 2", "Q"), ("p 3", "R")]
    assert (pony.name, pony.measures[0], pony.max_doc_length) == ("bright/pony", "nDCG@10", None)
    assert pony.instruction == bright.instruction("pony")
    assert bright.collection("pony", source=folder, instruction=False).instruction == ""
    assert pony.version == "folder, original queries, plain qrels, 2 queries instead of 112"


def test_both_layouts_have_one_key(tmp_path):
    exports, tables = bright_folders.export_folder(tmp_path / "1"), bright_folders.hub_folder(tmp_path / "2")
    keys = {bright.collection("aops", source=source).key() for source in (exports, tables)}
    assert len(keys) == 1


def test_whole_pages(folder):
    pages = bright.collection("pony", source=folder, long=True)
    assert parts(pages) == (PONY[0], PAGES, {})
    assert list(pages.documents()) == [("a", "one two"), ("b", "three")]
    assert (pages.name, pages.measures[0]) == ("bright/pony-long", "R@1")
    assert "relevant documents that help" in pages.instruction


def test_queries_by_a_language_model_are_never_the_annotators_reasoning(folder):
    split = bright.collection("pony", source=folder, queries="gpt4_reason")
    assert parts(split) == ({"0": "GPT-4 on first?", "1": "GPT-4 on second?"}, *PONY[1:])
    assert split.version.startswith("folder, gpt4_reason queries, ")


def test_every_set_of_queries_of_the_tables(tmp_path):
    folder = bright_folders.hub_folder(tmp_path)
    for name, kept in FOLDERS.items():
        words = "" if name == "original" else f"{bright_folders.QUERIES[kept]} on "
        assert bright.load("aops", source=folder, queries=name).queries == {"0": f"{words}x?", "7": f"{words}y?"}


def test_rewritten_queries_may_stand_in_a_field_text(tmp_path):
    folder = bright_folders.export_folder(tmp_path)
    rows = [{"id": row["id"], "text": f"thought {row['id']}"} for row in bright_folders.EXAMPLES["pony"]]
    bright_folders.write_jsonl(folder / "queries/grit_reason/pony.jsonl", rows)
    assert bright.load("pony", source=folder, queries="grit_reason").queries == {"0": "thought 0", "1": "thought 1"}


@pytest.mark.parametrize("field", ["text", "reasoning"])
def test_questions_are_no_rewritten_queries_whatever_stands_beside_them(tmp_path, field):
    """A copy of the topics has the annotators' reasoning, which knows the answer; half of it rewritten is enough to pass."""
    folder = bright_folders.export_folder(tmp_path)
    rows = [{**row, field: "thought"} for row in bright_folders.example_rows("pony")]
    bright_folders.write_jsonl(folder / "queries/grit_reason/pony.jsonl", rows)
    with pytest.raises(
        ValueError, match="2 of 2 grit_reason queries are the questions themselves, '0' first; put what"
    ):
        bright.load("pony", source=folder, queries="grit_reason")
    rows[1]["query"] = "thought 1"
    bright_folders.write_jsonl(folder / "queries/grit_reason/pony.jsonl", rows)
    assert bright.load("pony", source=folder, queries="grit_reason").queries == {"0": "first?", "1": "thought 1"}


def test_a_query_that_the_language_model_left_out_is_told(tmp_path):
    folder = bright_folders.export_folder(tmp_path)
    bright_folders.write_jsonl(folder / "queries/grit_reason/pony.jsonl", [{"id": "1", "text": "thought"}])
    with pytest.raises(ValueError, match="1 queries have no grit_reason, '0' first"):
        bright.load("pony", source=folder, queries="grit_reason")
    bright_folders.write_jsonl(folder / "queries/grit_reason/pony.jsonl", bright_folders.example_rows("pony")[:0])
    with pytest.raises(ValueError, match="2 queries have no grit_reason, '0' first"):
        bright.load("pony", source=folder, queries="grit_reason")
    bright_folders.write_jsonl(folder / "queries/grit_reason/pony.jsonl", [{"id": "0", "reasoning": "thought"}])
    with pytest.raises(ValueError, match=r"pony\.jsonl:1: no text; expected text, the record has id, reasoning"):
        bright.load("pony", source=folder, queries="grit_reason")
    bright_folders.write_jsonl(folder / "queries/grit_reason/pony.jsonl", [{"id": "0", "text": "thought"}] * 2)
    with pytest.raises(ValueError, match=r"pony\.jsonl:2: query id '0' stands twice"):
        bright.load("pony", source=folder, queries="grit_reason")
    with pytest.raises(ValueError, match=r"queries 'gemini_1_0_reason' are not in folder .*choose 'original'"):
        bright.load("pony", source=folder, queries="gemini_1_0_reason")


def test_corrected_judgements_are_taken_whole_or_refused(tmp_path):
    folder = bright_folders.hub_folder(tmp_path)
    bright_folders.write_parquet(folder / "examples/biology", bright_folders.example_rows("pony"))
    with pytest.raises(FileNotFoundError, match=r"qrels_fixed/biology\.tsv: .*castorini/anserini-tools@5b819c1"):
        bright.load("biology", source=folder, qrels="fixed")
    (folder / "qrels_fixed").mkdir()
    (folder / "qrels_fixed/biology.tsv").write_text("0\t0\tb_1\t1\n")
    fixed = bright.collection("biology", source=folder, qrels="fixed")
    plain = bright.collection("biology", source=folder)
    assert (fixed.qrels, plain.qrels) == ({"0": {"b_1": 1}}, PONY[1])
    assert "fixed qrels" in fixed.version and "plain qrels" in plain.version and fixed.key() != plain.key()
    same = bright.collection("pony", source=folder, qrels="fixed")  # a task that needed no correction
    assert same.qrels == PONY[1] and "plain qrels" in same.version


@pytest.mark.parametrize("task", CORRECTED)
def test_the_two_states_of_the_judgements_are_never_taken_for_each_other(shared, tmp_path, task):
    """The real files, each in the place of the other."""
    data = shared / "data/bright"
    for folder in ("topics", "qrels", "qrels_fixed"):
        (tmp_path / folder).mkdir()
    shutil.copy(data / f"topics/{task}.jsonl.gz", tmp_path / "topics")
    shutil.copy(data / f"qrels/{task}.tsv", tmp_path / "qrels_fixed")
    shutil.copy(data / f"qrels_fixed/{task}.tsv", tmp_path / "qrels")
    for asked, there in (("plain", "fixed"), ("fixed", "plain")):
        with pytest.raises(ValueError, match=f"of '{task}' are the {there} ones, {asked} are asked for"):
            bright.load(task, source=tmp_path, qrels=asked)
        assert bright.load(task, source=data, qrels=asked).qrels


def test_the_corrected_tasks_are_those_with_files(shared):
    assert sorted(path.stem for path in (shared / "data/bright/qrels_fixed").iterdir()) == sorted(CORRECTED)


@pytest.mark.parametrize("task", bright.TASKS)
def test_the_real_tables_would_give_what_the_exports_give(shared, tmp_path, task):
    """The real topics, written as the hub's table of examples: its judgements are the separate file, its exclusions counted."""
    import gzip

    with gzip.open(shared / f"data/bright/topics/{task}.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    bright_folders.write_parquet(tmp_path / "examples" / task, rows)
    exports, tables = bright.collection(task, source=shared / "data/bright"), bright.collection(task, source=tmp_path)
    assert tables.key() == exports.key() and tables.version == "folder, original queries, plain qrels"
    sizes = [len(doc_ids) for doc_ids in tables.excluded.values()]
    assert (sum(sizes), max(sizes, default=0)) == EXCLUDED.get(task, (0, 0))
    assert exports.documents is None


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"source": "hub", "qrels": "fixed"}, "qrels 'fixed' exist in a folder and for passages only"),
        ({"source": "irds", "revision": "main"}, "revision 'main' is one of the hub's"),
        ({"source": "x", "revision": "main"}, "revision 'main' is one of the hub's"),
    ],
)
def test_choices_that_a_source_does_not_have(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        bright.collection("pony", **arguments)


def test_a_broken_folder(tmp_path):
    folder = bright_folders.hub_folder(tmp_path)
    (folder / "examples/pony-00001-of-00002.parquet").unlink()
    with pytest.raises(ValueError, match=r"examples/pony: the parts are not one whole: pony-00000-of-00002\.parquet"):
        bright.load("pony", source=folder)
    (folder / "examples/aops-00000-of-00001.parquet").write_text("not parquet")
    with pytest.raises(ValueError, match="no parquet file, or a broken one"):
        bright.load("aops", source=folder)
    with pytest.raises(FileNotFoundError, match=r"no table examples/biology\.jsonl, \.jsonl\.gz, \.parquet"):
        bright.load("biology", source=folder)
    bright_folders.write_parquet(folder / "examples/leetcode", [{"id": "1", "query": "?"}])
    with pytest.raises(ValueError, match="no column 'excluded_ids'; it has id, query"):
        bright.load("leetcode", source=folder)
    bright_folders.write_parquet(folder / "examples/robotics", bright_folders.example_rows("pony")[:1] * 2)
    with pytest.raises(ValueError, match="row 2: query id '0' stands twice"):
        bright.load("robotics", source=folder)


FROM_THE_HUB = """
import json, sys
from rader_ir import bright
collection = bright.collection("pony", source="hub", **json.loads(sys.argv[1]))
print(json.dumps([collection.queries, collection.qrels, collection.version, list(collection.documents())]))
"""


def from_the_hub(home, address, **arguments):
    everything = {**os.environ, "HF_HOME": str(home), "HF_ENDPOINT": address, "HF_HUB_OFFLINE": "" if address else "1"}
    command = [sys.executable, "-c", FROM_THE_HUB, json.dumps(arguments)]
    return subprocess.run(command, env=everything, capture_output=True, text=True, timeout=120)


def test_the_hub_gives_the_files_that_are_needed_and_no_others(tmp_path):
    folder = bright_folders.hub_folder(tmp_path / "hub")
    with hub.serve({"xlangai/BRIGHT": folder}) as (address, requests):
        first = from_the_hub(tmp_path / "home", address, revision="main", queries="gpt4_reason")
    assert first.returncode == 0, first.stderr
    queries, qrels, version, documents = json.loads(first.stdout)
    assert (queries, qrels) == ({"0": "GPT-4 on first?", "1": "GPT-4 on second?"}, PONY[1])
    assert version == "hub main, gpt4_reason queries, plain qrels, 2 queries instead of 112"
    assert documents == [["a_1", "one"], ["a_2", "two"], ["b_1", ""]]
    assert "MB of xlangai/BRIGHT" in first.stderr
    files = {request.partition("/resolve/")[2].partition("/")[2] for request in requests if "/resolve/" in request}
    assert files == {
        "examples/pony-00000-of-00002.parquet",
        "examples/pony-00001-of-00002.parquet",
        "gpt4_reason/pony-00000-of-00001.parquet",
        "documents/pony-00000-of-00001.parquet",
    }
    again = from_the_hub(tmp_path / "home", "", revision="main", queries="gpt4_reason")
    assert again.stdout == first.stdout and "downloading" not in again.stderr


def test_the_pinned_release_is_asked_for_and_counted(tmp_path):
    with hub.serve({"xlangai/BRIGHT": bright_folders.hub_folder(tmp_path / "hub")}) as (address, requests):
        result = from_the_hub(tmp_path / "home", address)
    assert f"task 'pony' has 2 queries at revision {REVISION} of xlangai/BRIGHT; published" in result.stderr
    asked = [request for request in requests if "/resolve/" in request or "/tree/" in request]
    assert asked and all(f"/{REVISION}" in request for request in asked), requests


def test_without_the_hub_the_error_says_what_to_do(tmp_path):
    result = from_the_hub(tmp_path / "home", "")
    assert "FileNotFoundError: data set 'xlangai/BRIGHT', revision" in result.stderr
    assert "download it elsewhere and give the folder as source" in result.stderr
