"""The command line `rader`: files in, files out, one module here per verb.

This file knows the verbs' names and one line about each; a verb's module is opened when that verb is called, and
opens the model libraries when it runs, so that `rader --help` answers at once. A verb offers `add_arguments(parser)`
and `run(args) -> dict`; the dictionary holds what it counted, and `--json FILE` writes it.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from importlib import import_module

from rader_ir import __version__
from rader_ir.cli import options
from rader_ir.files import replacing

VERBS = {
    "index": "encode documents into a dense index",
    "merge": "join the shards that several `rader index --shard` wrote",
    "search": "search a dense index with a file of queries",
    "bm25": "rank documents by BM25, without Java",
    "reason": "make search queries of what a language model reasons about questions",
    "fuse": "fuse two or more runs",
    "rerank": "score the first documents of a run again with a model",
    "mine": "find hard negatives for training examples",
    "teach": "give the passages of training examples a teacher's scores",
    "synthesize": "make training examples from problems, a corpus of theorems and a language model",
    "train": "train a retriever or a reranker",
    "push": "put a trained checkpoint on the hub",
    "tree": "make pages that show how problems were searched",
    "evaluate": "measure runs against relevance judgements",
    "bright": "run and measure systems on the tasks of BRIGHT",
    "bench": "run and measure systems on RAR-b, MS MARCO, TREC DL and BEIR",
    "reproduce": "compare what runs give with the figures that they should give",
    "rag": "ask questions with and without documents, and count the right answers",
    "doctor": "say what is missing on this machine, and how to mend it",
    "quickstart": "see retrieval work on 354 theorems and 537 questions",
}
BAD_INPUT = (ValueError, OSError, EOFError, ImportError, MemoryError, RuntimeError)
BAD, INTERRUPTED = 2, 130  # exit statuses


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb; `argv` are the words after `rader`, by default those of this process.

    Returns 0; 2 for bad input, which one line on stderr names (argparse exits with 2 as well); 130 after Ctrl-C.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    args = _parser(words).parse_args(words)
    try:
        options.check_outputs(args)
        return _run(args)
    except KeyboardInterrupt:
        print(f"\nrader {args.verb}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BAD_INPUT as error:
        if args.traceback:
            raise
        print(f"rader {args.verb}: {' '.join(_told(error).split()) or type(error).__name__}", file=sys.stderr)
        return BAD


def _told(error: BaseException) -> str:
    """What an error says; of a system's error with one file, the file first and no number."""
    if isinstance(error, OSError) and error.filename is not None and error.filename2 is None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _run(args: argparse.Namespace) -> int:
    """Runs the verb, writes and shows its figures, and returns its exit status (a verb may give another than 0)."""
    start = time.perf_counter()
    figures = import_module(f"{__name__}.{args.verb}").run(args)
    status = figures.pop("status", 0)
    figures["seconds"] = round(time.perf_counter() - start, 3)
    if args.json:
        with replacing(args.json) as file:
            told = {"verb": args.verb, "version": __version__, **figures}
            file.write(json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    if not args.quiet:
        plain = [f"{name} {value}" for name, value in figures.items() if isinstance(value, int | float | str)]
        print(f"rader {args.verb}: {', '.join(plain)}", file=sys.stderr)
    return status


def _parser(words: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rader", description="Reasoning-aware retrieval with files in and files out.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"rader {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, line in VERBS.items():
        verb_parser = verbs.add_parser(verb, help=line, description=f"{line[0].upper()}{line[1:]}.", allow_abbrev=False)
        if words[:1] == [verb]:
            import_module(f"{__name__}.{verb}").add_arguments(verb_parser)
            options.add_common(verb_parser)
    return parser
