"""`rader bm25`: documents and queries in, a BM25 run out, without Java.

`lucene` weighs and analyses as Lucene's English analyser does; `bright` is BRIGHT's own variant, which weighs the
query's terms as well. Documents that a query excludes leave its list before the cut.
"""

import argparse

from rader_ir.cli import options
from rader_ir.cli.progress import Counted
from rader_ir.corpus import read_documents, read_queries
from rader_ir.runs import write_run

VARIANTS = ("lucene", "bright")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Documents, queries and the weighting."""
    parser.add_argument("documents", metavar="DOCS", help=options.TEXTS)
    parser.add_argument("queries", metavar="QUERIES", help=options.TEXTS)
    parser.add_argument(
        "--variant",
        choices=VARIANTS,
        default="lucene",
        help="default: %(default)s, with exact lengths of documents where Lucene rounds them to a byte",
    )
    parser.add_argument("--k1", type=float, default=0.9, help="saturation of term frequency (default %(default)s)")
    parser.add_argument("--b", type=float, default=0.4, help="weight of document length (default %(default)s)")
    options.add_blank_ids(parser)
    options.add_fields(parser)
    options.add_run_output(parser, depth=1000)


def run(args: argparse.Namespace) -> dict:
    """Builds, ranks and writes."""
    from rader_ir.bm25 import BM25

    queries, excluded = read_queries(args.queries, fields=args.query_fields)
    counted = Counted(read_documents(args.documents, fields=args.fields), verbose=not args.quiet)
    bm25 = BM25.build(counted, variant=args.variant, k1=args.k1, b=args.b, blank_ids=options.blank_ids(args))
    found = bm25.retrieve(queries, depth=args.depth, excluded=excluded)
    write_run(found, args.out, tag=f"bm25-{args.variant}")
    return {
        "documents": counted.count,
        "queries": len(queries),
        "rows": sum(map(len, found.values())),
        "out": args.out,
    }
