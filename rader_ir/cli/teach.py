"""`rader teach`: training examples in, the same ones out with a teacher's score for each passage.

Losses that learn from scores (`loss = "kl"`, `margin_mse` or `ranknet`) need them. A killed call continues where it stopped when
it is made again.
"""

import argparse

from rader_ir.cli import options
from rader_ir.cli.rerank import opened
from rader_ir.examples import read_examples
from rader_ir.rerank import ASKING, SYSTEMS
from rader_ir.rerank_file import GROUP_SIZE, GROUP_SIZES
from rader_ir.teach import teach


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Examples, system and model."""
    parser.add_argument("examples", metavar="EXAMPLES", help="JSONL file of training examples")
    parser.add_argument("--out", required=True, metavar="FILE", help="JSONL file to write; .gz is compressed")
    parser.add_argument("--system", choices=list(SYSTEMS), default="rader", help="that scores; default: %(default)s")
    options.add_instruction(parser)
    options.add_model(parser, default="the published one of the system; idcm has none", pairs=True)


def run(args: argparse.Namespace) -> dict:
    """Scores and writes.

    Raises:
        ValueError: a system that asks a language model.
    """
    if args.system in ASKING:
        pointwise = ", ".join(name for name in SYSTEMS if name not in ASKING)
        raise ValueError(f"--system {args.system} asks a language model, and is no teacher; choose {pointwise}")
    reranker = opened(args)
    examples = read_examples(args.examples)
    if not examples:
        raise ValueError(f"{args.examples} holds no examples")
    size = GROUP_SIZES.get(args.system, GROUP_SIZE)
    taught = teach(examples, reranker, args.out, group_size=size, verbose=not args.quiet)
    passages = sum(len(example.positives) + len(example.negatives) for example in taught)
    return {"queries": len(taught), "passages": passages, "truncated": reranker.truncated, "out": args.out}
