"""Systems by name: BM25, dense, hybrid, reranked, or runs that are given.

`bm25` and `bm25-bright`; `dense:CHECKPOINT`; `hybrid:CHECKPOINT`, which is RaDeR's published fusion of the dense run with
query-weighted BM25 (arXiv:2505.18405), its setting by the task; `rerank:SYSTEM:CHECKPOINT` over a first stage;
`run:FOLDER`, files TASK.trec, .run, .txt or .json, .gz too. CHECKPOINT may end in @REVISION, and `LABEL=` before any names it.
How each makes its run is `rader_ir.pipeline_runs`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rader_ir.checkpoints import find_checkpoint
from rader_ir.rerank import ASKING, SYSTEMS

BM25 = {"bm25": "lucene", "bm25-bright": "bright"}  # systems: variants
KINDS = ("bm25", "bm25-bright", "dense:CHECKPOINT", "hybrid:CHECKPOINT", "rerank:SYSTEM:CHECKPOINT", "run:FOLDER")
FIRST = "bm25-bright"  # BRIGHT's own BM25, whose first 100 RaDeR's reranker was measured on
RESERVED = ("indexes", "parts", "report")  # folders beside those of the systems; report-NAME too


@dataclass(frozen=True)
class System:
    """What makes a run.

    Attributes:
        label: its row in tables and its folder.
        kind: bm25, bm25-bright, dense, hybrid, rerank or run.
        checkpoint, revision: of the model.
        reranker: a name of `rader_ir.rerank.SYSTEMS`.
        folder: of the runs that are given.
        parts: the systems whose runs it works on: a reranker's first stage; a hybrid's dense system, then its BM25.
    """

    label: str
    kind: str
    checkpoint: str | None = None
    revision: str | None = None
    reranker: str | None = None
    folder: str | None = None
    parts: tuple["System", ...] = ()

    def like(self, other: "System") -> bool:
        """Whether both make the same runs, whatever they are called."""
        return replace(self, label="") == replace(other, label="")

    def told(self) -> str:
        """What it is, in the words of its name, those that it works on included.

        >>> parse(["rerank:rader:some/model"])[0].told()
        'rerank:rader:some/model over bm25-bright'
        """
        model = f"{self.checkpoint}@{self.revision}" if self.revision else self.checkpoint
        parts = [part.told() for part in self.parts]
        if self.kind == "hybrid":
            return f"hybrid of {' and '.join(parts)}"
        if self.kind == "rerank":
            return f"rerank:{self.reranker}:{model} over {parts[0]}"
        return f"{self.kind}:{model or self.folder}" if model or self.folder else self.kind

    def within(self) -> Iterator["System"]:
        """The system and all that it works on."""
        yield self
        for part in self.parts:
            yield from part.within()


def parted(text: str) -> tuple[str, str]:
    """LABEL=NAME -> (LABEL, NAME); without a label ("", NAME). An = behind a colon belongs to the name."""
    label, equals, name = text.partition("=")
    return (label, name) if equals and ":" not in label else ("", text)


def all_given(texts: list[str]) -> bool:
    """Whether the names are of runs that are given, so that nothing searches.

    >>> all_given(["mine=run:folder"]), all_given(["run:folder", "bm25"])
    (True, False)
    """
    return all(parted(text)[1].startswith("run:") for text in texts)


def parse(texts: list[str], *, first: str = FIRST) -> list[System]:
    """The systems of some names.

    Args:
        texts: names as in this module's docstring.
        first: the first stage of rerankers: a name, or the label of another of the systems.

    Raises:
        ValueError: a name of another form, an unknown reranker or checkpoint, two systems under one label.
        FileNotFoundError: a checkpoint or a folder of runs that is not there.
    """
    firsts = {system.label: system for text in texts if not _is_rerank(text) for system in [_system(text, None)]}
    stage = firsts.get(first) or _first(first)
    systems = [_system(text, stage) for text in texts]
    if not systems:
        raise ValueError(f"no system given; name some of {', '.join(KINDS)}")
    for label in (labels := [_checked(system.label) for system in systems]):
        if labels.count(label) > 1:
            raise ValueError(f"two systems are called {label!r}; put another LABEL= before one of them")
    return systems


def _is_rerank(text: str) -> bool:
    return parted(text)[1].startswith("rerank:")


def _first(text: str) -> System:
    if _is_rerank(text):
        raise ValueError(f"first stage {text!r} is a reranker itself; choose one of {', '.join(KINDS[:4])}, run:FOLDER")
    try:
        return _system(text, None)
    except ValueError as error:
        raise ValueError(f"first stage of rerankers (--first): {error}, or the LABEL of one of the systems") from error


def _system(text: str, first: System | None) -> System:
    label, name = parted(text)
    kind, _, rest = name.partition(":")
    if name in BM25:
        system = System(name, name)
    elif kind == "run" and rest:
        system = _runs(rest)
    elif kind == "dense" and rest:
        system = _dense(rest)
    elif kind == "hybrid" and rest:
        dense = _system(rest, None) if rest.startswith("run:") else _dense(rest)
        named = dense.label.removeprefix("dense-")
        system = System(f"hybrid-{named}", "hybrid", parts=(dense, System("bm25-bright", "bm25-bright")))
    elif kind == "rerank" and ":" in rest:
        system = _reranked(*rest.split(":", 1), first)
    else:
        raise ValueError(f"system {text!r} is unknown; give one of {', '.join(KINDS)}")
    return replace(system, label=label) if label else system


def _checked(label: str) -> str:
    taken = label in RESERVED or label.startswith(f"{RESERVED[2]}-")
    if not label or label.startswith(".") or taken or any(mark in label for mark in "/\\"):
        raise ValueError(
            f"label {label!r} cannot name a folder here; put another LABEL= before it, none of {', '.join(RESERVED)} and no path"
        )
    return label


def _runs(folder: str) -> System:
    if not Path(folder).is_dir():
        raise FileNotFoundError(
            f"run:{folder} names no folder; give one with files TASK.trec, .run, .txt or .json (.gz too)"
        )
    return System(Path(folder).resolve().name, "run", folder=str(Path(folder).absolute()))


def _dense(rest: str) -> System:
    checkpoint, revision = _checkpoint(rest)
    return System(f"dense-{_named(checkpoint)}", "dense", checkpoint, revision)


def _reranked(reranker: str, rest: str, first: System | None) -> System:
    known = [name for name in SYSTEMS if name not in ASKING]  # what opens a checkpoint
    if reranker not in known:
        raise ValueError(f"reranker {reranker!r} is unknown; choose {', '.join(map(repr, known))}")
    checkpoint, revision = _checkpoint(rest)
    parts = (first,) if first else ()
    return System(f"rerank-{_named(checkpoint)}", "rerank", checkpoint, revision, reranker, parts=parts)


def _checkpoint(text: str) -> tuple[str, str | None]:
    """NAME@REVISION -> (NAME, REVISION), checked to be known as far as that can be told without a network."""
    name, at, revision = text.rpartition("@")
    if not at or Path(text).is_dir():
        name, revision = text, ""
    found = find_checkpoint(name)
    return found.name, revision or None


def _named(checkpoint: str) -> str:
    return checkpoint.rstrip("/").rpartition("/")[2]
