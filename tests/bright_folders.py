"""BRIGHT in miniature, laid out as its exports and as the hub's tables: two questions of pony and of aops, all made up."""

import gzip
import json
from pathlib import Path

REASONING = "what the annotators knew"
EXAMPLES = {
    "pony": [
        {"id": "0", "query": "first?", "gold_ids": ["a_1", "a_2"], "gold_ids_long": ["a"], "excluded_ids": ["N/A"]},
        {"id": "1", "query": "second?", "gold_ids": ["b_1"], "gold_ids_long": ["b"], "excluded_ids": ["N/A"]},
    ],
    # A document named twice, as some of the real ones are; ids with blanks.
    "aops": [
        {
            "id": "0",
            "query": "x?",
            "gold_ids": ["p 1", "p 1"],
            "gold_ids_long": ["N/A"],
            "excluded_ids": ["p 2", "p 3"],
        },
        {"id": "7", "query": "y?", "gold_ids": ["p 2"], "gold_ids_long": ["N/A"], "excluded_ids": []},
    ],
}
DOCUMENTS = {
    "documents": {
        "pony": [("a_1", "one"), ("a_2", "two"), ("b_1", " \n")],
        "aops": [("p 1", "P"), ("p 2", "Q"), ("p 3", "R")],
    },
    "long_documents": {"pony": [("a", "one two"), ("b", "three")]},
}
QUERIES = {  # by folder of the hub
    "gpt4_reason": "GPT-4",
    "claude-3-opus_reason": "Claude",
    "Gemini-1.0_reason": "Gemini",
    "llama3-70b_reason": "Llama",
    "grit_reason": "Grit",
}


def example_rows(task: str) -> list[dict]:
    """A task's table in `examples`."""
    return [{**row, "reasoning": REASONING, "gold_answer": "N/A"} for row in EXAMPLES[task]]


def reasoning_rows(task: str, folder: str) -> list[dict]:
    """A task's table of queries that a language model wrote; they stand where the questions stood."""
    return [{**row, "query": f"{QUERIES[folder]} on {row['query']}"} for row in example_rows(task)]


def document_rows(folder: str, task: str) -> list[dict]:
    """A task's table of documents."""
    return [{"id": doc_id, "content": text} for doc_id, text in DOCUMENTS[folder][task]]


def hub_folder(folder: Path) -> Path:
    """The hub's tables as parquet; the examples of pony, and the documents of aops, in two parts."""
    for task in EXAMPLES:
        write_parquet(folder / "examples" / task, example_rows(task), parts=2 if task == "pony" else 1)
        for name in QUERIES:
            write_parquet(folder / name / task, reasoning_rows(task, name))
    for name, tasks in DOCUMENTS.items():
        for task in tasks:
            write_parquet(folder / name / task, document_rows(name, task), parts=2 if task == "aops" else 1)
    (folder / "README.md").write_text("a card\n")
    return folder


def export_folder(folder: Path) -> Path:
    """The exports: topics, plain and corrected judgements, documents, and queries by GPT-4."""
    for task in EXAMPLES:
        write_jsonl(folder / "topics" / f"{task}.jsonl.gz", example_rows(task))
        write_jsonl(folder / "queries/gpt4_reason" / f"{task}.jsonl.gz", reasoning_rows(task, "gpt4_reason"))
        write_jsonl(folder / "documents" / f"{task}.jsonl.gz", document_rows("documents", task))
        judged = {row["id"]: dict.fromkeys(row["gold_ids"]) for row in EXAMPLES[task]}
        (folder / "qrels").mkdir(exist_ok=True)
        rows = [f"{query_id}\t0\t{doc_id}\t1\n" for query_id, doc_ids in judged.items() for doc_id in doc_ids]
        (folder / "qrels" / f"{task}.tsv").write_text("".join(rows))
    write_jsonl(folder / "documents_long/pony.jsonl.gz", document_rows("long_documents", "pony"))
    return folder


def write_parquet(stem: Path, rows: list[dict], *, parts: int = 1) -> None:
    """Write a table as STEM-0000n-of-0000N.parquet."""
    import pyarrow
    from pyarrow import parquet

    stem.parent.mkdir(parents=True, exist_ok=True)
    size = -(-len(rows) // parts)
    for part in range(parts):
        table = pyarrow.Table.from_pylist(rows[part * size : (part + 1) * size])
        parquet.write_table(table, f"{stem}-{part:05}-of-{parts:05}.parquet")


def write_jsonl(path: Path, rows: list[dict]) -> None:
    """Write a table as JSONL, packed where the name ends in .gz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    opener = gzip.open if path.name.endswith(".gz") else open
    with opener(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
