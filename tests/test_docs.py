"""The API pages build from the docstrings, a page for each module; PyTerrier's page names every public name of ours."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_pages_build(tmp_path):
    pytest.importorskip("pdoc")
    packages = ["rader_ir", *(["pyterrier_rader"] if importlib.util.find_spec("pyterrier") else [])]
    command = [sys.executable, "-m", "pdoc", "-d", "google", *packages, "-o", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    for package in packages:
        modules = [path.relative_to(ROOT).with_suffix("") for path in (ROOT / package).rglob("*.py")]
        public = [module for module in modules if not any(part.startswith("_") for part in module.parts)]
        missing = [str(module) for module in public if not (tmp_path / module).with_suffix(".html").is_file()]
        assert not missing, f"no page for {missing}"


def test_the_page_for_pyterrier_names_every_public_name():
    pyterrier_rader = pytest.importorskip("pyterrier_rader")
    page = (ROOT / "pyterrier_rader" / "pt_docs" / "index.rst").read_text(encoding="utf-8")
    documented = re.findall(r"^\.\. auto(?:class|function):: pyterrier_rader\.(\w+)$", page, flags=re.MULTILINE)
    assert sorted(documented) == sorted(pyterrier_rader.__all__)
