"""`python -m rader_ir.pyserini search`: dense search of an index folder, excluded documents removed before the cut.

With Pyserini, its own `pyserini.search.faiss` runs with our class, in batches; it is asked for as many more hits as
the longest list of excluded documents, and its run is filtered and cut after. Without Pyserini or Java (or with
`--native`) the same flags search the folder by `rader_ir.index`.
"""

import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rader_ir.files import numbered_lines, replacing
from rader_ir.pyserini.agreement import check_flags, check_index
from rader_ir.pyserini.encoders import RaDeRQueryEncoder
from rader_ir.pyserini.environment import PyseriniUnavailable
from rader_ir.pyserini.registration import NAME, register, run_main
from rader_ir.pyserini.topics import Excluded, excluded_of, read_topics
from rader_ir.pyserini.vectors import open_index

BATCH = 32
ALLOW_MISMATCH = "search with an encoder unlike the one that the index records"


def main(argv: Sequence[str]) -> None:
    """Search as `argv` says; see the module.

    Raises:
        ValueError: a flag contradicts the checkpoint or another flag, or makes no sense for the native search.
    """
    args, rest = parse(argv)
    if args.encoder and args.encoded_queries:
        raise ValueError("--encoder and --encoded-queries were both given; give one of the two")
    encoded = args.encoded_queries if is_folder(args.encoded_queries) else None
    ours = args.encoder_class in (None, NAME) and (args.encoder or encoded) is not None
    instruction = instruction_of(args.task)
    if ours and encoded is None:
        check(args)
    excluded = excluded_of(args.topics, args.excluded_ids)
    if not args.native:
        try:
            register(instruction=instruction, encoded_queries=encoded)
            return search_stock(args, rest, excluded, ours)
        except PyseriniUnavailable as reason:
            print(f"{reason}\nSearching without Pyserini.", file=sys.stderr)
    if rest or not ours:
        stranger = " ".join(rest) or "encoders other than ours"
        raise ValueError(f"the native search does not know {stranger}; leave it out, or install Pyserini and Java")
    search_native(args, excluded, instruction)


def parse(argv: Sequence[str]) -> tuple[Namespace, list[str]]:
    """The flags that matter to us, with None for those not given, and all others."""
    parser = ArgumentParser(
        prog="python -m rader_ir.pyserini search",
        description="Search an index folder. Flags are those of pyserini.search.faiss, and these:",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--excluded-ids",
        help="file of lines `qid docid`, or queries with excluded_ids; else those of the topics file",
    )
    add("--task", help="BRIGHT task whose instruction is put before every query")
    add("--native", action="store_true", help="search without Pyserini")
    add("--allow-mismatch", action="store_true", help=ALLOW_MISMATCH)
    add("--index", required=True)
    add("--topics", required=True)
    add("--topics-format", default="default")
    add("--output", required=True)
    add("--output-format", default="trec")
    add("--hits", type=int, default=1000)
    add("--batch-size", type=int, default=BATCH)
    add("--encoder")
    add("--encoder-class")
    add("--encoded-queries")
    add("--device")
    add("--fp16", action="store_true")
    add("--tokenizer")
    add("--query-prefix")
    add("--pooling")
    add("--l2-norm", action="store_const", const=True)
    add("--max-length", type=int)
    return parser.parse_known_args(argv)


def is_folder(path: str | None) -> bool:
    """Whether `path` is a folder here, and not a name that Pyserini may know."""
    return path is not None and Path(path).is_dir()


def check(args: Namespace) -> None:
    """Hold the flags against the checkpoint, and the checkpoint against the index.

    Raises:
        ValueError: one contradicts it.
    """
    from rader_ir.encoder import Encoder

    encoder = Encoder(args.encoder)
    check_flags(
        encoder,
        "query",
        pooling=args.pooling,
        l2_norm=args.l2_norm,
        prefix=args.query_prefix,
        max_length=args.max_length,
        tokenizer_name=args.tokenizer,
    )
    if not args.allow_mismatch:
        check_index(encoder, args.index)


def instruction_of(task: str | None) -> str:
    """BRIGHT's instruction for `task`; "" without one."""
    if task is None:
        return ""
    from rader_ir.bright import instruction

    return instruction(task)


