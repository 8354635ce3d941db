"""BM25, MiniLM and their z-scored sum on the real collections, beside the figures to agree with.

    python -m tests.benchmarks.quality [--data ../shared/data] [--work DIR] [--only NAME ...]

The vectors of a collection are written to an index in DIR (about ten minutes for all on two cores; a later call finds them).
The tolerance is .01 in nDCG@10 for BM25, whose document lengths Lucene rounds, and .003 for MiniLM and the hybrid.
"""

import argparse
import json
import tempfile
from pathlib import Path

from rader_ir.bm25 import BM25
from rader_ir.encoder import Encoder
from rader_ir.evaluation import evaluate
from rader_ir.fusion import interpolate
from rader_ir.index_writer import build_index
from rader_ir.runs import Run
from tests.benchmarks.collections import DATA, MEASURES, SETTINGS, Loaded, Setting, load

TOLERANCE = {"bm25": 0.01, "minilm": 0.003, "hybrid": 0.003}


def runs(setting: Setting, loaded: Loaded, work: Path) -> dict[str, Run]:
    """The three systems' rankings, 1000 deep, excluded documents taken out before the cut."""
    encoder = Encoder("minilm", verbose=False)
    index = build_index(work / setting.name, loaded.documents, encoder, verbose=True)
    dense = index.retrieve(loaded.queries, encoder, excluded=loaded.excluded)
    lexical = BM25.build(loaded.documents, blank_ids="allow").retrieve(loaded.queries, excluded=loaded.excluded)
    return {"bm25": lexical, "minilm": dense, "hybrid": interpolate(dense, lexical, alpha=0.5)}


def rows(setting: Setting, loaded: Loaded, work: Path) -> list[dict]:
    """One row per system: figures, anchors, and whether nDCG@10 is within the tolerance."""
    made = []
    for system, run in runs(setting, loaded, work).items():
        values, anchors = evaluate(run, loaded.qrels, MEASURES), getattr(setting, system)
        near = abs(values["nDCG@10"] - anchors[0]) <= TOLERANCE[system]
        made.append({"collection": setting.title, "system": system, **values, "anchors": anchors, "agrees": near})
    return made


def main() -> None:
    """Print the table; end with status 1 where a figure is out of tolerance."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real collections")
    parser.add_argument("--work", type=Path, help="where the indexes are kept; a temporary folder by default")
    parser.add_argument("--only", nargs="*", help="names of collections")
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    options = parser.parse_args()
    table = []
    with tempfile.TemporaryDirectory() as scratch:
        print("| collection | system | nDCG@10 (anchor) | R@100 (anchor) | agrees |\n|---|---|---|---|---|")
        for setting in SETTINGS:
            if options.only and setting.name not in options.only:
                continue
            for row in rows(setting, load(setting, options.data), options.work or Path(scratch)):
                table.append(row)
                cells = [f"{row[m]:.4f} ({a:.4f})" for m, a in zip(MEASURES, row["anchors"], strict=True)]
                agrees = "yes" if row["agrees"] else "NO"
                print(f"| {row['collection']} | {row['system']} | {' | '.join(cells)} | {agrees} |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
    raise SystemExit(0 if all(row["agrees"] for row in table) else 1)


if __name__ == "__main__":
    main()
