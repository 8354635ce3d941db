"""What an IDCM's selector can learn in seconds: windows that hold a query's tokens, and a teacher who counts them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from rader_ir.idcm import IDCMConfig, frames, new_weights
from rader_ir.train.folder import open_run
from rader_ir.train.idcm_selector import recall, selector_trainer
from rader_ir.train.idcm_settings import IDCMOptions
from rader_ir.train.idcm_teacher import Lesson
from rader_ir.train.runtime import fit

STEPS = 120
_TOLD = dict(
    core=8, overlap=2, passages=4, best=3, batch_size=16, accumulation=1, warmup_steps=0, log_steps=STEPS, epochs=5
)
_TOLD |= dict(max_steps=STEPS, selector_learning_rate=0.02, eval_steps=STEPS, gradient_checkpointing=False)


def coverage_lessons(count: int, seed: int) -> list[Lesson]:
    """Queries of 5 tokens and documents of 12 windows that hold more or fewer of them; the teacher sums log(.3 + how often)."""
    rng, found = np.random.default_rng(seed), []
    for i in range(count):
        query, doc = rng.choice(np.arange(5, 105), 5, replace=False), rng.integers(5, 105, 96)
        hits = rng.random(96) < np.repeat(rng.permutation(np.linspace(0, 0.9, 12)), 8)
        doc[hits] = rng.choice(query, hits.sum())
        ids, mask = frames(doc.tolist(), 8, 2, 0)
        counts = np.array(
            [[(window[there] == token).sum() for token in query] for window, there in zip(ids, mask, strict=True)]
        )
        scores = np.log(0.3 + counts).sum(axis=1) + rng.normal(0, 0.01, len(ids))
        found.append(Lesson(f"q{i}", query.tolist(), ids, mask, scores.astype(np.float32)))
    return found


def check_new(learned: Sequence[Lesson], held: Sequence[Lesson]) -> None:
    """That no held-out query, whatever the order of its tokens, and no window of a held-out document was learned from.

    Raises:
        AssertionError: names them.
    """
    for read in (lambda lesson: [tuple(sorted(lesson.query))], lambda lesson: map(tuple, lesson.ids.tolist())):
        known, new = ({found for lesson in each for found in read(lesson)} for each in (learned, held))
        assert known and new and known.isdisjoint(new), f"learned from and held out: {sorted(known & new)}"


def windows_found(loss: str, out: Path) -> tuple[float, float]:
    """Share of the teacher's best 3 windows of 12 among the 4 that are chosen, before and after 120 steps; of new documents."""
    learned, others = coverage_lessons(400, 0), coverage_lessons(100, 1)
    check_new(learned, others)
    config, device = IDCMConfig("none", core=8, overlap=2), torch.device("cpu")
    embed = torch.randn(105, 32, generator=torch.Generator().manual_seed(0)).__getitem__
    selector, _ = new_weights(config, 32)
    before = recall(others, selector, embed, config, device)
    run = open_run(out, {})
    options = IDCMOptions("none", loss=loss, **_TOLD)
    fit(selector_trainer(options, config, selector, embed, learned, [], run=run, verbose=False), run)
    return before, recall(others, selector, embed, config, device)
