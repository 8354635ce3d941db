"""The recipe of the mini checkpoints: LoRA adapters over all-MiniLM-L6-v2, trained on real data, on a CPU if need be.

`mini-retriever` learns all tasks of `rader_ir.train.mini_sources`, each against all documents that its teacher names;
`mini-reranker` learns what a teacher, the finished `mini-retriever` among others, says of candidates near and far. Numbers here
were chosen on a tenth of the training queries, `interpolation` so that sources which were left out for a trial lost little.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from rader_ir.checkpoint_folders import read_json
from rader_ir.checkpoints import MINI_RERANKER, MINI_RETRIEVER, SMALL_RETRIEVER
from rader_ir.encoder import Encoder
from rader_ir.examples import Example, read_examples, write_examples
from rader_ir.train.card import CARD
from rader_ir.train.mini_examples import GROUP, candidates, dev_examples, reranker_examples, retriever_examples
from rader_ir.train.mini_sources import SOURCES, check_folder, digest, read_tasks, short_texts
from rader_ir.train.reranker import train_reranker
from rader_ir.train.retriever import train_retriever
from rader_ir.train.settings import Options, RerankerOptions, RetrieverOptions
from rader_ir.train.teacher import Vectors
from rader_ir.weights import weights_id

BASE = SMALL_RETRIEVER

_SHARED = dict(
    label_weight=0.4,
    learning_rate=1e-3,
    lora_rank=16,
    lora_alpha=32,
    lora_dropout=0.0,
    dropout=0.0,
    precision="bfloat16",
    gradient_checkpointing=False,
    merged=False,
)

RETRIEVER_OPTIONS = RetrieverOptions(
    BASE,
    epochs=5,
    batch_size=32,
    negatives=0,
    shares={
        "stacks-cot": 0.3,
        "stacks-steps": 0.3,
        "stacks-names": 0.2,
        "scifact": 0.25,
        "scifact-titles": 0.1,
        "gsm8k": 0.07,
        "aqua": 0.5,
    },
    memory=True,
    temperature=0.05,
    interpolation=0.5,
    warmup_steps=36,
    eval_steps=180,
    **_SHARED,
)

RERANKER_OPTIONS = RerankerOptions(
    BASE,
    batch_size=8,
    accumulation=1,
    negatives=sum(GROUP.values()),
    shares={
        **dict.fromkeys(("stacks-texts", "scifact-texts", "math-texts"), 0.6),
        "stacks-steps": 0.25,
        "scifact-titles": 0.5,
        "gsm8k": 0.5,
    },
    loss="kl",
    warmup_steps=60,
    max_doc_length=512,
    eval_steps=500,
    save_steps=100,
    **_SHARED,
)


def train_mini(
    data: str | Path,
    out: str | Path,
    *,
    only: str | None = None,
    seed: int = 0,
    max_steps: int | None = None,
    verbose: bool = False,
) -> list[Path]:
    """Train the mini checkpoints; the same call again goes on with what was killed and leaves what is finished.

    Args:
        data: the folder of sources, as `examples/mini_data.py` makes it.
        out: the folder in which they are made, each in a folder of its name.
        only: `mini-retriever` or `mini-reranker`; None makes both.
        seed: of the split, the order and new weights.
        max_steps: optimizer steps after which to stop, for a trial.
        verbose: whether to show progress.

    Returns:
        The finished folders.

    Raises:
        FileNotFoundError: a source is missing, or the retriever that teaches the reranker.
        FileExistsError: a folder that was made of other data, by another seed or in other steps.
        ValueError: a broken record, or another name.
    """
    if only not in (None, *MAKERS):
        raise ValueError(f"there is no mini checkpoint {only!r}; choose {' or '.join(map(repr, MAKERS))}")
    data, out = Path(data).expanduser(), Path(out).expanduser()
    check_folder(data)
    job = Job(data, out, seed, max_steps, verbose)
    folders = [out / name for name in MAKERS if only in (None, name)]
    for folder in folders:
        if not job.is_made(folder):
            MAKERS[folder.name](job, folder)
    return folders


@dataclass(frozen=True)
class Job:
    """One call of `train_mini`, with what its makers share."""

    data: Path
    out: Path
    seed: int
    max_steps: int | None
    verbose: bool

    def vectors(self, checkpoint: str | Path) -> Vectors:
        """Of an encoder, for a teacher."""
        return Vectors(Encoder(checkpoint, verbose=self.verbose))

    @cached_property
    def about(self) -> dict:
        """What the cards tell of the data."""
        notes = [
            "Nothing was learned from a query of these sources' test sets or of TheoremQA; documents that such queries state or "
            "ask for are in the collections that were searched. A step of a proof counts all results that the proof uses as "
            "its answers."
        ]
        command = f"rader train mini --data DIR --seed {self.seed}"
        return {"command": command, "sources": SOURCES, "sources_sha256": digest(self.data), "notes": notes}

    def options(self, options: Options) -> Options:
        """The recipe's, for this seed and length."""
        return replace(options, seed=self.seed, max_steps=self.max_steps)

    def is_made(self, folder: Path) -> bool:
        """Whether a finished folder is there already.

        Raises:
            FileExistsError: one that was made of other data or in another way.
        """
        if not folder.exists():
            return False
        card = folder / "training" / CARD
        told = read_json(card) if card.is_file() else {}
        wanted = self.options(RECIPES[folder.name]).told()
        if (told.get("options"), told.get("about")) != (wanted, self.about):
            raise FileExistsError(
                f"{folder} exists and was made in another way (its {CARD} tells how); move it away, or give another folder"
            )
        return True

    def examples(self, name: str, teacher: str, make: Callable[[], list[Example]]) -> list[Example]:
        """What `make` gives, kept in a file of `out`: a run that goes on must have the same scores to the last digit.

        Args:
            name: of the checkpoint that learns from them.
            teacher: the encoder that scored them, in a word; other sources, another seed or teacher make another file.
            make: the examples.
        """
        path = self.out / f"{name}.examples.{self.seed}.{self.about['sources_sha256']}.{teacher}.jsonl.gz"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_examples(make(), path)
        return read_examples(path)


def _retriever(job: Job, folder: Path) -> None:
    train, dev = read_tasks(job.data, job.seed)
    examples = job.examples(MINI_RETRIEVER, BASE, lambda: retriever_examples(train, job.vectors(BASE)))
    held, docs = dev_examples(dev)
    given = {"examples": examples, "dev": held, "dev_docs": docs, "about": job.about, "verbose": job.verbose}
    train_retriever(job.options(RETRIEVER_OPTIONS), out=folder, **given)


def _reranker(job: Job, folder: Path) -> None:
    train, dev = read_tasks(job.data, job.seed)
    asked = [task for task in train if task.name != "stacks-cot"]  # half of such a text would be cut
    teacher = job.out / MINI_RETRIEVER
    if not teacher.is_dir():
        raise FileNotFoundError(f"there is no {teacher}, the reranker's teacher; make both, or the retriever first")
    tasks = [*short_texts(job.data, train, dev, job.seed), *asked]
    examples = job.examples(
        MINI_RERANKER, weights_id(teacher), lambda: reranker_examples(tasks, job.vectors(teacher), job.seed)
    )
    given = {"examples": examples, "dev": candidates(dev), "about": job.about, "verbose": job.verbose}
    train_reranker(job.options(RERANKER_OPTIONS), out=folder, **given)


MAKERS = {MINI_RETRIEVER: _retriever, MINI_RERANKER: _reranker}
RECIPES = {MINI_RETRIEVER: RETRIEVER_OPTIONS, MINI_RERANKER: RERANKER_OPTIONS}
