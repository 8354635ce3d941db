"""Decoders with random weights and texts of exact lengths, made on the spot: speed asks for shapes, not for meaning.

The tokenizer is a real byte-level BPE, trained on the theorems that come with the package; a text is made of words that are
one token each, so that it has as many tokens as it has words. Lengths scatter as those of retrieved documents do.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rader_ir.quickstart import load
from tests import tiny


def decoder(
    folder: Path, *, labels: int | None, device: str = "cpu", dtype: str = "float32", vocab_size: int = 8192, **shape
) -> Path:
    """A checkpoint folder that holds a Qwen2 with random weights: an encoder, or with `labels` a classifier.

    Args:
        device: where the weights are made and, for a big model, also fit.
        shape: of `Qwen2Config`.
    """
    import torch
    from transformers import Qwen2Config, Qwen2ForSequenceClassification, Qwen2Model

    theorems, _, _ = load()
    form = ["query: this document: that"] * 100  # so that the form's words are one token each, as in Qwen's tokenizer
    tokenizer = tiny.qwen2_tokenizer(texts=form + list(theorems.values()), size=min(8192, vocab_size))
    config = Qwen2Config(**shape, vocab_size=vocab_size, pad_token_id=tokenizer.pad_token_id, dtype=dtype)
    if labels is not None:
        config.num_labels = labels
    torch.manual_seed(0)
    usual = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        with torch.device(device):
            model = (Qwen2Model if labels is None else Qwen2ForSequenceClassification)(config)
    finally:
        torch.set_default_dtype(usual)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


class Texts:
    """Texts of as many tokens as asked for.

    Args:
        folder: of a checkpoint with a byte-level tokenizer.
        seed: of lengths and words.
    """

    def __init__(self, folder: Path, *, seed: int = 0):
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder)
        known = sorted(token[1:] for token in tokenizer.get_vocab() if token[0] == "Ġ" and token[1:].isalpha())
        ids = tokenizer([f" {word}" for word in known])["input_ids"]
        self.words = [word for word, row in zip(known, ids, strict=True) if len(row) == 1 and word.isascii()]
        self.random = np.random.default_rng(seed)

    def text(self, tokens: int) -> str:
        """A text of `tokens` tokens where a blank goes before it, as in a form."""
        return " ".join(self.random.choice(self.words, tokens))

    def scattered(self, count: int, mean: int) -> list[str]:
        """`count` texts, their lengths normal with `mean` and a standard deviation of .35 of it, 4 tokens at least."""
        lengths = self.random.normal(mean, 0.35 * mean, count)
        return [self.text(max(4, round(length))) for length in lengths]


def lengths_of(texts: Sequence[str]) -> list[int]:
    """Tokens of each of `Texts`'s texts."""
    return [len(text.split()) for text in texts]
