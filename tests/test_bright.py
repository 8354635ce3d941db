import gzip
import json
import os
import subprocess
import sys

import pytest

from rader_ir.bright import QUERIES, TASKS, has_long, instruction, irds_name, load, macro_average
from rader_ir.evaluation import evaluate
from rader_ir.runs import read_run, without

# Rows of each task's qrels, plain and (where it differs) corrected, as counted by the exports' maintainers.
JUDGED = {
    "biology": (372, 393),
    "earth_science": (585, 589),
    "economics": (800, 800),
    "psychology": (692, 692),
    "robotics": (520, 521),
    "stackoverflow": (478, 580),
    "sustainable_living": (576, 1073),
    "leetcode": (262, 262),
    "pony": (2219, 2219),
    "aops": (524, 524),
    "theoremqa_questions": (439, 439),
    "theoremqa_theorems": (151, 151),
}
EXCLUDED = {"leetcode": (33_485, 1_119), "aops": (622_653, 11_218), "theoremqa_questions": (606_523, 11_206)}
LONG = {*TASKS} - {"leetcode", "aops", "theoremqa_questions", "theoremqa_theorems"}


def test_the_published_instructions():
    assert instruction("earth_science") == (
        "Instruct: Given a earth_science post, retrieve relevant passages that help answer the post\nQuery: "
    )
    assert instruction("biology", long=True) == (
        "Instruct: Given a biology post, retrieve relevant documents that help answer the post\nQuery: "
    )
    assert instruction("pony") == (
        "Instruct: Given a pony question, retrieve relevant passages that help answer the question\nQuery: "
    )
    assert instruction("leetcode") == (
        "Instruct: Given a coding problem, retrieve relevant examples that help answer the problem\nQuery: "
    )
    for task in ("aops", "theoremqa_questions"):
        assert instruction(task) == (
            "Instruct: Given a Math problem, retrieve relevant examples that help answer the problem\nQuery: "
        )
    assert instruction("theoremqa_theorems") == (
        "Instruct: Given a Math problem, retrieve relevant theorems that help answer the problem\nQuery: "
    )


def test_the_tasks():
    assert len(TASKS) == 12
    assert sum(task.queries for task in TASKS.values()) == 1384
    assert sum(task.documents for task in TASKS.values()) == 1_333_166
    assert [name for name, task in TASKS.items() if task.group == "math"] == [
        "aops",
        "theoremqa_questions",
        "theoremqa_theorems",
    ]
    assert sum(task.group == "stackexchange" for task in TASKS.values()) == 7
    assert set(filter(has_long, TASKS)) == LONG


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: instruction("earth-science"), "task 'earth-science' is unknown; choose 'biology', 'earth_science'"),
        (lambda: instruction("aops", long=True), "task 'aops' has no whole pages; biology, earth_science"),
        (lambda: load("pony", queries="o1_reason"), "queries 'o1_reason' is unknown; choose 'original', 'gpt4_reason'"),
        (lambda: load("pony", qrels="new"), "qrels 'new' is unknown; choose 'plain', 'fixed'"),
        (lambda: load("pony", qrels="fixed"), "qrels 'fixed' exist in a folder and for passages only"),
        (lambda: load("pony", source="x", qrels="fixed", long=True), "qrels 'fixed' exist in a folder and for pass"),
        (lambda: macro_average({"pony": 0.1, "stack": 0.2}), r"missing \['aops', .*\], unknown \['stack'\]"),
    ],
)
def test_unknown_choices_are_refused(call, complaint):
    with pytest.raises(ValueError, match=complaint):
        call()


def test_a_folder_without_the_files_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"topics/pony\.jsonl\.gz"):
        load("pony", source=tmp_path)


def test_the_macro_average_weighs_tasks_not_queries():
    # The published averages of RaDeR's Qwen2.5-7B and of BM25 with questions as queries (arXiv:2505.18405, Table 1);
    # the former's is printed as 24.6.
    rader = [25.4, 30.0, 16.7, 25.3, 14.0, 21.3, 16.3, 37.0, 8.2, 15.7, 42.7, 44.4]
    bm25 = [18.9, 27.2, 14.9, 12.5, 13.6, 18.4, 15.0, 24.4, 7.9, 6.2, 10.4, 4.9]
    assert macro_average(dict(zip(TASKS, rader, strict=True))) == pytest.approx(24.75)
    assert macro_average(dict(zip(TASKS, bm25, strict=True))) == pytest.approx(14.5, abs=0.05)


@pytest.mark.parametrize("task", TASKS)
def test_a_folder_of_the_real_data(shared, task):
    folder = shared / "data/bright"
    queries, qrels, excluded = load(task, source=folder)
    assert len(queries) == len(qrels) == TASKS[task].queries
    assert queries.keys() == qrels.keys() >= excluded.keys()
    assert sum(map(len, qrels.values())) == JUDGED[task][0]
    assert (sum(map(len, excluded.values())), max(map(len, excluded.values()), default=0)) == EXCLUDED.get(task, (0, 0))
    assert not any(doc_ids & qrels[query_id].keys() for query_id, doc_ids in excluded.items())
    fixed = load(task, source=folder, qrels="fixed")
    assert (fixed.queries, fixed.excluded) == (queries, excluded)
    assert sum(map(len, fixed.qrels.values())) == JUDGED[task][1]
    if has_long(task):
        pages = load(task, source=folder, long=True)
        assert pages.queries == queries and pages.qrels.keys() == qrels.keys()
        assert all(judged and set(judged.values()) == {1} for judged in pages.qrels.values())


