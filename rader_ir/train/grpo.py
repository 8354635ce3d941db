"""GRPO: a language model learns by the rewards of what it writes itself (Shao et al., arXiv:2402.03300, section 4.1).

Several answers are drawn to each prompt; what is above the mean of its group becomes likelier. The trainer is trl's, of whose
options every one that decides something is set here, since its defaults changed between releases (the loss to `dapo`, beta to 0).
What writes the answers can be replaced (`rollout`), and nothing here knows what is asked or rewarded (`rader_ir.train.prorank`,
`rader_ir.train.rank_r1`).
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from rader_ir import loading
from rader_ir.train.folder import RunFolder
from rader_ir.train.language_models import WholeStates, trained
from rader_ir.train.models import Base, lora_config
from rader_ir.train.recipe_settings import GRPOOptions
from rader_ir.train.runtime import open_together

Reward = Callable[[Sequence[str], Sequence[str]], list[float]]  # what was written, and each one's label


@dataclass(frozen=True)
class Task:
    """One prompt, as the text that the model reads, and what a right answer is."""

    prompt: str
    label: str


class _Trainer(WholeStates, GRPOTrainer):
    """trl's, with states that appear whole."""


def arguments(options: GRPOOptions, run: RunFolder) -> GRPOConfig:
    """trl's arguments for `options`; nothing that decides the result is left to a default."""
    cuda = torch.cuda.is_available()
    return GRPOConfig(
        output_dir=str(run.states),
        max_steps=options.steps,
        per_device_train_batch_size=options.prompts * options.group,
        gradient_accumulation_steps=options.accumulation,
        num_generations=options.group,
        num_iterations=1,
        max_completion_length=options.max_tokens,
        temperature=options.draw_temperature,
        top_p=1.0,
        top_k=0,
        min_p=None,
        repetition_penalty=1.0,
        generation_kwargs={"do_sample": True},
        beta=options.beta,
        epsilon=options.epsilon,
        epsilon_high=None,
        delta=None,
        loss_type=options.loss_type,
        scale_rewards=options.scale_rewards,
        importance_sampling_level="token",
        multi_objective_aggregation="sum_then_normalize",
        mask_truncated_completions=False,
        sync_ref_model=False,
        top_entropy_quantile=1.0,
        entropy_coef=0.0,
        disable_dropout=False,
        shuffle_dataset=False,  # prompts come in our order
        learning_rate=options.learning_rate,
        lr_scheduler_type=options.schedule,
        warmup_steps=options.warmup_steps,
        weight_decay=options.weight_decay,
        max_grad_norm=options.max_grad_norm,
        gradient_checkpointing=options.gradient_checkpointing,
        use_vllm=False,
        bf16=cuda and torch.cuda.is_bf16_supported(),
        use_cpu=not torch.accelerator.is_available(),
        seed=options.seed,
        save_steps=options.save_steps or max(1, options.steps // 10),
        logging_steps=1,
        remove_unused_columns=False,
        report_to=[],
        disable_tqdm=True,
    )


def train_grpo(
    options: GRPOOptions,
    *,
    base: Base,
    tasks: Sequence[Task],
    reward: Reward,
    out: str | os.PathLike,
    facts: Mapping[str, object],
    rollout: Callable | None = None,
    judge: bool = False,
) -> Path:
    """Train a language model by rewards and write it as a plain one, an adapter merged.

    A run that was killed goes on from its last state when it is called again.

    Args:
        options: of the training.
        base: what it starts from.
        tasks: in the order in which they are asked, from the first again when they are used up.
        reward: of answers.
        out: the folder to make; while training it is `out`.unfinished.
        facts: what the run is known by beside its options: hashes of data and wording.
        rollout: writes the answers in place of the model's own drawing: takes prompts and trl's trainer, gives
            `prompt_ids`, `completion_ids` and `logprobs`, one for each prompt it was given.
        judge: whether the folder's `rader_config.json` says how it scores pairs (ProRank).

    Returns:
        The folder; `training/log.jsonl` in it has each step's mean reward.

    Raises:
        ValueError: no tasks.
        FileExistsError: `out` exists, or an unfinished run of other options or data.
    """
    if not tasks:
        raise ValueError("there are no tasks to train on; give examples with a positive and a negative each")
    told = {**asdict(options), "lora_targets": list(options.lora_targets)}
    run = open_together(out, {"kind": "grpo", "options": told, "weights": base.files.weights_id, **facts})
    torch.manual_seed(options.seed)
    model = loading.read_model(base.files, base.tokenizer, torch.float32)
    model.generation_config = type(model.generation_config)(eos_token_id=model.generation_config.eos_token_id)

    def rewarded(completions, label, **_) -> list[float]:
        return reward(completions, label)

    trainer = _Trainer(
        run=run,
        model=model,
        args=arguments(options, run),
        reward_funcs=rewarded,
        train_dataset=Dataset.from_list([asdict(task) for task in tasks]),
        processing_class=base.tokenizer,
        peft_config=lora_config(model, base, options) if options.lora else None,
        rollout_func=rollout,
    )
    return trained(trainer, run, base, merged=options.lora, judge=judge)
