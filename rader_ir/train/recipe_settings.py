"""Options of the recipes of reasoning rerankers (`rader_ir.train.recipes`): what each run is told, checked when it is made.

No training library is imported here, so that options are printed and wrong ones refused at once.
"""

from dataclasses import dataclass

from rader_ir.train.settings import (
    LORA_TARGETS,
    LOSSES,
    MAIN,
    SCHEDULES,
    RerankerOptions,
    check_choice,
    check_least,
    check_share,
    settle,
)


@dataclass(frozen=True)
class DeAROptions(RerankerOptions):
    """Options of `train_dear`: those of a reranker, with the released run's values as defaults.

    It trained Llama-3.1-8B on 4 devices in steps of 16 queries, each with one negative, and gave a tenth of its steps to the
    warm-up; `k_proj` is not adapted. `max_doc_length` is a pair's: 32 tokens of query, 193 of document, 3 others.

    Attributes:
        loss: `distilled`, DeAR's own (`rader_ir.train.losses`), or one of a reranker's.
        temperature: of `distilled` and `kl`: both the teacher's scores and the model's are divided by it.
        main: of `distilled`: the part beside the soft labels: `softmax`, `ranknet` or `hybrid`.
        alpha: of `distilled`: the weight of the soft labels.
    """

    epochs: int = 2
    batch_size: int = 4
    accumulation: int = 4
    negatives: int = 1
    lora_rank: int = 32
    lora_targets: tuple[str, ...] = ("q_proj", "v_proj", "o_proj", "down_proj", "up_proj", "gate_proj")
    loss: str = "distilled"
    temperature: float = 2.0
    main: str = "softmax"
    alpha: float = 0.1

    allowed = (*LOSSES, "distilled")

    def __post_init__(self):
        super().__post_init__()
        check_choice("main", self.main, MAIN)
        check_share("alpha", self.alpha)


@dataclass(frozen=True)
class ProRankOptions(RerankerOptions):
    """Options of `train_prorank`: those of a reranker.

    Attributes:
        prompt: a TOML file of your own wording, laid out as `prompts/prorank.toml`; None takes the checkpoint's, else ours. The
            folder carries it.
        max_doc_length: tokens of prompt, query and document together; None takes 1024, or a judge's own length.
    """

    prompt: str | None = None


@dataclass(frozen=True)
class LanguageModelOptions:
    """What all trainings of a language model by what it writes share.

    Attributes:
        checkpoint, revision: the language model that training starts from.
        accumulation: forward passes per optimizer step.
        learning_rate, schedule, warmup_steps, weight_decay, max_grad_norm: AdamW's and its schedule's.
        lora, lora_rank, lora_alpha, lora_dropout, lora_targets, gradient_checkpointing: as `Options`.
        save_steps: optimizer steps between states to resume from; None takes a tenth of the run.
        seed: of orders, new weights and what is drawn.
    """

    checkpoint: str
    revision: str | None = None
    accumulation: int = 1
    learning_rate: float = 1e-5
    schedule: str = "constant"
    warmup_steps: int = 0
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    lora: bool = True
    lora_rank: int = 16
    lora_alpha: float = 32
    lora_dropout: float = 0.05
    lora_targets: tuple[str, ...] = LORA_TARGETS
    gradient_checkpointing: bool = True
    save_steps: int | None = None
    seed: int = 0

    def __post_init__(self):
        settle(self)
        for name in ("accumulation", "lora_rank"):
            check_least(name, getattr(self, name), 1)
        for name in ("warmup_steps", "weight_decay", "max_grad_norm", "seed"):
            check_least(name, getattr(self, name), 0)
        for name in ("learning_rate", "lora_alpha"):
            self._check_above_0(name)
        check_share("lora_dropout", self.lora_dropout)
        check_choice("schedule", self.schedule, SCHEDULES)

    def _check_above_0(self, name: str) -> None:
        if not getattr(self, name) > 0:
            raise ValueError(f"option {name} is {getattr(self, name)!r}; give a number above 0")


