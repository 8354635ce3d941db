"""Options that several verbs share, so that a flag has one name, one meaning and one default everywhere.

Each `add_*` function puts a group of flags on a verb's parser; `model_options` and `instruction` read them back as
the keyword arguments of `Encoder` and `CrossEncoder`. Nothing here imports a model library.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from rader_ir.checkpoint_folders import FORMS

DTYPES = ("float32", "bfloat16", "float16", "int8")
LENGTHS = ("max_query_length", "max_doc_length", "max_length")
MODEL_OPTIONS = ("checkpoint", "revision", "forms", "device", "dtype", "batch_tokens", *LENGTHS)
TEST, CORRECTION = "t", "holm"
OUTPUTS = ("out", "json", "latex")  # flags that name what a verb writes
TEXTS = "JSONL or TSV file (.gz too) or irds:NAME"


def add_common(parser: argparse.ArgumentParser) -> None:
    """The flags of every verb."""
    parser.add_argument("--json", metavar="FILE", help="write counts, figures and seconds to this file as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress bars and no summary on stderr")
    parser.add_argument("--traceback", action="store_true", help="on an error, show where it arose")


def add_model(parser: argparse.ArgumentParser, *, default: str, pairs: bool = False) -> None:
    """The flags that choose a checkpoint and how it runs.

    Args:
        parser: of the verb.
        default: in words, what is used without --checkpoint.
        pairs: whether the model may read query and document together.
    """
    group = parser.add_argument_group("model")
    group.add_argument(
        "--checkpoint", metavar="NAME", help=f"published name, `minilm`, hub id or folder (default: {default})"
    )
    group.add_argument("--revision", metavar="COMMIT", help="revision of a checkpoint of the hub")
    add_running(group, pairs=pairs)


def add_running(group, *, pairs: bool = False) -> None:
    """The flags that say how a model runs, whichever it is; `pairs` as in `add_model`."""
    group.add_argument(
        "--forms", choices=tuple(FORMS), help="how texts are written for it (default: the checkpoint's own way)"
    )
    add_device(group)
    group.add_argument("--dtype", choices=DTYPES, help="number format of the weights (default: the device's best)")
    group.add_argument(
        "--batch-tokens",
        type=positive,
        metavar="N",
        help="tokens in one batch (default: 2048 on a CPU, 16384 elsewhere)",
    )
    group.add_argument("--max-query-length", type=positive, metavar="N", help="tokens kept of a query")
    group.add_argument("--max-doc-length", type=positive, metavar="N", help="tokens kept of a document")
    if pairs:
        group.add_argument("--max-length", type=positive, metavar="N", help="tokens of a pair read together")


def add_device(parser) -> None:
    """The flag that says where a model runs."""
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps (default: the best one here)")


def add_instruction(parser: argparse.ArgumentParser) -> None:
    """The flags that put an instruction before each query."""
    group = parser.add_argument_group("instruction before each query")
    either = group.add_mutually_exclusive_group()
    either.add_argument("--instruction", metavar="TEXT", help="put before each query, letter for letter")
    either.add_argument(
        "--task", help="a task of BRIGHT, such as biology or theoremqa_theorems: its instruction is used"
    )
    group.add_argument("--long", action="store_true", help="with --task: the instruction of BRIGHT's long documents")


def add_fields(parser: argparse.ArgumentParser, *, documents: bool = True, queries: bool = True) -> None:
    """The flags that say which fields of a JSONL file are text."""
    if documents:
        parser.add_argument(
            "--fields", type=names, metavar="A,B", help="document fields to join (default: those present)"
        )
    if queries:
        parser.add_argument(
            "--query-fields", type=names, metavar="A,B", help="query fields to join (default: likewise)"
        )


def add_blank_ids(parser) -> None:
    """The flag that lets ids hold blanks; `blank_ids` reads it back."""
    parser.add_argument("--allow-blank-ids", action="store_true", help="take doc ids that hold blanks, as BRIGHT has")


def blank_ids(args: argparse.Namespace) -> str:
    """The engine's word for --allow-blank-ids: "allow", or without the flag "refuse"."""
    return "allow" if args.allow_blank_ids else "refuse"


def add_run_output(parser: argparse.ArgumentParser, *, depth: int) -> None:
    """--depth and --out of the verbs that write a TREC run."""
    parser.add_argument(
        "--depth", type=positive, default=depth, metavar="N", help="documents per query (default %(default)s)"
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="TREC run to write; .gz is compressed")


