"""`python -m rader_ir.pyserini lucene`: an index folder to the JSONL that Lucene's flat and HNSW indexes read.

Search them by giving the query's vector as text: `LuceneFlatDenseSearcher(dir).search(json.dumps(vector.tolist()))`.
"""

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from rader_ir.pyserini.vectors import open_folder


def main(argv: Sequence[str]) -> None:
    """Write the vectors of `--index` as `--output`/embeddings.jsonl.

    Raises:
        ValueError: more than 4096 dimensions.
    """
    from rader_ir.index_formats import write_embeddings_jsonl

    parser = ArgumentParser(
        prog="python -m rader_ir.pyserini lucene", description="Write vectors for Lucene.", allow_abbrev=False
    )
    parser.add_argument("--index", required=True, help="folder with `index` and `docid`")
    parser.add_argument("--output", required=True, help="folder for embeddings.jsonl")
    args = parser.parse_args(argv)
    index = open_folder(args.index)
    path = Path(args.output) / "embeddings.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_embeddings_jsonl(index, path)
    print(path)
