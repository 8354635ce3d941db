"""A folder of sources like the one that `examples/mini_data.py` makes, of a few made-up theorems, abstracts and problems."""

import gzip
import json
from pathlib import Path

WORDS = (
    *(
        "group",
        "ring",
        "field",
        "module",
        "sheaf",
        "space",
        "map",
        "curve",
        "point",
        "prime",
        "ideal",
        "tensor",
        "limit",
    ),
    *("cover", "fibre", "morphism", "scheme"),
)


def topic(i: int) -> str:
    """Two words that only number i has in this order."""
    return f"{WORDS[i % len(WORDS)]} {WORDS[(i // len(WORDS) + 3 * i + 1) % len(WORDS)]}{i}"


def write(path: Path, records: list[dict] | list[str]) -> None:
    """JSON lines of objects, or lines as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join((record if isinstance(record, str) else json.dumps(record)) + "\n" for record in records)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def make(folder: Path, count: int = 20) -> Path:
    """The folder, with `count` queries of each source to train on and 3 to test."""
    stacks, scifact, problems = folder / "stacks_theorems", folder / "scifact", folder / "math"
    every = range(2 * count + 3)
    write(stacks / "corpus.jsonl.gz", [_result(i, count) for i in every])
    asked = {"train": range(count), "test": range(count, count + 3)}
    for part, numbers in asked.items():
        write(stacks / f"queries.{part}.jsonl", [_statement(i, count) for i in numbers])
        write(stacks / "qrels" / f"{part}.tsv", [f"S{i}\t0\tS{count + 3 + i % count}\t1" for i in numbers])
        claims = [{"query_id": str(i), "text": f"The {topic(i)} lowers pressure.", "evidence": {}} for i in numbers]
        write(scifact / f"queries.{part}.jsonl", claims)
        write(scifact / "qrels" / f"{part}.tsv", [f"{i}\t0\tA{i}\t1" for i in numbers])
    write(scifact / "corpus.jsonl.gz", [_abstract(i) for i in every])
    gsm8k = [{"question": f"How many {topic(i)} are there?", "answer": f"There are <<{i}+1={i + 1}>>{i + 1} {topic(i)}.\n#### {i}"} for i in range(count)]  # fmt: skip # noqa: E501
    aqua = [{"question": f"What is {topic(i)}?", "rationale": f"It is the {topic(i)} of all.", "options": [], "correct": "A"} for i in range(count)]  # fmt: skip # noqa: E501
    write(problems / "gsm8k_train.jsonl.gz", gsm8k)
    write(problems / "aqua_dev.jsonl", aqua)
    write(problems / "gsm8k_test.jsonl", [{"question": "How many tests?", "answer": "One.\n#### 1"}])
    write(problems / "aqua_test.jsonl", [{"question": "Which test?", "rationale": "This."}])
    return folder


def _result(i: int, count: int) -> dict:
    kind = "definition" if i >= count + 3 and i % 2 else "lemma"
    text = f"A {{\\it {topic(i)}}} is what it is, by definition." if kind == "definition" else _text(i)
    section = {"chapter": "One", "section": "Two", "name": f"name of {topic(i)}" if i % 5 == 0 else "", "slogan": ""}
    return {"doc_id": f"S{i}", "kind": kind, "text": text, **section}


def _text(i: int) -> str:
    return f"Let $X$ be a {topic(i)}. Then every {topic(i)} is flat over its base."


def _statement(i: int, count: int) -> dict:
    used = topic(count + 3 + i % count)
    proof = f"By [ref] any {used} will do, and the {topic(i)} is {used} too. Done."
    return {"query_id": f"S{i}", "text": _text(i), "proof": proof, "excluded_ids": [f"S{i}"]}


def _abstract(i: int) -> dict:
    sentences = [
        f"We looked at {topic(i)} in forty patients.",
        f"It was found that {topic(i)} lowers the pressure of blood.",
    ]
    return {"doc_id": f"A{i}", "title": f"On {topic(i)} and pressure", "sentences": sentences, "structured": False}
