"""`rader fuse`: one run out of several, by interpolated scores or by reciprocal rank.

Interpolation takes two runs, score = alpha * first + (1 - alpha) * second with each list normalised per query; the
dense run is given first by custom. Reciprocal rank takes any number of runs and looks at positions only. `--setting` names
the interpolation behind a published figure.
"""

import argparse
import sys

from rader_ir.cli import options
from rader_ir.fusion import MISSING, NORMALISATIONS, PUBLISHED, interpolate, reciprocal_rank
from rader_ir.runs import Run, read_run, some, write_run

METHODS = ("interpolate", "rrf")
OPTIONS = ("alpha", "normalise", "over", "missing")  # of `interpolate`, which knows their defaults
RATINGS = {rating / 5 for rating in range(6)} | {-1.0}  # of a language model, as `--setting bright-rating` takes them


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
    notes = _lacking(runs, args.runs)
    fused = _fuse(runs, args)
    for note in notes:
        print(f"rader fuse: {note}", file=sys.stderr)
    write_run(fused, args.out, tag=args.method, depth=args.depth)
    return {"queries": len(fused), "rows": sum(map(len, fused.values())), "out": args.out, "notes": notes}


def _lacking(runs: list[Run], paths: list[str]) -> list[str]:
    """What to say of queries that a run lacks; a run that has none of the others' is refused."""
    notes = []
    for at, (run, path) in enumerate(zip(runs, paths, strict=True)):
        others = {query_id for other in runs[:at] + runs[at + 1 :] for query_id in other}
        if others.isdisjoint(run) and len(runs) > 1:
            raise ValueError(
                f"{path} has no query in common with the other runs: {some(run)} in it, {some(others)} in them; "
                "give runs of the same queries"
            )
        if missing := len(others - run.keys()):
            notes.append(f"{path} lacks {missing} of the {len(others | run.keys())} queries of all runs")
    return notes


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
    if args.setting == "bright-rating" and _are_ratings(runs[1]) and not _are_ratings(runs[0]):
        raise ValueError(f"{args.runs[1]} holds ratings, which {args.setting} takes first; swap the two runs")
    return interpolate(*runs, **(PUBLISHED[args.setting] if args.setting else {**chosen, "depth": args.depth}))


def _are_ratings(run: Run) -> bool:
    # Rerankers write the float32 nearest to .6, and of equal ratings each a last digit lower, for 4,000 of them
    return all(round(score, 3) in RATINGS for scores in run.values() for score in scores.values())
