"""The Pyserini door: RaDeR checkpoints as Pyserini's encoders, and its command lines with them.

`FaissSearcher("index", RaDeRQueryEncoder("minilm"))` searches; `python -m rader_ir.pyserini encode` is Pyserini's own
`encode` with our class registered, and writes the same folder without Pyserini or Java where they are missing.
Importing this package imports neither Pyserini nor torch, and starts no JVM. Written for pyserini 1.6 and 2.4.
"""

from importlib import import_module

_PUBLIC = {
    "PyseriniUnavailable": "environment",
    "RaDeRDocumentEncoder": "encoders",
    "RaDeRQueryEncoder": "encoders",
    "prepare": "environment",
    "register": "registration",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str):
    if name in _PUBLIC:
        return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; its public names are {', '.join(__all__)}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
