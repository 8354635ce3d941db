"""Puts our encoders where Pyserini's own command lines find them.

Pyserini has no plug-ins: `--encoder-class` is an argparse option with fixed choices, and the class is looked up in
two dictionaries. `register` writes into the dictionaries, `run_main` runs a stock main with one more choice, and
nothing of Pyserini is changed on disk.
"""

import argparse
import runpy
import sys
from collections.abc import Sequence
from contextlib import contextmanager

from rader_ir.pyserini.encoders import RaDeRDocumentEncoder, RaDeRQueryEncoder
from rader_ir.pyserini.environment import prepare

NAME = "rader"


def register(*, instruction: str = "", encoded_queries: str | None = None, java: bool = True) -> None:
    """Register `rader` first in Pyserini's maps of document and query encoders.

    First, because without `--encoder-class` Pyserini takes the first key that is a part of the checkpoint's path.

    Args:
        instruction: put before every query, as BRIGHT's task instructions are.
        encoded_queries: folder whose `embedding.pkl` answers in place of any checkpoint; unlike Pyserini's own class for it,
            ours takes `raw_jsonl` topics.
        java: as in `prepare`.

    Raises:
        PyseriniUnavailable: as `prepare`.
    """
    prepare(java=java)
    from pyserini.encode import document_encoder_class_map, query_encoder_class_map

    def query_encoder(encoder_dir, tokenizer_name=None, device=None, prefix=None, fp16=False, **_guesses):
        if encoded_queries is not None:
            return RaDeRQueryEncoder(None, None, encoded_queries)
        return RaDeRQueryEncoder(
            encoder_dir, tokenizer_name, device=device, prefix=prefix, fp16=fp16, instruction=instruction
        )

    _put_first(document_encoder_class_map, document_encoder)
    _put_first(query_encoder_class_map, query_encoder)


def document_encoder(model_name: str, device: str | None = None, **_guesses) -> RaDeRDocumentEncoder:
    """What Pyserini's `encode` calls.

    Whatever class was asked for, Pyserini adds pooling, l2_norm and multimodal when the path holds "dse", "clip",
    "contriever" or "sentence-transformers". Those guesses are dropped; flags that the user gave were checked before.
    """
    return RaDeRDocumentEncoder(model_name, device)


def run_main(module: str, argv: Sequence[str]) -> None:
    """Run Pyserini's own `python -m module argv`, with `rader` among the choices of `--encoder-class`."""
    before = sys.argv
    sys.argv = [module, *argv]
    try:
        with _one_more_choice("--encoder-class", NAME):
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        sys.argv = before


def _put_first(classes: dict, ours) -> None:
    theirs = {name: value for name, value in classes.items() if name != NAME}
    classes.clear()
    classes.update({NAME: ours, **theirs})


@contextmanager
def _one_more_choice(option: str, choice: str):
    """While open, every parser that declares `option` with choices takes `choice` too."""
    add_argument = argparse.ArgumentParser.add_argument

    def extended(parser, *names, **settings):
        if option in names and settings.get("choices"):
            settings["choices"] = [*settings["choices"], choice]
        return add_argument(parser, *names, **settings)

    argparse.ArgumentParser.add_argument = extended
    try:
        yield
    finally:
        del argparse.ArgumentParser.add_argument  # the method of its base class shows again
