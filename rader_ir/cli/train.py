"""`rader train`: a retriever or a reranker from a file of examples and a configuration.

The same call again goes on with a run that was killed and ends with the same weights. For several devices, start it by
`accelerate launch -m rader_ir.cli train ...`.
"""

import argparse
import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

KINDS = ("retriever", "reranker")
LIBRARIES = ("sentence_transformers", "peft", "accelerate", "datasets", "matplotlib")  # of the extra `train`


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is trained, and by which configuration."""
    parser.add_argument("kind", choices=KINDS, help="what to train")
    parser.add_argument("--config", required=True, metavar="FILE", help="TOML file: options, and a table [data]")
    parser.add_argument("--out", metavar="DIR", help="the folder to make (default: the configuration's data.out)")


def run(args: argparse.Namespace) -> dict:
    """Trains, and gives the figures of the run's card."""
    from rader_ir.train.settings import from_toml

    options, data = from_toml(args.config, args.kind)
    data = replace(data, out=args.out or data.out)
    if data.out is None:
        raise ValueError(f"{args.config} names no folder to make; give --out, or `out` in its table [data]")
    missing = [name for name in LIBRARIES if not find_spec(name)]
    if missing:
        raise ImportError(f"training needs {', '.join(missing)}; run pip install 'rader-ir[train]'")
    from rader_ir.train.data import load

    examples, dev, docs = load(data, options.seed)
    given = {"examples": examples, "dev": dev, "out": data.out, "verbose": not args.quiet}
    if args.kind == "reranker":
        if data.dev_docs is not None:
            raise ValueError(
                "option data.dev_docs is for retrievers; a reranker is measured on each query's own passages"
            )
        from rader_ir.train.reranker import train_reranker

        folder = train_reranker(options, **given)
    else:
        from rader_ir.train.retriever import train_retriever

        folder = train_retriever(options, dev_docs=docs, **given)
    return _figures(folder, args, {"examples": len(examples), "development": len(dev)})


def _figures(folder: Path, args: argparse.Namespace, counts: dict) -> dict:
    """What the card says; processes beside the first stay silent and write nothing."""
    from rader_ir.train.card import CARD
    from rader_ir.train.runtime import processes

    if not processes().is_main_process:
        args.quiet, args.json = True, None
    card = json.loads((folder / "training" / CARD).read_text(encoding="utf-8"))
    told = {key: value for key, value in card["figures"].items() if key != "seconds"}
    measures = {
        f"{name}{when}": round(values[part], 4)
        for name, values in told.items()
        if isinstance(values, dict)
        for part, when in (("before", " before"), ("chosen", " after"))
        if values[part] is not None
    }
    plain = {name: value for name, value in told.items() if not isinstance(value, dict)}
    return {**counts, **plain, **measures, "out": str(folder)}