@dataclass(frozen=True)
class GRPOOptions(LanguageModelOptions):
    """Options of learning by rewards.

    Attributes:
        steps: of the optimizer.
        prompts: in one forward pass on each device.
        group: answers drawn to each prompt.
        draw_temperature: at which answers are drawn.
        beta: weight of the divergence from the model that training began with; 0 keeps no such model.
        epsilon: how far a token's probability may move in one step before its gradient is cut.
        loss_type: how tokens are averaged, in trl's words: `grpo` (in each answer), `dapo`, `dr_grpo` and so on.
        scale_rewards: `group`, `batch` or `none`: over what rewards are divided by their deviation.
        max_tokens: of an answer.
        max_length: tokens of a prompt; passages are cut to it.
    """

    steps: int = 200
    prompts: int = 8
    group: int = 8
    draw_temperature: float = 1.0
    beta: float = 0.04
    epsilon: float = 0.2
    loss_type: str = "grpo"
    scale_rewards: str = "group"
    max_tokens: int = 4
    max_length: int = 1024

    def __post_init__(self):
        super().__post_init__()
        for name in ("steps", "prompts", "max_tokens"):
            check_least(name, getattr(self, name), 1)
        check_least("group", self.group, 2)
        check_least("max_length", self.max_length, 16)
        check_least("beta", self.beta, 0)
        for name in ("draw_temperature", "epsilon"):
            self._check_above_0(name)
        check_choice("scale_rewards", self.scale_rewards, ("group", "batch", "none"))

    @property
    def asked(self) -> int:
        """Prompts of the whole run on one device."""
        return self.steps * self.prompts * self.accumulation


@dataclass(frozen=True)
class WarmupOptions(GRPOOptions):
    """Options of stage 1 (`warm_up_prorank`).

    Attributes:
        prompt: as `ProRankOptions`.
        format_weight, relevance_weight: of the two rewards; the paper does not tell them.
    """

    prompt: str | None = None
    format_weight: float = 0.5
    relevance_weight: float = 1.0


@dataclass(frozen=True)
class RankR1Options(GRPOOptions):
    """Options of `train_rank_r1`; defaults are those of the released v0.1 checkpoints as far as they are told.

    Attributes:
        prompt: a TOML file of your own wording, laid out as `prompts/rank_r1.toml`; None takes ours. The folder does not carry
            it: give the same file to `RankR1`.
        negatives: passages beside the positive, at most; an example with fewer gives all that it has.
        passage_words, query_words: kept of a passage and of a query.
    """

    prompts: int = 2
    group: int = 8
    max_tokens: int = 2048
    max_length: int = 4096
    draw_temperature: float = 0.9
    prompt: str | None = None
    negatives: int = 19
    passage_words: int = 400
    query_words: int = 32


@dataclass(frozen=True)
class SFTOptions(LanguageModelOptions):
    """Options of learning from given answers; the defaults of numbers are those of DeAR's listwise run, but for its 50 epochs.

    Attributes:
        epochs, max_steps: passes over the data, and steps after which to stop all the same.
        batch_size: answers of one forward pass on each device.
        max_length: tokens of a prompt and its answer; longer ones are left out. The released run cut them at 5,000.
        prompt: a TOML file of your own wording, laid out as `prompts/dear.toml` (or `prompts/rankgpt.toml` for labels).
        passage_words, query_words: kept of a passage and of a query.
        negatives: of a label's prompt, at most.
    """

    accumulation: int = 4
    learning_rate: float = 1e-4
    schedule: str = "cosine"
    warmup_steps: int = 28
    epochs: int = 1
    max_steps: int | None = None
    batch_size: int = 2
    max_length: int = 12288
    prompt: str | None = None
    passage_words: int = 300
    query_words: int = 512
    negatives: int = 19

    def __post_init__(self):
        super().__post_init__()
        for name in ("epochs", "batch_size", "passage_words", "query_words", "negatives"):
            check_least(name, getattr(self, name), 1)


# By what `rader train` calls a recipe
OPTIONS = {
    "dear": DeAROptions,
    "prorank": ProRankOptions,
    "prorank-grpo": WarmupOptions,
    "rank-r1": RankR1Options,
    "rank-r1-sft": SFTOptions,
    "sft-listwise": SFTOptions,
}
