"""Options of `rader rerank --system icr`, which reads a model's attention: those of a checkpoint and a prompt, and its own."""

import argparse
import inspect
from importlib import import_module

from rader_ir.cli import asking, options
from rader_ir.rerank import SYSTEMS, open_reranker

ATTENDING = ("icr",)
_OWN = ("layers", "heads", "chat", "calibrated")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What these systems have alone."""
    group = parser.add_argument_group(f"attention (--system {', '.join(ATTENDING)})")
    group.add_argument("--layers", type=_layers, metavar="FIRST:END", help="layers that count, END left out (all)")
    group.add_argument("--heads", type=_heads, metavar="LAYER:HEAD,…", help="heads that count, in place of layers")
    group.add_argument(
        "--chat",
        action=argparse.BooleanOptionalAction,
        help="put the model's chat template around the prompt (if it has one)",
    )
    group.add_argument(
        "--no-calibration",
        dest="calibrated",
        action="store_false",
        default=None,
        help="leave in what a search that says nothing attends to",
    )


def _layers(text: str) -> tuple[int, int]:
    """`8:12` -> (8, 12), for argparse."""
    first, _, end = text.partition(":")
    try:
        return int(first), int(end)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} names no layers; give FIRST:END, such as 8:12") from None


def _heads(text: str) -> tuple[tuple[int, int], ...]:
    """`8:3,9:0` -> ((8, 3), (9, 0)), for argparse."""
    try:
        pairs = [tuple(map(int, pair.split(":"))) for pair in text.split(",")]
        return tuple((layer, head) for layer, head in pairs)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} names no heads; give LAYER:HEAD, such as 8:3,9:0") from None


def check(args: argparse.Namespace) -> None:
    """Refuse, by its flag, an option that the system has not.

    Raises:
        ValueError: names the flag.
    """
    names = _OWN if args.system not in ATTENDING else _names()
    known = () if args.system not in ATTENDING else inspect.signature(_class(args.system)).parameters
    for name in asking.given(args, names):
        if name not in known:
            where = (
                f"is for --system {', '.join(ATTENDING)}" if name in _OWN else f"is no option of --system {args.system}"
            )
            raise ValueError(f"{_flag(name)} {where}; leave it out")


def opened(args: argparse.Namespace):
    """The reranker, checked but without its model.

    Raises:
        ValueError: an option that it has not, or a value out of range.
    """
    check(args)
    return open_reranker(args.system, **asking.given(args, _names()))


def _names() -> list[str]:
    """Every option that says how a reranker works, whichever has it."""
    return [
        *options.MODEL_OPTIONS,
        "passage_length",
        "passage_stride",
        "padding",
        "instruction",
        "task",
        *asking.NAMES,
        *_OWN,
    ]


def _class(system: str):
    module, name = SYSTEMS[system]
    return getattr(import_module(module), name)


def _flag(name: str) -> str:
    return "--no-calibration" if name == "calibrated" else asking.flag(name)
