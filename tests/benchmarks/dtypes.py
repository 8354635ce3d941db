"""What cheaper number formats gain on a CPU, and what they cost: all-MiniLM-L6-v2 in int8 and bfloat16 beside float32.

    python -m tests.benchmarks.dtypes [--quick] [--json FILE]

The gain is in seconds on the texts of `encode`; the cost in the smallest cosine over a collection's documents and in nDCG@10.
Formats that this CPU has no instructions for are left out, and stderr says why. --quick looks at TheoremQA alone, and at fewer
texts; the whole takes ten minutes on two cores.
"""

import sys
from collections.abc import Iterator

import numpy as np
import torch

from rader_ir.encoder import Encoder
from rader_ir.evaluation import evaluate
from rader_ir.loading import choose_device, choose_dtype
from rader_ir.runs import Run, cut
from tests.benchmarks.collections import DATA, SETTINGS, Loaded, load
from tests.benchmarks.encode import Texts, load_texts
from tests.benchmarks.rows import Row, arguments, clock, report, take_turns

FLOAT = "float32"
GOALS = {"int8": 1.5}  # times as fast; a format that misses its goals should not be used
NEAREST, LOSS = 0.99, 0.003  # smallest cosine, largest loss in nDCG@10
MEASURE = "nDCG@10"


def formats() -> list[str]:
    """float32, and the cheaper ones that this CPU has instructions for."""
    found, device = [FLOAT], choose_device("cpu")
    try:
        choose_dtype("int8", device)
        found.append("int8")
    except ValueError as error:
        print(f"int8 is left out: {error}", file=sys.stderr)
    if torch.cpu._is_avx512_bf16_supported():
        found.append("bfloat16")
    else:
        print("bfloat16 is left out: this CPU has no products of it", file=sys.stderr)
    return found


def speed_rows(encoders: dict[str, Encoder], texts: Texts, threads: int, rounds: int) -> Iterator[Row]:
    """One row per cheaper format: how many times as fast as float32."""
    torch.set_num_threads(threads)
    ways = {name: lambda encoder=encoder: encoder.encode_docs(texts.texts) for name, encoder in encoders.items()}
    seconds, vectors = take_turns(ways, rounds, clock(threads)), {name: way() for name, way in ways.items()}
    for name in list(ways)[1:]:
        on = f"encode {texts.title} in {name}, {threads} thread{'s' * (threads > 1)}"
        ratio = seconds[FLOAT] / seconds[name]
        told = _told((vectors[FLOAT] * vectors[name]).sum(axis=1))
        yield Row(on, seconds[name], seconds[FLOAT], f"ours, {FLOAT}", ratio, GOALS.get(name), told, None, threads)


def quality_rows(encoders: dict[str, Encoder], title: str, loaded: Loaded) -> Iterator[Row]:
    """Two rows per cheaper format: the smallest cosine of a document's vectors, and nDCG@10 over float32's."""
    threads, peer = torch.get_num_threads(), f"ours, {FLOAT}"
    ids, texts = zip(*loaded.documents, strict=True)
    docs = {name: encoder.encode_docs(texts) for name, encoder in encoders.items()}
    found = {}
    for name, encoder in encoders.items():
        queries = encoder.encode_queries(list(loaded.queries.values()))
        found[name] = evaluate(_run(loaded, queries @ docs[name].T, ids), loaded.qrels, [MEASURE])[MEASURE]
    for name in list(encoders)[1:]:
        cosines = (docs[FLOAT] * docs[name]).sum(axis=1)
        nearest, on = float(cosines.min()), f"of {len(texts)} documents ({title}) in {name}"
        yield Row(f"smallest cosine {on}", nearest, 1.0, peer, nearest, NEAREST, _told(cosines), None, threads)
        ours, theirs = found[name], found[FLOAT]
        told = f"{ours - theirs:+.4f} in {MEASURE}"
        yield Row(f"{MEASURE} {on}", ours, theirs, peer, ours / theirs, 1 - LOSS / theirs, told, None, threads)


def _run(loaded: Loaded, scores: np.ndarray, ids: tuple[str, ...], depth: int = 100) -> Run:
    """The best documents of each query, its excluded ones left out. scores: [queries, documents]."""
    run = {}
    for query_id, row in zip(loaded.queries, scores, strict=True):
        excluded = loaded.excluded.get(query_id, frozenset())
        run[query_id] = {ids[i]: float(row[i]) for i in np.argsort(-row) if ids[i] not in excluded}
    return cut(run, depth)


def _told(cosines: np.ndarray) -> str:
    return f"cosine to {FLOAT}: {cosines.min():.4f} at least, {cosines.mean():.4f} in the mean"


def measure(quick: bool, rounds: int) -> Iterator[Row]:
    """Rows of speed, then of quality."""
    encoders = {name: Encoder("minilm", device="cpu", dtype=name) for name in formats()}
    folder = str(encoders[FLOAT].files().folder)
    threads = torch.get_num_threads()
    texts = load_texts(folder, 100 if quick else 300, 40 if quick else 120)
    for kind, count in (("short", 1), ("long", 1), ("long", 2)):
        if count <= threads:
            yield from speed_rows(encoders, texts[kind], count, rounds)
    torch.set_num_threads(threads)
    names = ("theoremqa",) if quick else ("theoremqa", "scifact")
    for setting in (setting for setting in SETTINGS if setting.name in names):
        if not (DATA / setting.name).is_dir():
            print(f"{setting.name} is left out: no folder {DATA / setting.name}", file=sys.stderr)
            continue
        yield from quality_rows(encoders, setting.name, load(setting))


def main() -> None:
    """Print the table; write it where --json says."""
    options = arguments(__doc__, rounds=5).parse_args()
    report(measure(options.quick, 3 if options.quick else options.rounds), options.json)


if __name__ == "__main__":
    main()
