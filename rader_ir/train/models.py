"""The model that is trained: a checkpoint opened with its text path, and the adapter or the weights that training changes.

LoRA (Hu et al., arXiv:2106.09685) is peft's. A checkpoint that is an adapter itself is trained on as it is when `lora` is set,
and merged first when it is not. Frozen weights lie in the arithmetic's type, trained ones in float32.
"""

import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from rader_ir import loading
from rader_ir.adapters import check_base, find_target, read_adapter
from rader_ir.checkpoint_folders import read_json
from rader_ir.checkpoints import CHECKPOINTS, Checkpoint, find_checkpoint
from rader_ir.tokens import TextTokens
from rader_ir.train.pairs import read_where_the_mask_ends, score_by_choice, set_padding
from rader_ir.train.settings import LORA_TARGETS, Options
from rader_ir.weights import Files, fetch

QUERY_LENGTH, DOC_LENGTH = 512, 3900  # tokens; RaDeR's documents had 3900, its queries are not stated
SHORT = 512  # tokens up to which a text's attention may lie in memory whole
_HEADS = ("pooler.", "classifier.", "score.", "lm_head.")  # not part of the blocks that an adapter changes
_TASKS = {"score": "SEQ_CLS", "vector": "FEATURE_EXTRACTION", "choice": "CAUSAL_LM"}  # as peft calls them
ADAPTER_NAME = "default"  # what peft calls the adapter of a model that has one


@dataclass(frozen=True)
class Base:
    """What training starts from; `files.checkpoint` is the text path that the finished folder will have."""

    files: Files
    tokenizer: object
    new_head: bool = False  # whether it gives vectors, and the trained model scores

    @property
    def checkpoint(self) -> Checkpoint:
        """The text path."""
        return self.files.checkpoint

    @property
    def tokens(self) -> TextTokens:
        """Texts to ids, as serving makes them."""
        return TextTokens(self.tokenizer, self.checkpoint)

    @property
    def origin(self) -> str:
        """Hub id or absolute folder of the weights, below an adapter if the checkpoint is one."""
        own = self.files.checkpoint.weights
        if self.is_adapter:
            own = (
                self.checkpoint.base or read_json(self.files.folder / "adapter_config.json")["base_model_name_or_path"]
            )
            own = CHECKPOINTS[own].weights if own in CHECKPOINTS else own
        folder = self.files.base_folder or self.files.folder
        is_local = Path(own).expanduser().is_dir() or (self.files.folder / own).is_dir()
        return str(folder.absolute()) if is_local else own

    @property
    def revision(self) -> str | None:
        """Of the hub repository `origin`."""
        return self.checkpoint.base_revision if self.is_adapter else self.checkpoint.revision

    @property
    def is_adapter(self) -> bool:
        """Whether the checkpoint is an adapter beside its base."""
        return self.files.base_folder is not None


def open_base(options: Options, head: str) -> Base:
    """Find the checkpoint, fetch its files, and settle the text path; loads no weights.

    Args:
        options: the checkpoint, its forms and the lengths.
        head: `vector` or `score`: what the trained model gives. A checkpoint without a head can become a reranker.

    Raises:
        ValueError, FileNotFoundError: no such checkpoint, a reranker where an encoder is needed, or lengths that the model has
            no positions for.
    """
    found = find_checkpoint(options.checkpoint, revision=options.revision)
    files = fetch(found)
    settled = find_checkpoint(files.checkpoint, forms=options.forms)
    if head == "vector" and settled.head != "vector":
        raise ValueError(
            f"checkpoint {settled.name!r} scores pairs; a retriever starts from an encoder or a language model"
        )
    given = {name: getattr(options, name, None) for name in ("query_form", "doc_form", "pair_form")}
    given = {name: form for name, form in given.items() if form is not None}
    lengths = {
        name: _length(getattr(options, name), default, getattr(settled, name), loading.longest_text(files), name)
        for name, default in (("max_query_length", QUERY_LENGTH), ("max_doc_length", DOC_LENGTH))
    }
    if settled.head == "choice":  # a language model's answers are scores already
        head = "choice"
    if head != "vector":
        _check_adapter(files, settled)
        lengths["max_query_length"] = lengths["max_doc_length"]  # a pair's, which query and document share
    settled = replace(settled, **given, **lengths, head=head, normalise=True)
    tokenizer = loading.read_tokenizer(files)
    if head != "vector":
        set_padding(tokenizer)
    return Base(replace(files, checkpoint=settled), tokenizer, new_head=head != files.checkpoint.head)


def _check_adapter(files: Files, checkpoint: Checkpoint) -> None:
    """Refuse an encoder's adapter as the beginning of a reranker: its layers go by other names, and it has no head."""
    if files.base_folder is not None and checkpoint.head == "vector":
        raise ValueError(
            f"checkpoint {checkpoint.name!r} is an adapter of an encoder, which cannot become a reranker; start from its base, "
            "or from a folder with merged weights"
        )


def _length(asked: int | None, default: int, own: int, longest: int | None, name: str) -> int:
    if asked is None:
        return min(default, own, longest or own)
    if longest is not None and asked > longest:
        raise ValueError(f"{name} is {asked}, and the model has positions for {longest} tokens; lower it")
    return asked


