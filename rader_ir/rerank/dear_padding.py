"""DeAR's pointwise scores as its released code takes them: not at a text's end, but at the last place of its padding.

Where a configuration names no padding token, that code (of arXiv:2508.16998) sets 0 and pads with the end token, so that the head
reads the 228th place, whatever stands there. Checkpoints that were trained so are read so too by `padding="max_length"`, always
with the full length; all others are read at their texts' ends.
"""

from collections.abc import Sequence

import numpy as np
import torch

from rader_ir.cross_encoder import CrossEncoder
from rader_ir.tokens import TextTokens, for_each_batch

_BUDGET = 16384  # tokens of a batch


def padded_scores(model: CrossEncoder, queries: Sequence[str], docs: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """Scores at the last of so many places as the checkpoint's `max_doc_length` has; equal pairs are scored once.

    Args:
        model: a decoder with a head of one label; its text path is taken, its way of reading is not.
        queries: n texts.
        docs: n lists of texts.

    Returns:
        One float32 array [len(docs[i])] per query.

    Raises:
        ValueError: another kind of model, or one without an end token.
    """
    pairs = list(dict.fromkeys((query, doc) for query, texts in zip(queries, docs, strict=True) for doc in texts))
    found = dict(zip(pairs, _scores(model, pairs).tolist() if pairs else (), strict=True))
    return [
        np.array([found[query, doc] for doc in texts], dtype=np.float32)
        for query, texts in zip(queries, docs, strict=True)
    ]


def _scores(model: CrossEncoder, pairs: list[tuple[str, str]]) -> np.ndarray:
    """float32 [pairs]."""
    loaded, settled = model.open(), model.settled()
    head, end = getattr(loaded.model, "score", None), loaded.tokenizer.eos_token_id
    if head is None or end is None:
        raise ValueError(
            f"padding 'max_length' reads a head behind end tokens, and {settled.name!r} has none; leave padding out"
        )
    length = model._length(model.max_length, settled.max_doc_length, "max_length")
    ids = TextTokens(loaded.tokenizer, settled).pairs(*zip(*pairs, strict=True), model.instruction, length)
    model._count(ids.truncated, len(pairs), "pairs", length)
    passes, tokens = model.work
    model.work = passes + len(pairs), tokens + length * len(pairs)
    scores = np.empty(len(pairs), dtype=np.float32)

    @torch.inference_mode()
    def step(batch: np.ndarray) -> None:
        rows = [ids.rows[i] for i in batch]
        texts = torch.tensor([row + [end] * (length - len(row)) for row in rows], device=loaded.device)
        mask = torch.arange(length, device=loaded.device) < torch.tensor([[len(row)] for row in rows]).to(loaded.device)
        states = loaded.model.base_model(texts, attention_mask=mask.long(), use_cache=False).last_hidden_state
        scores[batch] = head(states[:, -1])[:, 0].float().cpu().numpy()

    for_each_batch(np.full(len(pairs), length), model.batch_tokens or _BUDGET, step)
    return scores
