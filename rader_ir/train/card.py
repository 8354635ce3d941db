"""A run's card: everything that made a checkpoint what it is, as JSON beside it.

Options, hashes of the data, the base's weights, versions, the machine and the figures; enough to make the same again, or to see
why two differ. The readable card (`model_card.py`) is written from it.
"""

import hashlib
import json
import platform
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from rader_ir import __version__
from rader_ir.checkpoint_folders import read_json
from rader_ir.examples import Example, excluded_ids, source
from rader_ir.train.callbacks import best_step, measured
from rader_ir.train.models import Base
from rader_ir.train.settings import Options

CARD = "run_card.json"
_LIBRARIES = ("torch", "transformers", "sentence-transformers", "peft", "accelerate", "tokenizers", "numpy")
_TEXT_PATH = (
    *("head", "query_form", "doc_form", "pair_form", "pooling", "eos", "causal", "max_query_length", "max_doc_length"),
)


def data_facts(examples: Sequence[Example]) -> dict:
    """How many examples there are, and a hash of what training reads of them, in their order; of none, no hash."""
    if not examples:
        return {"examples": 0}
    digest = hashlib.sha256()
    for example in examples:
        groups = [[[p.doc_id, p.text, p.score] for p in group] for group in (example.positives, example.negatives)]
        known = [example.query_id, example.query, source(example), sorted(excluded_ids(example))]
        digest.update(json.dumps([*known, *groups]).encode() + b"\n")
    return {"examples": len(examples), "sha256": digest.hexdigest()}


def docs_facts(docs: Sequence[tuple[str, str]]) -> dict:
    """How many documents there are, and a hash of them; of none, no hash."""
    if not docs:
        return {"documents": 0}
    digest = hashlib.sha256()
    for doc in docs:
        digest.update(json.dumps(doc).encode() + b"\n")
    return {"documents": len(docs), "sha256": digest.hexdigest()}


def run_facts(
    kind: str, options: Options, base: Base, data: Mapping[str, Mapping], about: Mapping[str, object] | None = None
) -> dict:
    """What a run is known by: whoever resumes it must have the same.

    Args:
        kind: `retriever` or `reranker`.
        options, base: of the run.
        data: hashes, as `data_facts` and `docs_facts` give them.
        about: what else the card is to tell, as plain values: `command`, `sources` ({name: licence}), `notes` (sentences).
    """
    weights = {"name": base.checkpoint.name, "origin": base.origin, "revision": base.revision}
    weights |= {"adapter": True} if base.is_adapter else {}
    return {
        "kind": kind,
        "options": options.told(),
        "base": {**weights, "weights_id": base.files.weights_id},
        "data": {name: dict(facts) for name, facts in data.items()},
        **({"about": dict(about)} if about else {}),
    }


def is_made_by(folder: Path, facts: Mapping) -> bool:
    """Whether the finished `folder` came of the run that is known by these facts."""
    card, wanted = read_json(folder / "training" / CARD), json.loads(json.dumps(_without_places(facts)))
    return all(card.get(key) == wanted.get(key) for key in ("kind", "options", "base", "data", "about"))


def run_card(
    facts: Mapping,
    base: Base,
    log: Sequence[Mapping],
    steps: int,
    chosen: int,
    measure: str,
    processes: int,
    layers: Sequence[str] | None = None,
) -> dict:
    """The card.

    Args:
        facts: as `run_facts` made them.
        base: what training started from.
        log: the run's, line by line.
        steps: done in all.
        chosen: the step whose weights the folder holds.
        measure: of the development set.
        processes: that trained together.
        layers: names of those that an adapter changed; None where all weights were trained.
    """
    left_out = {"max_query_length"} if base.checkpoint.head == "score" else set()  # a pair has one length
    seconds = max((line["seconds"] for line in log), default=0.0)
    return {
        **_without_places(facts),
        "text_path": {name: getattr(base.checkpoint, name) for name in _TEXT_PATH if name not in left_out},
        **({} if layers is None else {"adapted_layers": sorted(layers)}),
        "figures": {"steps": steps, "chosen_step": chosen, "seconds": seconds, **_figures(log, measure)},
        "versions": {"rader-ir": __version__, "python": platform.python_version(), **_versions()},
        "machine": {"device": _device(), "processes": processes, "platform": platform.platform()},
        "finished": time.strftime("%Y-%m-%d"),
    }


def _without_places(facts: Mapping) -> dict:
    """The facts with folders of this machine by their names alone, since a card is shown to others."""
    base, options = facts["base"], facts["options"]
    origin, start = (
        Path(place).name if Path(place).is_absolute() else place for place in (base["origin"], base["name"])
    )
    told = {**base, "name": start, "origin": origin, "on_hub": origin == base["origin"]}
    return {**facts, "base": told, "options": {**options, "checkpoint": start}}


def _figures(log: Sequence[Mapping], measure: str) -> dict:
    losses = [line["loss"] for line in log if "loss" in line]
    values = dict(measured(log, measure))
    best = best_step(log, measure)
    told = {name: losses[place] for name, place in (("first_loss", 0), ("last_loss", -1))[len(losses) < 2 :] if losses}
    if best is not None:
        told[measure] = {"before": values.get(0), "chosen": values[best], "last": values[max(values)]}
    return told


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def _device() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
