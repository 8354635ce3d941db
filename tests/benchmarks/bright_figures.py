"""Published and recorded figures of BRIGHT, made anew from the public files: what RESULTS.md tells of them.

    python -m tests.benchmarks.bright_figures [--data ../shared/data]

No model runs. RaDeR's score files against what was published with them, ReasonIR's runs, and BM25 over the 23,839 theorems, alone
and mixed with RaDeR's run.
"""

import argparse
from pathlib import Path

from rader_ir.bright import TASKS
from rader_ir.evaluation import evaluate
from rader_ir.fusion import PUBLISHED, interpolate
from rader_ir.released import in_file_order, read_task
from rader_ir.reproduce import judgements
from rader_ir.runs import Run, read_run
from tests.benchmarks import bm25_quality
from tests.benchmarks.collections import DATA

MODEL = Path("rader_runs", "RaDeR-gte-Qwen2-LLMq_CoT_lexical")
MEASURES = ("nDCG@10", "R@100", "R@1000")
ALPHAS = (0.5, 0.65, 0.8, 0.9, 1.0)
THEOREMS = "theoremqa_theorems"
RECORDED = (0.2732, 0.3907, 0.4040, 0.4329, 0.4343)  # with Lucene's run, at ALPHAS


def row(*cells) -> str:
    """One line of a Markdown table, numbers with four decimals."""
    return f"| {' | '.join(f'{cell:.4f}' if isinstance(cell, float) else str(cell) for cell in cells)} |"


def head(*names: str) -> str:
    """The first two lines of a Markdown table."""
    return f"{row(*names)}\n|{'---|' * len(names)}"


def released(data: Path) -> list[str]:
    """Ratings in the order of their file beside the published mixture, and the mixture where its other half is at hand."""
    lines, own, published = [head("task", "ratings, ties by file", "ratings + run", "published", "R@100")], [], []
    for task in TASKS:
        files, qrels = read_task(data / MODEL / task), judgements(data / "bright" / "qrels", task)
        own.append(evaluate(in_file_order(files.ratings), qrels, "nDCG@10")["nDCG@10"])
        published.append(files.means["nDCG@10"])
        mixed = "-"
        if files.retrieval is not None:
            fused = interpolate(files.ratings, files.retrieval, **PUBLISHED["bright-rating"])
            mixed = evaluate(fused, qrels, "nDCG@10")["nDCG@10"]
        recall = evaluate(files.ratings, qrels, "R@100")["R@100"]
        lines.append(row(task, own[-1], mixed, published[-1], recall))
    return [*lines, row("mean", sum(own) / len(own), "", sum(published) / len(published), "")]


def reasonir(data: Path) -> list[str]:
    """ReasonIR-8B's first 100 for GPT-4's reasoning."""
    figures = {
        task: evaluate(
            read_run(data / "reasonir_runs" / f"{task}.trec.gz"),
            judgements(data / "bright" / "qrels", task),
            MEASURES[:2],
        )
        for task in TASKS
    }
    lines = [row(task, *values.values()) for task, values in figures.items()]
    means = [sum(values[measure] for values in figures.values()) / len(figures) for measure in MEASURES[:2]]
    return [head("task", *MEASURES[:2]), *lines, row("mean", *means)]


def theorems(data: Path) -> list[str]:
    """BM25 alone, then alpha * z(RaDeR's run) + (1 - alpha) * z(BM25), nDCG@10."""
    qrels = judgements(data / "bright" / "qrels", THEOREMS)
    dense = read_task(data / MODEL / THEOREMS).retrieval
    ours = bm25_quality.theorems(data)
    runs: dict[str, Run] = {
        "Lucene's run": read_run(data / "bright_theot_bow" / "bm25_original_queries.top1000.json.gz"),
        "`lucene`": ours["lucene"],
        "`bright`, query weighted (paper: .049)": ours["bright"],
    }
    lines = [head("BM25", *MEASURES)]
    lines += [row(name, *evaluate(run, qrels, MEASURES).values()) for name, run in runs.items()]
    lines += ["", head("RaDeR's run with", *(f"alpha {alpha:g}" for alpha in ALPHAS)), row("recorded", *RECORDED)]
    for name, run in runs.items():
        mixed = (evaluate(interpolate(dense, run, alpha=alpha), qrels, "nDCG@10")["nDCG@10"] for alpha in ALPHAS)
        lines.append(row(name, *mixed))
    return lines


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real collections")
    data = parser.parse_args().data
    for title, table in {
        "RaDeR's released score files, nDCG@10": released,
        "ReasonIR's runs": reasonir,
        f"{THEOREMS}, 23,839 theorems as bags of terms": theorems,
    }.items():
        print(f"\n{title}\n", *table(data), sep="\n", flush=True)


if __name__ == "__main__":
    main()
