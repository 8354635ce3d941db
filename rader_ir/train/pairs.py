"""Pairs as a reranker in training reads them: written, cut and read as `rader_ir.cross_encoder` will serve them.

Transformers' own heads of decoders look for the last id that is not padding. Where the configuration and the tokenizer disagree
about the padding (Tevatron's rerankers until June 2026, RaDeR's among them), or where it is the end token (gte-Qwen2), they read
another place; here the mask decides, and both get one padding token that no text ends with, so that plain transformers reads
the finished folder right too. BERT-likes read their first token by their own heads.
"""

import logging
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import nn
from transformers.modeling_outputs import SequenceClassifierOutput

from rader_ir.choice import answer_ids, direction
from rader_ir.packed import Pack
from rader_ir.packed.padded import padded, pooled
from rader_ir.tokens import Ids, TextTokens, for_each_batch

logger = logging.getLogger(__name__)

_PASSES = 4  # of a batch


def pair_ids(tokens: TextTokens, queries: Sequence[str], docs: Sequence[str]) -> Ids:
    """Token ids of n queries and n documents, in the form and within the length of the finished checkpoint."""
    return tokens.pairs(queries, docs, "", tokens.checkpoint.max_doc_length)


def pair_inputs(ids: Ids, places: Sequence[int], pad_id: int) -> dict[str, torch.Tensor]:
    """What the model reads of the pairs at some places, padded on the right.

    Returns:
        `input_ids`, `attention_mask` and, for BERT-likes, `token_type_ids`: each int64 [len(places), T], on the CPU.
    """
    types = None if ids.segments is None else [ids.segments[i] for i in places]
    return padded(Pack([ids.rows[i] for i in places], torch.device("cpu"), types=types), pad_id)


def by_length(lengths: Sequence[int], most: int) -> tuple[list[np.ndarray], torch.Tensor]:
    """The places of n texts in the forward passes of a batch: those of similar length share one, which saves most of the padding.

    Args:
        lengths: of the texts, in tokens.
        most: passes, of which there are four at most.

    Returns:
        The places of each pass, and int64 [n]: where each text is in all passes together.
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    return np.array_split(order, min(_PASSES, most)), torch.from_numpy(np.argsort(order))


def score_ids(
    forward: Callable[[Mapping[str, torch.Tensor]], torch.Tensor],
    ids: Ids,
    places: Sequence[int],
    pad_id: int,
    *,
    device: torch.device,
    budget: int | None = None,
) -> np.ndarray:
    """Scores of the pairs at n places by a model that is being trained, float32 [n], in batches of similar length.

    Args:
        forward: inputs to logits [B, 1].
        ids: of pairs.
        places: which of them.
        pad_id: what pads them.
        device: of the model.
        budget: tokens of a batch; None takes what keeps the device busy.

    Raises:
        MemoryError: a single pair does not fit.
    """
    scores, places = np.empty(len(places), dtype=np.float32), np.asarray(places, dtype=np.int64)

    def step(batch: np.ndarray) -> None:
        inputs = {name: tensor.to(device) for name, tensor in pair_inputs(ids, places[batch], pad_id).items()}
        scores[batch] = forward(inputs)[:, 0].float().cpu().numpy()

    for_each_batch(ids.lengths[places], budget or (2048 if device.type == "cpu" else 16384), step)
    return scores


class ReadsWhereTheMaskEnds:
    """Put before a decoder's class with a head: the head on each text's last token that the mask shows."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **_) -> SequenceClassifierOutput:
        """`logits` [B, 1] of texts padded on the right; `input_ids` and `attention_mask` [B, T]."""
        body = getattr(self, self.base_model_prefix)
        hidden = body(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).last_hidden_state
        states = pooled(hidden, attention_mask, "last")
        weights = list(self.score.parameters())  # under an adapter the frozen ones and the trained ones
        dtype = next((weight.dtype for weight in weights if weight.requires_grad), weights[0].dtype)
        with torch.autocast(hidden.device.type, enabled=False):  # bfloat16 tells scores near 10 apart by sixteenths
            return SequenceClassifierOutput(logits=self.score(states.to(dtype)))


class ScoresByChoice:
    """Put before a language model's class: its score by `rader_ir.choice` at each text's last token, in place of all logits."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **_) -> SequenceClassifierOutput:
        """`logits` [B, 1] of texts padded on the right; `input_ids` and `attention_mask` [B, T]."""
        body = getattr(self, self.base_model_prefix)
        hidden = body(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).last_hidden_state
        states = pooled(hidden, attention_mask, "last")
        with torch.autocast(hidden.device.type, enabled=False):
            return SequenceClassifierOutput(logits=(states.float() @ direction(self, self.answers))[:, None])


def score_by_choice(model: nn.Module, tokenizer) -> None:
    """Let a language model give the scores that it is served by, in place."""
    kind = type(model)
    model.answers = answer_ids(tokenizer)
    model.__class__ = type(kind.__name__, (ScoresByChoice, kind), {"__module__": kind.__module__})


def read_where_the_mask_ends(model: nn.Module) -> None:
    """Let a decoder's head read where serving reads, in place; other models, and those that do already, are left alone."""
    kind = type(model)
    if hasattr(model, "score") and not isinstance(model, ReadsWhereTheMaskEnds):
        # of the same name, which is what `save_pretrained` writes into the configuration
        model.__class__ = type(kind.__name__, (ReadsWhereTheMaskEnds, kind), {"__module__": kind.__module__})


def set_padding(tokenizer) -> None:
    """Let a tokenizer pad with a special token that no text ends with; the mask hides it, so that any of them will do."""
    ends = {tokenizer.eos_token_id, *tokenizer("a")["input_ids"][-1:]}
    if tokenizer.pad_token_id is not None and tokenizer.pad_token_id not in ends:
        return
    special = [i for i, token in tokenizer.added_tokens_decoder.items() if token.special and i not in ends]
    if special:
        first = min(special, key=lambda i: (i == tokenizer.bos_token_id, i))
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(first)
    else:
        logger.warning(
            "the tokenizer has no special token to pad with but its end token (%s); transformers' own heads will misread "
            "the finished folder, rader_ir reads it right",
            tokenizer.eos_token,
        )
