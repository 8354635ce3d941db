"""The API pages build from the docstrings by the README's command, and every module has its page."""

import importlib.util
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
