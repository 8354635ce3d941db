"""Attention as a ranking signal with a small random Qwen2: read out beside SDPA, against eager attention that gives all weights.

    python -m tests.benchmarks.icr [--rounds 3] [--quick] [--json FILE]

One query over documents of 2,000 tokens in one prompt: attention of the search and of one that says nothing to every token, as
`ICR` needs them. All ways read the same ids and their numbers are compared. Eager attention comes twice: with a whole prompt for
each search, as `output_attentions` of transformers is used, and with documents that are read once. CPU seconds of one thread.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from tests.benchmarks.rerank import SHAPE as RERANKER
from tests.benchmarks.rows import Row, arguments, clock, report, take_turns

OURS, EAGER, KEPT = "rader_ir", "eager, two whole prompts", "eager, documents read once"
PLAIN, HALF = "SDPA, nothing read out", "rader_ir, the first half of the layers"
SHAPE = {**RERANKER, "num_hidden_layers": 4, "max_position_embeddings": 8192}
GOALS = {EAGER: 4.0, KEPT: None, PLAIN: None}
DOCUMENT = 100  # tokens
QUERY = 32
Masses = Callable[[list[int], list[list[int]]], list[np.ndarray]]


def open_ours(folder: str, *, layers: tuple[int, int] | None = None) -> Masses:
    """`AttentionReader.masses`."""
    from rader_ir.attention import AttentionReader

    return AttentionReader(str(folder), layers=layers, device="cpu").masses


def _model(folder: str, attention: str):
    from transformers import AutoModel

    return AutoModel.from_pretrained(folder, attn_implementation=attention, dtype="float32").eval()


def open_eager(folder: str) -> Masses:
    """Each ending with the whole text before it, all weights of all layers given out."""
    import torch

    model = _model(folder, "eager")

    @torch.inference_mode()
    def masses(ids, endings):
        found = []
        for ending in endings:
            weights = model(torch.tensor([ids + ending]), output_attentions=True, use_cache=False).attentions
            found.append(_summed(weights, len(ending)))
        return found

    return masses


def open_kept(folder: str, attention: str = "eager") -> Masses:
    """The text into a cache, each ending behind it; with "sdpa" no weights are given out."""
    import torch
    from transformers import DynamicCache

    model, told = _model(folder, attention), attention == "eager"

    @torch.inference_mode()
    def masses(ids, endings):
        cache, found = DynamicCache(), []
        model(torch.tensor([ids]), past_key_values=cache, use_cache=True)
        for ending in endings:
            given = model(torch.tensor([ending]), past_key_values=cache, use_cache=True, output_attentions=told)
            cache.crop(-len(ending))
            found.append(_summed(given.attentions, len(ending)) if told else np.empty(0))
        return found

    return masses


def _summed(weights, rows: int) -> np.ndarray:
    return sum(layer[0, :, -rows:].mean(1).sum(0) for layer in weights).numpy()


WAYS = {
    OURS: open_ours,
    EAGER: open_eager,
    KEPT: open_kept,
    PLAIN: partial(open_kept, attention="sdpa"),
    HALF: partial(open_ours, layers=(0, SHAPE["num_hidden_layers"] // 2)),
}


def prompt(folder: Path, tokens: int) -> tuple[list[int], list[list[int]]]:
    """Documents of so many tokens in the prompt of `ICR`, and the two searches behind them."""
    from transformers import AutoTokenizer

    from rader_ir.prompts import load_prompts
    from rader_ir.rerank.icr_text import Wording
    from tests.benchmarks.made import Texts

    made, wording = Texts(folder), Wording(AutoTokenizer.from_pretrained(folder), load_prompts(name="icr")["ie"])
    passages = [wording.passage(i, made.text(DOCUMENT)) for i in range(1, tokens // DOCUMENT + 1)]
    text = wording.text(wording.query(made.text(QUERY)), passages)
    return text.ids, [text.neutral, text.ending]


def rows(folder: Path, tokens: int, rounds: int) -> Iterator[Row]:
    """Ours beside every other way, and half of the layers beside all."""
    import torch

    torch.set_num_threads(1)
    ids, endings = prompt(folder, tokens)
    found: dict[str, list[np.ndarray]] = {}
    ways = {name: opener(str(folder)) for name, opener in WAYS.items()}

    def turn(name: str) -> None:
        found[name] = ways[name](ids, endings)

    seconds = take_turns({name: partial(turn, name) for name in ways}, rounds, clock(1))
    title = f"attention of two searches to documents of {tokens} tokens (prompt of {len(ids)})"
    for peer, goal in GOALS.items():
        told = "nothing to compare" if peer == PLAIN else apart(found[OURS], found[peer])
        yield Row(title, seconds[OURS], seconds[peer], peer, seconds[peer] / seconds[OURS], goal, told, None, 1)
    ratio = seconds[OURS] / seconds[HALF]
    yield Row(f"{title}, {HALF}", seconds[HALF], seconds[OURS], OURS, ratio, None, "by definition another sum", None, 1)


def apart(ours: list[np.ndarray], theirs: list[np.ndarray]) -> str:
    """The largest difference between two ways' numbers, and the largest number."""
    far = max(np.abs(one - other).max() for one, other in zip(ours, theirs, strict=True))
    return f"within {far:.0e} of numbers up to {max(each.max() for each in theirs):.2g}"


def memory_rows(folder: Path, tokens: int) -> Iterator[Row]:
    """Megabytes of a process that imports, loads and does it once."""
    from tests.benchmarks.memory import peak

    with tempfile.TemporaryDirectory() as scratch:
        inputs, options = prompt(folder, tokens), dict(threads=1, scratch=Path(scratch))
        peaks = {name: peak(__spec__.name, name, folder, inputs, **options) for name in (OURS, EAGER, KEPT)}
    for peer in (EAGER, KEPT):
        name = f"peak memory in MB, documents of {tokens} tokens"
        yield Row(name, peaks[OURS], peaks[peer], peer, peaks[peer] / peaks[OURS], None, "the same ids", None, 1)


def measure(quick: bool, rounds: int) -> Iterator[Row]:
    """All rows."""
    from tests.benchmarks.made import decoder

    with tempfile.TemporaryDirectory() as scratch:
        folder = decoder(Path(scratch) / "model", labels=None, **SHAPE)
        for tokens in (2000,) if quick else (1000, 2000, 4000):
            yield from rows(folder, tokens, rounds)
        yield from memory_rows(folder, 2000)


def main() -> None:
    """Measure and print the table."""
    options = arguments(__doc__, rounds=3).parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    report(measure(options.quick, options.rounds), options.json)


if __name__ == "__main__":
    main()