@pytest.mark.parametrize("task", TASKS)
def test_the_qrels_are_those_of_the_published_scores(shared, task):
    """Recall at 100 of the released candidates, which no order changes, equals the released figure of each query."""
    released = shared / "data/rader_runs/RaDeR-gte-Qwen2-LLMq_CoT_lexical" / task
    _, qrels, excluded = load(task, source=shared / "data/bright")
    run = read_run(released / "gpt4_score.json.gz")
    assert without(run, excluded) == run
    with gzip.open(released / "reranker_retriever_results.json.gz") as file:
        published = json.load(file)
    assert evaluate(run, qrels, "R@100")["R@100"] == pytest.approx(published["Recall@100"], abs=6e-6)


def test_ir_datasets_registers_every_task_with_every_kind_of_query():
    ir_datasets = pytest.importorskip("ir_datasets")
    for task in TASKS:
        for long in (False, True) if has_long(task) else (False,):
            dataset = ir_datasets.load(irds_name(task, long=long))
            fields = {field for field in dataset.queries_cls()._fields if field.endswith("_reason")}
            assert set(QUERIES) == {"original", *fields}
            assert -100 in dataset.qrels_defs()
            assert dataset.metadata()["queries"]["count"] == TASKS[task].queries
            assert long or dataset.metadata()["docs"]["count"] == TASKS[task].documents


IN_IR_DATASETS = """
import json, sys
from rader_ir.bright import load
from rader_ir.corpus import read_documents, read_queries
splits = [load("pony"), load("pony", long=True), load("pony", queries="gpt4_reason")]
documents = [list(read_documents("irds:bright/pony"))]
try:
    load("pony", queries="grit_reason")
except ValueError as error:
    documents.append(str(error))
queries, excluded = read_queries("irds:bright/pony")
assert queries == splits[0].queries
excluded = [*(split.excluded for split in splits), excluded]
excluded = [{query_id: sorted(doc_ids) for query_id, doc_ids in each.items()} for each in excluded]
print(json.dumps([[split[:2] for split in splits], excluded, documents]))
"""


def test_ir_datasets_reads_its_own_files(tmp_path):
    """Two queries in the shape of BRIGHT's published files, where ir_datasets looks for them: no network is asked."""
    pytest.importorskip("ir_datasets")
    downloads = _write_parquet(tmp_path)
    assert downloads == 7
    environment = {**os.environ, "IR_DATASETS_HOME": str(tmp_path), "PYTHONPATH": os.getcwd()}
    result = subprocess.run([sys.executable, "-c", IN_IR_DATASETS], capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    splits, excluded, (documents, complaint) = json.loads(result.stdout)
    qrels = {"0": {"a_1": 1, "a_2": 1}, "1": {"b_1": 1}}
    assert splits == [
        [{"0": "first?", "1": "second?"}, qrels],
        [{"0": "first?", "1": "second?"}, {"0": {"a": 1}, "1": {"b": 1}}],
        [{"0": "gpt4_reason 0", "1": "gpt4_reason 1"}, qrels],
    ]
    assert excluded == [{"1": ["c_1", "c_2"]}] * 4
    assert documents == [["a_1", "text a"], ["b_1", "text b"]]
    assert "1 queries have no grit_reason, '1' first" in complaint


def _write_parquet(home) -> int:
    """Write BRIGHT's pony into the cache of ir_datasets under `home`; returns the number of files."""
    pyarrow = pytest.importorskip("pyarrow")
    from importlib.resources import files

    from pyarrow import parquet

    queries = [
        {
            "id": str(number),
            "query": query,
            "reasoning": "N/A",
            "gold_answer": "N/A",
            "gold_ids": gold,
            "gold_ids_long": pages,
            "excluded_ids": out,
        }
        for number, (query, gold, pages, out) in enumerate(
            [("first?", ["a_1", "a_2"], ["a"], ["N/A"]), ("second?", ["b_1"], ["b"], ["c_1", "c_2"])]
        )
    ]
    places = json.loads(files("ir_datasets").joinpath("etc/downloads.json").read_text())["bright"]
    (home / "bright").mkdir()
    written = 0
    for name, place in places.items():
        if not name.startswith("pony/"):
            continue
        kind = name.removeprefix("pony/")
        rows = queries
        if kind == "docs":
            rows = [{"id": "a_1", "content": "text a"}, {"id": "b_1", "content": "text b"}]
        elif "_reason" in kind:
            field = kind.removesuffix("/queries").lower()
            # As on the hub: the model's text in place of the question, the annotators' reasoning beside it.
            rows = [{**row, "query": f"{field} {row['id']}"} for row in queries]
            rows[1]["query"] *= field != "grit_reason"
        parquet.write_table(pyarrow.Table.from_pylist(rows), home / "bright" / place["cache_path"])
        written += 1
    return written
