"""`python -m rader_ir.pyserini encode input ... output ... encoder ...`: a corpus to an index folder.

With Pyserini, its own `encode` runs with our class, the dimension and the length read from the checkpoint. Without
Pyserini or Java (or with `--native` before `input`) the same flags drive `rader_ir.index_writer`, which streams the
corpus, continues after a kill, and writes a folder that Pyserini reads. Both give the same vectors; the native one
does not strip texts.
"""

import json
import shutil
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from rader_ir.corpus import read_documents
from rader_ir.files import numbered_lines, replacing
from rader_ir.index_formats import LUCENE_DIMENSIONS, write_embeddings_jsonl
from rader_ir.pyserini import sections
from rader_ir.pyserini.agreement import check_flags, record_encoder
from rader_ir.pyserini.environment import PyseriniUnavailable
from rader_ir.pyserini.registration import NAME, register, run_main

SECTIONS = ("input", "output", "encoder")
VECTORS_FILE = "embeddings.jsonl"  # Pyserini's name for it


def main(argv: Sequence[str]) -> None:
    """Encode a corpus as `argv` says; see the module.

    Raises:
        ValueError: a flag contradicts the checkpoint, or makes no sense for the native writer.
    """
    parts = sections.split(argv, SECTIONS)
    args, unknown = sections.parse(parsers(), parts)
    if args.encoder_class not in (None, NAME):
        register()
        run_main("pyserini.encode", argv)
        return record_encoder(args.embeddings, None)
    dimension = check(args)
    if not args.native:
        try:
            register(java=False)
            return encode_stock(args, completed(args, parts, dimension))
        except PyseriniUnavailable as reason:
            print(f"{reason}\nWriting the index without Pyserini.", file=sys.stderr)
    if strangers := list(chain.from_iterable(unknown.values())):
        raise ValueError(f"the native writer does not know {' '.join(strangers)}; leave it out, or use Pyserini")
    write(args)


def parsers() -> dict[str, ArgumentParser]:
    """One parser per section, of the flags that matter to us; None where a flag is not given."""
    usage = (
        "python -m rader_ir.pyserini encode [--native [--allow-blank-ids]] input --corpus PATH [--fields title text] "
    )
    usage += "output --embeddings DIR [--to-faiss] encoder --encoder CHECKPOINT [--fields title text] [--device cpu]"
    parsers = {
        name: ArgumentParser(f"encode {name}".strip(), usage=usage, allow_abbrev=False) for name in ("", *SECTIONS)
    }
    parsers[""].add_argument("--native", action="store_true", help="write the index without Pyserini")
    parsers[""].add_argument(
        "--allow-blank-ids", action="store_true", help="for the native writer: take ids that hold blanks"
    )
    add = parsers["input"].add_argument
    add("--corpus", required=True)
    add("--fields", dest="input_fields", nargs="+", default=["text"])
    add("--delimiter", default="\n")
    add("--shard-id", type=int, default=0)
    add("--shard-num", type=int, default=1)
    add = parsers["output"].add_argument
    add("--embeddings", required=True)
    add("--to-faiss", action="store_true")
    add = parsers["encoder"].add_argument
    add("--encoder", required=True)
    add("--encoder-class")
    add("--fields", nargs="+", default=["text"])
    add("--batch-size", type=int, help="for Pyserini's loop; the native writer fills batches by tokens")
    add("--device")
    add("--fp16", action="store_true")
    add("--dimension", type=int)
    add("--max-length", type=int)
    add("--pooling")
    add("--l2-norm", action="store_const", const=True)
    add("--prefix")
    return parsers


def check(args: Namespace) -> int:
    """The dimension of the checkpoint, after its flags were held against it.

    Raises:
        ValueError: another dimension, a flag that contradicts the checkpoint, fields that Pyserini does not hand over, or
            JSONL of more dimensions than Lucene takes.
    """
    from rader_ir.encoder import Encoder

    if not {"text"} <= set(args.fields) <= {"title", "text"} & set(args.input_fields):
        raise ValueError(
            f"encoder --fields {' '.join(args.fields)}: expected text, or title text, and the same after input --fields"
        )
    encoder = Encoder(args.encoder)
    check_flags(
        encoder, "doc", pooling=args.pooling, l2_norm=args.l2_norm, prefix=args.prefix, max_length=args.max_length
    )
    if args.dimension not in (None, encoder.dimension):
        raise ValueError(f"--dimension {args.dimension}, but {args.encoder} has {encoder.dimension}; leave it out")
    if not args.to_faiss and encoder.dimension > LUCENE_DIMENSIONS:
        raise ValueError(
            f"{args.encoder} has {encoder.dimension} dimensions; JSONL is for Lucene, which takes {LUCENE_DIMENSIONS} at most "
            "and drops longer vectors without a word; give --to-faiss"
        )
    args.max_length = encoder.describe()["max_doc_length"]
    return encoder.dimension


