"""The wheel carries what a user needs and nothing else, and works where it is unpacked."""

import importlib
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NEVER = (
    "torchvision",
    "torchaudio",
    "pyterrier-rag",
    "pyterrier-anserini",
)  # they pull in a second torch or break Java


def run(*command, **options) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built without a network."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    done = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("rader_ir-*.whl"))


@pytest.fixture(scope="module")
def names(wheel) -> list[str]:
    return zipfile.ZipFile(wheel).namelist()


def read(wheel: Path, ending: str) -> str:
    archive = zipfile.ZipFile(wheel)
    return archive.read(next(name for name in archive.namelist() if name.endswith(ending))).decode()


def test_holds_the_two_packages_and_nothing_else(names):
    assert {name.split("/")[0].split("-")[0] for name in names} == {"rader_ir", "pyterrier_rader"}
    assert not [name for name in names if re.search(r"(^|/)tests?/|__pycache__|conftest", name)]


def test_holds_every_tracked_file_of_the_packages(names):
    """Modules, type markers and package data alike: whatever is committed under a package is in the wheel."""
    listing = subprocess.run(
        ["git", "ls-files", "rader_ir", "pyterrier_rader"], cwd=ROOT, capture_output=True, text=True
    )
    if listing.returncode:
        pytest.skip("not a git checkout")
    assert set(listing.stdout.split("\n")) - {""} <= set(names)


@pytest.mark.parametrize("name", ["rader_ir/py.typed", "pyterrier_rader/py.typed", "pyterrier_rader/pt_docs/index.rst"])
def test_holds_type_markers_and_the_pages_for_pyterrier(names, name):
    assert name in names


@pytest.mark.parametrize("name", ["LICENSE", "NOTICE"])
def test_holds_licence_and_notice_unchanged(wheel, name):
    assert read(wheel, f"/licenses/{name}") == (ROOT / name).read_text()


def test_states_its_entry_points(wheel):
    lines = read(wheel, "/entry_points.txt").splitlines()
    assert "rader = rader_ir.cli:main" in lines
    assert "dense_index.rader = pyterrier_rader:RaDeRIndex" in lines


def test_states_licence_and_python(wheel):
    metadata = Parser().parsestr(read(wheel, "/METADATA"))
    assert (metadata["Name"], metadata["License-Expression"]) == ("rader-ir", "Apache-2.0")
    assert metadata["Requires-Python"] == ">=3.11"


def test_entry_points_open():
    for group in ({"": PROJECT["scripts"]}, PROJECT["entry-points"]):
        for entries in group.values():
            for target in entries.values():
                module, name = target.split(":")
                if module.startswith("pyterrier") and not importlib.util.find_spec("pyterrier"):
                    continue
                assert callable(getattr(importlib.import_module(module), name)), target


def test_works_where_it_is_unpacked(wheel, tmp_path):
    """The unpacked wheel, not the checkout, is imported and its command line answers."""
    zipfile.ZipFile(wheel).extractall(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    script = "import rader_ir.cli as cli; print(cli.__file__); cli.main(['--help'])"
    done = run(sys.executable, "-c", script, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path))
    assert "quickstart" in done.stdout


def requirements() -> list[str]:
    return [*PROJECT["dependencies"], *(line for lines in PROJECT["optional-dependencies"].values() for line in lines)]


def test_no_extra_names_a_package_that_breaks_others():
    assert not [line for line in requirements() if line.startswith(NEVER)]


def test_the_constraints_fit_the_bounds():
    """Every requirement is met by the tested set; nothing of the tested set is banned."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lines = [line.partition("#")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines()]
    pins = dict(line.split("==") for line in lines if line)
    assert all(name == canonicalize_name(name) for name in pins)
    assert not set(NEVER) & set(pins)
    for line in requirements():
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        if name != "rader-ir":
            assert requirement.specifier.contains(pins[name]), f"{line} against {name}=={pins.get(name)}"
