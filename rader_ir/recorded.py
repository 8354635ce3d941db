"""The checkpoint that an index records, with the text path that its vectors were made by.

An index keeps what its encoder said of itself (`Encoder.describe`). Its name alone would bring back the checkpoint's own
forms, pooling and lengths; an encoder that had others makes other vectors, so all that was recorded comes back with it.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rader_ir.checkpoints import Checkpoint, find_checkpoint

TEXT_PATH = (
    "query_form",
    "doc_form",
    "pooling",
    "eos",
    "normalise",
    "causal",
    "max_query_length",
    "max_doc_length",
)


def recorded(made_by: Mapping, where: str | Path, remedy: str) -> Checkpoint:
    """The checkpoint that made the vectors of an index.

    Args:
        made_by: what the encoder said of itself, such as `Index.meta["made_by"]`.
        where, remedy: the index, and how its door takes another checkpoint; for the message.

    Raises:
        ValueError: the vectors came ready-made, so no checkpoint is named; or the name is not known here.
        FileNotFoundError: the checkpoint's folder is gone.
    """
    if "checkpoint" not in made_by:
        raise ValueError(f"{where} does not say which encoder made its vectors; {remedy}")
    found = find_checkpoint(made_by["checkpoint"], revision=made_by.get("revision"))
    return replace(found, **{name: made_by[name] for name in TEXT_PATH if name in made_by}, settled=True)


def recorded_dtype(made_by: Mapping) -> str | None:
    """The dtype without which an encoder makes other vectors than an index holds ("int8"), or None where any will do."""
    return made_by.get("arithmetic")
