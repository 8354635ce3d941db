"""What the recipes of reasoning rerankers learn, on models of 30,000 weights: `python -m tests.benchmarks.reasoning_training`.

The models are two-layer ones with random weights; what they learn is in `tests/field_lessons.py`. Shares are of 30 queries whose
words never stood together in what was learned from, which is checked; beside them, the same share on what was learned from.
ProRank's first stage is told by the mean reward of its first and last four steps (1.5 at most, 1 for a digit at random) and by
what it then writes; the second by how often the right one of five documents is first; DeAR's stage by its loss and by the same
share; Rank-R1 by the share of right labels; IDCM's selector by the share of its teacher's best 3 windows of 12 among 4 chosen.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from rader_ir.examples import Example
from rader_ir.prompts import load_prompts
from rader_ir.rerank.dear import DeARPointwise
from rader_ir.rerank.prorank import ProRank
from rader_ir.train.dear import DeAROptions, train_dear
from rader_ir.train.language_models import language_model, read_log, rendered
from rader_ir.train.prorank import ProRankOptions, WarmupOptions, train_prorank, warm_up_prorank
from rader_ir.train.rank_r1 import RankR1Options, choices, train_rank_r1
from rader_ir.train.rewards import rank_r1_reward
from rader_ir.train.sft import Lesson, SFTOptions, label_lessons, train_labels, train_sft
from tests import tiny
from tests.field_lessons import TOPICS, digits_written, first_right, learned_fields, new_fields, signs_right, written
from tests.window_lessons import windows_found

STEPS = 96
LEARNED = 72
ANSWER = "<think>a</think><answer>{}</answer>"
SCORED = dict(accumulation=1, batch_size=8, negatives=4, warmup_steps=0, log_steps=1, lora_dropout=0.0)
SCORED |= dict(gradient_checkpointing=False)
REWARDED = dict(lora=False, beta=0.0, gradient_checkpointing=False)
TOLD = dict(batch_size=8, accumulation=1, warmup_steps=0, lora=False, gradient_checkpointing=False)
TOLD |= dict(schedule="constant", learning_rate=5e-3)


class Row(NamedTuple):
    """A figure before and after training, and after it on what was learned from where that can be told."""

    what: str
    before: float
    after: float
    learned: float | None = None


def stage_one(place: Path) -> Iterable[Row]:
    """ProRank's rewards. At twice this learning rate only the form is learned: the answers of a group become one."""
    folder, prompt, learned, held = _judge(place)
    sizes = dict(steps=STEPS, prompts=8, group=16, max_tokens=1, max_length=256, save_steps=STEPS)
    given = WarmupOptions(str(folder), prompt=prompt, learning_rate=5e-3, **sizes, **REWARDED)
    made = warm_up_prorank(given, examples=learned, out=place / "warm")
    rewards = read_log(made, "reward")
    yield Row("ProRank stage 1 (GRPO), mean reward", np.mean(rewards[:4]), np.mean(rewards[-4:]))
    signs = [
        signs_right(ProRank(folder, prompt=prompt), held),
        *(signs_right(ProRank(made), e) for e in (held, learned)),
    ]
    yield Row("ProRank stage 1, the right digit is the likelier one", *signs)
    before, after, known = (
        digits_written(folder, held, prompt),
        digits_written(made, held),
        digits_written(made, learned),
    )
    yield Row("ProRank stage 1, a digit is written", before[0], after[0], known[0])
    yield Row("ProRank stage 1, the right digit is written", before[1], after[1], known[1])


def stage_two(place: Path) -> Iterable[Row]:
    """ProRank's scores, from random weights."""
    folder, prompt, learned, held = _judge(place)
    given = ProRankOptions(str(folder), prompt=prompt, epochs=8, lora=False, learning_rate=3e-3, **SCORED)
    before = first_right(ProRank(folder, prompt=prompt), held)
    made = ProRank(train_prorank(given, examples=learned, out=place / "prorank"))
    yield Row(
        "ProRank stage 2, the right one of five first", before, first_right(made, held), first_right(made, learned)
    )


def dear(place: Path) -> Iterable[Row]:
    """DeAR's pointwise stage; untrained is a step that moves nothing, for the head is new."""
    learned = learned_fields(LEARNED)
    held = new_fields(learned)
    given = DeAROptions(str(tiny.llama(place / "llama")), epochs=8, learning_rate=1e-2, **SCORED)
    still = replace(given, max_steps=1, learning_rate=1e-9)
    untrained = DeARPointwise(train_dear(still, examples=learned, out=place / "untrained"))
    folder = train_dear(given, examples=learned, out=place / "dear")
    losses, made = read_log(folder, "loss"), DeARPointwise(folder)
    yield Row("DeAR, loss", losses[0], losses[-1])
    shares = first_right(untrained, held), first_right(made, held), first_right(made, learned)
    yield Row("DeAR, the right one of five first", *shares)


