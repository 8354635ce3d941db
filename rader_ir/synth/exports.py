"""Built examples as files: ours for `rader train`, and Tevatron's two formats, whole and by split.

`examples.jsonl` has all of them, `train.jsonl` and `dev.jsonl` those of each side, and `tevatron/` each side in the old format,
whose lines hold their texts, and in the new one with its corpus. Equal examples give equal bytes.
"""

from collections.abc import Iterable
from pathlib import Path

from rader_ir.examples import Example, write_examples
from rader_ir.synth.build import DEV, TRAIN, Built
from rader_ir.tevatron import write_tevatron

EXAMPLES, TEVATRON = "examples.jsonl", "tevatron"


def write_built(built: Built, folder: str | Path) -> list[Path]:
    """Write all files of the examples, each whole or not at all; those of a side without examples are taken away.

    Returns:
        The files written, those of `rader train` first.
    """
    folder = Path(folder)
    (folder / TEVATRON).mkdir(parents=True, exist_ok=True)
    write_examples(built.examples, folder / EXAMPLES)
    written = [folder / EXAMPLES]
    for split in (TRAIN, DEV):
        written += _side(built.of(split), folder, split)
    return written


def _side(examples: Iterable[Example], folder: Path, split: str) -> list[Path]:
    ours, texts, ids, corpus = (
        folder / f"{split}.jsonl",
        folder / TEVATRON / f"{split}.texts.jsonl",
        folder / TEVATRON / f"{split}.jsonl",
        folder / TEVATRON / f"{split}.corpus.jsonl",
    )
    if not examples:
        for path in (ours, texts, ids, corpus):
            path.unlink(missing_ok=True)
        return []
    write_examples(examples, ours)
    write_tevatron(examples, texts)
    write_tevatron(examples, ids, corpus=corpus)
    return [ours, texts, ids, corpus]
