"""One of the processes of a distributed run: `torchrun ... tests/train_two_worker.py OUT BASE` trains, on CPUs by gloo."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from rader_ir.train.retriever import train_retriever
from rader_ir.train.settings import RetrieverOptions
from tests.toy_training import QUICK, examples


def train(out, base, piece: int | None):
    """Four optimizer steps of two batches of four queries each, measured after each second one."""
    changed = dict(
        epochs=4, accumulation=2, batch_size=4, eval_steps=2, learning_rate=1e-3, piece_size=piece, lora=False
    )
    options = RetrieverOptions(str(base), **{**QUICK, **changed, "temperature": 0.05})
    return train_retriever(options, examples=examples(8), out=out, dev=examples(8))


PIECES = {"whole": None, "cached": 1}

if __name__ == "__main__":
    torch.set_num_threads(1)
    for name, piece in PIECES.items():
        train(Path(sys.argv[1]) / name, sys.argv[2], piece)
