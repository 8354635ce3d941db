"""Encoding and reranking on one CUDA device with random weights of a 7B model's shape, beside the usual ways to do it.

Run `python -m tests.benchmarks.gpu --json FILE` on a machine with a CUDA device. The same texts and the same checkpoint folder go
through this package, sentence-transformers and plain transformers (batches of 32 in the order given), in turn, A B C A B C.
Before the timings it checks on the device what a CPU cannot show: vectors in bfloat16 against float32 on the CPU, a batch that does
not fit into memory, and memory given back by `unload`.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import sentence_transformers
import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer, Qwen2Config
from transformers import Qwen2ForSequenceClassification as Classifier
from transformers import Qwen2Model as Decoder

from rader_ir.corpus import read_documents, read_queries
from rader_ir.cross_encoder import CrossEncoder
from rader_ir.encoder import Encoder
from tests import tiny

SHAPES = {
    "7b": dict(
        hidden_size=3584,
        intermediate_size=18944,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
        max_position_embeddings=32768,
    ),
    "small": dict(
        hidden_size=512,
        intermediate_size=1408,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=2,
        max_position_embeddings=4096,
    ),
}
PEAK = {
    "NVIDIA H200": 989e12,
    "NVIDIA H100 80GB HBM3": 989e12,
    "NVIDIA A100-SXM4-80GB": 312e12,
}  # dense bf16, data sheets
DATA = Path(__file__).parents[2] / "rader_ir" / "data" / "theoremqa"


def checkpoint(folder: Path, shape: dict, *, labels: int | None) -> Path:
    """A checkpoint folder with random weights in bfloat16, made on the device."""
    tiny.qwen2(folder, labels=labels)  # for the tokenizer
    (folder / "model.safetensors").unlink()
    config = Qwen2Config(**shape, vocab_size=152064, dtype="bfloat16", pad_token_id=0)
    if labels:
        config.num_labels = labels
    torch.manual_seed(0)
    with torch.device("cuda"):
        torch.set_default_dtype(torch.bfloat16)
        try:
            model = (Classifier if labels else Decoder)(config)
        finally:
            torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder, max_shard_size="8GB")
    del model
    torch.cuda.empty_cache()
    return folder


def flops(shape: dict, lengths: np.ndarray) -> float:
    """Linear layers and causal attention products over real tokens; the embedding look-up is free."""
    d, i, layers = shape["hidden_size"], shape["intermediate_size"], shape["num_hidden_layers"]
    kv = d * shape["num_key_value_heads"] // shape["num_attention_heads"]
    weights = layers * (2 * d * d + 2 * d * kv + 3 * d * i)
    lengths = lengths.astype(np.float64)
    return 2 * weights * lengths.sum() + 2 * layers * d * (lengths**2).sum()


def timed(ways: dict, rounds: int) -> dict[str, list[float]]:
    """Seconds of each way, in turn, after one warm-up each."""
    seconds = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            torch.cuda.synchronize()
            start = time.perf_counter()
            way()
            torch.cuda.synchronize()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def plain_encode(model, tokenizer, texts: list[str]) -> np.ndarray:
    vectors = []
    for start in range(0, len(texts), 32):
        batch = [f"document: {text}{tokenizer.eos_token}" for text in texts[start : start + 32]]
        inputs = tokenizer(batch, padding=True, padding_side="right", return_tensors="pt").to("cuda")
        with torch.inference_mode():
            hidden = model(**inputs).last_hidden_state
        last = inputs["attention_mask"].sum(dim=1) - 1
        vectors.append(torch.nn.functional.normalize(hidden[torch.arange(len(batch)), last].float(), dim=-1).cpu())
    return torch.cat(vectors).numpy()


def plain_score(model, tokenizer, pairs: list[tuple[str, str]]) -> np.ndarray:
    scores = []
    for start in range(0, len(pairs), 32):
        batch = [f"query: {query} document: {doc}{tokenizer.eos_token}" for query, doc in pairs[start : start + 32]]
        inputs = tokenizer(batch, padding=True, padding_side="right", return_tensors="pt").to("cuda")
        with torch.inference_mode():
            scores.append(model(**inputs).logits[:, 0].float().cpu())
    return torch.cat(scores).numpy()


def rows_of(name: str, seconds: dict, tokens: int, work: float, exactness: dict) -> list[dict]:
    """One row per peer: how many times sooner ours is, and how much of the device's peak each reaches."""
    peak = PEAK.get(torch.cuda.get_device_name())
    middle = {way: statistics.median(values) for way, values in seconds.items()}
    rows = []
    for peer in list(middle)[1:]:
        rows.append(
            {
                "row": name,
                "ours": tokens / middle["rader_ir"],
                "peer": tokens / middle[peer],
                "peer_name": peer,
                "unit": "tokens/s",
                "ratio": middle[peer] / middle["rader_ir"],
                "goal": None,
                "exactness": exactness[peer],
                "ceiling_fraction": work / middle["rader_ir"] / peak if peak else None,
                "peer_ceiling_fraction": work / middle[peer] / peak if peak else None,
            }
        )
    return rows


