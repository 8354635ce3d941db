"""`rader rerank`: the first documents of a run, scored again by a model that reads query and document.

A killed call continues where it stopped when it is made again (`rader_ir.rerank_file`), and tells how many queries it took from
the earlier one (`kept`); calls, tokens and what was truncated are of this call alone. With --passage-length a long
document is cut into overlapping passages of that many tokens, and its best passage counts. Systems that ask a language model
take other options (`rader_ir.cli.asking`), and so do those that read its attention (`rader_ir.cli.attending`).
"""

import argparse
import sys

from rader_ir.cli import asking, attending, options
from rader_ir.corpus import read_documents, read_queries
from rader_ir.rerank import ASKING, SYSTEMS, UNPUBLISHED, open_reranker
from rader_ir.rerank.pointwise import PADDING
from rader_ir.rerank_file import GROUP_SIZE, GROUP_SIZES, rerank_file
from rader_ir.runs import read_run

ENDS = (
    "A killed call goes on when it is made again, and tells how many queries it keeps of the earlier one. Calls, tokens, "
    "malformed and truncated texts are those of this call alone."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Candidates, texts, system and model."""
    parser.epilog = ENDS
    parser.add_argument("run", metavar="RUN", help="TREC run with the candidates")
    parser.add_argument("--docs", required=True, metavar="DOCS", help=f"the documents' texts: {options.TEXTS}")
    parser.add_argument("--queries", required=True, metavar="QUERIES", help=f"the queries: {options.TEXTS}")
    parser.add_argument("--system", choices=list(SYSTEMS), default="rader", help="default: %(default)s")
    parser.add_argument(
        "--passage-length", type=options.positive, metavar="N", help="cut documents into passages of N tokens"
    )
    parser.add_argument(
        "--passage-stride", type=options.positive, metavar="N", help="tokens from one passage's start to the next"
    )
    parser.add_argument(
        "--passages",
        type=options.positive,
        metavar="K",
        help="of idcm: windows of a document that the strong model reads",
    )
    parser.add_argument(
        "--padding", choices=PADDING, help="of dear-pointwise: max_length for released checkpoints that learned so"
    )
    options.add_fields(parser)
    options.add_run_output(parser, depth=100)
    options.add_instruction(parser)
    options.add_model(parser, default="the published one of the system; idcm has none", pairs=True)
    asking.add_arguments(parser)
    attending.add_arguments(parser)


def run(args: argparse.Namespace) -> dict:
    """Reranks and writes."""
    attending.check(args)
    if args.system not in attending.ATTENDING:
        asking.check(args)
    if args.system in ASKING:
        reranker = asking.Totals(asking.opened(args))
    else:
        given = {name: getattr(args, name) for name in ("passage_length", "passage_stride", "passages", "padding")}
        reranker = opened(args, **{name: value for name, value in given.items() if value is not None})
    queries, excluded = read_queries(args.queries, fields=args.query_fields)
    groups: list[int] = []
    reranked = _reranked(args, reranker, queries, excluded, groups.append)
    if kept := sum(groups):
        _tell_of_kept(kept, len(reranked), args)
    return {
        "queries": len(reranked),
        "rows": sum(map(len, reranked.values())),
        **({"kept": kept} if kept else {}),
        "truncated": reranker.truncated,
        **(reranker.figures() if args.system in ASKING else {}),
        "out": args.out,
    }


def _tell_of_kept(kept: int, queries: int, args: argparse.Namespace) -> None:
    """On stderr, what this call's other figures leave out."""
    if not args.quiet:
        print(
            f"rader rerank: {kept} of {queries} queries are kept from an earlier, unfinished call; calls, tokens, malformed and "
            "truncated are of the others",
            file=sys.stderr,
        )


def _reranked(args: argparse.Namespace, reranker, queries, excluded, kept):
    return rerank_file(
        read_run(args.run),
        queries,
        read_documents(args.docs, fields=args.fields),
        reranker,
        args.out,
        depth=args.depth,
        excluded=excluded,
        group_size=GROUP_SIZES.get(args.system, GROUP_SIZE),
        verbose=not args.quiet,
        kept=kept,
    )


def opened(args: argparse.Namespace, **more):
    """The reranker that the words of a call name; `more` is for `open_reranker`.

    Raises:
        ValueError: a length of pairs for a system that reads none, no checkpoint where none is published.
    """
    if args.system in attending.ATTENDING:
        return attending.opened(args)
    if args.checkpoint is None and args.system in UNPUBLISHED:
        made = UNPUBLISHED[args.system]
        raise ValueError(
            f"--system {args.system} has no published model; give --checkpoint FOLDER, one that {made} made"
        )
    if args.max_length and args.system == "biencoder":
        raise ValueError(
            "--max-length is for models that read query and document together; with --system biencoder give "
            "--max-query-length or --max-doc-length"
        )
    given = {**options.model_options(args), "instruction": options.instruction(args)}
    if args.system == "prorank" and getattr(args, "prompts", None):
        given["prompt"] = args.prompts
    return open_reranker(args.system, **more, **given, verbose=args.system in GROUP_SIZES and not args.quiet)
