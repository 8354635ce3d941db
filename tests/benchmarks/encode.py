"""Encoding with all-MiniLM-L6-v2: this package, sentence-transformers, pyserini's encoder and plain transformers in turn.

    python -m tests.benchmarks.encode [--quick] [--json FILE]

Every way gets the same texts and the same checkpoint folder, and tokenises them itself. One thread is timed in CPU seconds, two
in wall time. Short texts are GSM8K's questions, long ones SciFact's abstracts, from the folder `shared` beside the repository;
where that is missing, TheoremQA's questions and theorems, which come with the package.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from tests.benchmarks.collections import DATA
from tests.benchmarks.rows import Row, arguments, clock, report, take_turns

OURS, SENTENCES, PYSERINI, PLAIN = "rader_ir", "sentence-transformers", "pyserini", "transformers, batches of 32"
CHECKED = 32  # texts that are held against one text at a time
GOALS = {  # of short texts on one thread and long ones on two
    ("short", 1): {SENTENCES: 1.4, PYSERINI: 2.0},
    ("long", 2): {SENTENCES: 1.2, PYSERINI: 1.5},
}
SHARES = {"short": 0.80, "long": 0.75}  # of the ceiling, on one thread
Encode = Callable[[list[str]], np.ndarray]


def open_ours(folder: str) -> Encode:
    """`Encoder.encode_docs`."""
    from rader_ir.encoder import Encoder

    return Encoder(folder, device="cpu").encode_docs


def open_sentences(folder: str) -> Encode:
    """`SentenceTransformer.encode` as it comes: batches of 32, sorted by length."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(folder, device="cpu", local_files_only=True).encode


def open_pyserini(folder: str) -> Encode:
    """Pyserini's `AutoDocumentEncoder` in batches of 64 in the order given, as its `encode` command feeds it.

    Raises:
        rader_ir.pyserini.PyseriniUnavailable: it is not installed, or finds no Java that it can be imported with.
    """
    from rader_ir.pyserini import prepare

    prepare(java=False)
    from pyserini.encode import AutoDocumentEncoder

    encoder = AutoDocumentEncoder(folder, device="cpu", pooling="mean", l2_norm=True)
    return lambda texts: np.concatenate([encoder.encode(texts[i : i + 64]) for i in range(0, len(texts), 64)])


def open_plain(folder: str, batch: int = 32) -> Encode:
    """`AutoModel` on padded batches in the order given, mean pooled."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()

    @torch.inference_mode()
    def encode(texts: list[str]) -> np.ndarray:
        vectors = []
        for start in range(0, len(texts), batch):
            inputs = tokenizer(
                texts[start : start + batch], padding=True, truncation=True, max_length=256, return_tensors="pt"
            )
            mask = inputs["attention_mask"].unsqueeze(-1)
            mean = (model(**inputs).last_hidden_state * mask).sum(dim=1) / mask.sum(dim=1)
            vectors.append(torch.nn.functional.normalize(mean, dim=-1))
        return torch.cat(vectors).numpy()

    return encode


WAYS = {OURS: open_ours, SENTENCES: open_sentences, PYSERINI: open_pyserini, PLAIN: open_plain}


@dataclass(frozen=True)
class Texts:
    """What is encoded: its kind, where it comes from, the texts, and their lengths in tokens (256 at most)."""

    kind: str
    source: str
    texts: list[str]
    lengths: list[int]

    @property
    def title(self) -> str:
        """For a row's name."""
        mean = sum(self.lengths) / len(self.lengths)
        return f"{len(self.texts)} {self.kind} texts ({self.source}, {mean:.0f} tokens)"


def load_texts(folder: str, short: int, long: int, data: Path = DATA) -> dict[str, Texts]:
    """At most `short` short and `long` long texts, each different from all others."""
    from transformers import AutoTokenizer

    if data.is_dir():
        with (data / "math" / "gsm8k_test.jsonl").open(encoding="utf-8") as lines:
            questions = [json.loads(line)["question"] for line in lines]
        from rader_ir.corpus import read_documents

        abstracts = (text for _, text in read_documents(data / "scifact" / "corpus.jsonl.gz"))
        sources = {"short": ("GSM8K", questions, short), "long": ("SciFact", list(islice(abstracts, 2 * long)), long)}
    else:
        from rader_ir.quickstart import load

        print(f"no folder {data} here: TheoremQA, which comes with the package, stands in", file=sys.stderr)
        theorems, questions, _ = load()
        sources = {
            "short": ("TheoremQA's questions", list(questions.values()), short),
            "long": ("TheoremQA's theorems", list(theorems.values()), long),
        }
    tokenizer, found = AutoTokenizer.from_pretrained(folder), {}
    for kind, (source, texts, count) in sources.items():
        texts = list(dict.fromkeys(texts))[:count]
        ids = tokenizer(texts, truncation=True, max_length=256)["input_ids"]
        found[kind] = Texts(kind, source, texts, [len(row) for row in ids])
    return found


