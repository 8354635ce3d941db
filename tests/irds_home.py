"""A task of BRIGHT where ir_datasets keeps what it has downloaded, so that it reads texts of ours and asks no network."""

import json
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path


def lay_out(home: Path, task: str, documents: Iterable[tuple[str, str]], queries: Iterable[Mapping]) -> None:
    """Writes the files of `bright/TASK` under `home`, to be given as IR_DATASETS_HOME.

    Queries have id, query, gold_ids and excluded_ids; the reasoning of language models is made of the query. There are no
    whole pages.
    """
    import pyarrow
    from pyarrow import parquet

    rest = {"reasoning": "N/A", "gold_answer": "N/A", "gold_ids_long": ["N/A"]}
    rows = {
        "docs": [{"id": doc_id, "content": text} for doc_id, text in documents],
        "queries": [{**rest, **query, "excluded_ids": list(query["excluded_ids"]) or ["N/A"]} for query in queries],
    }
    reasons = [{"id": query["id"], "reasoning": f"think: {query['query']}"} for query in rows["queries"]]
    places = json.loads(files("ir_datasets").joinpath("etc/downloads.json").read_text())["bright"]
    (home / "bright").mkdir(parents=True)
    for name, place in places.items():
        if name.startswith(f"{task}/"):
            kind = rows.get(name.removeprefix(f"{task}/"), reasons)
            parquet.write_table(pyarrow.Table.from_pylist(kind), home / "bright" / place["cache_path"])
