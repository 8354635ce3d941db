"""A process that trains a reranker on the toy set, for tests that need one of its own: to kill it, or to have two of them.

Called as `python -m tests.reranker_worker OPTIONS OUT [STEP]`: options as JSON, the folder to make, and the forward pass before
which the process kills itself.
"""

import json
import os
import signal
import sys

import torch

from rader_ir.train.reranker import GroupTrainer, train_reranker
from rader_ir.train.settings import RerankerOptions
from tests.toy_training import examples


def die_before(step: int) -> None:
    """Kill this process, as nothing can prevent, before a forward pass."""
    passes = 0
    whole = GroupTrainer.compute_loss

    def compute_loss(self, *arguments, **options):
        nonlocal passes
        passes += 1
        if passes == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(self, *arguments, **options)

    GroupTrainer.compute_loss = compute_loss


if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) > 3:
        die_before(int(sys.argv[3]))
    made = RerankerOptions(**json.loads(sys.argv[1]))
    train_reranker(made, examples=examples(), dev=examples(4), out=sys.argv[2])
