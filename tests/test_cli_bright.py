"""`rader bright` and `rader bench` as users call them: figures against the engines and published tables, kills, bad calls."""

import json
import shlex
import shutil
from pathlib import Path

import pytest
import torch

pytest.importorskip("scipy")
pytest.importorskip("matplotlib")

from rader_ir import bright
from rader_ir.bm25 import BM25
from rader_ir.cli import main
from rader_ir.corpus import read_documents
from rader_ir.evaluation import evaluate, per_query
from rader_ir.index_folder import locked
from rader_ir.rerank.rader import RaDeR
from rader_ir.runs import read_qrels, read_run, without, write_qrels, write_run
from tests.bright_folders import write_jsonl
from tests.killing import killed_at
from tests.test_engines import cosines
from tests.test_experiment import DOCUMENTS, PONY, QUERIES, assert_equal_runs, bm25, files

EXCLUDED = {"q2": ["d2", "none"]}
REASONS = {query_id: f"a thought on elements and {text}" for query_id, text in QUERIES.items()}


def rader(command: str) -> int:
    return main([*shlex.split(command), "--quiet"])


def figures() -> dict:
    return json.loads(Path("f.json").read_text())


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    """The working folder of a call; in `data` two tasks of BRIGHT in miniature, with documents and a model's reasoning."""
    monkeypatch.chdir(tmp_path)
    for task in ("pony", "aops"):
        topics = [
            {"id": q, "query": text, "excluded_ids": EXCLUDED.get(q, ["N/A"]), "gold_ids": list(PONY.qrels[q])}
            for q, text in QUERIES.items()
        ]
        write_jsonl(Path(f"data/topics/{task}.jsonl.gz"), topics)
        rows = [{**row, "query": REASONS[row["id"]]} for row in topics]
        write_jsonl(Path(f"data/queries/gpt4_reason/{task}.jsonl.gz"), rows)
        documents = [{"id": doc_id, "content": text} for doc_id, text in DOCUMENTS.items()]
        write_jsonl(Path(f"data/documents/{task}.jsonl.gz"), documents)
        Path("data/qrels").mkdir(exist_ok=True)
        write_qrels(PONY.qrels, f"data/qrels/{task}.tsv")
    return tmp_path / "data"


def test_the_table_holds_what_the_engines_find(data, tiny_bert, capsys):
    call = f"bright --data data --splits pony,aops --systems bm25-bright d=dense:{tiny_bert} --out out --json f.json"
    assert rader(f"{call} --baseline bm25-bright --measures 'nDCG@10 R@2'") == 0
    shown = capsys.readouterr().out
    for task in ("pony", "aops"):
        instruction = bright.instruction(task)
        assert_equal_runs(read_run(f"out/d/{task}.trec.gz"), cosines(tiny_bert, instruction=instruction), abs=1e-5)
        assert_equal_runs(read_run(f"out/bm25-bright/{task}.trec.gz"), bm25())
    by_task = [evaluate(read_run(f"out/d/{task}.trec.gz"), PONY.qrels, "nDCG@10 R@2") for task in ("pony", "aops")]
    expected = {measure: (by_task[0][measure] + by_task[1][measure]) / 2 for measure in ("nDCG@10", "R@2")}
    (report,) = figures()["reports"]
    assert report["means"]["d"] == pytest.approx(expected)
    assert report["average"] == "the mean of 2 of the 12 tasks of BRIGHT" and report["average"] in shown
    assert f"{expected['nDCG@10']:.4f} [" in shown and "Pony" in shown and "AoPS" in shown
    assert (figures()["made"], figures()["kept"], figures()["tasks"]) == (4, 0, 2)
    report = Path("out/report")
    texts = report.joinpath("wins_losses.md").read_text()
    assert QUERIES["q3"] in texts or QUERIES["q1"] in texts or QUERIES["q2"] in texts
    names = {"report.txt", "report.md", "report.tex", "report.json", "per_query.csv", "bars.svg", "wins_losses.md"}
    assert names <= {path.name for path in report.iterdir()}
    assert report.joinpath("per_query.csv").read_text().count("\n") == 1 + 2 * 2 * 2 * 3, (
        "systems, tasks, measures, queries"
    )
    assert rader(f"{call} --baseline bm25-bright --measures 'nDCG@10 R@2'") == 0
    assert (figures()["made"], figures()["kept"]) == (0, 4) and capsys.readouterr().out == shown


