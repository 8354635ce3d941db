"""Training steps: `rader train retriever` against bare torch loops of the same step, and against Tevatron's recipe.

    python -m tests.benchmarks.training [--quick] [--json FILE]

All ways train a LoRA adapter on all-MiniLM-L6-v2 from the same weights on the same batches, and tokenise them themselves.
Examples are GSM8K's questions with their solutions, other questions' solutions as negatives, from the folder `shared` beside the
repository; where that is missing, TheoremQA's questions and theorems. A bare loop is what one would write by hand: no trainer, no
callbacks, no log, AdamW with clipping and a linear schedule. Tevatron's package of PyPI (0.1.0, of 2022) does not import beside
transformers 5, so its recipe stands in a bare loop too: all passages in one batch, padded to a multiple of 16.
"""

import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.collections import DATA
from tests.benchmarks.rows import Row, arguments, clock, report, take_turns

GOAL = 1 / 1.1  # an overhead of less than 10 %
BARE, TEVATRON, CACHED = "a bare torch loop", "Tevatron's recipe in a bare loop", "a bare torch loop with GradCache"


def load_examples(count: int, negatives: int, data: Path = DATA) -> list:
    """Questions with their answers; the next questions' answers are their negatives."""
    from rader_ir.examples import Example, Passage

    if data.is_dir():
        with (data / "math" / "gsm8k_test.jsonl").open(encoding="utf-8") as lines:
            pairs = [(row["question"], row["answer"]) for row in map(json.loads, lines)]
    else:
        from rader_ir.quickstart import load

        print(f"no folder {data} here: TheoremQA, which comes with the package, stands in", file=sys.stderr)
        theorems, questions, qrels = load()
        pairs = [(questions[q], theorems[next(iter(relevant))]) for q, relevant in qrels.items()]
    pairs = list({answer: (question, answer) for question, answer in pairs}.values())[:count]
    return [
        Example(
            f"q{i}",
            question,
            (Passage(f"p{i}", answer),),
            tuple(Passage(f"n{i}.{j}", pairs[(i + j) % len(pairs)][1]) for j in range(1, negatives + 1)),
        )
        for i, (question, answer) in enumerate(pairs)
    ]


@dataclass(frozen=True)
class Shape:
    """One comparison: what a step is made of."""

    batch_size: int
    negatives: int
    piece_size: int | None
    steps: int

    @property
    def title(self) -> str:
        """For a row's name."""
        texts = self.batch_size * (2 + self.negatives)
        how = "" if self.piece_size is None else f" in pieces of {self.piece_size}"
        return f"a training step of {texts} texts{how}"


def options_of(shape: Shape, checkpoint: str):
    """Options of all ways; no dropout and no sharp temperature: losses well above 0 that can be held against each other."""
    from rader_ir.train.settings import RetrieverOptions

    return RetrieverOptions(
        checkpoint,
        batch_size=shape.batch_size,
        negatives=shape.negatives,
        piece_size=shape.piece_size,
        temperature=0.1,
        max_steps=shape.steps,
        lora_dropout=0.0,
        dropout=0.0,
        gradient_checkpointing=False,
        save_steps=10**6,
    )


class Ours:
    """`rader train retriever`, let go one step at a time: from one step's beginning to the next one's, batch and log included."""

    def __init__(self, shape: Shape, checkpoint: str, examples: Sequence, folder: Path):
        from transformers import TrainerCallback

        from rader_ir.train.folder import open_run
        from rader_ir.train.models import open_base
        from rader_ir.train.retriever import open_trainer, plan

        options = options_of(shape, checkpoint)
        base = open_base(options, "vector")
        self.run = open_run(folder / "run", {"shape": str(shape)})
        batches = plan(examples, options, 1)
        self.trainer = open_trainer(self.run, options, base, examples, batches, None)
        go, waits = threading.Semaphore(0), threading.Semaphore(0)

        class Gate(TrainerCallback):
            def on_step_begin(self, args, state, control, **kwargs):
                waits.release()
                go.acquire()

        self.go, self.waits = go, waits
        self.trainer.add_callback(Gate())
        self.thread = threading.Thread(target=self.trainer.train, daemon=True)
        self.thread.start()
        waits.acquire()

    def __call__(self) -> None:
        self.go.release()
        self.waits.acquire()

    def losses(self) -> dict[int, float]:
        """As the log has them: by its last step, the mean over the steps since the line before."""
        return {line["step"]: line["loss"] for line in self.trainer.state.log_history if "loss" in line}


