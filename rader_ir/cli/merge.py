"""`rader merge`: the shards that several `rader index --shard` wrote, joined into one index.

The result has the bytes that a single process would have written; the shards' own folders are gone afterwards.
"""

import argparse

from rader_ir.cli import options
from rader_ir.cli.index import add_kinds, figures


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The folder and how many shards it holds."""
    parser.add_argument("index", metavar="DIR", help="the folder that the shards were written to")
    parser.add_argument("--shards", type=options.positive, required=True, metavar="N", help="how many there are")
    add_kinds(parser)


def run(args: argparse.Namespace) -> dict:
    """Joins the shards."""
    from rader_ir.index_writer import merge_shards

    index = merge_shards(args.index, args.shards, verbose=not args.quiet)
    return figures(index, args)
