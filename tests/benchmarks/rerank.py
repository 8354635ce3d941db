"""Reranking 100 documents for one query with a small random Qwen2, beside the usual ways to run the same checkpoint.

    python -m tests.benchmarks.rerank [--quick] [--json FILE]

All read the same tokens, `query: {query} document: {document}` and the end token, and tokenise them themselves: this package,
transformers on batches of 8 sorted by length, and sentence-transformers' `CrossEncoder.predict` as it comes. Documents' lengths
are normal with a standard deviation of .35 of their mean. One thread is timed in CPU seconds, two in wall time.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from tests.benchmarks.rows import Row, arguments, clock, report, take_turns

OURS, SORTED, SENTENCES = "rader_ir", "transformers, sorted batches of 8", "sentence-transformers"
SHAPE = dict(
    num_hidden_layers=8,
    hidden_size=512,
    num_attention_heads=8,
    num_key_value_heads=2,
    intermediate_size=1408,
    vocab_size=8192,
    max_position_embeddings=4096,
    initializer_range=0.05,  # scores then scatter by about 1
)
# tokens of query and document
GOALS = {(32, 64): 1.6, (128, 64): 3.2, (512, 64): 8.0, (32, 256): 1.3, (128, 256): 1.7, (512, 256): 2.6}
REMEMBERED = (128, 64)  # where peak memory is taken
WARM = 8  # documents that every way scores beforehand
Score = Callable[[str, list[str]], np.ndarray]


def open_ours(folder: str, *, device: str = "cpu", dtype: str = "float32") -> Score:
    """`CrossEncoder.score`."""
    from rader_ir.cross_encoder import CrossEncoder

    reranker = CrossEncoder(folder, device=device, dtype=dtype)
    return lambda query, docs: reranker.score([query], [docs])[0]


def open_sorted(folder: str, *, batch: int = 8, device: str = "cpu", dtype: str = "float32") -> Score:
    """`AutoModelForSequenceClassification` on batches of texts of similar length, padded on the right."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=dtype).to(device).eval()

    @torch.inference_mode()
    def score(query: str, docs: list[str]) -> np.ndarray:
        ids = tokenizer([f"query: {query} document: {doc}{tokenizer.eos_token}" for doc in docs])["input_ids"]
        order = np.argsort([-len(row) for row in ids], kind="stable")
        scores = np.empty(len(docs), dtype=np.float32)
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            inputs = tokenizer.pad({"input_ids": [ids[i] for i in chosen]}, return_tensors="pt").to(device)
            scores[chosen] = model(**inputs, use_cache=False).logits[:, 0].float().cpu().numpy()
        return scores

    return score


def open_sentences(folder: str, *, device: str = "cpu", dtype: str = "float32") -> Score:
    """`CrossEncoder.predict` with batches of 32, which it sorts by length.

    A pair's halves are joined without a mark by a byte-level tokenizer, so the form's words go into them; the scores are
    the head's own, without the sigmoid that it would put on them.
    """
    import torch
    from sentence_transformers import CrossEncoder

    options = dict(activation_fn=torch.nn.Identity(), local_files_only=True, model_kwargs={"dtype": dtype})
    model = CrossEncoder(folder, device=device, **options)
    end = model.tokenizer.eos_token
    return lambda query, docs: model.predict([(f"query: {query} document:", f" {doc}{end}") for doc in docs])


WAYS = {OURS: open_ours, SORTED: open_sorted, SENTENCES: open_sentences}


def exactness(scores: dict[str, np.ndarray], peer: str) -> str:
    """How far our scores are from the peer's, and whether the rankings are equal."""
    far = np.abs(scores[OURS] - scores[peer]).max()
    equal = np.array_equal(np.argsort(-scores[OURS], kind="stable"), np.argsort(-scores[peer], kind="stable"))
    return f"scores within {far:.1e} (sd {scores[peer].std():.1f}), ranking {'equal' if equal else 'DIFFERS'}"


