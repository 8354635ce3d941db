"""A teacher's scores for training examples: each passage of each query, scored by a model that has learned more.

Soft labels, margins and orders (`rader_ir.train.losses`) are learned from these. Any system that reranks can teach; the work is
`rerank_file`'s, so it goes on after a kill.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rader_ir.examples import Example, write_examples
from rader_ir.rerank_file import GROUP_SIZE, rerank_file
from rader_ir.runs import Run


def teach(
    examples: Sequence[Example], reranker, out: str | Path, *, group_size: int = GROUP_SIZE, verbose: bool = False
) -> list[Example]:
    """Give every passage of every example a teacher's score, in place of any that it had, and write them to `out`.

    Args:
        examples: of `read_examples`.
        reranker: has `score(queries, docs) -> list of arrays` and `fingerprint() -> str`.
        out: a JSONL file of examples, which appears whole at the end; `out`.scores.json.part holds what is done until then.
        group_size: queries scored together; a resumed call needs the same one.

    Returns:
        The examples as written.

    Raises:
        ValueError: a score that is no finite number.
        FileNotFoundError: the folder of `out` does not exist.
    """
    number: dict[str, str] = {}
    run: Run = {}
    for example in examples:
        passages = (*example.positives, *example.negatives)
        ids = [number.setdefault(passage.text, f"text{len(number)}") for passage in passages]
        run[example.query_id] = {doc_id: -float(place) for place, doc_id in enumerate(ids)}
    queries = {example.query_id: example.query for example in examples}
    scores = Path(f"{out}.scores.json")
    documents = ((doc_id, text) for text, doc_id in number.items())
    depth = max(map(len, run.values()), default=1)
    given = {"depth": depth, "group_size": group_size, "verbose": verbose}
    scored = rerank_file(run, queries, documents, reranker, scores, **given)
    taught = [
        replace(
            example,
            **{
                side: tuple(
                    replace(passage, score=scored[example.query_id][number[passage.text]])
                    for passage in getattr(example, side)
                )
                for side in ("positives", "negatives")
            },
        )
        for example in examples
    ]
    write_examples(taught, out)
    scores.unlink()
    return taught
