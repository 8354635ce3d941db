"""IDCM's second step: the strong model and the weights of the sum learn whole documents (arXiv:2105.09816, section 3.4).

All windows of a positive and of a negative document are scored, the sums of their best go into RankNet's loss. The trainer is the
rerankers'; what a batch holds is windows in place of pairs, and the weights have a learning rate of their own.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from rader_ir.examples import Example
from rader_ir.idcm import STRONG, Selector, aggregate, embedder, write_idcm
from rader_ir.idcm_texts import WindowTexts
from rader_ir.loading import longest_text
from rader_ir.tokens import Ids
from rader_ir.train import losses, sampling
from rader_ir.train.card import data_facts, run_facts
from rader_ir.train.groups import ORDER, PIECES, Candidates, check_examples, plan
from rader_ir.train.idcm_selector import dimension_of
from rader_ir.train.idcm_settings import IDCMOptions, Start
from rader_ir.train.models import ADAPTER_NAME, Base, open_base, open_model
from rader_ir.train.pairs import by_length, pair_inputs, score_ids
from rader_ir.train.reranker import GroupTrainer
from rader_ir.train.runtime import ROWS, Promises, arguments, finish, fit, open_together, weights_of
from rader_ir.train.saving import write_cross_encoder, write_model
from rader_ir.train.settings import RerankerOptions

COUNTS = "counts"  # in a batch: int64 [documents], windows of each
_PREFIX = "strong."


class Documents(nn.Module):
    """The strong model and the weights of the sum, as one module."""

    def __init__(self, strong: nn.Module, weights: torch.Tensor, missing: str):
        super().__init__()
        self.strong, self.missing = strong, missing
        self.weights = nn.Parameter(weights.clone())

    def forward(self, pieces: Sequence[Mapping[str, torch.Tensor]], order: torch.Tensor, counts: torch.Tensor):
        """Scores [documents] of the windows in `pieces`; `order` [windows] tells where each is, `counts` how many each has."""
        scores = torch.cat([self.strong(**piece).logits[:, 0].float() for piece in pieces])[order]
        return self.sums(scores, counts)

    def sums(self, scores: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Documents' scores of those of their windows, [windows], which lie document by document."""
        padded = pad_sequence(scores.split(counts.tolist()), batch_first=True)
        mask = torch.arange(padded.shape[1], device=counts.device) < counts.unsqueeze(1)
        return aggregate(padded, mask, self.weights, self.missing)


class DocumentLoss(GroupTrainer):
    """`GroupTrainer` over documents; the weights of the sum have a learning rate of their own."""

    def __init__(self, *, weights_learning_rate: float, **given):
        super().__init__(**given)
        self.weights_learning_rate = weights_learning_rate

    def create_optimizer(self, *given):
        """The rerankers' optimizer, with the weights in a group of their own."""
        made, weights = super().create_optimizer(*given), self.model.weights
        for group in made.param_groups:
            group["params"] = [each for each in group["params"] if each is not weights]
        made.add_param_group({"params": [weights], "lr": self.weights_learning_rate, "weight_decay": 0.0})
        return made

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """This batch's share of the mean over the step's queries."""
        groups = model(inputs[PIECES], inputs[ORDER], inputs[COUNTS]).view(-1, self.group)
        return self.loss(groups, None) * len(groups) / num_items_in_batch


class DocumentTrainer(Promises, DocumentLoss):
    """`DocumentLoss` with the promises of a run."""