def test_documents_that_change_in_the_folder_are_searched_again(data):
    """d4 takes the words of the first question, which it is the best document for then; a run that is given stays."""
    assert rader("bright --data data --splits pony --systems bm25 --out out") == 0
    shutil.copytree("out/bm25", "given")
    call = "bright --data data --splits pony --systems bm25 g=run:given --out out --json f.json"
    assert rader(call) == 0 and (figures()["made"], figures()["kept"]) == (1, 1)
    texts = DOCUMENTS | {"d4": QUERIES["q1"]}
    write_jsonl(data / "documents/pony.jsonl.gz", [{"id": doc_id, "content": text} for doc_id, text in texts.items()])
    assert rader(call) == 0 and (figures()["made"], figures()["kept"]) == (1, 1)
    expected = BM25.build(texts.items(), blank_ids="allow").retrieve(QUERIES, excluded={"q2": {"d2"}})
    assert next(iter(expected["q1"])) == "d4"
    assert_equal_runs(read_run("out/bm25/pony.trec.gz"), expected)


def test_other_verbs_take_the_runs_of_a_system(data):
    """A system's folder is one of runs, for `rader evaluate` and for `run:FOLDER`."""
    assert rader("bright --data data --splits pony,aops --systems bm25 --out out --json f.json") == 0
    means = figures()["reports"][0]["means"]["bm25"]
    assert rader("evaluate data/qrels out/bm25 --measures nDCG@10 --json f.json") == 0
    found = figures()["runs"]["bm25"]
    assert means["nDCG@10"] == pytest.approx(sum(found[task]["nDCG@10"]["mean"] for task in ("pony", "aops")) / 2)
    assert rader("bright --data data --splits pony,aops --systems run:out/bm25 --out again --json f.json") == 0
    assert figures()["reports"][0]["means"]["bm25"] == means


def test_rerankers_read_the_question_where_retrieval_reads_the_reasoning(data, tiny_qwen2_reranker):
    call = f"bright --data data --splits pony --systems r=rerank:rader:{tiny_qwen2_reranker} --rerank-depth 2"
    call += " --queries gpt4_reason"
    assert rader(f"{call} --out out") == 0
    assert rader(f"{call} --rerank-queries same --out same") == 0
    first = BM25.build(DOCUMENTS.items(), variant="bright", blank_ids="allow").retrieve(
        REASONS, depth=2, excluded={"q2": {"d2"}}
    )
    texts = [[DOCUMENTS[doc_id] for doc_id in first[query_id]] for query_id in QUERIES]
    for out, queries in (("out", QUERIES), ("same", REASONS)):
        scores = RaDeR(tiny_qwen2_reranker).score(list(queries.values()), texts)
        expected = {q: dict(zip(first[q], map(float, row), strict=True)) for q, row in zip(first, scores, strict=True)}
        assert_equal_runs(read_run(f"{out}/r/pony.trec.gz"), expected, abs=1e-5)


def test_runs_that_are_given_need_no_documents_and_meet_the_published_table(shared, tmp_path, monkeypatch):
    """ReasonIR's runs, whose figures stand in their README, and RaDeR's run without the documents that queries exclude."""
    monkeypatch.chdir(tmp_path)
    data = shared / "data"
    call = f"bright --data {data}/bright --systems reasonir=run:{data}/reasonir_runs --measures nDCG@10 --out out"
    assert rader(f"{call} --json f.json") == 0
    (report,) = figures()["reports"]
    assert report["average"] == "the mean of the 12 tasks of BRIGHT"
    assert report["means"]["reasonir"]["nDCG@10"] == pytest.approx(0.3059, abs=5e-5)
    pony = json.loads(Path("out/reasonir/pony.figures.json").read_text())
    assert pony["means"]["nDCG@10"] == pytest.approx(0.1955, abs=5e-5)
    Path("rader").mkdir()
    released = data / "rader_runs/RaDeR-gte-Qwen2-LLMq_CoT_lexical/theoremqa_theorems/hybrid_BM25_Rader.json.gz"
    shutil.copy(released, "rader/theoremqa_theorems.json.gz")
    assert (
        rader(f"bright --data {data}/bright --splits theoremqa_theorems --systems run:rader --out out --json f.json")
        == 0
    )
    assert figures()["reports"][0]["means"]["rader"]["nDCG@10"] == pytest.approx(0.43433, abs=5e-6)


