"""`rader index`: documents in, a folder of vectors out.

The same call again continues a killed one and ends with the same bytes. Several processes may each write one shard of a
collection (--shard 0/4 ... 3/4), which `rader merge` joins.
"""

import argparse

from rader_ir.cli import options
from rader_ir.corpus import read_documents
from rader_ir.index import KINDS

BUILT = tuple(kind for kind in KINDS if kind != "flat")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Documents, folder and model."""
    parser.add_argument("documents", metavar="DOCS", help=options.TEXTS)
    parser.add_argument("--out", required=True, metavar="DIR", help="the index's folder")
    parser.add_argument("--append", action="store_true", help="put the documents behind those that the index holds")
    parser.add_argument("--shard", type=shard, metavar="I/N", help="write part I of N alone, I from 0 to N - 1")
    parser.add_argument(
        "--formats", type=options.names, metavar="A,B", help="who else reads the folder: pyserini, flex (default: both)"
    )
    add_kinds(parser)
    options.add_blank_ids(parser)
    options.add_fields(parser, queries=False)
    options.add_model(parser, default="the published 7B retriever")


def run(args: argparse.Namespace) -> dict:
    """Encodes what is not there yet and writes the index."""
    if args.shard and args.kinds:
        raise ValueError("--kinds needs the whole index; give it to `rader merge`")
    documents = read_documents(args.documents, fields=args.fields)
    from rader_ir.encoder import Encoder
    from rader_ir.index_writer import build_index

    encoder = Encoder(**options.model_options(args))
    index = build_index(
        args.out,
        documents,
        encoder,
        append=args.append,
        shard=args.shard,
        formats=args.formats,
        blank_ids=options.blank_ids(args),
        verbose=not args.quiet,
    )
    return {**figures(index, args), "truncated": encoder.truncated}


def add_kinds(parser: argparse.ArgumentParser) -> None:
    """The flag for structures that search faster or take less memory."""
    parser.add_argument(
        "--kinds",
        type=kinds,
        metavar="A,B",
        default=[],
        help="also build hnsw, sq8 or fp16 for `search --kind`",
    )


def figures(index, args: argparse.Namespace) -> dict:
    """Builds what --kinds asks for and gives the figures of the index."""
    for kind in args.kinds:
        if kind == "hnsw":
            index.add_hnsw(verbose=not args.quiet)
        else:
            index.add_quantised(kind, verbose=not args.quiet)
    return {"documents": len(index), "dimension": index.dimension, "kinds": args.kinds, "out": str(index.folder)}


def kinds(text: str) -> list[str]:
    """`hnsw,sq8` -> ["hnsw", "sq8"], for argparse."""
    given = options.names(text)
    if unknown := [kind for kind in given if kind not in BUILT]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)} cannot be built; choose from {', '.join(BUILT)}")
    return given


def shard(text: str) -> tuple[int, int]:
    """`1/4` -> (1, 4), for argparse."""
    number, _, count = text.partition("/")
    if not (number.isdigit() and count.isdigit() and int(number) < int(count)):
        raise argparse.ArgumentTypeError(f"{text} is no shard; write I/N with I from 0 to N - 1, such as 0/4")
    return int(number), int(count)
