"""`python -m rader_ir.pyserini encode | search | hybrid | queries | lucene`: Pyserini's steps with RaDeR checkpoints.

`encode` and `search` take Pyserini's own flags and run its own programs; `--help` after each tells the rest.
"""

import sys
from collections.abc import Sequence
from importlib import import_module

from rader_ir.pyserini.environment import PyseriniUnavailable

COMMANDS = {
    "encode": "a corpus to an index folder, by Pyserini's own encode or without it",
    "search": "dense search of an index folder, with --excluded-ids",
    "hybrid": "dense and Lucene BM25 runs fused as alpha * dense + (1 - alpha) * BM25",
    "queries": "topics to an embedding.pkl for --encoded-queries",
    "lucene": "an index folder to JSONL for Lucene's flat and HNSW indexes",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command named by the first argument; 0 if it went well, 2 if the input or this machine was wrong."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] not in COMMANDS:
        listed = "\n".join(f"  {name:8} {what}" for name, what in COMMANDS.items())
        print(f"usage: python -m rader_ir.pyserini COMMAND ...\n{listed}", file=sys.stderr)
        return 0 if argv[:1] in (["-h"], ["--help"]) else 2
    try:
        import_module(f"rader_ir.pyserini.{argv[0]}").main(argv[1:])
    except (PyseriniUnavailable, ValueError, OSError) as error:
        print(f"{argv[0]}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