def test_of_runs_alone_no_queries_are_claimed_or_wanted(data, capsys):
    """The reasoning of one task is gone; a run of it is measured all the same, a system that searches is refused."""
    assert rader("bright --data data --splits pony --systems bm25 --out out") == 0
    notes = capsys.readouterr().out
    assert "Data: folder, original queries, plain qrels" in notes and "Lists of 1000 documents at most." in notes
    shutil.rmtree(data / "queries")
    call = "bright --data data --splits pony --queries gpt4_reason --systems mine=run:out/bm25"
    assert rader(f"{call} --out given") == 0
    notes = capsys.readouterr().out
    assert "Data: folder, plain qrels" in notes and "Lists of" not in notes
    assert "mine: runs from files, by whatever queries their maker chose." in notes
    assert rader(f"{call} bm25 --out both") == 2
    assert "queries 'gpt4_reason' are not in folder data" in capsys.readouterr().err
    assert rader("bright --data data --splits pony --systems h=hybrid:run:out/bm25 --out both") == 0
    notes = capsys.readouterr().out
    assert "bm25: runs from files" in notes and "original queries" in notes
    assert rader("bright --data data --splits pony --queries o1 --systems run:out/bm25 --out x") == 2
    assert "queries 'o1' is unknown" in capsys.readouterr().err


def test_corrected_judgements_have_a_report_and_an_average_of_their_own(shared, tmp_path, monkeypatch, capsys):
    """Five tasks are corrected, so their mean is one thing and that of the seven others another; the plain report stays."""
    monkeypatch.chdir(tmp_path)
    data = shared / "data"
    call = f"bright --data {data}/bright --systems reasonir=run:{data}/reasonir_runs --measures nDCG@10 --out out"
    assert rader(call) == 0
    plain = {path.name: path.read_bytes() for path in Path("out/report").iterdir()}
    capsys.readouterr()
    assert rader(f"{call} --qrels fixed --json f.json") == 0
    fixed, others = figures()["reports"]
    assert (Path(fixed["folder"]), len(fixed["collections"])) == (Path("out/report-fixed"), 5)
    assert (Path(others["folder"]), len(others["collections"])) == (Path("out/report-economics"), 7)
    runs = {task: read_run(data / f"reasonir_runs/{task}.trec.gz") for task in fixed["collections"]}
    excluded = {task: bright.load(task, source=data / "bright").excluded for task in runs}
    values = [
        evaluate(without(run, excluded[task]), read_qrels(data / f"bright/qrels_fixed/{task}.tsv"), "nDCG@10")[
            "nDCG@10"
        ]
        for task, run in runs.items()
    ]
    assert fixed["means"]["reasonir"]["nDCG@10"] == pytest.approx(sum(values) / 5)
    assert fixed["average"] == "the mean of 5 of the 12 tasks of BRIGHT, by corrected judgements"
    assert fixed["average"] in capsys.readouterr().out
    assert plain == {path.name: path.read_bytes() for path in Path("out/report").iterdir()}


def test_whole_pages_of_pony(shared, tmp_path, monkeypatch):
    """Real questions over rebuilt pages, by BM25: the same as ranking and measuring by hand."""
    monkeypatch.chdir(tmp_path)
    for folder in ("topics", "documents_long"):
        Path("data", folder).mkdir(parents=True)
    shutil.copy(shared / "data/bright/topics/pony.jsonl.gz", "data/topics")
    corpus = shared / "data/bright_pony_pages/corpus.jsonl.gz"
    shutil.copy(corpus, "data/documents_long/pony.jsonl.gz")
    assert rader("bright --data data --long --splits pony --systems bm25 --out out --json f.json") == 0
    queries = bright.load("pony", source=shared / "data/bright").queries
    run = BM25.build(read_documents(corpus, fields=["text"]), blank_ids="allow").retrieve(queries)
    expected = evaluate(run, read_qrels(shared / "data/bright_pony_pages/qrels.tsv"), "R@1 nDCG@10")
    (report,) = figures()["reports"]
    assert {measure: report["means"]["bm25"][measure] for measure in expected} == pytest.approx(expected)


@pytest.fixture
def one_thread():
    """The children that are killed have one, and vectors of several differ by rounding."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_killed_at_moments_of_a_whole_call(data, tiny_bert, one_thread):
    """The call after a kill ends with the files of an unbroken one, the report's included."""
    call = f"bright --data data --splits pony,aops --systems bm25 dense:{tiny_bert} --baseline bm25 --out"
    assert rader(f"{call} whole") == 0
    touches = {"open", "write", "replace", "fsync", "mkdir"}
    kills = 0
    for moment in (40, 400, 1200, 5000):
        killed = killed_at(moment, lambda: rader(f"{call} out"), lambda function: function.__name__ in touches)
        kills += killed
    assert kills > 1
    assert rader(f"{call} out") == 0
    whole, found = (
        {name: content for name, content in files(Path(folder)).items() if "/." not in f"/{name}"}
        for folder in ("whole", "out")
    )
    assert found == whole


