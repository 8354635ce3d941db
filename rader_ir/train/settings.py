"""Options of training, with RaDeR's values as defaults (arXiv:2505.18405, Table 10), and the TOML files that hold them.

An option set is frozen and checks itself when it is made, so that a wrong value is told before a model is loaded. A run's card
keeps all of them, and a run that is resumed must have the same ones.
"""

import difflib
import tomllib
import types
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

from rader_ir.checkpoints import check_length

# The layers that RaDeR adapts; where a model has none of these names (BERT), every linear layer of its blocks is adapted
LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
SCHEDULES = ("linear", "cosine", "constant_with_warmup", "constant")
PRECISIONS = ("float32", "bfloat16")
TAUGHT = ("kl", "margin_mse", "ranknet", "distilled")  # losses that learn from the scores of a teacher
MAIN = ("softmax", "ranknet", "hybrid")  # of the loss `distilled`, beside the soft labels
LOSSES = ("softmax", "kl", "margin_mse", "ranknet", "preference", "bce")


@dataclass(frozen=True)
class Options:
    """What both kinds of training are told.

    Attributes:
        checkpoint: what training starts from: a name, a folder or a hub id; a LoRA adapter is trained on.
        revision: of the hub repository.
        forms: `rader`, `tevatron` or `plain`, in place of the checkpoint's own forms.
        epochs: passes over the examples.
        max_steps: optimizer steps after which to stop all the same; None for no bound. The schedule ends there too.
        batch_size: queries of one forward pass, over all devices together.
        accumulation: forward passes per optimizer step.
        shares: {source: part of its examples that an epoch takes}, 1 for those that are not named (`provenance["source"]` of
            an example names its source). The next epoch takes others.
        negatives: per query; an example that has fewer gives them in turn.
        learning_rate, schedule, warmup_steps, weight_decay, max_grad_norm: AdamW's and its schedule's.
        lora: whether an adapter is trained, or (False) all weights.
        lora_rank, lora_alpha, lora_dropout, lora_targets: the adapter's; a change weighs alpha / rank. RaDeR's rank is not
            stated; 16 is what Tevatron has had since February 2025.
        dropout: of the checkpoint's own layers; None leaves what its configuration says (0.1 in BERT, 0 in Qwen2).
        precision: `bfloat16` or `float32` arithmetic; None takes bfloat16 on CUDA devices that have it. Weights that are
            trained stay in float32.
        gradient_checkpointing: compute activations anew in the backward pass; slower, in much less memory.
        max_query_length, max_doc_length: tokens; None takes 512 and 3900, or the checkpoint's own where these are fewer.
        seed: of the examples' order, their negatives, new weights and dropout.
        eval_steps: optimizer steps between measurements of the development set; None takes a tenth of the run, and at
            least five.
        save_steps: optimizer steps between states to resume from; None takes `eval_steps`.
        log_steps: optimizer steps between lines of the log; the first and the last step have one in any case.
        measure: what is measured, by its name in ir-measures.
        patience: measurements without a better one before training stops; None never stops early.
        merged: whether the finished folder holds merged weights, or (False) the adapter alone. Plain transformers reads an
            adapter as its base's configuration says, so one over a base with is_causal=false wants to be merged.
        workers: processes that tokenise ahead; 0 tokenises between steps.
    """

    checkpoint: str
    revision: str | None = None
    forms: str | None = None
    epochs: int = 1
    max_steps: int | None = None
    batch_size: int = 64
    accumulation: int = 1
    shares: Mapping[str, float] | None = None
    negatives: int = 11
    learning_rate: float = 1e-4
    schedule: str = "linear"
    warmup_steps: int = 28
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    lora: bool = True
    lora_rank: int = 16
    lora_alpha: float = 64
    lora_dropout: float = 0.1
    lora_targets: tuple[str, ...] = LORA_TARGETS
    dropout: float | None = None
    precision: str | None = None
    gradient_checkpointing: bool = True
    max_query_length: int | None = None
    max_doc_length: int | None = None
    seed: int = 0
    eval_steps: int | None = None
    save_steps: int | None = None
    log_steps: int = 10
    measure: str = "nDCG@10"
    patience: int | None = None
    merged: bool = True
    workers: int = 0

    def __post_init__(self):
        settle(self)
        self._check_numbers()
        for name, allowed in (("schedule", SCHEDULES), ("precision", (*PRECISIONS, None))):
            check_choice(name, getattr(self, name), allowed)
        for name in ("max_query_length", "max_doc_length"):
            if getattr(self, name) is not None:
                check_length(getattr(self, name), name)

    def _check_numbers(self):
        for name in ("epochs", "batch_size", "accumulation", "lora_rank", "log_steps"):
            check_least(name, getattr(self, name), 1)
        for name in ("max_steps", "eval_steps", "save_steps", "patience"):
            if getattr(self, name) is not None:
                check_least(name, getattr(self, name), 1)
        for name in ("negatives", "warmup_steps", "weight_decay", "max_grad_norm", "workers", "seed"):
            check_least(name, getattr(self, name), 0)
        for name in ("learning_rate", "lora_alpha"):
            if not getattr(self, name) > 0:
                raise ValueError(f"option {name} is {getattr(self, name)!r}; give a number above 0")
        for name in ("lora_dropout", "dropout"):
            if not 0 <= (getattr(self, name) or 0) < 1:
                raise ValueError(f"option {name} is {getattr(self, name)!r}; give a share, 0 or more and less than 1")
        for name, share in (self.shares or {}).items():
            if not 0 < share <= 1:
                raise ValueError(f"option shares gives {name!r} {share!r}; give a number above 0 and at most 1")

    def told(self) -> dict:
        """All options as plain values, for the run card."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


@dataclass(frozen=True)
class RetrieverOptions(Options):
    """Options of `train_retriever`.

    Attributes:
        temperature: cosines are divided by it in InfoNCE.
        piece_size: texts that are read at once; a batch is cut into such pieces, whose activations never live together
            (GradCache, arXiv:2101.06983), so that `batch_size` costs time and no memory. None reads a batch whole, in two
            thirds of the time. RaDeR's batches were 4 queries, gathered over two GPUs, accumulated 16 times: 47 negatives
            per query where the defaults give 767. 0 is None in a file, which cannot say None.
        memory: whether every document of an example's source is a candidate, as it was when it was read last
            (`rader_ir.train.memory`). Batches then hold queries of one source, are read whole, and train on one device.
        label_weight: with `memory`, the share of a query's target that its positives have; the rest follows the scores of its
            passages, as far as they have any (soft labels).
        interpolation: how far the checkpoint goes from its base's weights to the trained ones, which 1 takes
            (`rader_ir.train.interpolation`); measurements are of what it holds. With `lora` only.
        query_form, doc_form: how texts are written, in place of the checkpoint's; `{text}` comes last.
    """

    temperature: float = 0.01
    piece_size: int | None = 16
    memory: bool = False
    label_weight: float = 1.0
    interpolation: float = 1.0
    query_form: str | None = None
    doc_form: str | None = None

    def __post_init__(self):
        super().__post_init__()
        if not self.temperature > 0:
            raise ValueError(f"option temperature is {self.temperature!r}; give a number above 0, such as 0.01")
        if self.piece_size is not None:
            check_least("piece_size", self.piece_size, 0)
            object.__setattr__(self, "piece_size", self.piece_size or None)
        check_share("label_weight", self.label_weight)
        if self.label_weight < 1 and not self.memory:
            raise ValueError(
                f"option label_weight is {self.label_weight!r}; a retriever learns from scores with memory = true only"
            )
        check_share("interpolation", self.interpolation)
        if self.interpolation < 1 and not self.lora:
            raise ValueError(f"option interpolation is {self.interpolation!r}; less than 1 needs lora = true")


@dataclass(frozen=True)
class RerankerOptions(Options):
    """Options of `train_reranker`; `batch_size` counts queries, each with its group of 1 + `negatives` candidates.

    `max_doc_length` is the length of a pair, of which a query takes three quarters at most; `max_query_length` has no meaning
    here. Groups share nothing, so how the queries of a step are cut into `batch_size` times `accumulation` changes memory and
    nothing else; the defaults make RaDeR's 64.

    Attributes:
        pair_form: how a pair is written, in place of the checkpoint's.
        loss: `softmax` (cross-entropy over a query's own candidates), `preference` (the positive before each negative), `bce`
            (each candidate by itself), or one that learns from the scores of the passages: `kl` (soft labels), `margin_mse` or
            `ranknet` (see `rader_ir.train.losses`).
        temperature: of `kl`: both the teacher's scores and the model's are divided by it.
        label_weight: of `kl`: the share of a group's target that its positive has; the rest follows the teacher.
    """

    batch_size: int = 4
    accumulation: int = 16
    pair_form: str | None = None
    loss: str = "softmax"
    temperature: float = 1.0
    label_weight: float = 0.0

    allowed = LOSSES  # of `loss`; no option itself

    def __post_init__(self):
        super().__post_init__()
        check_choice("loss", self.loss, self.allowed)
        check_least("negatives", self.negatives, 1)
        if not self.temperature > 0:
            raise ValueError(f"option temperature is {self.temperature!r}; give a number above 0, such as 1")
        check_share("label_weight", self.label_weight)
        for name, unset, own in _OF_LOSSES:
            if getattr(self, name) != unset and self.loss not in own:
                raise ValueError(
                    f"option {name} is {getattr(self, name)!r}, and loss {self.loss!r} has none; it is of loss {own[0]!r}"
                )
        if self.max_query_length is not None:
            raise ValueError(
                "option max_query_length is given, and a reranker has none; max_doc_length is for query and document together"
            )


# By option, the value that says nothing and the losses that it is of
_OF_LOSSES = (("temperature", 1, ("kl", "distilled")), ("label_weight", 0, ("kl",)))

KINDS = {"retriever": RetrieverOptions, "reranker": RerankerOptions}


@dataclass(frozen=True)
class Data:
    """The table `[data]` of a configuration: where examples come from and where the checkpoint goes.

    Attributes:
        examples: files of training examples (JSONL, .gz).
        out: the folder to make.
        dev: files of development examples; None measures nothing, unless `dev_fraction` does.
        dev_fraction: share of the training queries that is held out for development instead, by the seed.
        dev_docs: a file of further documents among which development queries look for their positives.
        margin: a negative of a training example goes whose score reaches its best positive's minus this; None: none goes.
            Negatives that state what a positive states go in any case.
    """

    examples: tuple[str, ...]
    out: str | None = None
    dev: tuple[str, ...] | None = None
    dev_fraction: float = 0.0
    dev_docs: str | None = None
    margin: float | None = None

    def __post_init__(self):
        for name, kind in get_type_hints(type(self)).items():
            object.__setattr__(self, name, _as(getattr(self, name), kind, f"data.{name}"))
        if not self.examples:
            raise ValueError("option data.examples is empty; name a file of examples")
        if not 0 <= self.dev_fraction < 1:
            raise ValueError(
                f"option data.dev_fraction is {self.dev_fraction!r}; give a share, 0 or more and less than 1"
            )
        if self.margin is not None:
            check_least("data.margin", self.margin, 0)
        if self.dev and self.dev_fraction:
            raise ValueError("options data.dev and data.dev_fraction are both given; keep one")


def from_toml(path: str | Path, kind: str | type[Options]) -> tuple[Options, Data]:
    """The options and the data of a configuration file; file names in it are taken from the folder that it lies in.

    Args:
        path: a TOML file: options at its top, a table `[data]`.
        kind: `retriever` or `reranker`, or the class of another recipe's options.

    Raises:
        ValueError: no TOML, an unknown option, or a wrong value; the file is named.
        OSError: no such file.
    """
    path = Path(path)
    if isinstance(kind, str):
        check_choice("kind", kind, tuple(KINDS))
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path} of options; write one, as the README shows")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        data = table.pop("data", None)
        if not isinstance(data, dict):
            raise ValueError("it has no table [data]; give one with `examples` and `out`")
        if table.get("memory") is True and table.get("piece_size"):
            raise ValueError(
                "options memory and piece_size are both given; with memory batches are read whole, keep one"
            )
        if isinstance(table.get("prompt"), str):
            table["prompt"] = str(path.parent / Path(table["prompt"]).expanduser())
        return make(KINDS.get(kind, kind), table), _placed(make(Data, data), path.parent)
    except ValueError as error:  # TOML's errors are among them
        raise ValueError(f"{path}: {error}") from error


def make(kind: type, values: Mapping):
    """The option set `kind` with `values`.

    Raises:
        ValueError: an option that it does not have, one that it needs, or a wrong value.
    """
    known = [field.name for field in fields(kind)]
    for name in values:
        if name not in known:
            _refuse_stranger(name, kind)
            close = difflib.get_close_matches(name, known, n=1)
            advice = f"do you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
            raise ValueError(f"option {name!r} is unknown; {advice}")
    needed = [field.name for field in fields(kind) if field.default is MISSING]
    if missing := [name for name in needed if name not in values]:
        place = "in the table [data]" if kind is Data else "above all tables"
        raise ValueError(f"an option is missing: {missing[0]!r}, {place}")
    return kind(**values)


def _refuse_stranger(name: str, kind: type) -> None:
    """Say of an option that `kind` lacks whose it is, where it is of another kind or of the other place of a file."""
    owners = [other for other, of in KINDS.items() if of is not kind and name in {field.name for field in fields(of)}]
    if kind is Data and owners:
        raise ValueError(f"option {name!r} has no place in the table [data]; put it above all tables")
    if kind is not Data and name in {field.name for field in fields(Data)}:
        raise ValueError(f"option {name!r} is of the table [data]; put it there")
    if owners:
        raise ValueError(f"option {name!r} is of {owners[0]}s only; leave it out")


def settle(options) -> None:
    """Give each option of a frozen set its declared type: whole numbers pass as fractions, a single text as a list of one.

    Raises:
        ValueError: a value of another type.
    """
    for name, kind in get_type_hints(type(options)).items():
        object.__setattr__(options, name, _as(getattr(options, name), kind, name))


def check_choice(name: str, value, allowed: tuple) -> None:
    """Raise ValueError unless `value` of the option `name` is among `allowed`."""
    if value not in allowed:
        raise ValueError(f"option {name} is {value!r}; choose {', '.join(repr(each) for each in allowed if each)}")


def check_least(name: str, value: float, least: float) -> None:
    """Raise ValueError unless `value` of the option `name` is `least` or more."""
    if not value >= least:
        raise ValueError(f"option {name} is {value!r}; give {least} or more")


def check_share(name: str, value: float) -> None:
    """Raise ValueError unless `value` of the option `name` is a share of the whole."""
    if not 0 <= value <= 1:
        raise ValueError(f"option {name} is {value!r}; give a share, from 0 to 1")


def _placed(data: Data, folder: Path) -> Data:
    def place(name: str | None) -> str | None:
        return None if name is None else str(folder / Path(name).expanduser())

    lists = {key: tuple(map(place, getattr(data, key))) for key in ("examples", "dev") if getattr(data, key)}
    return Data(**{**asdict(data), **lists, "out": place(data.out), "dev_docs": place(data.dev_docs)})


def _as(value, kind, name: str):
    """`value` as the type `kind`: whole numbers pass as fractions, a single text as a list of one."""
    choices = get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    if value is None and type(None) in choices:
        return None
    kind = next(choice for choice in choices if choice is not type(None))
    if get_origin(kind) is Mapping:
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            return {key: _as(each, get_args(kind)[1], f"{name}.{key}") for key, each in value.items()}
        raise ValueError(f"option {name} is {value!r}; give a table of names and numbers")
    if get_origin(kind) is tuple:
        texts = [value] if isinstance(value, str) else value
        if isinstance(texts, list | tuple) and all(isinstance(text, str) for text in texts):
            return tuple(texts)
    elif kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    raise ValueError(f"option {name} is {value!r}; give {words.get(kind, 'a list of texts')}")
