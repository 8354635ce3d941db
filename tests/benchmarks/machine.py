"""The machine and the versions that figures were measured with: `python -m tests.benchmarks.machine`."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

LIBRARIES = ["rader-ir", "torch", "transformers", "sentence-transformers", "faiss-cpu", "bm25s", "numpy", "pandas"]
LIBRARIES += ["ir-measures", "pyterrier", "pyterrier-pisa", "pyterrier-dr", "pyserini"]


def processor() -> str:
    """The processor's name as Linux gives it, else what Python knows."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def installed(name: str) -> str:
    """A package's version, or that it is absent."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def description() -> str:
    """Processor, cores, memory and system in one line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{processor()}, {os.cpu_count()} cores, {memory:.0f} GiB; {platform.platform()}"


def versions() -> dict[str, str]:
    """Version of Python and of every library that figures depend on."""
    return {"python": platform.python_version(), **{name: installed(name) for name in LIBRARIES}}


def main() -> None:
    """Print a Markdown list: processor, memory, system, Python, libraries."""
    print(f"- Machine: {description()}")
    print("- " + ", ".join(f"{name} {number}" for name, number in versions().items()))


if __name__ == "__main__":
    main()
