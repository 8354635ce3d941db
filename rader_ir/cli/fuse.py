"""`rader fuse`: one run out of several, by interpolated scores or by reciprocal rank.

Interpolation takes two runs, score = alpha * first + (1 - alpha) * second with each list normalised per query; the
dense run is given first by custom. Reciprocal rank takes any number of runs and looks at positions only.
"""

import argparse

from rader_ir.cli import options
from rader_ir.fusion import NORMALISATIONS, interpolate, reciprocal_rank
from rader_ir.runs import Run, read_run, write_run

METHODS = ("interpolate", "rrf")
DEFAULTS = (0.5, "zscore", "topk", "min")  # of alpha, normalise, over, missing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The runs and how to fuse them."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="TREC runs; the first one has the weight alpha")
    parser.add_argument("--method", choices=METHODS, default="interpolate", help="default: %(default)s")
    parser.add_argument(
        "--alpha", type=float, default=DEFAULTS[0], help="weight of the first run (default %(default)s)"
    )
    parser.add_argument("--normalise", choices=list(NORMALISATIONS), default=DEFAULTS[1], help="default: %(default)s")
    parser.add_argument(
        "--over", choices=("topk", "all"), default=DEFAULTS[2], help="rows whose scores normalise a list"
    )
    parser.add_argument(
        "--missing", choices=("min", "drop"), default=DEFAULTS[3], help="a document that one list lacks"
    )
    parser.add_argument("--k", type=options.positive, default=60, help="constant of rrf, 1 / (k + rank) (default 60)")
    options.add_run_output(parser, depth=1000)


def run(args: argparse.Namespace) -> dict:
    """Fuses and writes."""
    runs = [read_run(path) for path in args.runs]
    fused = _fuse(runs, args)
    write_run(fused, args.out, tag=args.method, depth=args.depth)
    return {"queries": len(fused), "rows": sum(map(len, fused.values())), "out": args.out}


def _fuse(runs: list[Run], args: argparse.Namespace) -> Run:
    if args.method == "rrf":
        if (args.alpha, args.normalise, args.over, args.missing) != DEFAULTS:
            raise ValueError(
                "--alpha, --normalise, --over and --missing belong to --method interpolate; leave them out"
            )
        return reciprocal_rank(runs, k=args.k, depth=args.depth)
    if len(runs) != 2:
        raise ValueError(f"interpolate takes two runs, {len(runs)} given; --method rrf takes any number")
    return interpolate(
        *runs, alpha=args.alpha, normalise=args.normalise, over=args.over, missing=args.missing, depth=args.depth
    )
