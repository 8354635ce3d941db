"""`python -m rader_ir.pyserini queries`: topics to an `embedding.pkl`, for `--encoded-queries` of Pyserini's searches.

Needs neither Pyserini nor Java for topics in JSONL or TSV files. Pyserini finds a vector by the query's text, so the
file serves any topics file with the same texts.
"""

from argparse import ArgumentParser
from collections.abc import Sequence

from rader_ir.pyserini.search import instruction_of
from rader_ir.pyserini.topics import read_topics


def main(argv: Sequence[str]) -> None:
    """Encode topics as `argv` says; see the module."""
    from rader_ir.encoder import Encoder
    from rader_ir.index_formats import write_encoded_queries

    parser = ArgumentParser(
        prog="python -m rader_ir.pyserini queries", description="Encode topics before searching.", allow_abbrev=False
    )
    add = parser.add_argument
    add("--topics", required=True, help="JSONL or TSV file (.gz too), or a name that Pyserini knows")
    add("--topics-format", default="default")
    add("--encoder", required=True, help="checkpoint: a name, a folder, a hub id")
    add("--output", required=True, help="folder for embedding.pkl")
    add("--device")
    add("--fp16", action="store_true")
    add("--task", help="BRIGHT task whose instruction is put before every query")
    args = parser.parse_args(argv)
    queries, _ = read_topics(args.topics, args.topics_format)
    encoder = Encoder(
        args.encoder,
        device=args.device,
        dtype="float16" if args.fp16 else None,
        instruction=instruction_of(args.task),
    )
    print(write_encoded_queries(queries, encoder.encode_queries(list(queries.values())), args.output))