def open_ways(folder: str) -> dict[str, Encode]:
    """Every way that this machine has, models loaded; says on stderr what is missing."""
    from rader_ir.pyserini import PyseriniUnavailable

    ways = {}
    for name, opener in WAYS.items():
        try:
            ways[name] = opener(folder)
        except (ImportError, PyseriniUnavailable) as error:
            if name == OURS:
                raise
            print(f"{name} is left out: {error}", file=sys.stderr)
    return ways


def exactness(ways: dict[str, Encode], folder: str, texts: Texts) -> dict[str, str]:
    """How far each way's vectors are from those of plain transformers, one text at a time; warms every way up."""
    alone = open_plain(folder, batch=1)(texts.texts[:CHECKED])
    found = {name: np.abs(way(texts.texts)[: len(alone)] - alone).max() for name, way in ways.items()}
    return {name: f"from one text at a time: ours {found[OURS]:.1e}, theirs {far:.1e}" for name, far in found.items()}


def speed_rows(ways: dict[str, Encode], folder: str, texts: Texts, threads: int, rounds: int) -> Iterator[Row]:
    """One row per peer; on one thread another for the share of the ceiling."""
    import torch
    from transformers import AutoConfig

    from tests.benchmarks.arithmetic import Shape, encoder_flops
    from tests.benchmarks.ceiling import Products

    torch.set_num_threads(threads)
    shape = Shape.of(AutoConfig.from_pretrained(folder))
    products = Products(shape)
    agreement = exactness(ways, folder, texts)
    turns = {name: lambda way=way: way(texts.texts) for name, way in ways.items()} | products.ways
    seconds = take_turns(turns, rounds, clock(threads), warm=0)
    ceiling = products.ceiling(seconds)
    rate = encoder_flops(shape, texts.lengths) / seconds[OURS]
    share, goals = rate / ceiling.rate, GOALS.get((texts.kind, threads), {})
    on = f"encode {texts.title}, {threads} thread{'s' * (threads > 1)}"
    for peer in list(ways)[1:]:
        ratio = seconds[peer] / seconds[OURS]
        yield Row(on, seconds[OURS], seconds[peer], peer, ratio, goals.get(peer), agreement[peer], share, threads)
    if threads == 1:
        name = f"GF/s of a core's fp32 GEMM ceiling, {on}"
        yield Row(name, rate / 1e9, ceiling.rate / 1e9, "GEMM", share, SHARES[texts.kind], ceiling.told, share, threads)


def memory_rows(ways: dict[str, Encode], folder: str, texts: Texts) -> Iterator[Row]:
    """One row per peer: megabytes of a process that imports, loads and encodes once."""
    from tests.benchmarks.memory import peak

    with tempfile.TemporaryDirectory() as scratch:
        options = dict(threads=2, scratch=Path(scratch))
        peaks = {name: peak(__spec__.name, name, folder, [texts.texts], **options) for name in ways}
    for peer in list(ways)[1:]:
        goal = 1.0 if peer == SENTENCES else None
        name = f"peak memory in MB, encode {texts.title}"
        yield Row(name, peaks[OURS], peaks[peer], peer, peaks[peer] / peaks[OURS], goal, "the same texts", None, 2)


def measure(quick: bool, rounds: int) -> Iterator[Row]:
    """All rows, those with goals first."""
    from rader_ir.checkpoints import find_checkpoint
    from rader_ir.threads import usable_processors
    from rader_ir.weights import fetch

    folder = str(fetch(find_checkpoint("minilm")).folder)
    ways = open_ways(folder)
    texts = load_texts(folder, *((192, 48) if quick else (1024, 256)))
    cores = usable_processors()
    asked = [("short", 1), ("long", 2), ("long", 1)] + [("short", 2)] * (not quick)
    for kind, threads in asked:
        if threads > cores:
            print(f"rows of {threads} threads are left out: one processor here", file=sys.stderr)
        else:
            turns = min(rounds, 3) if quick and threads == 1 else rounds  # wall time scatters more
            yield from speed_rows(ways, folder, texts[kind], threads, turns)
    yield from memory_rows(ways, folder, texts["long"])


def main() -> None:
    """Measure and print the table."""
    options = arguments(__doc__, rounds=5).parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    report(measure(options.quick, options.rounds), options.json)


if __name__ == "__main__":
    main()