class DocumentGroups:
    """Rows to batches, as `rader_ir.train.groups.Groups`, of windows.

    Args:
        examples, options: as there.
        texts: the strong model's text path.
        longest: tokens that it reads.
        pad_id: what pads.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        options: RerankerOptions,
        texts: WindowTexts,
        longest: int | None,
        pad_id: int,
    ):
        self.examples, self.options, self.texts = examples, options, texts
        self.longest, self.pad_id = longest, pad_id

    def name(self, row: int) -> str:
        """The query_id of a row."""
        return sampling.row_name(self.examples, row)

    def windows(self, queries: Sequence[str], docs: Sequence[str]) -> tuple[Ids, torch.Tensor]:
        """All windows of n pairs of a query and a document, and how many each has, int64 [n]."""
        made, found = self.texts.queries(queries, self.longest), self.texts.documents(docs)
        rows = [
            (query, doc, window) for query, doc in zip(made, found, strict=True) for window in range(len(doc.windows))
        ]
        return self.texts.pairs(rows), torch.tensor([len(doc.windows) for doc in found])

    def read(self, rows: list[int]) -> dict:
        """The batch: `rows`, `pieces` and `order` as there, over windows, and `counts`."""
        wanted, pairs = {"seed": self.options.seed, "negatives": self.options.negatives}, []
        for row in rows:
            example, positive, negatives = sampling.taken(self.examples, row, **wanted)
            pairs += [(example.query, passage.text) for passage in (positive, *negatives)]
        ids, counts = self.windows(*zip(*pairs, strict=True))
        parts, order = by_length(ids.lengths, len(ids.rows))
        pieces = [pair_inputs(ids, part, self.pad_id) for part in parts]
        return {ROWS: torch.tensor(rows), PIECES: pieces, ORDER: order, COUNTS: counts}


def train(
    options: IDCMOptions,
    start: Start,
    examples: Sequence[Example],
    out: Path,
    *,
    dev: Sequence[Example],
    about: Mapping[str, object] | None,
    verbose: bool,
) -> Path:
    """Step 2 of `rader_ir.train.idcm.train_idcm`, whose arguments these are."""
    strong = options.strong(start.config.strong)
    check_examples(examples, strong)
    base = open_base(strong, "score")
    batches = plan(examples, strong, 1)
    data = {"train": data_facts(examples), "dev": data_facts(dev)}
    facts = run_facts("idcm", options, base, data, about)
    run = open_together(out, facts)
    torch.manual_seed(options.seed)
    model = open_model(base, strong)
    selector, weights = start.light(dimension_of(embedder(model), "cpu"), options.seed)
    texts = WindowTexts(base.tokens, start.config)
    groups = DocumentGroups(examples, strong, texts, longest_text(base.files), base.tokenizer.pad_token_id)
    documents = Documents(model, weights, start.config.missing)
    trainer = DocumentTrainer(
        model=documents,
        args=arguments(strong, run, len(batches)),
        loss=lambda scores, _: losses.group_softmax(scores),
        group=1 + strong.negatives,
        weights_learning_rate=options.weights_learning_rate,
        run=run,
        options=strong,
        batches=batches,
        read=groups.read,
        name=groups.name,
        verbose=verbose,
        measure=partial(_measure, groups, Candidates(dev), documents, options.measure) if dev else None,
    )
    step = fit(trainer, run)
    write = partial(_write, base=base, start=start, options=strong, documents=documents, selector=selector)
    return finish(run, trainer, base, facts, step, lambda folder: write(folder, weights_of(run, step)))


def _write(
    folder: Path,
    trained: dict[str, torch.Tensor],
    *,
    base: Base,
    start: Start,
    options: RerankerOptions,
    documents: Documents,
    selector: Selector,
) -> None:
    """Put the strong model, the weights of the sum and the selector as it was into the finished folder."""
    weights = trained.pop("weights")
    own = {name.removeprefix(_PREFIX): tensor for name, tensor in trained.items()}
    (folder / STRONG).mkdir()
    adapter = documents.strong.peft_config[ADAPTER_NAME] if options.lora else None
    write_model(folder / STRONG, base, own, adapter, merged=options.merged)
    write_cross_encoder(folder / STRONG, base.checkpoint)
    write_idcm(folder, start.inside(), selector, weights)


def _measure(groups: DocumentGroups, dev: Candidates, documents: Documents, measure: str) -> dict[str, float]:
    """The ranking of each development query's own documents, by all of their windows."""
    ids, counts = groups.windows(*dev.texts())
    device = documents.weights.device
    scores = score_ids(
        lambda inputs: documents.strong(**inputs).logits, ids, range(len(ids.rows)), groups.pad_id, device=device
    )
    sums = documents.sums(torch.from_numpy(scores).to(device), counts.to(device))
    return dev.measure(sums.cpu().numpy(), measure)
