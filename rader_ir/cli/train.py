"""`rader train`: a retriever, a reranker or an IDCM from examples and a configuration, or the mini checkpoints anew.

The recipes of reasoning rerankers are `rader_ir.train.recipes`: dear, prorank-grpo and then prorank, rank-r1, rank-r1-sft,
sft-listwise.

The same call again goes on with a run that was killed and ends with the same weights. For several devices, start it by
`accelerate launch -m rader_ir.cli train ...`, for several processes on CPUs by `torchrun --nproc_per_node 2 -m rader_ir.cli ...`;
what a run says first is how many processes it has.
"""

import argparse
import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path

from rader_ir.cli import options

MINI = "mini"
IDCM = "idcm"
PAIRS = ("dear", "prorank")  # trained on pairs, like a reranker
ANSWERS = ("prorank-grpo", "rank-r1", "rank-r1-sft", "sft-listwise")  # language models, by what they write
KINDS = ("retriever", "reranker", IDCM, *PAIRS, *ANSWERS, MINI)
LIBRARIES = ("sentence_transformers", "peft", "accelerate", "datasets", "matplotlib")  # of the extra `train`


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is trained, and by which configuration."""
    parser.add_argument("kind", choices=KINDS, help="what to train")
    parser.add_argument("--config", metavar="FILE", help="TOML file: options, and a table [data]")
    parser.add_argument(
        "--out", metavar="DIR", help="the folder to make (default: the configuration's data.out; rader-mini)"
    )
    parser.add_argument("--options", action="store_true", help="print the options of a configuration, and do nothing")
    mini = parser.add_argument_group("of mini")
    mini.add_argument("--data", metavar="DIR", help="the folder of sources that examples/mini_data.py makes")
    mini.add_argument("--only", choices=("mini-retriever", "mini-reranker"), help="make one of both")
    mini.add_argument("--seed", type=options.seed, help="of the split, the order and new weights (default: 0)")
    mini.add_argument("--max-steps", type=int, metavar="N", help="stop after so many optimizer steps, for a trial")


def run(args: argparse.Namespace) -> dict:
    """Trains, and gives the figures of the run's card."""
    if args.options:
        return _print_options(args)
    _check_words(args)
    trl = ["trl"] if args.kind in (*PAIRS, *ANSWERS) else []
    options.require([*LIBRARIES, *trl], "training", "train")
    with warnings.catch_warnings():
        if args.quiet:
            warnings.simplefilter("ignore", FutureWarning)  # of the libraries, about their own names
        if args.kind in ANSWERS:
            from rader_ir.train.recipes import train_answers

            told = train_answers(args.kind, args.config, args.out)
            _only_the_first_speaks(args)
            return told
        return _mini(args) if args.kind == MINI else _trained(args)


def _print_options(args: argparse.Namespace) -> dict:
    from rader_ir.train.options_text import options_text

    if args.kind == MINI:
        raise ValueError("rader train mini has one recipe and no options; --options is for the other kinds")
    sys.stdout.write(options_text(_option_set(args.kind)))
    return {}


def _check_words(args: argparse.Namespace) -> None:
    """Raise ValueError for an option of the other kinds, or one that is missing."""
    mini = {"--data": args.data, "--only": args.only, "--seed": args.seed, "--max-steps": args.max_steps}
    needed, foreign = ("--data", {"--config": args.config}) if args.kind == MINI else ("--config", mini)
    if getattr(args, needed[2:]) is None:
        raise ValueError(f"rader train {args.kind} needs {needed}")
    if given := [name for name, value in foreign.items() if value is not None]:
        raise ValueError(f"{given[0]} is not for rader train {args.kind}; leave it out")


def _mini(args: argparse.Namespace) -> dict:
    from rader_ir.train.mini import train_mini

    words = {"only": args.only, "seed": args.seed or 0, "max_steps": args.max_steps, "verbose": not args.quiet}
    folders = train_mini(args.data, args.out or "rader-mini", **words)
    figures = {folder.name: _figures(folder, args, {}) for folder in folders}
    return {f"{name} {key}": value for name, told in figures.items() for key, value in told.items()}


def _trained(args: argparse.Namespace) -> dict:
    from rader_ir.train.settings import from_toml

    options, data = from_toml(args.config, _option_set(args.kind))
    data = replace(data, out=args.out or data.out)
    if data.out is None:
        raise ValueError(f"{args.config} names no folder to make; give --out, or `out` in its table [data]")
    from rader_ir.train.data import load
    from rader_ir.train.sampling import check_negatives

    examples, dev, docs = load(data, options.seed)
    check_negatives(examples, options.negatives)  # before models and their libraries are read
    given = {"examples": examples, "dev": dev, "out": data.out, "verbose": not args.quiet}
    if args.kind != "retriever" and data.dev_docs is not None:
        raise ValueError("option data.dev_docs is for retrievers; a reranker is measured on each query's own passages")
    if args.kind == "reranker":
        from rader_ir.train.reranker import train_reranker

        folder = train_reranker(options, **given)
    elif args.kind in PAIRS:
        from rader_ir.train.recipes import PAIRS as RECIPES

        folder = RECIPES[args.kind](options, **given)
    elif args.kind == IDCM:
        from rader_ir.train.idcm import train_idcm

        folder = train_idcm(options, **given)
    else:
        from rader_ir.train.retriever import train_retriever

        folder = train_retriever(options, dev_docs=docs, **given)
    return _figures(folder, args, {"examples": len(examples), "development": len(dev)})


def _option_set(kind: str):
    """What `from_toml` takes for a kind: its name, or the class of its options."""
    if kind == IDCM:
        from rader_ir.train.idcm_settings import IDCMOptions

        return IDCMOptions
    if kind in (*PAIRS, *ANSWERS):
        from rader_ir.train.recipe_settings import OPTIONS

        return OPTIONS[kind]
    return kind


def _only_the_first_speaks(args: argparse.Namespace) -> None:
    """Processes beside the first stay silent and write nothing."""
    from rader_ir.train.runtime import processes

    if not processes().is_main_process:
        args.quiet, args.json = True, None


def _figures(folder: Path, args: argparse.Namespace, counts: dict) -> dict:
    """What the card says."""
    from rader_ir.train.card import CARD

    _only_the_first_speaks(args)
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
