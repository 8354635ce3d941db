"""`rader search`: an index and a file of queries in, a run out.

The queries are encoded by the checkpoint and the text path that the index records, unless --checkpoint names another;
one that would make other vectors is refused (--allow-mismatch searches all the same). Documents that a query excludes
leave its list before the cut.
"""

import argparse

from rader_ir.cli import options
from rader_ir.corpus import read_queries
from rader_ir.index import KINDS
from rader_ir.recorded import recorded, recorded_dtype
from rader_ir.runs import write_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Index, queries and structure."""
    parser.add_argument("index", metavar="DIR", help="folder that `rader index` wrote")
    parser.add_argument("queries", metavar="QUERIES", help=options.TEXTS)
    parser.add_argument(
        "--kind", choices=KINDS, default="flat", help="structure to search (default: %(default)s, exact)"
    )
    parser.add_argument("--allow-mismatch", action="store_true", help="search with an encoder unlike the index's own")
    options.add_fields(parser, documents=False)
    options.add_run_output(parser, depth=1000)
    options.add_instruction(parser)
    options.add_model(parser, default="the index's own")


def run(args: argparse.Namespace) -> dict:
    """Encodes the queries, searches and writes."""
    queries, excluded = read_queries(args.queries, fields=args.query_fields)
    from rader_ir.index import Index

    index = Index(args.index)
    encoder = encoder_of(index, args, instruction=options.instruction(args))
    found = index.retrieve(
        queries, encoder, depth=args.depth, kind=args.kind, excluded=excluded, check=not args.allow_mismatch
    )
    write_run(found, args.out, tag="dense")
    return {
        "documents": len(index),
        "queries": len(queries),
        "rows": sum(map(len, found.values())),
        "truncated": encoder.truncated,
        "out": args.out,
    }


def encoder_of(index, args: argparse.Namespace, *, instruction: str = "", verbose: bool = True):
    """The encoder of an index's queries: the one that it records, unless the words of the call name another."""
    from rader_ir.encoder import Encoder

    chosen = options.model_options(args)
    if "checkpoint" not in chosen:
        chosen["checkpoint"] = recorded(index.meta["made_by"], index.folder, "name one with --checkpoint")
        chosen["dtype"] = chosen.get("dtype") or recorded_dtype(index.meta["made_by"])
    return Encoder(**chosen, instruction=instruction, verbose=verbose and not args.quiet)
