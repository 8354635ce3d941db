"""Live models, one per checkpoint and settings in a process, shared by every transformer that asks for the same.

A transformer holds only its configuration: copies that `% k` makes, several pipelines of one experiment and equal
transformers meet in one model. A folder whose weights were written anew, as in training, is opened anew.
"""

from pathlib import Path
from threading import Lock

from rader_ir.checkpoints import find_checkpoint

_MODELS: dict[tuple, tuple[tuple, object]] = {}
_LOCK = Lock()


def encoder(checkpoint, **options):
    """The `rader_ir.Encoder` of a checkpoint; an object with `encode_queries` and `encode_docs` is taken as it is."""
    if hasattr(checkpoint, "encode_queries"):
        return checkpoint
    from rader_ir.encoder import Encoder

    return _shared("encoder", Encoder, checkpoint, options)


def reranker(system: str, checkpoint, **options):
    """The reranker `system` of `rader_ir.rerank` over a checkpoint; an object with `score` is taken as it is."""
    if hasattr(checkpoint, "score"):
        return checkpoint
    from rader_ir.rerank import open_reranker

    return _shared(system, lambda found, **given: open_reranker(system, checkpoint=found, **given), checkpoint, options)


def judge(system: str, **options):
    """The reranker `system` of `rader_ir.rerank` that asks a language model; of a file of prompts that changed, made anew."""
    from rader_ir.rerank import open_reranker

    return _kept((system, *sorted(options.items())), _stamp(options), lambda: open_reranker(system, **options))


def reasoner(**options):
    """The `rader_ir` reasoner with these options; of a file of prompts that changed, made anew."""
    from rader_ir.reasoner import Reasoner

    return _kept(("reasoner", *sorted(options.items())), _stamp(options), lambda: Reasoner(**options))


def _stamp(options: dict) -> tuple:
    """When the file of prompts was written, where options name one."""
    prompt = options.get("prompt")
    return () if prompt is None else (Path(prompt).stat().st_mtime_ns,)


def composed(system: str, folder, **options):
    """The reranker `system` of `rader_ir.rerank` over a folder of several models; an object with `read` is taken as it is."""
    if hasattr(folder, "read"):
        return folder
    from rader_ir.rerank import open_reranker

    place = Path(folder).expanduser()
    stamp = (_written(str(place)), *(_written(str(part)) for part in sorted(place.glob("*/"))))
    key = (system, str(place.absolute()), *sorted(options.items()))
    return _kept(key, stamp, lambda: open_reranker(system, checkpoint=place, **options))


def _shared(kind: str, make, checkpoint, options: dict):
    found = find_checkpoint(checkpoint)
    key = (kind, found, *sorted(options.items()))
    return _kept(key, _written(found.weights) + _stamp(options), lambda: make(found, **options))


def _kept(key: tuple, stamp: tuple, make):
    """What was made for `key`, made anew where `stamp` is another."""
    with _LOCK:
        if key in _MODELS and _MODELS[key][0] != stamp:
            _MODELS.pop(key)[1].unload()
        if key not in _MODELS:
            _MODELS[key] = stamp, make()
        return _MODELS[key][1]


def _written(weights: str) -> tuple:
    """When and how large the weights in a folder were written; nothing for a hub id."""
    files = [(file.name, file.stat()) for file in sorted(Path(weights).glob("*.safetensors"))]
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in files)