@pytest.fixture
def bench(data) -> Path:
    """In `sets` a miniature of BEIR and one of RAR-b, with the documents and judgements of the tasks above."""
    for name in ("beir/toy", "rarb/math", "msmarco-dev-small"):
        folder = Path("sets", name)
        write_jsonl(folder / "corpus.jsonl", [{"_id": d, "title": "", "text": text} for d, text in DOCUMENTS.items()])
        write_jsonl(folder / "queries.jsonl", [{"_id": q, "text": text} for q, text in QUERIES.items()])
        rows = [f"{q}\t{d}\t{grade}\n" for q, judged in PONY.qrels.items() for d, grade in judged.items()]
        (folder / "qrels").mkdir()
        (folder / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(rows))
    return Path("sets")


def test_bench_measures_each_collection_as_papers_do(bench, tiny_bert):
    call = f"bench rarb/math beir/toy msmarco-dev-small --data sets --systems dense:{tiny_bert} bm25 --out out --json f.json"
    assert rader(call) == 0
    dense = f"out/dense-{tiny_bert.name}"
    told = "Instruct: Retrieve the answer for the following math problem.\nQuery: "
    expected = cosines(tiny_bert, instruction=told, everything=True)
    assert_equal_runs(read_run(f"{dense}/math.trec.gz"), expected, abs=1e-5)
    short = cosines(tiny_bert, everything=True, max_query_length=32, max_doc_length=196)
    assert_equal_runs(read_run(f"{dense}/msmarco-dev-small.trec.gz"), short, abs=1e-5)
    reports = {tuple(report["collections"]): report for report in figures()["reports"]}
    assert list(reports) == [("math", "toy"), ("msmarco-dev-small",)]
    mean = reports["math", "toy"]["means"]["bm25"]["nDCG@10"]
    values = [
        per_query(read_run(f"out/bm25/{name}.trec.gz"), PONY.qrels, "nDCG@10")["nDCG@10"] for name in ("math", "toy")
    ]
    assert mean == pytest.approx(sum(sum(each.values()) / 3 for each in values) / 2)
    assert next(iter(reports["msmarco-dev-small",]["means"]["bm25"])) == "RR@10"
    assert Path("out/report-math/report.md").is_file() and Path("out/report-msmarco-dev-small/report.md").is_file()


BAD = {
    "bright --data data --systems bm25 --splits ponny": "task 'ponny' is unknown; choose 'biology'",
    "bright --data data --systems bm25 --splits aops --long": "task 'aops' has no whole pages",
    "bright --data data --systems bm25 --splits pony --queries o1": "queries 'o1' is unknown",
    "bright --data data --systems bm25 --splits pony --queries grit_reason": "queries 'grit_reason' are not in folder",
    "bright --data data --systems bm25 --splits pony --qrels new": "qrels 'new' is unknown; choose 'plain', 'fixed'",
    "bright --data data --systems bm24 --splits pony": "system 'bm24' is unknown; give one of bm25",
    "bright --data data --systems bm25 --splits pony --baseline x": "--baseline 'x' is no system of this call",
    "bright --data data --systems bm25 --splits pony --measures nGCD": "measure 'nGCD' is unknown: measure not found",
    "bright --data data --systems run:runs --splits pony": "runs holds no run of pony",
    "bright --data data --systems bm25 --splits biology": "topics/biology.jsonl.gz: no such file",
    "bright --data data --systems bm25 --splits pony --indexes i --drop-indexes": "indexes kept in i are not dropped",
    "bright --data data --systems bm25 --splits pony --test t": "--test compares systems with a baseline; give --baseline",
    "bench beir/none --data data --systems bm25": "no such folder; put the files of beir/none there",
}


@pytest.mark.parametrize("call", BAD)
def test_bad_calls_are_one_line_and_leave_nothing(data, capsys, call):
    Path("runs").mkdir()
    assert rader(f"{call} --out out") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and BAD[call] in error and error.startswith(f"rader {call.split()[0]}: ")
    assert not any(path.is_file() for path in Path().glob("out/**/*"))


def test_a_folder_is_one_calls_at_a_time(data, capsys):
    Path("out").mkdir()
    with locked(Path("out")):
        assert rader("bright --data data --splits pony --systems bm25 --out out") == 2
    assert "another process is writing out; let it end, or choose another folder" in capsys.readouterr().err
    assert not list(Path("out").iterdir())
    assert rader("bright --data data --splits pony --systems bm25 --out out") == 0


def test_a_run_of_another_task_is_refused(data, capsys):
    Path("runs").mkdir()
    write_run({"q1": {"other": 1.0}}, "runs/pony.trec")
    assert rader("bright --data data --splits pony --systems run:runs --out out") == 2
    assert "no document of the run is judged" in capsys.readouterr().err
