"""`rader mine`: training examples in or made of queries and judgements, out with hard negatives.

They come from BM25's list, from a dense run made on the spot, and from any TREC run, each from ranks of its own; by default as in
RaDeR, ten by chance from BM25's ranks 31 to 50, and of any other list the first ten. Guards leave out what answers the query or
is it, and the file says of each negative which run, rank and score it came with.
"""

import argparse
import tempfile
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from rader_ir.cli import options
from rader_ir.cli.progress import Counted
from rader_ir.corpus import read_documents, read_queries
from rader_ir.examples import KINDS, Example, excluded_ids, read_examples, without_negatives, write_examples
from rader_ir.mining import Source, Window, judged_examples, mine
from rader_ir.runs import Run, read_qrels, read_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the examples are made of, and where negatives come from."""
    parser.add_argument("documents", metavar="DOCS", help=options.TEXTS)
    parser.add_argument(
        "--queries", metavar="QUERIES", help=f"{options.TEXTS}; with --examples, for its excluded_ids alone"
    )
    parser.add_argument(
        "--qrels", metavar="QRELS", help="judgements of --queries; relevance 1 and more makes a positive"
    )
    parser.add_argument("--examples", metavar="FILE", help="JSONL file of examples, in place of --queries and --qrels")
    parser.add_argument(
        "--query-kind", choices=KINDS, default="", help="what the examples made of --queries are marked as"
    )
    parser.add_argument(
        "--out", required=True, metavar="FILE", help="JSONL file of examples to write; .gz is compressed"
    )
    _add_sources(parser)
    options.add_blank_ids(parser)
    options.add_fields(parser)
    options.add_instruction(parser)
    options.add_model(parser, default="that of --index, or no dense run")


def _add_sources(parser: argparse.ArgumentParser) -> None:
    sources = parser.add_argument_group(
        "where negatives come from: RANKS is 31-50:10 (ten by chance), 31-50 (all) or 10 (first)"
    )
    sources.add_argument("--bm25-ranks", type=window, default="31-50:10", metavar="RANKS", help="default: %(default)s")
    sources.add_argument("--no-bm25", action="store_true", help="take none from BM25")
    sources.add_argument(
        "--dense-ranks", type=window, default="10", metavar="RANKS", help="of the dense run (default %(default)s)"
    )
    sources.add_argument(
        "--index", metavar="DIR", help="dense index to search; with --checkpoint it is made if it is not there"
    )
    sources.add_argument(
        "--run", action="append", default=[], metavar="RUN", help="TREC run; may be given several times"
    )
    sources.add_argument(
        "--run-ranks", type=window, default="10", metavar="RANKS", help="of each --run (default %(default)s)"
    )
    sources.add_argument(
        "--depth",
        type=options.positive,
        default=100,
        metavar="N",
        help="length of lists made here (default %(default)s)",
    )
    sources.add_argument(
        "--margin",
        type=float,
        metavar="X",
        help="leave out what scores within X of the best positive in its run, or above",
    )
    sources.add_argument(
        "--require-negatives", action="store_true", help="leave out examples for which none is found, and count them"
    )
    sources.add_argument("--seed", type=options.seed, default=0, help="of the draws (default %(default)s)")


def run(args: argparse.Namespace) -> dict:
    """Reads or makes the examples, ranks documents for them, mines and writes."""
    _check(args)
    queries, excluded = read_queries(args.queries, fields=args.query_fields) if args.queries else ({}, {})
    examples = read_examples(args.examples) if args.examples else []
    documents = _documents(args)
    if not args.examples:
        examples = judged_examples(queries, read_qrels(args.qrels), documents, excluded=excluded, kind=args.query_kind)
    excluded = _excluded(examples, excluded)
    sources, figures = _sources(args, {example.query_id: example.query for example in examples}, documents, excluded)
    mined, removed = mine(examples, sources, documents, excluded=excluded, margin=args.margin, seed=args.seed)
    bare, found = without_negatives(mined), _count(mined) - _count(examples)
    if args.require_negatives:
        mined = [example for example in mined if example.negatives]
        if not mined:
            raise ValueError(f"none of {len(examples)} examples has negatives; lower --margin, or give more ranks")
    write_examples(mined, args.out)
    return {
        "documents": len(documents),
        "examples": len(mined),
        "negatives": found,
        "left_out" if args.require_negatives else "without_negatives": len(bare),
        **{f"removed_{reason}": count for reason, count in removed.items()},
        **figures,
        "out": args.out,
    }


def window(text: str) -> Window:
    """`31-50:10` -> Window(31, 50, 10), for argparse."""
    try:
        return Window.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _check(args: argparse.Namespace) -> None:
    if args.examples and (args.qrels or args.query_kind):
        raise ValueError("--qrels and --query-kind make examples of --queries; with --examples leave them out")
    if not args.examples and not (args.queries and args.qrels):
        raise ValueError("nothing to mine for; give --queries and --qrels, or --examples")
    if args.no_bm25 and not (args.checkpoint or args.index or args.run):
        raise ValueError("nothing to mine from; leave --no-bm25 out, or give --checkpoint, --index or --run")


def _documents(args: argparse.Namespace) -> dict[str, str]:
    counted = Counted(read_documents(args.documents, fields=args.fields), verbose=not args.quiet)
    documents = dict(counted)
    if len(documents) < counted.count:
        raise ValueError(f"{args.documents}: a document id stands twice; give each document an id of its own")
    return documents


def _excluded(examples: Sequence[Example], excluded: Mapping[str, Collection[str]]) -> dict[str, frozenset[str]]:
    """By query_id, what the queries and the examples say is not ranked."""
    return {each.query_id: excluded_ids(each).union(excluded.get(each.query_id, ())) for each in examples}


def _sources(
    args: argparse.Namespace, queries: Mapping[str, str], documents: Mapping[str, str], excluded: Mapping
) -> tuple[list[Source], dict]:
    """The runs in the order in which they are mined, and what a dense one has to tell."""
    given = [Source(path, read_run(path), args.run_ranks) for path in args.run]
    sources, figures = [], {}
    if not args.no_bm25:
        from rader_ir.bm25 import BM25

        bm25 = BM25.build(documents.items(), blank_ids=options.blank_ids(args))
        found = bm25.retrieve(queries, depth=_depth(args, args.bm25_ranks), excluded=excluded)
        sources.append(Source("bm25", found, args.bm25_ranks))
    if args.checkpoint or args.index:
        found, truncated = _dense(args, queries, documents, excluded)
        sources.append(Source("dense", found, args.dense_ranks))
        figures["truncated"] = truncated
    return [*sources, *given], figures


def _depth(args: argparse.Namespace, ranks: Window) -> int:
    return max(args.depth, ranks.last or ranks.first)


def _dense(args: argparse.Namespace, queries, documents, excluded) -> tuple[Run, int]:
    """A run by the index that was given, which --checkpoint builds or completes, or by one that is gone afterwards."""
    from rader_ir.encoder import Encoder
    from rader_ir.index import Index
    from rader_ir.index_writer import build_index
    from rader_ir.recorded import recorded

    chosen = options.model_options(args)
    index = None
    if not args.checkpoint:
        index = Index(args.index)
        chosen["checkpoint"] = recorded(index.meta["made_by"], index.folder, "name one with --checkpoint")
    encoder = Encoder(**chosen, instruction=options.instruction(args), verbose=not args.quiet)
    with nullcontext(args.index) if args.index else tempfile.TemporaryDirectory() as folder:
        if index is None:
            index = build_index(
                Path(folder),
                documents.items(),
                encoder,
                formats=["pyserini"] if not args.index else None,
                blank_ids=options.blank_ids(args),
                total=len(documents),
                verbose=not args.quiet,
            )
        found = index.retrieve(queries, encoder, depth=_depth(args, args.dense_ranks), excluded=excluded)
        del index  # its vectors are mapped from the folder
    return found, encoder.truncated


def _count(examples: list[Example]) -> int:
    return sum(len(example.negatives) for example in examples)