def search_stock(args: Namespace, rest: list[str], excluded: Excluded, ours: bool) -> None:
    """Run `pyserini.search.faiss`; where documents are excluded, over a longer list that is filtered and cut.

    Raises:
        ValueError: excluded documents with an output that cannot be filtered.
    """
    if not excluded:
        given = [*rest, *stock_flags(args, ours)]
        return run_main("pyserini.search.faiss", [*given, "--hits", str(args.hits), "--output", args.output])
    if args.output_format != "trec" or "--max-passage" in rest:
        raise ValueError(
            "excluded documents can be taken out of a TREC run of whole documents only; leave out --max-passage"
        )
    deeper = args.hits + max(map(len, excluded.values()))
    with tempfile.TemporaryDirectory() as folder:
        if is_folder(
            args.index
        ):  # by a plain name: of a folder called bright-aops Pyserini would fetch excluded ids itself
            Path(folder, "index").symlink_to(Path(args.index).resolve())
            args.index = f"{folder}/index"
        whole = f"{folder}/run.trec"
        given = [*rest, *stock_flags(args, ours)]
        run_main("pyserini.search.faiss", [*given, "--hits", str(deeper), "--output", whole])
        filter_run(whole, args.output, excluded, args.hits)


def stock_flags(args: Namespace, ours: bool) -> list[str]:
    """The flags that `parse` took and that the stock main should have, but for hits and output."""
    values = {"--index": args.index, "--topics": args.topics, "--topics-format": args.topics_format}
    values |= {"--output-format": args.output_format, "--batch-size": args.batch_size, "--device": args.device}
    values |= {"--tokenizer": args.tokenizer, "--query-prefix": args.query_prefix, "--pooling": args.pooling}
    values |= {"--max-length": args.max_length, "--encoder": args.encoder}
    if ours:  # our class stands in for a folder of encoded queries too
        values |= {"--encoder": args.encoder or args.encoded_queries, "--encoder-class": NAME}
    else:
        values |= {"--encoder-class": args.encoder_class, "--encoded-queries": args.encoded_queries}
    flags = [word for name, value in values.items() if value is not None for word in (name, str(value))]
    return flags + ["--fp16"] * args.fp16 + ["--l2-norm"] * bool(args.l2_norm)


def filter_run(source: str | Path, target: str | Path, excluded: Excluded, depth: int) -> None:
    """Write the TREC run `source` to `target` without excluded documents, `depth` per query, ranks counted anew."""
    written = Counter()
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as file:
        for _, line in numbered_lines(source):
            qid, q0, rest = line.split(" ", 2)
            docid, _, score, tag = rest.rsplit(" ", 3)
            if docid in excluded.get(qid, ()) or written[qid] == depth:
                continue
            written[qid] += 1
            file.write(f"{qid} {q0} {docid} {written[qid]} {score} {tag}\n")


def search_native(args: Namespace, excluded: Excluded, instruction: str) -> None:
    """Search the folder by `rader_ir.index`, and write a TREC run."""
    from rader_ir.runs import write_run

    index = open_index(args.index)
    queries, _ = read_topics(args.topics, args.topics_format)
    if args.encoder is None:
        run = search_encoded(index, queries, args, excluded)
    else:
        from rader_ir.encoder import Encoder

        dtype = "float16" if args.fp16 else None
        encoder = Encoder(args.encoder, device=args.device, dtype=dtype, instruction=instruction)
        run = index.retrieve(queries, encoder, depth=args.hits, excluded=excluded, check=False)  # checked before
    Path(args.output).parent.mkdir(parents=True, exist_ok=True)
    write_run(run, args.output, tag="rader")


def search_encoded(index, queries: dict[str, str], args: Namespace, excluded: Excluded) -> dict[str, dict[str, float]]:
    """Search an `Index` with the vectors in `--encoded-queries`."""
    vectors = RaDeRQueryEncoder(None, None, args.encoded_queries).encode_batch(list(queries.values()))
    found = index.search(vectors, depth=args.hits, excluded=[excluded.get(qid, ()) for qid in queries])
    return {
        qid: dict(zip(index.doc_ids[positions].tolist(), scores.tolist(), strict=True))
        for qid, (positions, scores) in zip(queries, found, strict=True)
    }
