"""Training IDCM in the paper's three steps, one call each (arXiv:2105.09816, section 3.4).

`pairs` and `documents` train the strong model by RankNet over a positive and a negative, first on passages, then on the weighted
sum over all windows of a document; `selector` trains the selector alone on the strong model's scores of windows, without labels.
A folder that a step made is where the next one starts.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from rader_ir.cross_encoder import CrossEncoder
from rader_ir.examples import Example
from rader_ir.idcm import STRONG, embedder, write_idcm
from rader_ir.train import idcm_documents, idcm_selector
from rader_ir.train.card import CARD, data_facts, is_made_by, run_facts
from rader_ir.train.folder import RECORD
from rader_ir.train.idcm_settings import IDCMOptions, Start, start_of
from rader_ir.train.models import open_base
from rader_ir.train.reranker import train_reranker
from rader_ir.train.runtime import processes
from rader_ir.train.settings import RerankerOptions


def train_idcm(
    options: IDCMOptions,
    *,
    examples: Sequence[Example],
    out: str | os.PathLike,
    dev: Sequence[Example] = (),
    about: Mapping[str, object] | None = None,
    teacher: str | os.PathLike | None = None,
    verbose: bool = False,
) -> Path:
    """Train one step and write an IDCM's folder, which `rader_ir.rerank.idcm` and PyTerrier's `IDCMReranker` open.

    A run that was killed goes on where it stopped when it is called again.

    Args:
        options: of the step.
        examples: queries with documents (passages in the step `pairs`); labels count in the first two steps only.
        out: the folder to make; while training it is `out`.unfinished.
        dev: examples to measure on; the best state by them is what the folder holds. None: the last state.
        about: what else the card is to tell (`rader_ir.train.card.run_facts`).
        teacher: file of the strong model's scores for the step `selector`, which may be shared by runs; None:
            `out`.teacher.jsonl. It stays.
        verbose: whether to print the log's lines on stderr.

    Returns:
        The folder.

    Raises:
        ValueError: examples without negatives where they are needed, documents all too short for a selection, options that do
            not fit the checkpoint.
        FileExistsError: `out` exists, or an unfinished run of other options or data.
        Diverged, NotSaved: as `rader_ir.train.reranker.train_reranker`.
    """
    if processes().num_processes > 1:
        raise ValueError(f"an IDCM is trained by one process; {processes().num_processes} were started")
    start, out = start_of(options), Path(out).expanduser()
    told = {"dev": dev, "about": about, "verbose": verbose}
    if options.step == "pairs":
        return _pairs(options, start, examples, out, **told)
    if options.step == "documents":
        return idcm_documents.train(options, start, examples, out, **told)
    kept = f"{out}.teacher.jsonl" if teacher is None else teacher
    return idcm_selector.train(options, start, examples, out, kept=kept, **told)


def _pairs(options: IDCMOptions, start: Start, examples: Sequence[Example], out: Path, **told) -> Path:
    """Step 1: a reranker's training, whose folder becomes the strong model of a new IDCM."""
    strong = options.strong(start.config.strong)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise FileExistsError(f"{out} exists; move it away, or give another folder to train into")
    made, inner = (out.with_name(f"{out.name}.{end}") for end in ("unfinished", STRONG))
    if (made / RECORD).is_file():
        raise FileExistsError(f"{made} is an unfinished run of another step; finish or delete it, or train elsewhere")
    if not (inner / "training").is_dir():
        train_reranker(strong, examples=examples, out=inner, **told)
    else:  # killed between the two folders
        _check_inner(inner, strong, examples, told)
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    shutil.copytree(inner / "training", made / "training")
    selector, weights = start.light(_dimension(inner), options.seed)
    write_idcm(made, start.inside(), selector, weights)
    shutil.copytree(inner, made / STRONG)
    os.replace(made, out)
    shutil.rmtree(inner)
    return out


def _check_inner(inner: Path, strong: RerankerOptions, examples: Sequence[Example], told: Mapping) -> None:
    data = {"train": data_facts(examples), "dev": data_facts(told["dev"])}
    if not is_made_by(inner, run_facts("reranker", strong, open_base(strong, "score"), data, told["about"])):
        raise FileExistsError(
            f"{inner} is the strong model of an unfinished run with other options or data (its training/{CARD} tells which); "
            "give the same ones to go on with it, or delete it, or train into another folder"
        )


def _dimension(strong: Path) -> int:
    """Of the embeddings of a strong model."""
    model = CrossEncoder(strong, device="cpu", dtype="float32")
    try:
        return idcm_selector.dimension_of(embedder(model.open().model), "cpu")
    finally:
        model.unload()
