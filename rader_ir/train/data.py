"""What a configuration's table `[data]` names, read: training examples, development examples, further documents.

A share of the training queries can be held out for development. It is drawn by the seed, and a query's text decides on which
side all its examples come. Of what is trained on, negatives that are answers go (`rader_ir.guards`), and their number is told.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rader_ir.corpus import read_documents
from rader_ir.examples import Example, read_examples, unique_examples
from rader_ir.guards import guarded
from rader_ir.seeded import shuffled
from rader_ir.train.settings import Data

logger = logging.getLogger(__name__)


def load(data: Data, seed: int) -> tuple[list[Example], list[Example], Iterator[tuple[str, str]]]:
    """Training examples, development examples (none: nothing is measured), and (doc_id, text) of further documents.

    Raises:
        ValueError: a file that is not sound, a query_id that stands in two of them, or a share that holds out nothing.
        OSError: a file that is not there.
    """
    examples, dev = _read(data.examples), _read(data.dev or ())
    if data.dev_fraction:
        examples, dev = split(examples, data.dev_fraction, seed)
    return _without_answers(examples, data.margin), dev, read_documents(data.dev_docs) if data.dev_docs else iter(())


def _read(paths: Sequence[str]) -> list[Example]:
    for path in paths:
        if not Path(path).is_file():
            raise FileNotFoundError(f"there is no file {path} of examples; `rader mine` makes one")
    placed = ((f"{path}, example {i}", e) for path in paths for i, e in enumerate(read_examples(path), start=1))
    return list(unique_examples(placed))


def _without_answers(examples: list[Example], margin: float | None) -> list[Example]:
    """The examples without negatives that the guards find, whose number is logged."""
    if margin is not None and not any(p.score is not None for e in examples for p in e.negatives):
        raise ValueError(
            f"option data.margin is {margin!r}, and no negative has a score to hold against it; `rader teach` gives scores, or "
            "leave the option out"
        )
    made = [guarded(example, margin=margin) for example in examples]
    if removed := sum((found for _, found in made), Counter()):
        what = ", ".join(f"{count} by {guard}" for guard, count in sorted(removed.items()))
        logger.warning("%d negatives are left out, since they answer their queries: %s", removed.total(), what)
    return [example for example, _ in made]


def split(examples: Sequence[Example], fraction: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Examples to train on and a share to measure on, both in the given order.

    Args:
        examples: all.
        fraction: of the distinct queries, rounded.
        seed: of the draw.

    Raises:
        ValueError: the share leaves one side without examples.
    """
    queries = list(dict.fromkeys(example.query for example in examples))
    held = set(shuffled(queries, seed, "dev")[: round(fraction * len(queries))])
    if not held or len(held) == len(queries):
        raise ValueError(
            f"a share of {fraction} of {len(queries)} queries leaves {len(queries) - len(held)} to train on and {len(held)} for "
            "development; give another, or a file of development examples"
        )
    return [e for e in examples if e.query not in held], [e for e in examples if e.query in held]
