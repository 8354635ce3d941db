"""The Pyserini door: RaDeR checkpoints as Pyserini's encoders, and its command lines with them.

`FaissSearcher("index", RaDeRQueryEncoder("minilm"))` searches; `python -m rader_ir.pyserini encode` is Pyserini's own
`encode` with our class registered, and writes the same folder without Pyserini or Java where they are missing.
Importing this package imports neither Pyserini nor torch, and starts no JVM. Written for pyserini 1.6 and 2.4.
"""

from rader_ir.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    {
        "PyseriniUnavailable": "environment",
        "RaDeRDocumentEncoder": "encoders",
        "RaDeRQueryEncoder": "encoders",
        "prepare": "environment",
        "register": "registration",
    },
)
