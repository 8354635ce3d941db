"""The process that a kill test ends: it trains the retriever that the test compares, and ends itself at one of its batches.

`python -m tests.train_kill_worker OUT BASE BATCH` kills itself (SIGKILL) when it is about to read batch number BATCH, from 1.
"""

import os
import signal
import sys

import torch

from rader_ir.train.retriever import Groups, train_retriever
from rader_ir.train.settings import RetrieverOptions
from tests.toy_training import QUICK, examples

CHANGED = dict(epochs=6, piece_size=4, lora_dropout=0.2, accumulation=2, batch_size=4, eval_steps=3, save_steps=2)


def train(out, base):
    """Twelve optimizer steps with dropout, each of two batches of four, read in pieces."""
    options = RetrieverOptions(str(base), **{**QUICK, **CHANGED})
    return train_retriever(options, examples=examples(), out=out, dev=examples(8))


if __name__ == "__main__":
    out, base, batch = sys.argv[1], sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(1)
    read, count = Groups.read, 0

    def watched(self, rows):
        global count
        count += 1
        if count == batch:
            os.kill(os.getpid(), signal.SIGKILL)
        return read(self, rows)

    Groups.read = watched
    train(out, base)