def open_model(base: Base, options: Options) -> nn.Module:
    """The model in training mode: its trained parameters require gradients, all others do not.

    Raises:
        ValueError: an adapter of another base, or `lora_targets` that the model lacks.
    """
    dtype = torch.bfloat16 if options.lora and autocasts(options) else torch.float32
    new_head = base.new_head or (options.lora and base.is_adapter)  # an adapter brings its own
    model = loading.read_model(base.files, base.tokenizer, dtype, adapter=not options.lora, new_head=new_head)
    model.config.use_cache = False
    if not torch.accelerator.is_available() and base.checkpoint.max_doc_length <= SHORT:
        model.set_attn_implementation("eager")  # on a CPU the fused backward pass takes longer than two products
    if options.dropout is not None:
        set_dropout(model, options.dropout)
    if base.checkpoint.head == "score":
        read_where_the_mask_ends(model)
    if base.checkpoint.head == "choice":
        score_by_choice(model, base.tokenizer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # names that transformers 5 has renamed and peft still calls
        if options.gradient_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        if options.lora:
            model = _adapted(model, base, options)
    if not options.lora:  # what pooling never reads gets no gradient, which DDP would miss
        for name, weight in model.named_parameters():
            weight.requires_grad_(base.checkpoint.head != "vector" or not name.startswith(_HEADS))
    for weight in model.parameters():
        if weight.requires_grad:  # an adapter's head would stay in the arithmetic's type
            weight.data = weight.data.float()
    for module in model.modules():
        if autocasts(options) and isinstance(module, BaseTunerLayer):
            module.cast_input_dtype_enabled = False  # there and back, in every layer
    return model.train()


def set_dropout(model: nn.Module, share: float) -> None:
    """Let all dropout of a model be `share`; its configuration stays."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = share
        elif hasattr(module, "attention_dropout"):  # of decoders, a number that attention functions are given
            module.attention_dropout = share


def autocasts(options: Options) -> bool:
    """Whether products are made in bfloat16: as asked, or where the device has it.

    Raises:
        ValueError: bfloat16 on a CUDA device that lacks it.
    """
    has = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    if options.precision == "bfloat16" and torch.cuda.is_available() and not has:
        raise ValueError("this CUDA device has no bfloat16; set precision to 'float32'")
    return has if options.precision is None else options.precision == "bfloat16"


def lora_config(model: nn.Module, base: Base, options: Options) -> LoraConfig:
    """peft's configuration for `options`; a reranker's head is trained whole and saved with the adapter.

    Raises:
        ValueError: none of `lora_targets` is a layer of the model.
    """
    scores = base.checkpoint.head == "score"
    heads = head_modules(model) if scores else []
    outside = tuple(f"{name}." for name in heads) if scores else _HEADS
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    blocks = [name for name in linear if not f"{name}.".startswith(outside)]
    targets = [target for target in options.lora_targets if any(name.rpartition(".")[2] == target for name in blocks)]
    if not targets and options.lora_targets == LORA_TARGETS:
        targets = sorted({name.rpartition(".")[2] for name in blocks})
    if not targets:
        have = ", ".join(sorted({name.rpartition(".")[2] for name in blocks}))
        raise ValueError(f"none of lora_targets {list(options.lora_targets)} is a layer of the model; it has {have}")
    scores = base.checkpoint.head == "score"
    return LoraConfig(
        task_type=_TASKS[base.checkpoint.head],
        r=options.lora_rank,
        lora_alpha=options.lora_alpha,
        lora_dropout=options.lora_dropout,
        target_modules=targets,
        exclude_modules=[name for name in linear if name not in blocks] or None,
        modules_to_save=heads or None,
    )


def adapted_layers(model: nn.Module) -> list[str] | None:
    """The last parts of the names of the layers that an adapter in the model changes, in order; None without an adapter."""
    names = {name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, BaseTunerLayer)}
    return sorted(names) or None


def head_modules(model: nn.Module) -> list[str]:
    """Names of what makes a score of the encoder's states: all modules outside it, and its pooler, which bi-encoders never train.

    An adapter holds them whole, since the base has them not, or not trained.
    """
    prefix = model.base_model_prefix
    outside = [
        name for name, module in model.named_children() if name != prefix and any(True for _ in module.parameters())
    ]
    pooler = [f"{prefix}.pooler"] if getattr(model.base_model, "pooler", None) is not None else []
    return sorted(outside + pooler)


def saved_name(name: str) -> str:
    """What peft calls a trained weight in a file, by its name in the model."""
    return name.replace(f".modules_to_save.{ADAPTER_NAME}.", ".").replace(f".{ADAPTER_NAME}.", ".")


def _adapted(model: nn.Module, base: Base, options: Options) -> PeftModel:
    return _trained_on(model, base) if base.is_adapter else get_peft_model(model, lora_config(model, base, options))


def _trained_on(model: nn.Module, base: Base) -> PeftModel:
    """The base with the checkpoint's own adapter, whose weights go on learning."""
    folder = base.files.folder
    check_base(model, folder)
    _, tensors = read_adapter(folder)
    config = LoraConfig.from_pretrained(folder)
    config.inference_mode = False
    made = get_peft_model(model, config)
    inner = made.get_base_model()
    trained = {saved_name(name): weight for name, weight in inner.named_parameters() if weight.requires_grad}
    missing = set(trained)
    with torch.no_grad():
        for name, tensor in tensors.items():
            target = find_target(trained, name, tensor.shape, folder)
            trained[target].copy_(tensor)
            missing.discard(target)
    if missing:
        raise ValueError(
            f"{folder} lacks weights that it says it changes: {', '.join(sorted(missing)[:3])}; save it again"
        )
    return made