def encode(folder: Path, shape: dict, texts: list[str], rounds: int) -> list[dict]:
    ours = Encoder(folder, batch_tokens=16384)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.bfloat16).to("cuda").eval()
    peer = SentenceTransformer(modules=_modules(folder), device="cuda")
    written = [f"document: {text}{tokenizer.eos_token}" for text in texts]
    ways = {
        "rader_ir": lambda: ours.encode_docs(texts),
        "sentence-transformers": lambda: peer.encode(written, batch_size=32),
        "transformers": lambda: plain_encode(model, tokenizer, texts),
    }
    made = {name: way() for name, way in ways.items()}
    exactness = {name: float((made["rader_ir"] * other).sum(axis=1).min()) for name, other in made.items()}
    lengths = np.array([len(ids) for ids in tokenizer(written)["input_ids"]])
    seconds = timed(ways, rounds)
    ours.unload()
    return rows_of("encode documents", seconds, int(lengths.sum()), flops(shape, lengths), exactness)


def _modules(folder: Path) -> list:
    transformer = modules.Transformer(str(folder), model_kwargs={"dtype": torch.bfloat16})
    pooling = modules.Pooling(transformer.get_embedding_dimension(), pooling_mode="lasttoken")
    return [transformer, pooling, modules.Normalize()]


def rerank(folder: Path, shape: dict, queries: list[str], docs: list[str], rounds: int) -> list[dict]:
    ours = CrossEncoder(folder, batch_tokens=16384)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.bfloat16).to("cuda").eval()
    peer = sentence_transformers.CrossEncoder(
        str(folder), device="cuda", num_labels=1, model_kwargs={"dtype": torch.bfloat16}
    )
    pairs = [(query, doc) for query in queries for doc in docs]
    joined = [f"query: {query} document: {doc}{tokenizer.eos_token}" for query, doc in pairs]
    ways = {
        "rader_ir": lambda: np.concatenate(ours.score(queries, [docs] * len(queries))),
        "transformers": lambda: plain_score(model, tokenizer, pairs),
        "sentence-transformers": lambda: peer.predict(pairs, batch_size=32),
    }
    made = {name: way() for name, way in ways.items()}
    exactness = {name: float(np.corrcoef(made["rader_ir"], other)[0, 1]) for name, other in made.items()}
    lengths = np.array([len(ids) for ids in tokenizer(joined)["input_ids"]])
    seconds = timed(ways, rounds)
    ours.unload()
    return rows_of(f"rerank {len(docs)} documents", seconds, int(lengths.sum()), flops(shape, lengths), exactness)


def check(folder: Path, reranker: Path, texts: list[str]) -> dict:
    """What only a device can show, on a small model: bfloat16 against float32, memory that runs out, memory given back."""
    cpu = Encoder(folder, device="cpu").encode_docs(texts)
    full = Encoder(folder, dtype="float32")
    half = Encoder(folder)
    found = {
        "float32 on the device, largest difference from the CPU": float(np.abs(full.encode_docs(texts) - cpu).max()),
        "bfloat16 on the device, smallest cosine with the CPU": float(
            (half.encode_docs(texts) * cpu).sum(axis=1).min()
        ),
    }
    scores = CrossEncoder(reranker, device="cpu").score(texts[:2], [texts, texts])
    others = CrossEncoder(reranker, dtype="float32").score(texts[:2], [texts, texts])
    worst = max(np.abs(a - b).max() for a, b in zip(scores, others, strict=True))
    found["reranker, float32 on the device, largest difference from the CPU"] = float(worst)
    free, total = torch.cuda.mem_get_info()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 0.3e9) / total)
    try:
        squeezed = Encoder(folder, dtype="float32", batch_tokens=10_000_000).encode_docs(texts)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    found["one batch of everything with 0.3 GB free, largest difference from the CPU"] = float(
        np.abs(squeezed - cpu).max()
    )
    held = torch.cuda.memory_allocated()
    full.unload()
    half.unload()
    found["megabytes given back by unload"] = (held - torch.cuda.memory_allocated()) / 1e6
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="7b")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--docs", type=int, default=354)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    texts = [text for _, text in read_documents(DATA / "corpus.jsonl.gz")][: options.docs]
    queries = list(read_queries(next(DATA.glob("queries.jsonl*")))[0].values())
    shape = SHAPES[options.shape]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        checked = check(
            checkpoint(folder / "small", SHAPES["small"], labels=None),
            checkpoint(folder / "small reranker", SHAPES["small"], labels=1),
            texts[:64],
        )
        print(json.dumps(checked, indent=2), flush=True)
        rows = encode(checkpoint(folder / "encoder", shape, labels=None), shape, texts, options.rounds)
        torch.cuda.empty_cache()
        rows += rerank(
            checkpoint(folder / "reranker", shape, labels=1), shape, queries[:3], texts[:100], options.rounds
        )
    for row in rows:
        print(
            f"{row['row']}: {row['ours']:,.0f} tokens/s, {row['ratio']:.2f}x {row['peer_name']}, "
            f"{row['ceiling_fraction'] or 0:.0%} of peak, agreement {row['exactness']:.4f}",
            flush=True,
        )
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    versions["sentence-transformers"] = sentence_transformers.__version__
    result = {
        "rows": rows,
        "checks": checked,
        "machine": f"{torch.cuda.get_device_name()}, {platform.machine()}",
        "versions": versions,
    }
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