class Loop:
    """A loop written by hand over the same batches.

    Args:
        shape, checkpoint, examples: as for `Ours`.
        multiple: passages are padded to a multiple of this.
    """

    def __init__(self, shape: Shape, checkpoint: str, examples: Sequence, *, multiple: int = 1):
        import torch
        from transformers import get_linear_schedule_with_warmup

        from rader_ir.train.models import open_base, open_model
        from rader_ir.train.retriever import plan

        self.options = options_of(shape, checkpoint)
        self.base = open_base(self.options, "vector")
        torch.manual_seed(self.options.seed)
        self.model = open_model(self.base, self.options)
        trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=self.options.learning_rate, weight_decay=0.0, fused=True)
        steps = min(shape.steps, len(plan(examples, self.options, 1)))
        self.schedule = get_linear_schedule_with_warmup(self.optimizer, self.options.warmup_steps, steps)
        self.trained, self.examples, self.multiple = trained, examples, multiple
        self.batches = iter(plan(examples, self.options, 1))
        self.seen: list[float] = []

    def read(self) -> tuple[dict, dict]:
        """The next batch's queries and passages, a query's positive first, tokenised and padded."""
        from rader_ir.train.sampling import taken

        queries, passages = [], []
        for row in next(self.batches):
            example, positive, others = taken(self.examples, row, seed=0, negatives=self.options.negatives)
            queries.append(example.query)
            passages += [passage.text for passage in (positive, *others)]
        limit = self.base.checkpoint.max_doc_length
        padding = dict(padding=True, truncation=True, max_length=limit, return_tensors="pt")
        if self.multiple > 1:
            padding["pad_to_multiple_of"] = self.multiple
        tokenizer = self.base.tokenizer
        return tokenizer(queries, **padding), tokenizer(passages, **padding)

    def encode(self, inputs: dict):
        """Unit vectors [n, d]."""
        import torch

        hidden = self.model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).last_hidden_state
        mask = inputs["attention_mask"].unsqueeze(-1).float()
        return torch.nn.functional.normalize((hidden * mask).sum(dim=1) / mask.sum(dim=1), dim=-1)

    def loss(self, queries, passages):
        """Cross-entropy of all passages' cosines over the temperature."""
        import torch

        targets = torch.arange(len(queries)) * (len(passages) // len(queries))
        return torch.nn.functional.cross_entropy(queries @ passages.T / self.options.temperature, targets)

    def backward(self, queries: dict, passages: dict) -> float:
        """Gradients of one step."""
        loss = self.loss(self.encode(queries), self.encode(passages))
        loss.backward()
        return loss.item()

    def __call__(self) -> None:
        import torch

        self.seen.append(self.backward(*self.read()))
        torch.nn.utils.clip_grad_norm_(self.trained, self.options.max_grad_norm)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()

    def losses(self, ends: Sequence[int]) -> list[float]:
        """Means over the steps up to each of `ends`, from the one before."""
        return [sum(self.seen[start:end]) / (end - start) for start, end in zip([0, *ends], ends, strict=False)]


class CachedLoop(Loop):
    """GradCache by hand (arXiv:2101.06983): vectors without graphs, their gradients, then piece by piece with graphs."""

    def backward(self, queries: dict, passages: dict) -> float:
        """Gradients of one step."""
        import torch

        pieces = [piece for inputs in (queries, passages) for piece in self.pieces(inputs)]
        with torch.no_grad():
            vectors = torch.cat([self.encode(piece) for piece in pieces])
        vectors.requires_grad_()
        count = len(queries["input_ids"])
        loss = self.loss(vectors[:count], vectors[count:])
        loss.backward()
        start = 0
        for piece in pieces:
            made = self.encode(piece)
            (made * vectors.grad[start : start + len(made)]).sum().backward()
            start += len(made)
        return loss.item()

    def pieces(self, inputs: dict) -> list[dict]:
        """Texts in the order of the batch, each piece as wide as its longest."""
        found = []
        for start in range(0, len(inputs["input_ids"]), self.options.piece_size):
            rows = slice(start, start + self.options.piece_size)
            longest = int(inputs["attention_mask"][rows].sum(dim=1).max())
            found.append({name: inputs[name][rows, :longest] for name in ("input_ids", "attention_mask")})
        return found


def measure_shape(shape: Shape, peers: dict[str, Callable], checkpoint: str, rounds: int, goals: dict) -> Iterator[Row]:
    """One row per peer; a turn is one step."""
    import torch

    torch.set_num_threads(1)
    warm = 10 - rounds % 10  # the log has a line every ten steps
    examples = load_examples(
        max(128, shape.batch_size * (warm + rounds + 1)), shape.negatives
    )  # turns within one epoch
    with tempfile.TemporaryDirectory() as scratch:
        ours = Ours(shape, checkpoint, examples, Path(scratch))
        others = {name: make(shape, checkpoint, examples) for name, make in peers.items()}
        seconds = take_turns({"ours": ours, **others}, rounds, clock(1), warm=warm)
        for name, other in others.items():
            mine = {step: loss for step, loss in ours.losses().items() if step <= len(other.seen)}
            far = max(abs(a - b) / b for a, b in zip(mine.values(), other.losses(list(mine)), strict=True))
            ratio = seconds[name] / seconds["ours"]
            told = f"losses of {max(mine)} steps, about {mine[max(mine)]:.2g}, differ by {far:.0e} of them at most"
            yield Row(shape.title, seconds["ours"], seconds[name], name, ratio, goals.get(name), told, None, 1)


def measure(quick: bool, rounds: int) -> Iterator[Row]:
    """All rows: whole batches, cached ones, and what the trainer costs where the model costs next to nothing."""
    from rader_ir.checkpoints import find_checkpoint
    from rader_ir.weights import fetch
    from tests import tiny

    minilm, steps = str(fetch(find_checkpoint("minilm")).folder), 200
    whole = {BARE: Loop, TEVATRON: lambda *given: Loop(*given, multiple=16)}
    size = 4 if quick else 8
    yield from measure_shape(Shape(size, 2, None, steps), whole, minilm, rounds, {BARE: GOAL, TEVATRON: GOAL})
    cached = Shape(2 * size, 2, 8, steps)
    yield from measure_shape(cached, {CACHED: CachedLoop}, minilm, rounds, {CACHED: GOAL})
    with tempfile.TemporaryDirectory() as folder:
        free = str(tiny.bert(Path(folder) / "tiny"))
        yield from measure_shape(Shape(2, 1, None, steps), {BARE: Loop}, free, 10 * rounds, {})


def main() -> None:
    """Measure and print the table."""
    options = arguments(__doc__, rounds=13).parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    report(measure(options.quick, options.rounds), options.json)


if __name__ == "__main__":
    main()
