"""Encoding and reranking on one CUDA device with random weights of Qwen2-7B's shape, beside the usual ways to do it.

    python -m tests.benchmarks.gpu [--quick] [--json FILE]
    python -m tests.benchmarks.gpu --device cpu --layers 2 --hidden 64 --quick     # only to see that it runs

Lengths are near BRIGHT's (arXiv:2407.12883): passages of 120 tokens and code of 480; questions of 128, with reasoning 1024.
Figures are tokens per second of wall time, counted in the texts as they are read one by one, so that a way that computes a
query's prefix once is shown its gain. The ceiling is the device's own matrix product at the model's shapes, in the same turns.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from transformers import Qwen2Config

from tests.benchmarks import rerank
from tests.benchmarks.arithmetic import Shape, decoder_flops
from tests.benchmarks.ceiling import Products
from tests.benchmarks.made import Texts, decoder, lengths_of
from tests.benchmarks.rows import Row, arguments, report, take_turns

OURS, SENTENCES, PLAIN = "rader_ir", "sentence-transformers", "transformers, batches of 32"
DOCUMENTS, QUERIES = (120, 480), (128, 1024)
MARK, END = 2, 1  # tokens of "query:" or "document:", and of the end token


def qwen2(layers: int, hidden: int) -> dict:
    """Qwen2-7B's configuration at 28 layers of 3584; its proportions at other sizes."""
    heads = max(4, hidden // 128)
    return dict(
        num_hidden_layers=layers,
        hidden_size=hidden,
        num_attention_heads=heads,
        num_key_value_heads=max(1, heads // 7),
        intermediate_size=hidden * 37 // 7,
        max_position_embeddings=32768,
        vocab_size=152064,
    )


class Place:
    """A device with what is common to all rows: the model's shape, the dtype there, and its ceiling."""

    def __init__(self, device: str, config: dict):
        self.device, self.config = device, config
        cpu = torch.device(device).type == "cpu"
        self.dtype = "float32" if cpu else "bfloat16"
        self.shape = Shape.of(Qwen2Config(**config))
        size = dict(work=1e9) if cpu else dict(tokens=8192, work=2e13)
        self.products = Products(self.shape, **size, dtype=getattr(torch, self.dtype), device=device)

    @property
    def options(self) -> dict[str, str]:
        """Device and dtype, as every way is told them."""
        return dict(device=self.device, dtype=self.dtype)

    def folder(self, parent: Path, *, labels: int | None) -> str:
        """A checkpoint made on the device."""
        return str(decoder(parent, labels=labels, **self.options, **self.config))

    def rows(
        self, on: str, ways: Mapping[str, Callable], *, tokens: int, flops: int, told: Mapping[str, str], rounds: int
    ) -> Iterator[Row]:
        """One row per peer. `tokens` are the texts' own, `flops` what ours cannot do without, `told` how exact peers are."""
        seconds = take_turns({**ways, **self.products.ways}, rounds)
        ceiling = self.products.ceiling(seconds)
        share, threads = flops / seconds[OURS] / ceiling.rate, torch.get_num_threads()
        for peer in list(ways)[1:]:
            ours, theirs = tokens / seconds[OURS], tokens / seconds[peer]
            name, words = f"{on}, tokens/s, {self.dtype} on {self.device}", f"{told[peer]}; {ceiling.told}"
            yield Row(name, ours, theirs, peer, ours / theirs, None, words, share, threads)


def open_sentences(folder: str, *, device: str, dtype: str) -> Callable[[list[str]], np.ndarray]:
    """`SentenceTransformer.encode` with batches of 32, which it sorts by length; the form's words are put before."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    transformer = modules.Transformer(folder, model_kwargs={"dtype": dtype})
    pooling = modules.Pooling(transformer.get_embedding_dimension(), pooling_mode="lasttoken")
    model = SentenceTransformer(modules=[transformer, pooling, modules.Normalize()], device=device)
    end = model.tokenizer.eos_token
    return lambda texts: model.encode([f"document: {text}{end}" for text in texts])


def open_plain(folder: str, *, device: str, dtype: str) -> Callable[[list[str]], np.ndarray]:
    """`AutoModel` on padded batches of 32 in the order given."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=dtype).to(device).eval()

    @torch.inference_mode()
    def encode(texts: list[str]) -> np.ndarray:
        vectors = []
        for start in range(0, len(texts), 32):
            batch = [f"document: {text}{tokenizer.eos_token}" for text in texts[start : start + 32]]
            inputs = tokenizer(batch, padding=True, return_tensors="pt").to(device)
            hidden = model(**inputs, use_cache=False).last_hidden_state
            last = hidden[torch.arange(len(batch)), inputs["attention_mask"].sum(dim=1) - 1]
            vectors.append(torch.nn.functional.normalize(last.float(), dim=-1).cpu())
        return torch.cat(vectors).numpy()

    return encode


def encode_rows(place: Place, folder: str, count: int, rounds: int) -> Iterator[Row]:
    """Encoding `count` documents of each of the lengths; no model is left behind."""
    from rader_ir.encoder import Encoder

    ours = Encoder(folder, **place.options)
    peers = {SENTENCES: open_sentences, PLAIN: open_plain}
    ways = {OURS: ours.encode_docs, **{name: opener(folder, **place.options) for name, opener in peers.items()}}
    made = Texts(folder)
    for length in DOCUMENTS:
        texts = made.scattered(count, length)
        vectors = {name: way(texts) for name, way in ways.items()}
        told = {
            name: f"cosine {(vectors[OURS] * theirs).sum(axis=1).min():.5f} or more" for name, theirs in vectors.items()
        }
        lengths = [MARK + tokens + END for tokens in lengths_of(texts)]
        work = dict(tokens=sum(lengths), flops=decoder_flops(place.shape, lengths))
        turns = {name: partial(way, texts) for name, way in ways.items()}
        yield from place.rows(f"encode {count} documents of {length} tokens", turns, **work, told=told, rounds=rounds)
    ours.unload()


def rerank_rows(place: Place, folder: str, count: int, rounds: int) -> Iterator[Row]:
    """Reranking `count` documents of the shorter length for one query of each of the lengths."""
    openers = {
        OURS: rerank.open_ours,
        "transformers, sorted batches of 32": partial(rerank.open_sorted, batch=32),
        SENTENCES: rerank.open_sentences,
    }
    ways = {name: opener(folder, **place.options) for name, opener in openers.items()}
    made = Texts(folder)
    for length in QUERIES:
        query, docs = made.text(length), made.scattered(count, DOCUMENTS[0])
        scores = {name: way(query, docs) for name, way in ways.items()}
        told = {name: rerank.exactness(scores, name) for name in ways}
        prefix, lengths = MARK + length, [MARK + tokens + END for tokens in lengths_of(docs)]
        work = dict(tokens=sum(lengths) + prefix * count, flops=decoder_flops(place.shape, lengths, prefix=prefix))
        turns = {name: partial(way, query, docs) for name, way in ways.items()}
        on = f"rerank {count} documents of {DOCUMENTS[0]} tokens, query of {length}"
        yield from place.rows(on, turns, **work, told=told, rounds=rounds)


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """All rows: the encoder's, then, in the memory that it left, the reranker's."""
    place = Place(options.device, qwen2(options.layers, options.hidden))
    rounds = min(options.rounds, 2) if options.quick else options.rounds
    with tempfile.TemporaryDirectory() as scratch:
        folder = place.folder(Path(scratch) / "encoder", labels=None)
        yield from encode_rows(place, folder, 128 if options.quick else 1024, rounds)
    torch.cuda.empty_cache()
    with tempfile.TemporaryDirectory() as scratch:
        folder = place.folder(Path(scratch) / "reranker", labels=1)
        yield from rerank_rows(place, folder, 20 if options.quick else 100, rounds)


def main(argv: list[str] | None = None) -> None:
    """Measure and print the table."""
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, or cpu to see that it runs")
    parser.add_argument("--layers", type=int, default=28)
    parser.add_argument("--hidden", type=int, default=3584, help="a multiple of 28 (of 512 from there on)")
    options = parser.parse_args(argv)
    if options.device != "cpu" and not torch.cuda.is_available():
        parser.error(
            f"torch {torch.__version__} finds no CUDA device here; run it where there is one, "
            "or see that it runs with --device cpu --layers 2 --hidden 64"
        )
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    report(measure(options), options.json)


if __name__ == "__main__":
    main()
