"""`rader search`: an index and a file of queries in, a run out.

The queries are encoded by the checkpoint and the text path that the index records, unless --checkpoint names another;
one that would make other vectors is refused (--allow-mismatch searches all the same). Documents that a query excludes
leave its list before the cut.
"""

import argparse

from rader_ir.cli import options
from rader_ir.corpus import read_queries
from rader_ir.runs import write_run

KINDS = ("flat", "hnsw", "sq8", "fp16")
TEXT_PATH = (
    "query_form",
    "doc_form",
    "pooling",
    "eos",
    "normalise",
    "causal",
    "max_query_length",
    "max_doc_length",
)


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
    from rader_ir.encoder import Encoder
    from rader_ir.index import Index

    index = Index(args.index)
    chosen = options.model_options(args)
    chosen.setdefault("checkpoint", recorded(index))
    encoder = Encoder(**chosen, instruction=options.instruction(args), verbose=not args.quiet)
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


def recorded(index):
    """The checkpoint that an index says its vectors come from, with the forms, pooling and lengths used for them.

    Raises:
        ValueError: the index was made from ready vectors and names no checkpoint.
    """
    from dataclasses import replace

    from rader_ir.checkpoints import find_checkpoint

    made_by = index.meta["made_by"]
    if "checkpoint" not in made_by:
        raise ValueError(f"{index.folder} does not say which checkpoint made its vectors; name one with --checkpoint")
    found = find_checkpoint(made_by["checkpoint"], revision=made_by.get("revision"))
    return replace(found, **{name: made_by[name] for name in TEXT_PATH if name in made_by}, settled=True)
