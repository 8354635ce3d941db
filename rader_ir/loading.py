"""From a checkpoint's files to a live model: loaded, its adapter merged, made to attend as it was trained.

No code that comes with a checkpoint is run. Decoders attend causally whatever `is_causal` says, since RaDeR's were trained so,
through plain `AutoModel`, although gte-Qwen2's configuration carries that flag. One model per checkpoint, device and dtype is
alive in a process, however many encoders share it.
"""

import logging
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)
from transformers.utils import logging as transformers_logging

from rader_ir import weights
from rader_ir.adapters import merge_adapter
from rader_ir.checkpoints import Checkpoint
from rader_ir.packed import Engine, int8
from rader_ir.packed.bert import Bert
from rader_ir.packed.decoder import MODEL_TYPES as DECODERS
from rader_ir.threads import fit_threads
from rader_ir.weights import Files, fetch

logger = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "int8": torch.int8}
_KINDS = {"vector": AutoModel, "score": AutoModelForSequenceClassification, "choice": AutoModelForCausalLM}
# Heads that pooling never reads; a checkpoint may lack them
_UNUSED = ("pooler.", "lm_head.", "cls.")
_VOCABULARIES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.txt",
    "vocab.json",
    "sentencepiece.bpe.model",
    "spiece.model",
)
# Their positions are counted from the one behind the padding id
_OFFSET_POSITIONS = frozenset({"camembert", "longformer", "mpnet", "roberta", "xlm-roberta", "xlm-roberta-xl"})


@dataclass(frozen=True, eq=False)
class Loaded:
    """A live model with what is needed to feed it; `engine` reads texts with it."""

    files: Files
    model: torch.nn.Module
    engine: Engine
    tokenizer: object
    device: torch.device
    dtype: torch.dtype

    @property
    def checkpoint(self) -> Checkpoint:
        """With its text path settled."""
        return self.files.checkpoint


_live: dict[tuple, Loaded] = {}
_lock = threading.Lock()


def live(checkpoint: Checkpoint, *, device: str | None = None, dtype: str | None = None) -> Loaded:
    """The process's one live model for these settings, loaded now if it is not.

    Raises:
        ValueError, FileNotFoundError: as `weights.fetch`, and for a device or dtype that is not to be had.
    """
    device, dtype = choose_device(device), choose_dtype(dtype, choose_device(device))
    files = fetch(checkpoint)
    key = (files.checkpoint, files.weights_id, str(device), dtype)
    with _lock:
        if key not in _live:
            _live[key] = _load(files, device, dtype)
        return _live[key]


def unload(loaded: Loaded) -> None:
    """Forget a live model, so that its memory is freed once nobody else holds it."""
    with _lock:
        for key in [key for key, value in _live.items() if value is loaded]:
            del _live[key]
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def choose_device(device: str | torch.device | None) -> torch.device:
    """The device asked for, or the best one here: CUDA, Apple's, or the CPU.

    Raises:
        ValueError: an unknown device, or CUDA where there is none.
    """
    if device is None:
        found = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(found)
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device {device!r} is unknown; give 'cpu', 'cuda', 'cuda:0', 'mps' or nothing") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device {str(device)!r} was asked for, but torch {torch.__version__} finds no CUDA device here"
        )
    return chosen


def choose_dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """The type asked for, or bfloat16 on CUDA devices that have it and float32 elsewhere.

    bfloat16 keeps RaDeR's rankings (Spearman 0.998 and more against float32); CPUs without its arithmetic are slower in it.

    Raises:
        ValueError: an unknown name, or int8 on a device that has no products of it.
    """
    if dtype in ("int8", torch.int8):
        reason = int8.refusal(device)
        if reason is not None:
            raise ValueError(f"dtype 'int8' is not to be had here: {reason}; take 'float32', or nothing")
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype is None:
        return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
    if dtype not in DTYPES:
        raise ValueError(f"dtype {dtype!r} is unknown; choose {', '.join(map(repr, DTYPES))}")
    return DTYPES[dtype]


def _load(files: Files, device: torch.device, dtype: torch.dtype) -> Loaded:
    checkpoint = files.checkpoint
    if files.size >= weights.BIG:
        weights.say_size(files.size, f"loading {{}} of {checkpoint.name} to {device}")
    tokenizer = read_tokenizer(files)
    config = _config(files, checkpoint, tokenizer)
    _check_dtype(dtype, device, checkpoint, config)
    model = _read(files, config, torch.float32 if dtype is torch.int8 else dtype)
    model = model.eval().requires_grad_(False).to(device)
    if device.type == "cpu":
        fit_threads()
    engine = Engine(model, name=checkpoint.name, causal=_is_causal(model, checkpoint))
    if dtype is torch.int8:
        engine.multiply_in_int8(int8.sample(tokenizer, longest_text(files)), checkpoint.pooling, int8.marks(tokenizer))
    return Loaded(files, model, engine, tokenizer, device, dtype)


def read_model(
    files: Files, tokenizer, dtype: torch.dtype, *, adapter: bool = True, new_head: bool = False
) -> torch.nn.Module:
    """A model of its own, on the CPU, as training wants it; `live` is what serving wants.

    Args:
        files: as `weights.fetch` gives them; the checkpoint's head and causality decide.
        tokenizer: its padding token goes into the configuration, which tells heads where a text ends.
        dtype: of the weights.
        adapter: whether the checkpoint's adapter, if it is one, is merged; False leaves its base as it is.
        new_head: whether a head that the files lack is made, with one output and random weights.

    Raises:
        ValueError: weights are missing, or the adapter was trained for another base.
    """
    config = _config(files, files.checkpoint, tokenizer, new_head=new_head)
    return _read(files, config, dtype, adapter=adapter, new_head=new_head)


