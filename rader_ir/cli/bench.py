"""`rader bench`: systems on the collections that papers measure on: RAR-b, MS MARCO, TREC Deep Learning, BEIR, BRIGHT.

Each is measured as papers report it, with their lengths and instructions; runs, figures and indexes stay in the folder as with
`rader bright`, and the call goes on in the same way.
"""

import argparse

from rader_ir.cli import experiments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Collections, where they come from, and the systems."""
    parser.add_argument(
        "names",
        nargs="+",
        metavar="NAME",
        help="rarb/math, rarb/code, msmarco-dev-small, trec-dl-2019, trec-dl-2020, beir/NAME, bright/TASK",
    )
    parser.add_argument(
        "--data",
        metavar="irds|hub|DIR",
        help="where they come from (default: the hub for RAR-b, ir_datasets for others)",
    )
    parser.add_argument("--revision", metavar="COMMIT", help="with --data hub: another commit of the data set")
    parser.add_argument("--no-instruction", action="store_true", help="queries without the collection's instruction")
    experiments.add_arguments(parser)


def run(args: argparse.Namespace) -> dict:
    """Runs what is not done yet, measures, and reports."""
    from rader_ir.collections_by_name import open_collection

    where = {"source": args.data, "revision": args.revision, "instruction": not args.no_instruction}
    collections = (open_collection(name, **where) for name in args.names)
    return {"collections": len(args.names), **experiments.run(args, collections)}