class Bench:
    """The checkpoint in `folder` opened in every way, and pairs made for it.

    Args:
        documents: per query.
    """

    def __init__(self, folder: Path, *, documents: int):
        from transformers import AutoConfig

        from tests.benchmarks.arithmetic import Shape
        from tests.benchmarks.ceiling import Products

        self.folder, self.documents = folder, documents
        self.ways = {name: opener(str(folder)) for name, opener in WAYS.items()}
        self.shape = Shape.of(AutoConfig.from_pretrained(folder))
        self.products = Products(self.shape)

    def pairs(self, query: int, document: int) -> tuple[str, list[str]]:
        """A query and its documents, of so many tokens (the documents' mean)."""
        from tests.benchmarks.made import Texts

        made = Texts(self.folder)
        return made.text(query), made.scattered(self.documents, document)

    def title(self, query: int, document: int) -> str:
        """For a row's name."""
        return f"rerank {self.documents} documents, query {query} x document {document} tokens"

    def speed_rows(self, query: int, document: int, threads: int, rounds: int) -> Iterator[Row]:
        """One row per peer."""
        import torch

        from tests.benchmarks.arithmetic import decoder_flops
        from tests.benchmarks.made import lengths_of

        torch.set_num_threads(threads)
        text, docs = self.pairs(query, document)
        scores = {name: way(text, docs[:WARM]) for name, way in self.ways.items()}

        def turn(name: str) -> None:
            scores[name] = self.ways[name](text, docs)

        turns = {name: partial(turn, name) for name in self.ways}
        seconds = take_turns({**turns, **self.products.ways}, rounds, clock(threads), warm=0)
        form, end = 2, 3  # "query", ":" before the query; "document", ":" and the end token with each document
        flops = decoder_flops(self.shape, [length + end for length in lengths_of(docs)], prefix=query + form)
        ceiling = self.products.ceiling(seconds)
        share = flops / seconds[OURS] / ceiling.rate
        on = f"{self.title(query, document)}, {threads} thread{'s' * (threads > 1)}"
        for peer in list(self.ways)[1:]:
            ratio, told = seconds[peer] / seconds[OURS], f"{exactness(scores, peer)}; {ceiling.told}"
            goal = GOALS[query, document] if threads == 1 else None
            yield Row(on, seconds[OURS], seconds[peer], peer, ratio, goal, told, share, threads)

    def memory_rows(self) -> Iterator[Row]:
        """One row per peer: megabytes of a process that imports, loads and scores once."""
        from tests.benchmarks.memory import peak

        with tempfile.TemporaryDirectory() as scratch:
            options = dict(threads=2, scratch=Path(scratch))
            pairs = self.pairs(*REMEMBERED)
            peaks = {name: peak(__spec__.name, name, self.folder, pairs, **options) for name in self.ways}
        for peer in list(self.ways)[1:]:
            goal = 1.0 if peer == SENTENCES else None
            name = f"peak memory in MB, {self.title(*REMEMBERED)}"
            yield Row(name, peaks[OURS], peaks[peer], peer, peaks[peer] / peaks[OURS], goal, "the same pairs", None, 2)


def measure(quick: bool, rounds: int) -> Iterator[Row]:
    """All rows, one thread first."""
    from rader_ir.threads import usable_processors
    from tests.benchmarks.made import decoder

    cores = usable_processors()
    with tempfile.TemporaryDirectory() as scratch:
        folder = decoder(Path(scratch) / "reranker", labels=1, **SHAPE)
        bench = Bench(folder, documents=40 if quick else 100)
        for query, document in GOALS:
            turns = min(rounds, max(1, 500 // (query + document))) if quick else rounds
            yield from bench.speed_rows(query, document, 1, turns)
        yield from bench.memory_rows()
        if cores < 2:
            print("rows of two threads are left out: one processor here", file=sys.stderr)
            return
        for query, document in [REMEMBERED] if quick else GOALS:
            yield from bench.speed_rows(query, document, 2, 1 if quick else rounds)


def main() -> None:
    """Measure and print the table."""
    options = arguments(__doc__, rounds=3).parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    report(measure(options.quick, options.rounds), options.json)


if __name__ == "__main__":
    main()