def labels(place: Path, shown: int = 5) -> Iterable[Row]:
    """Rank-R1's twin, from labels alone: each example in four orders of its passages."""
    folder, prompt, learned, held = _chooser(place, shown)
    given = SFTOptions(str(folder), prompt=prompt, epochs=10, **TOLD)
    many = [replace(e, query_id=f"{e.query_id} {i}") for i in range(4) for e in learned]
    made = train_labels(given, examples=many, out=place / "labels")

    def share(model: Path, examples: Sequence[Example]) -> float:
        asked = label_lessons(examples, language_model(str(model)), given)
        replies = written(model, [lesson.prompt for lesson in asked], 5)
        return float(np.mean([reply == lesson.completion for reply, lesson in zip(replies, asked, strict=True)]))

    shares = share(folder, held), share(made, held), share(made, learned)
    yield Row(f"Rank-R1's labels (SFT), the right one of {shown}", *shares)


def rank_r1(place: Path, shown: int) -> Iterable[Row]:
    """Rank-R1's rewards, for a model that was told the form before: an answer after a thought, its labels taking turns."""
    folder, prompt, learned, held = _chooser(place, shown)
    base = language_model(str(folder))

    def asked(examples: Sequence[Example], passes: int, seed: int = 0) -> list[tuple[str, str]]:
        wording = load_prompts(prompt, name="rank_r1")["choose"]
        sizes = dict(count=passes * len(examples), negatives=shown - 1, passage_words=50, query_words=30)
        made = choices(examples, wording, special=base.tokenizer.all_special_tokens, seed=seed, **sizes)
        return [(rendered(choice.messages, base.tokenizer), choice.label) for choice in made]

    def share(model: Path, examples: Sequence[Example]) -> float:
        prompts, right = zip(*asked(examples, 2), strict=True)
        return float(np.mean(rank_r1_reward(written(model, prompts, 30), right)))

    forms = [Lesson(text, ANSWER.format(f"[{1 + i % shown}]")) for i, (text, _) in enumerate(asked(learned, 2, seed=1))]
    told = SFTOptions(str(folder), epochs=4, **TOLD)
    formed = train_sft(told, base=base, lessons=forms, out=place / "formed", facts={"kind": "labels"})
    sizes = dict(steps=STEPS, prompts=8, group=8, max_tokens=30, max_length=300, save_steps=STEPS)
    given = RankR1Options(str(formed), prompt=prompt, learning_rate=2e-3, **sizes, **REWARDED)
    made = train_rank_r1(given, examples=learned, out=place / "rank-r1")
    rewards = read_log(made, "reward")
    yield Row(f"Rank-R1 (GRPO), mean reward, {shown} passages", np.mean(rewards[:4]), np.mean(rewards[-4:]))
    shares = share(formed, held), share(made, held), share(made, learned)
    yield Row(f"Rank-R1 (GRPO), a thought and the right label of {shown}", *shares)


def _judge(place: Path) -> tuple[Path, str, list[Example], list[Example]]:
    """A model that writes, a short wording for ProRank, and examples to learn from and to measure on."""
    prompt = place / "judge.toml"
    prompt.write_text("[judge]\nmax_tokens = 1\nuser = 'query: {query} document: {document}'\n", encoding="utf-8")
    learned = learned_fields(LEARNED)
    return tiny.qwen2_chat(place / "model", initializer_range=0.02), str(prompt), learned, new_fields(learned)


def _chooser(place: Path, shown: int) -> tuple[Path, str, list[Example], list[Example]]:
    """As `_judge`, with a wording that asks for one of so many passages."""
    prompt = place / "choose.toml"
    prompt.write_text("[choose]\nmax_tokens = 40\nuser = '{query} {passages}'\n", encoding="utf-8")
    learned = learned_fields(LEARNED, TOPICS[:shown])
    held = new_fields(learned, TOPICS[:shown])
    return tiny.qwen2_chat(place / "model", max_position_embeddings=1024), str(prompt), learned, held


def windows(place: Path, loss: str) -> Iterable[Row]:
    """IDCM's selector."""
    yield Row(f"IDCM, {loss}: the teacher's best 3 windows of 12 among 4", *windows_found(loss, place / loss))


def main() -> None:
    """Print a Markdown table."""
    lessons = [stage_one, stage_two, dear, labels]
    lessons += [lambda place, shown=shown: rank_r1(place, shown) for shown in (2, 5)]
    lessons += [lambda place, loss=loss: windows(place, loss) for loss in ("ndcg2", "ranknet", "cross_entropy")]
    print("| what | before | after | after, learned from | seconds |\n| --- | --- | --- | --- | --- |")
    for lesson in lessons:
        start = time.perf_counter()
        with TemporaryDirectory() as scratch:
            rows = list(lesson(Path(scratch)))
        seconds = time.perf_counter() - start
        for what, before, after, learned in rows:
            known = "-" if learned is None else f"{learned:.3f}"
            print(f"| {what} | {before:.3f} | {after:.3f} | {known} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
