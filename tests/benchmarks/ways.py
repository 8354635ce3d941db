"""What each way to read packed texts costs on a CPU: padded, by the library with a registered attention function, by our forward.

    python -m tests.benchmarks.ways [--quick] [--json FILE]

The same engine reads the same texts with one way after another, one thread, CPU seconds: short and long texts with
all-MiniLM-L6-v2, and documents that continue a query with a small random Qwen2. Then, of our forward, the share of time that each
of torch's operators takes.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from tests.benchmarks.rows import Row, arguments, clock, report, take_turns

WORTH = 1.15  # our own forward is kept where it is so many times as fast as the library's
OPERATORS = 6


def ways_of(engine) -> dict[str, object]:
    """Every way to read with this engine's model, ours first."""
    from rader_ir.packed.library import Library

    own = engine.way
    return {
        "our forward": own,
        "registered attention": Library(engine.plain.model, causal=own.continues),
        "padded": engine.plain,
    }


def compare(name: str, engine, read: Callable[[], object], rounds: int) -> Iterator[Row]:
    """Rows of our forward against the other ways of `engine`, by which `read` reads."""
    ways = ways_of(engine)

    def turn(way) -> None:
        engine.way = way
        read()

    seconds = take_turns({label: lambda way=way: turn(way) for label, way in ways.items()}, rounds, clock(1))
    engine.way = own = ways["our forward"]
    for peer in ("registered attention", "padded"):
        ratio, goal = seconds[peer] / seconds["our forward"], WORTH if peer == "registered attention" else None
        yield Row(name, seconds["our forward"], seconds[peer], peer, ratio, goal, profile(read), None, 1)
    assert engine.way is own


def profile(read: Callable[[], object]) -> str:
    """The operators that take most of the time of `read`, with their shares of it."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as taken:
        read()
    operators = sorted(taken.key_averages(), key=lambda part: -part.self_cpu_time_total)
    total = sum(part.self_cpu_time_total for part in operators)
    shares = (
        f"{part.key.split('::')[-1]} {100 * part.self_cpu_time_total / total:.0f} %" for part in operators[:OPERATORS]
    )
    return ", ".join(shares)


def measure(quick: bool, rounds: int) -> Iterator[Row]:
    """All rows."""
    from rader_ir.cross_encoder import CrossEncoder
    from rader_ir.encoder import Encoder
    from tests.benchmarks.encode import load_texts
    from tests.benchmarks.made import Texts, decoder
    from tests.benchmarks.rerank import SHAPE

    torch.set_num_threads(1)
    encoder = Encoder("minilm", device="cpu")
    folder = str(encoder.files().folder)
    for texts in load_texts(folder, *((128, 32) if quick else (512, 128))).values():
        yield from compare(
            f"encode {texts.title}", encoder.open().engine, lambda t=texts: encoder.encode_docs(t.texts), rounds
        )
    with tempfile.TemporaryDirectory() as scratch:
        folder = decoder(Path(scratch) / "reranker", labels=1, **SHAPE)
        reranker, made = CrossEncoder(folder, device="cpu"), Texts(folder)
        for query, document in [(128, 64)] if quick else [(32, 64), (128, 64), (512, 64), (128, 256)]:
            text, docs = made.text(query), made.scattered(50, document)
            name = f"rerank {len(docs)} documents, query {query} x document {document} tokens"
            read = lambda text=text, docs=docs: reranker.score([text], [docs])  # noqa: E731
            yield from compare(name, reranker.open().engine, read, rounds)


def main() -> None:
    """Measure and print the table."""
    options = arguments(__doc__, rounds=3).parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    report(measure(options.quick, options.rounds), options.json)


if __name__ == "__main__":
    main()
