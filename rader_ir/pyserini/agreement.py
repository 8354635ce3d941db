"""What Pyserini's flags say of an encoder, held against what the checkpoint says.

Pyserini's stock classes take pooling, prefix and normalisation from flags whose defaults give a RaDeR model wrong
vectors without a word. Here the checkpoint decides: a flag that contradicts it is refused, one that repeats it is a
warning. So is a checkpoint refused that contradicts the index which is to be searched: `rader_index.json` tells who made its
vectors, and in a folder that Pyserini's own writer made with our encoder, `rader_encoder.json`.
"""

import json
import warnings
from pathlib import Path
from types import SimpleNamespace

from rader_ir.files import replacing
from rader_ir.index import require_same_encoder
from rader_ir.index_folder import META, read_json, read_meta

RECORD = "rader_encoder.json"
POOLINGS = {"cls": "first", "mean": "mean", "last": "last", "eos": "last"}  # Pyserini's names and ours


def check_flags(
    encoder,
    side: str,
    *,
    pooling: str | None = None,
    l2_norm: bool | None = None,
    prefix: str | None = None,
    max_length: int | None = None,
    tokenizer_name: str | None = None,
) -> None:
    """Hold the flags that were given (those not None) against the checkpoint of `encoder`.

    Args:
        encoder: a `rader_ir.encoder.Encoder`; a hub id whose files are unknown yet is fetched, if any flag was given.
        side: `query` or `doc`, for the prefix and the length.
        pooling: `cls`, `mean`, `last` or `eos`.
        l2_norm: whether vectors get unit length.
        prefix: what stands before the text; blanks around it do not count.
        max_length: tokens.
        tokenizer_name: must be the checkpoint itself.

    Raises:
        ValueError: a flag contradicts the checkpoint.
    """
    flags = dict(pooling=pooling, l2_norm=l2_norm, prefix=prefix, max_length=max_length, tokenizer_name=tokenizer_name)
    given = {name: value for name, value in flags.items() if value is not None}
    if not given:
        return
    facts = _facts(encoder)
    for name, value in given.items():
        known = _known(facts, side)[name]
        if _comparable(name, value) != known:
            raise ValueError(
                f"{name} {value!r} contradicts the checkpoint {facts.name!r}, whose {side} side has {known!r}; "
                "leave the option out, for the checkpoint decides"
            )
        warnings.warn(f"{name} is read from the checkpoint {facts.name!r}; it need not be given", stacklevel=3)


def check_length(encoder, side: str, max_length: int | None) -> None:
    """Refuse a `max_length` other than the checkpoint's, given with every call of `encode`; the same one passes quietly.

    Raises:
        ValueError: the lengths differ.
    """
    if max_length not in (None, getattr(encoder.checkpoint, f"max_{side}_length")):
        check_flags(encoder, side, max_length=max_length)


def check_index(encoder, folder: str) -> None:
    """Hold the encoder of queries against what `folder` records of its documents' encoder.

    A folder that Pyserini wrote with an encoder of its own records nothing, and neither does the name of an index that Pyserini
    knows; they pass.

    Raises:
        ValueError: the folder was made by another encoder.
    """
    if (Path(folder) / META).is_file():
        require_same_encoder(folder, read_meta(Path(folder)), encoder)
    elif (told := read_json(Path(folder) / RECORD)) is not None:
        require_same_encoder(folder, told, encoder)


def record_encoder(folder: str | Path, encoder) -> None:
    """Write down in a folder that Pyserini has written which encoder made its vectors, in place of what was told before.

    Args:
        folder: the index.
        encoder: anything with `dimension` and `describe()`; None where it was none of ours, of which nothing is known.
    """
    (Path(folder) / META).unlink(missing_ok=True)  # of an index that was here before
    if encoder is None:
        (Path(folder) / RECORD).unlink(missing_ok=True)
        return
    with replacing(Path(folder) / RECORD) as file:
        told = {"dimension": encoder.dimension, "made_by": encoder.describe()}
        file.write(json.dumps(told, ensure_ascii=False, indent=1) + "\n")


def _facts(encoder):
    if encoder.checkpoint.settled:
        return encoder.checkpoint
    return SimpleNamespace(name=encoder.checkpoint.name, weights=encoder.checkpoint.weights, **encoder.describe())


def _known(facts, side: str) -> dict:
    return {
        "pooling": facts.pooling,
        "l2_norm": facts.normalise,
        "prefix": getattr(facts, f"{side}_form").partition("{")[0].strip(),
        "max_length": getattr(facts, f"max_{side}_length"),
        "tokenizer_name": facts.weights,
    }


def _comparable(name: str, value):
    if name == "pooling":
        return POOLINGS.get(value, value)
    return value.strip() if name == "prefix" else value
