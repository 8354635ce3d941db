"""The finished folder: weights or adapter, and the text path in every form that a door reads.

`rader_config.json` is for this package's doors. For the others the tokenizer itself appends the end token, past the cut too, and
has no chat template, which sentence-transformers would wrap every text in; and sentence-transformers finds its modules, prompts
and lengths.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from peft import LoraConfig
from safetensors.torch import save_file
from tokenizers import processors
from transformers import AutoTokenizer

from rader_ir import loading
from rader_ir.adapters import merge_adapter, sample_of_base
from rader_ir.checkpoints import CHECKPOINTS, Checkpoint, write_config
from rader_ir.prompts import fill
from rader_ir.tokens import TextTokens
from rader_ir.train.models import Base, saved_name
from rader_ir.train.pairs import set_padding

_POOLINGS = {"last": "lasttoken", "mean": "mean_tokens", "first": "cls_token"}
_MODULES = ("Transformer", "Pooling", "Normalize")


def write_model(
    folder: Path, base: Base, weights: Mapping[str, torch.Tensor], adapter: LoraConfig | None, *, merged: bool = True
) -> None:
    """Write what plain transformers and this package open: weights or adapter, configuration, tokenizer, text path.

    Args:
        folder: an empty one.
        base: what training started from.
        weights: the trained ones, by their names in the model that was trained.
        adapter: peft's configuration of them; None where they are the model's own.
        merged: whether an adapter is merged into its base's weights, in float32.
    """
    if adapter is None:
        model = loading.read_model(base.files, base.tokenizer, torch.float32, new_head=True)
        model.load_state_dict(weights, strict=False)
        save_weights(model, folder)
    elif merged:
        write_adapter(folder / "adapter", base, weights, adapter)
        model = loading.read_model(base.files, base.tokenizer, torch.float32, adapter=False, new_head=True)
        merge_adapter(model, folder / "adapter")
        save_weights(model, folder)
        shutil.rmtree(folder / "adapter")
    else:
        write_adapter(folder, base, weights, adapter)
    write_tokenizer(folder, base)
    let_read(folder)
    kept = {} if merged or adapter is None else {"base": _own_name(base), "base_revision": base.revision}
    write_config(folder, replace(base.checkpoint, **{"base": None, "base_revision": None, **kept}))


def save_weights(model: torch.nn.Module, folder: Path) -> None:
    """Write all weights and the configuration, which lets decoders use their cache again."""
    model.config.use_cache = hasattr(model.config, "use_cache")
    with loading.progress_hidden():
        model.save_pretrained(folder)


def let_read(folder: Path) -> None:
    """Give weights the mode that the umask leaves to a new file; safetensors lets nobody but their owner read them."""
    umask = os.umask(0)
    os.umask(umask)
    for path in folder.glob("*.safetensors"):
        path.chmod(0o666 & ~umask)


def write_adapter(folder: Path, base: Base, weights: Mapping[str, torch.Tensor], adapter: LoraConfig) -> None:
    """Write an adapter as peft does."""
    folder.mkdir(exist_ok=True)
    tensors = {saved_name(name): tensor for name, tensor in weights.items()}
    known = sample_of_base(base.files.base_folder or base.files.folder, tensors)
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt", **known})
    told = LoraConfig(**{**adapter.to_dict(), "inference_mode": True, "base_model_name_or_path": base.origin})
    told.revision = base.revision
    told.save_pretrained(folder)


def _own_name(base: Base) -> str:
    """The base as this package calls it: a known checkpoint's name finds weights that lie in a package."""
    known = (name for name, checkpoint in CHECKPOINTS.items() if checkpoint.weights == base.origin)
    return next(known, base.origin)


def write_tokenizer(folder: Path, base: Base) -> None:
    """Write the tokenizer so that whoever calls it plainly gets the ids that training had.

    Raises:
        ValueError: it gives others when it is read again.
    """
    tokens, tokenizer = base.tokens, loading.read_tokenizer(base.files)
    if base.checkpoint.head != "vector":
        set_padding(tokenizer)
    if base.checkpoint.eos == "append":
        tokenizer.backend_tokenizer.post_processor = _appending(tokens)
    if base.checkpoint.head != "choice":  # whose pairs are conversations
        tokenizer.chat_template = None
    tokenizer.padding_side = tokenizer.truncation_side = "right"
    longest = max(base.checkpoint.max_query_length, base.checkpoint.max_doc_length)
    tokenizer.model_max_length = longest
    tokenizer.save_pretrained(folder)
    again = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    for text in ("a", " a theorem,\nof two lines ", "a " * longest):
        wanted = tokens.texts([text], longest).rows[0]
        if again(text, truncation=True)["input_ids"] != wanted:
            raise ValueError(
                f"the tokenizer of {base.checkpoint.name!r} cannot be written so that it appends its end token by itself; use "
                "a checkpoint with a fast tokenizer (tokenizer.json)"
            )