def completed(args: Namespace, parts: dict[str, list[str]], dimension: int) -> list[str]:
    """Arguments for the stock main: the user's own, then what the checkpoint says (argparse takes the last)."""
    settled = ["--encoder-class", NAME, "--dimension", str(dimension), "--max-length", str(args.max_length)]
    return ["input", *parts["input"], "output", *parts["output"], "encoder", *parts["encoder"], *settled]


def encode_stock(args: Namespace, argv: list[str]) -> None:
    """Run `pyserini.encode`, and complete what it wrote.

    Its JSONL, which has `id` alone, gets the `docid` without which Lucene drops a record; its index gets the name of its encoder.
    """
    run_main("pyserini.encode", argv)
    if args.to_faiss:
        from rader_ir.encoder import Encoder

        return record_encoder(args.embeddings, Encoder(args.encoder))
    path = Path(args.embeddings) / VECTORS_FILE
    with replacing(path) as file:
        for _, line in numbered_lines(path):
            record = json.loads(line)
            file.write(json.dumps({"docid": record["id"], **record}) + "\n")


def write(args: Namespace) -> None:
    """Write the index folder without Pyserini; without `--to-faiss`, JSONL instead, by way of an index beside it."""
    from rader_ir.encoder import Encoder
    from rader_ir.index_writer import build_index

    encoder = Encoder(args.encoder, device=args.device, dtype="float16" if args.fp16 else None)
    folder = Path(args.embeddings)
    how = dict(formats=["pyserini"], blank_ids="allow" if args.allow_blank_ids else "refuse", verbose=True)
    if args.to_faiss:
        build_index(folder, documents(args), encoder, **how)
        return
    beside = folder.with_name(f".{folder.name}.unfinished")
    index = build_index(beside, documents(args), encoder, **how)
    folder.mkdir(parents=True, exist_ok=True)
    write_embeddings_jsonl(index, folder / VECTORS_FILE)
    shutil.rmtree(beside)


def documents(args: Namespace) -> Iterator[tuple[str, str]]:
    """(docid, text) of the corpus, or of shard `--shard-id` of `--shard-num`, cut where Pyserini cuts it.

    Raises:
        ValueError: no such shard, or a broken corpus.
    """
    files = corpus_files(args.corpus)

    def stream():
        return chain.from_iterable(read_documents(file, fields=fields_of(file, args)) for file in files)

    if not 0 <= args.shard_id < args.shard_num:
        raise ValueError(f"--shard-id {args.shard_id}: expected 0 to {args.shard_num - 1}, as --shard-num says")
    if args.shard_num == 1:
        return stream()
    total = sum(1 for _ in stream())
    start = args.shard_id * (total // args.shard_num)
    last = args.shard_id == args.shard_num - 1
    return islice(stream(), start, None if last else start + total // args.shard_num)


def corpus_files(corpus: str) -> list[Path]:
    """The file `corpus`, or the files of that folder by name.

    Raises:
        FileNotFoundError: neither.
    """
    path = Path(corpus)
    if path.is_file():
        return [path]
    files = sorted(file for file in path.glob("[!.]*") if file.is_file())
    if not files:
        raise FileNotFoundError(f"--corpus {corpus}: expected a JSONL or TSV file, or a folder of them")
    return files


def fields_of(file: Path, args: Namespace) -> list[str] | None:
    """Fields of a record that make its text: those asked for, or `contents` where Pyserini would cut it into them.

    Raises:
        ValueError: `contents` would have to be cut; give records with the fields themselves.
    """
    if ".tsv" in file.suffixes:
        return None
    _, line = next(numbered_lines(file), (0, "{}"))
    try:
        record = json.loads(line)
    except json.JSONDecodeError:
        return args.fields  # read_documents names the line
    if "contents" not in record or set(args.fields) <= set(record):
        return args.fields
    if len(args.input_fields) > 1 and (args.input_fields != args.fields or args.delimiter not in ("\n", "\\n")):
        raise ValueError(
            f"{file}: the native writer does not cut `contents` into {', '.join(args.input_fields)} "
            f"by {args.delimiter!r}; write them as fields of each record"
        )
    return ["contents"]
