"""What `rader bright` and `rader bench` share: the flags that name systems, and the call that runs, measures and reports them."""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path

from rader_ir.cli import options
from rader_ir.collection import Collection
from rader_ir.pipelines import FIRST


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Systems, what is kept, and the report."""
    group = parser.add_argument_group("systems")
    group.add_argument(
        "--systems",
        nargs="+",
        required=True,
        metavar="[LABEL=]NAME",
        help="bm25 (Lucene's, but with exact lengths of documents where Lucene rounds them to a byte), bm25-bright, "
        "dense:CHECKPOINT, hybrid:CHECKPOINT, rerank:SYSTEM:CHECKPOINT (SYSTEM is rader, biencoder or icr), "
        "run:FOLDER with files TASK.trec, .run, .txt or .json (.gz too); a CHECKPOINT may end in @REVISION",
    )
    group.add_argument(
        "--first", default=FIRST, metavar="NAME", help="what rerankers rerank: a name or a LABEL (default: %(default)s)"
    )
    group.add_argument(
        "--rerank-depth", type=options.positive, default=100, metavar="N", help="of its documents (default %(default)s)"
    )
    group.add_argument(
        "--depth", type=options.positive, default=1000, metavar="N", help="documents per query (default %(default)s)"
    )
    group = parser.add_argument_group("results")
    group.add_argument(
        "--out",
        required=True,
        metavar="DIR",
        help="folder for runs, figures and the report; made again, a call goes on",
    )
    options.add_comparison(group, baseline="LABEL")
    group.add_argument("--measures", metavar='"A B"', help="names of ir-measures (default: the collection's own)")
    group.add_argument("--indexes", metavar="DIR", help="folder for indexes, to share them (default: OUT/indexes)")
    group.add_argument("--drop-indexes", action="store_true", help="delete the indexes of a corpus once it is done")
    options.add_running(parser.add_argument_group("models"), pairs=True)
    parser.set_defaults(out_folder=True)


def run(
    args: argparse.Namespace,
    collections: Iterable[Collection],
    questions: Callable[[Collection], dict[str, str]] | None = None,
) -> dict:
    """Runs the systems of a call on collections, writes the report, prints its table, and gives the figures.

    Args:
        args: of the call.
        collections: whatever opens them one by one.
        questions: what rerankers read in place of a collection's queries.
    """
    from rader_ir.engines import Engines
    from rader_ir.experiment import Experiment
    from rader_ir.experiment_report import report
    from rader_ir.index_folder import locked
    from rader_ir.measures import names
    from rader_ir.pipelines import parse

    compared = options.comparison(args)
    options.require(["matplotlib"], "the report's pictures", "eval")  # not behind hours of work
    systems = parse(args.systems, first=args.first)
    if args.baseline is not None and args.baseline not in (labels := [system.label for system in systems]):
        raise ValueError(f"--baseline {args.baseline!r} is no system of this call; there are {', '.join(labels)}")
    given = {
        name: value for name, value in options.model_options(args).items() if name not in ("checkpoint", "revision")
    }
    experiment = Experiment(
        systems,
        args.out,
        engines=Engines(verbose=not args.quiet, **given),
        measures=names(args.measures) if args.measures else None,
        depth=args.depth,
        rerank_depth=args.rerank_depth,
        questions=questions,
        indexes=args.indexes,
        drop_indexes=args.drop_indexes,
        verbose=not args.quiet,
    )
    Path(args.out).mkdir(parents=True, exist_ok=True)
    with locked(Path(args.out)):
        outcome = experiment.run(collections)
        reports = report(outcome, args.out, baseline=args.baseline, **compared)
    print("\n\n\n".join(table.text() for each in reports for table in each.tables))
    return {
        "made": outcome.made,
        "kept": outcome.kept,
        "remarks": outcome.remarks,
        "absent": outcome.absent,
        "reports": [
            {"folder": str(one.folder), "collections": one.collections, "average": one.average, "means": one.means}
            for one in reports
        ],
        "out": args.out,
    }