def _appending(tokens: TextTokens) -> processors.PostProcessor:
    """What puts a beginning token, if there is one, and the end token around a text, within the limit."""
    tokenizer = tokens.tokenizer
    before = tokenizer.convert_ids_to_tokens(tokens.head)
    after = tokenizer.convert_ids_to_tokens(tokens.tail)
    special = list(zip([*before, *after], [*tokens.head, *tokens.tail], strict=True))
    framing = processors.TemplateProcessing(
        single=[*before, "$A", *after], pair=[*before, "$A", "$B", *after], special_tokens=list(dict(special).items())
    )
    own = json.loads(tokenizer.backend_tokenizer.to_str())["post_processor"] or {}
    levels = [part for part in (own, *own.get("processors", ())) if part.get("type") == "ByteLevel"]
    if not levels:
        return framing
    return processors.Sequence([processors.ByteLevel(trim_offsets=levels[0]["trim_offsets"]), framing])


def check_forms(checkpoint: Checkpoint) -> None:
    """Raise ValueError where sentence-transformers, which can only put a prompt before a text, could not write a form."""
    for name in ("query_form", "doc_form"):
        form = getattr(checkpoint, name)
        if not form.endswith("{text}"):
            raise ValueError(
                f"{name} {form!r} has more after {{text}}, which sentence-transformers cannot write; end it with {{text}}"
            )


def write_modules(folder: Path, checkpoint: Checkpoint, dimension: int) -> None:
    """Write what sentence-transformers reads, in the form that its versions have in common.

    Prompts are called `query` and `document`, so `encode_query` and `encode_document` find them. Lengths of their own for
    queries need sentence-transformers 6.
    """
    places = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    modules = [
        {"idx": i, "name": str(i), "path": places[name], "type": f"sentence_transformers.models.{name}"}
        for i, name in enumerate(_MODULES)
    ]
    _write(folder / "modules.json", modules)
    mode = f"pooling_mode_{_POOLINGS[checkpoint.pooling]}"
    flags = {f"pooling_mode_{name}": f"pooling_mode_{name}" == mode for name in _POOLINGS.values()}
    (folder / "1_Pooling").mkdir()
    (folder / "2_Normalize").mkdir()
    _write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": dimension, **flags})
    _write(folder / "2_Normalize" / "config.json", {})
    prompts = {
        "query": fill(checkpoint.query_form, instruction="", text=""),
        "document": fill(checkpoint.doc_form, text=""),
    }
    told = {"prompts": prompts, "default_prompt_name": None, "similarity_fn_name": "cosine"}
    _write(folder / "config_sentence_transformers.json", told)
    lengths = {"max_seq_length": max(checkpoint.max_query_length, checkpoint.max_doc_length), "do_lower_case": False}
    if checkpoint.max_query_length != checkpoint.max_doc_length:
        lengths |= {"query_length": checkpoint.max_query_length, "document_length": checkpoint.max_doc_length}
    if checkpoint.causal and not (folder / "config.json").exists():  # an adapter's base may say that it is not
        lengths["config_kwargs"] = {"is_causal": True}
    _write(folder / "sentence_bert_config.json", lengths)


def write_cross_encoder(folder: Path, checkpoint: Checkpoint) -> None:
    """Write what sentence-transformers' cross-encoder reads: scores as they are, documents alone cut.

    It joins query and document as the tokenizer does, so only BERT-likes can be opened by it; others are left alone.
    """
    if checkpoint.pair_form is not None:
        return
    identity = "torch.nn.modules.linear.Identity"  # its own would be the sigmoid
    path = folder / "config.json"
    if path.is_file():
        _write(
            path, {**json.loads(path.read_text(encoding="utf-8")), "sentence_transformers": {"activation_fn": identity}}
        )
    kind = "sentence_transformers.base.modules.transformer.Transformer"
    _write(folder / "modules.json", [{"idx": 0, "name": "0", "path": "", "type": kind}])
    _write(folder / "config_sentence_transformers.json", {"model_type": "CrossEncoder", "activation_fn": identity})
    cut = {"text": {"padding": True, "truncation": "only_second"}}
    _write(
        folder / "sentence_bert_config.json", {"transformer_task": "sequence-classification", "processing_kwargs": cut}
    )


def _write(path: Path, value) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