def _is_no_report(record: logging.LogRecord) -> bool:
    return "LOAD REPORT" not in record.getMessage()


@contextmanager
def progress_hidden() -> Iterator[None]:
    """Keep transformers from showing how many weights it has read or written, and which are missing, which is judged here."""
    shown, speaker = transformers_logging.is_progress_bar_enabled(), logging.getLogger("transformers.modeling_utils")
    transformers_logging.disable_progress_bar()
    speaker.addFilter(_is_no_report)
    try:
        yield
    finally:
        speaker.removeFilter(_is_no_report)
        if shown:
            transformers_logging.enable_progress_bar()


def _read(files: Files, config, dtype: torch.dtype, *, adapter: bool = True, new_head: bool = False) -> torch.nn.Module:
    checkpoint = files.checkpoint
    scores = checkpoint.head != "vector"
    kind = _KINDS[checkpoint.head]
    with progress_hidden():
        model, report = kind.from_pretrained(
            files.base_folder or files.folder,
            config=config,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    missing = set(report["missing_keys"])
    if files.base_folder and adapter:
        missing -= merge_adapter(model, files.folder)
    if new_head:
        missing = {name for name in missing if name.startswith(model.base_model_prefix) and ".pooler." not in name}
    missing = sorted(name for name in missing if scores or not name.startswith(_UNUSED))
    if missing:
        raise ValueError(
            f"checkpoint {checkpoint.name!r} lacks weights that a {checkpoint.head!r} head needs: {', '.join(missing[:5])}"
            + ("; it is an encoder, not a reranker" if scores else "")
        )
    return model


def _check_dtype(dtype: torch.dtype, device: torch.device, checkpoint: Checkpoint, config) -> None:
    """Refuse int8 for models that it is not made for, before their weights are read; warn of slow bfloat16."""
    if dtype is torch.int8:
        reason = "it scores pairs" if checkpoint.head != "vector" else Bert.refusal(config)
        if reason is not None:
            raise ValueError(
                f"checkpoint {checkpoint.name!r} is not read in int8 ({reason}), which is for BERT encoders; take dtype 'float32'"
            )
    x86 = device.type == "cpu" and platform.machine() in ("x86_64", "AMD64")
    if dtype is torch.bfloat16 and x86 and not torch.cpu._is_avx512_bf16_supported():
        logger.warning("this CPU has no products of bfloat16: %s will be slower than in float32", checkpoint.name)


def _is_causal(model: torch.nn.Module, checkpoint: Checkpoint) -> bool:
    """Whether the loaded model attends causally: what the checkpoint says, or else what a decoder's configuration does."""
    decoder = model.config.model_type in DECODERS
    return bool(checkpoint.causal) or (decoder and getattr(model.config, "is_causal", True) is not False)


def read_tokenizer(files: Files):
    """The checkpoint's tokenizer, with a padding token in any case.

    Raises:
        ValueError: no vocabulary lies there, or none that can be read.
    """
    places = [folder for folder in (files.folder, files.base_folder) if folder is not None]
    holder = next((place for place in places if any((place / name).is_file() for name in _VOCABULARIES)), None)
    if holder is None:  # transformers would make up a tokenizer that knows no word
        raise ValueError(
            f"{places[-1]} holds no tokenizer ({', '.join(_VOCABULARIES)}); the checkpoint is half-written"
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(holder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{holder} holds no tokenizer that can be read ({error}); put tokenizer.json there") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def beginning(tokenizer) -> str:
    """The token that the tokenizer puts before every text, as text; empty where it puts none."""
    begins = tokenizer.bos_token and tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]
    return tokenizer.bos_token if begins else ""


@lru_cache
def dimension(files: Files) -> int:
    """Length of the model's vectors, read from its configuration."""
    return _read_config(files).hidden_size


@lru_cache
def longest_text(files: Files) -> int | None:
    """Tokens that the model has positions for, or None where its configuration does not say."""
    config = _read_config(files)
    positions = getattr(config, "max_position_embeddings", None)
    if positions and config.model_type in _OFFSET_POSITIONS:
        positions -= (config.pad_token_id or 0) + 1
    return positions


def _read_config(files: Files, **options):
    folder = files.base_folder or files.folder
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True, **options)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"{folder}/config.json describes no model that transformers knows without running foreign code: {error}"
        ) from error


def _config(files: Files, checkpoint: Checkpoint, tokenizer, *, new_head: bool = False):
    made_head = checkpoint.head == "score" and (new_head or files.base_folder is not None)
    config = _read_config(files, **({"num_labels": 1} if made_head else {}))
    if checkpoint.head == "score" and config.num_labels != 1:
        raise ValueError(
            f"checkpoint {checkpoint.name!r} gives {config.num_labels} numbers per pair; a reranker gives 1"
        )
    if checkpoint.causal and getattr(config, "is_causal", True) is False:
        logger.warning(
            "%s: config.json says is_causal=false, which makes attention bidirectional; it is made causal, as the checkpoint "
            "was trained (a checkpoint whose `causal` is False keeps it)",
            checkpoint.name,
        )
        config.is_causal = True
    config.pad_token_id = tokenizer.pad_token_id
    return config
