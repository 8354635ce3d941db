"""Options of IDCM's three steps, and what a step starts from (arXiv:2105.09816, section 3.4 and 4.3).

Each step makes a folder from which the next one starts: `pairs` teaches the strong model passages, `documents` teaches it
and the weights of the sum whole documents, `selector` teaches the selector what the strong model, now frozen, says of windows.
"""

from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch

from rader_ir.idcm import CONFIG, STRONG, IDCMConfig, Selector, new_weights, read_config, read_weights
from rader_ir.train.settings import Options, RerankerOptions, check_choice, check_least

STEPS = ("pairs", "documents", "selector")
SELECTOR_LOSSES = ("ndcg2", "ranknet", "cross_entropy", "mse")
RECALL = "recall"  # of the strong model's best windows among those that the selector chooses
_OF_CONFIG = tuple(field.name for field in fields(IDCMConfig) if field.name != "strong")


@dataclass(frozen=True)
class IDCMOptions(Options):
    """Options of `train_idcm`; the defaults are the paper's where it has them.

    `checkpoint` is the strong model, or the folder that an earlier step made, whose settings are kept where none are given
    here. `lora` and its kin are of the strong model, in the first two steps.

    Attributes:
        step: `pairs`, `documents` or `selector`.
        loss: of the selector: `ndcg2` (the paper's), `ranknet`, `cross_entropy` (between the softmaxes) or `mse`.
        negatives: per query; documents of these are what the selector learns from, beside a positive.
        learning_rate, weights_learning_rate, selector_learning_rate: of the strong model, the weights of the sum, the selector.
        measure: of the development set: nDCG@10 or the like; of the selector, `recall`: the share of the strong model's `best`
            windows that are among the selector's `passages`. None takes the one that fits.
        core, overlap, passages, best, missing, ends, projected, channels: as `rader_ir.idcm.IDCMConfig`. None keeps those of the
            folder that a step starts from; from a strong model alone `missing` is `renormalise`, of the step `documents` `zero`.
        max_query_length, max_doc_length: of texts, as there; in the step `pairs` of a pair, as for rerankers.
    """

    step: str = "selector"
    loss: str = "ndcg2"
    batch_size: int = 8
    accumulation: int = 4
    negatives: int = 1
    learning_rate: float = 7e-6
    weights_learning_rate: float = 7e-4
    selector_learning_rate: float = 1e-3
    lora: bool = False
    measure: str | None = None
    core: int | None = None
    overlap: int | None = None
    passages: int | None = None
    best: int | None = None
    missing: str | None = None
    ends: str | None = None
    projected: int | None = None
    channels: int | None = None

    def __post_init__(self):
        super().__post_init__()
        check_choice("step", self.step, STEPS)
        check_choice("loss", self.loss, SELECTOR_LOSSES)
        for name in ("weights_learning_rate", "selector_learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"option {name} is {getattr(self, name)!r}; give a number above 0")
        if self.step != "selector":
            check_least("negatives", self.negatives, 1)
        if self.measure is None:
            object.__setattr__(self, "measure", RECALL if self.step == "selector" else "nDCG@10")
        elif (self.measure == RECALL) != (self.step == "selector"):
            raise ValueError(f"option measure is {self.measure!r}; {RECALL!r} is the selector's, and its only one")
        IDCMConfig("", **self.given())

    def given(self) -> dict:
        """What is given of an IDCM's configuration."""
        return {name: getattr(self, name) for name in _OF_CONFIG if getattr(self, name) is not None}

    def strong(self, checkpoint: str) -> RerankerOptions:
        """The strong model's options: softmax over a positive and one negative is RankNet's loss of the two."""
        shared = {field.name for field in fields(Options)} - {
            "measure",
            "checkpoint",
            "max_query_length",
            "max_doc_length",
        }
        values = {name: getattr(self, name) for name in shared}
        length = self.max_doc_length if self.step == "pairs" else None
        measure = "nDCG@10" if self.step == "selector" else self.measure
        values |= {"negatives": max(1, self.negatives), "measure": measure, "max_doc_length": length}
        return RerankerOptions(checkpoint, **values)


@dataclass(frozen=True)
class Start:
    """What a step starts from: a strong model alone, or the IDCM in `folder`."""

    config: IDCMConfig
    folder: Path | None

    def light(self, dimension: int, seed: int) -> tuple[Selector, torch.Tensor]:
        """The selector and the weights: the folder's, or new ones where it has none of that shape."""
        if self.folder is None:
            return new_weights(self.config, dimension, seed)
        old = read_config(self.folder)
        selector, weights = read_weights(self.folder, old, dimension)
        if (old.projected, old.channels) != (self.config.projected, self.config.channels):
            selector = new_weights(self.config, dimension, seed)[0]
        return selector, weights if old.best == self.config.best else torch.ones(self.config.best)

    def inside(self) -> IDCMConfig:
        """The configuration of a folder that holds the strong model itself."""
        return replace(self.config, strong=STRONG)

    @property
    def strong_inside(self) -> bool:
        """Whether the strong model lies in the folder."""
        return self.folder is not None and self.folder.absolute() in Path(self.config.strong).parents


def start_of(options: IDCMOptions) -> Start:
    """What the options' checkpoint is.

    Raises:
        ValueError: a broken folder, or settings that do not fit each other.
    """
    given, folder = options.given(), Path(options.checkpoint).expanduser()
    if options.step == "pairs":
        given = {name: value for name, value in given.items() if not name.startswith("max_")}
    if (folder / CONFIG).is_file():
        return Start(replace(read_config(folder), **given), folder)
    if options.step != "documents":  # weights that were never learned must not punish documents of few windows
        given.setdefault("missing", "renormalise")
    return Start(IDCMConfig(options.checkpoint, **given), None)