def add_comparison(group, *, baseline: str) -> None:
    """The flags that compare systems with one of them; `comparison` reads --test and --correction back.

    Args:
        group: of a parser.
        baseline: its metavariable, such as "RUN".
    """
    from rader_ir.significance import CORRECTIONS, TESTS  # here, since it opens numpy

    group.add_argument("--baseline", metavar=baseline, help=f"compare the others with this {baseline.lower()}")
    with_it = "with --baseline (default: {})"
    group.add_argument("--test", choices=list(TESTS), help=f"paired test, {with_it.format(TEST)}")
    group.add_argument(
        "--correction", choices=list(CORRECTIONS), help=f"for many comparisons, {with_it.format(CORRECTION)}"
    )


def comparison(args: argparse.Namespace) -> dict[str, str]:
    """{"test", "correction"} of a call, and what they need is there.

    Raises:
        ValueError: one of them without a baseline.
        ImportError: scipy is not installed, and the test needs it.
    """
    if args.baseline is None and (given := [name for name in ("test", "correction") if getattr(args, name)]):
        raise ValueError(f"--{given[0]} compares systems with a baseline; give --baseline with it")
    chosen = {"test": args.test or TEST, "correction": args.correction or CORRECTION}
    if args.baseline is not None and chosen["test"] != "randomisation":
        require(["scipy"], f"--test {chosen['test']}", "eval")
    return chosen


def positive(text: str) -> int:
    """An integer of at least 1, for argparse."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def seed(text: str) -> int:
    """An integer of at least 0, for argparse."""
    if (number := int(text)) < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return number


def names(text: str) -> list[str]:
    """`title,text` -> ["title", "text"], for argparse."""
    return [name.strip() for name in text.split(",") if name.strip()]


def model_options(args: argparse.Namespace) -> dict:
    """What was given of `MODEL_OPTIONS`, as keyword arguments of a model class; the rest is left to the class."""
    return {name: getattr(args, name) for name in MODEL_OPTIONS if getattr(args, name, None) is not None}


def instruction(args: argparse.Namespace) -> str:
    """The text to put before each query: that of --instruction, or of BRIGHT's --task, or none."""
    if args.task is None:
        if args.long:
            raise ValueError("--long chooses between the instructions of --task; give --task NAME with it")
        return args.instruction or ""
    from rader_ir import bright

    return bright.instruction(args.task, long=args.long)


def _read_files(args: argparse.Namespace) -> list[str]:
    """What is there of the files that a verb was given to read."""
    given = [value for name, value in vars(args).items() if name not in (*OUTPUTS, "out_name")]
    flat = [item for value in given for item in (value if isinstance(value, list) else [value])]
    words = [item for item in flat if isinstance(item, str)]
    words += [item.partition("=")[2] for item in words]  # of a run that is given with a label, as LABEL=FILE
    return [item for item in words if os.path.isfile(item)]


def require(libraries: Sequence[str], what: str, extra: str) -> None:
    """Raise ImportError where one of the libraries is not installed, with the extra that brings it.

    Args:
        libraries: names as they are imported.
        what: needs them, in a word.
        extra: of this package, or several joined by commas.
    """
    if missing := [name for name in libraries if not find_spec(name)]:
        raise ImportError(f"{what} needs {', '.join(missing)}; run pip install 'rader-ir[{extra}]'")


def check_outputs(args: argparse.Namespace) -> None:
    """Makes the folders of `OUTPUTS` and refuses, before any work, a place that cannot be written.

    A verb whose output has another name on the command line says so as `out_name`; one whose --out is a folder by
    `out_folder=True`.

    Raises:
        ValueError: the file is one of those that are read, a folder stands in its place, or a file in that of a folder.
        OSError: a folder is read-only, or a file stands where a folder should.
    """
    for flag in OUTPUTS:
        path, name = getattr(args, flag, None), getattr(args, f"{flag}_name", f"--{flag}")
        if path is None:
            continue
        if any(Path(path).exists() and Path(path).samefile(read) for read in _read_files(args)):
            raise ValueError(f"{name} {path} is a file that this call reads; choose another place")
        is_folder = flag == "out" and getattr(args, "out_folder", False)
        if is_folder and Path(path).exists() and not Path(path).is_dir():
            raise ValueError(f"{name} {path} is a file; give a folder, which is made where it is not there")
        if flag != "out" and Path(path).is_dir():
            raise ValueError(f"{name} {path} is a folder; give a file")
        folder = Path(path).absolute().parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise OSError(
                f"{name} {path} cannot be written: {error.strerror or error}; choose another place"
            ) from error
