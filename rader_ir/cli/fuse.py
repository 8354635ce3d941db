"""`rader fuse`: one run out of several, by interpolated scores or by reciprocal rank.

Interpolation takes two runs, score = alpha * first + (1 - alpha) * second with each list normalised per query; the
dense run is given first by custom. Reciprocal rank takes any number of runs and looks at positions only. `--setting` names
the interpolation behind a published figure.
"""

import argparse

from rader_ir.cli import options
from rader_ir.fusion import MISSING, NORMALISATIONS, PUBLISHED, interpolate, reciprocal_rank
from rader_ir.runs import Run, read_run, write_run

METHODS = ("interpolate", "rrf")
OPTIONS = ("alpha", "normalise", "over", "missing")  # of `interpolate`, which knows their defaults


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The runs and how to fuse them."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="TREC runs; the first one has the weight alpha")
    parser.add_argument("--method", choices=METHODS, default="interpolate", help="default: %(default)s")
    parser.add_argument(
        "--setting",
        choices=tuple(PUBLISHED),
        help="how RaDeR's figures on BRIGHT were fused, dense run or ratings first; --depth then cuts the outcome only",
    )
    parser.add_argument("--alpha", type=float, help="weight of the first run (default 0.5)")
    parser.add_argument("--normalise", choices=tuple(NORMALISATIONS), help="default: zscore")
    parser.add_argument("--over", choices=("topk", "all"), help="rows whose scores normalise a list (default: topk)")
    parser.add_argument("--missing", choices=MISSING, help="a document that one list lacks (default: min)")
    parser.add_argument("--k", type=options.positive, default=60, help="constant of rrf, 1 / (k + rank) (default 60)")
    options.add_run_output(parser, depth=1000)


def run(args: argparse.Namespace) -> dict:
    """Fuses and writes."""
    runs = [read_run(path) for path in args.runs]
    fused = _fuse(runs, args)
    write_run(fused, args.out, tag=args.method, depth=args.depth)
    return {"queries": len(fused), "rows": sum(map(len, fused.values())), "out": args.out}


def _fuse(runs: list[Run], args: argparse.Namespace) -> Run:
    chosen = {name: getattr(args, name) for name in OPTIONS if getattr(args, name) is not None}
    if args.method == "rrf":
        if chosen or args.setting:
            raise ValueError(
                "--setting, --alpha, --normalise, --over and --missing belong to --method interpolate; leave them out"
            )
        return reciprocal_rank(runs, k=args.k, depth=args.depth)
    if len(runs) != 2:
        raise ValueError(f"interpolate takes two runs, {len(runs)} given; --method rrf takes any number")
    if args.setting and chosen:
        raise ValueError(
            f"--setting {args.setting} fixes {', '.join(chosen)} too; leave --{' and --'.join(chosen)} out"
        )
    return interpolate(*runs, **(PUBLISHED[args.setting] if args.setting else {**chosen, "depth": args.depth}))
