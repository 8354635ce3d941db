"""Importing the packages and the doors is cheap: no model library, no Java bridge, no data frames where none are used.

Each import runs in a fresh interpreter, which prints what of the heavy libraries it then holds.
"""

import subprocess
import sys

import pytest

import rader_ir
from rader_ir.train.recipe_settings import OPTIONS

MODEL_LIBRARIES = ["torch", "transformers", "tokenizers", "faiss", "bm25s", "sentence_transformers", "peft", "trl"]
HEAVY = [*MODEL_LIBRARIES, "scipy", "matplotlib", "pyserini", "jnius", "pyterrier_dr", "huggingface_hub"]
PLAIN = ["runs", "fusion", "checkpoints", "bright", "corpus", "passages", "evaluation"]


def loaded_by(statement: str, libraries: list[str]) -> list[str]:
    """Which of `libraries` a fresh interpreter holds after `statement`."""
    script = f"{statement}\nimport sys\nprint(*[name for name in {libraries!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_loaded_by_sees_what_an_import_loads():
    assert loaded_by("import json.decoder", ["json", "json.decoder", "sqlite3"]) == ["json", "json.decoder"]


def test_the_package_loads_neither_numpy_nor_anything_heavy():
    assert loaded_by("import rader_ir", [*HEAVY, "numpy", "pandas", "ir_measures", "tqdm"]) == []


@pytest.mark.parametrize("module", PLAIN)
def test_floor_0_loads_nothing_heavy(module):
    assert loaded_by(f"import rader_ir.{module}", [*MODEL_LIBRARIES, "pandas", "pyserini", "tqdm", "ir_datasets"]) == []


def test_tables_and_tests_wait_for_scipy_and_matplotlib():
    """Both are of an extra; a table without a baseline needs neither."""
    assert loaded_by("import rader_ir.reports, rader_ir.significance, rader_ir.cli.evaluate", [*HEAVY, "pandas"]) == []


def test_options_of_training_are_printed_without_its_libraries():
    """Of IDCM, whose options check themselves against its model's, torch alone is opened."""
    call = "import io, sys; from rader_ir.cli import main; told = sys.stdout; sys.stdout = io.StringIO()\n"
    call += "for kind in {}: assert main(['train', kind, '--options', '--quiet']) == 0\nsys.stdout = told"
    libraries = [*HEAVY, "datasets", "accelerate"]
    assert loaded_by(call.format(["retriever", "reranker", *OPTIONS]), libraries) == []
    assert loaded_by(call.format(["idcm"]), libraries) == ["torch"]


@pytest.mark.parametrize("door", ["rader_ir.cli", "rader_ir.pyserini"])
def test_doors_load_nothing_heavy(door):
    assert loaded_by(f"import {door}", [*HEAVY, "pandas"]) == []


def test_the_pyterrier_door_adds_no_model_library():
    pytest.importorskip("pyterrier")
    already = loaded_by("import pyterrier", HEAVY)
    assert loaded_by("import pyterrier_rader", HEAVY) == already
    assert not set(already) & set(MODEL_LIBRARIES)


@pytest.mark.parametrize("name", rader_ir.__all__)
def test_public_names_open(name):
    assert getattr(rader_ir, name).__name__ == name


def test_an_unknown_name_lists_the_public_ones():
    with pytest.raises(AttributeError, match="no attribute 'Encodr'; its public names are BM25, Checkpoint"):
        _ = rader_ir.Encodr


def test_the_extras_are_not_needed_to_import():
    """With the optional libraries made unimportable, the package, its command line and the Pyserini door still open."""
    block = (
        "import sys; sys.modules.update(dict.fromkeys(['pyterrier', 'pyserini', 'pandas', 'ir_datasets', 'aiohttp']))"
    )
    assert loaded_by(f"{block}\nimport rader_ir, rader_ir.cli, rader_ir.pyserini", MODEL_LIBRARIES) == []


def test_searching_vectors_loads_no_torch():
    assert loaded_by("import rader_ir.index, rader_ir.index_kinds", ["torch", "transformers", "pandas", "scipy"]) == []


def test_an_encoder_that_read_nothing_has_not_loaded_what_loads_models():
    heavy = ["torch._dynamo", "transformers.modeling_utils", "scipy", "sentence_transformers"]
    assert loaded_by("from rader_ir import CrossEncoder, Encoder; Encoder('minilm')", heavy) == []
