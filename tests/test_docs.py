"""The API pages build from the docstrings, a page for each module; PyTerrier's page names every public name of ours."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_every_module_has_a_page(tmp_path):
    pytest.importorskip("pdoc")
    pytest.importorskip("pyterrier")
    command = [sys.executable, "docs/build.py", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    written = {path.relative_to(tmp_path).with_suffix("") for path in tmp_path.rglob("*.html")}
    for package in ("rader_ir", "pyterrier_rader"):
        files = [path.relative_to(ROOT).with_suffix("") for path in (ROOT / package).rglob("*.py")]
        modules = {path.parent if path.name == "__init__" else path for path in files}
        assert {module for module in modules if not module.name.startswith("_")} <= written


def test_the_page_for_pyterrier_names_every_public_name():
    pyterrier_rader = pytest.importorskip("pyterrier_rader")
    page = (ROOT / "pyterrier_rader" / "pt_docs" / "index.rst").read_text(encoding="utf-8")
    documented = re.findall(r"^\.\. auto(?:class|function):: pyterrier_rader\.(\w+)$", page, flags=re.MULTILINE)
    assert sorted(documented) == sorted(pyterrier_rader.__all__)
