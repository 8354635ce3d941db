"""Drawing tokens so that each reply follows from its own seed, whatever else is in the batch.

transformers draws a whole batch from one generator, so a reply would depend on its neighbours. Here every reply has its own
sequence of uniform numbers, and each number picks a token by the cumulated probabilities in the order of the vocabulary. Batches
of other sizes round the logits otherwise, which changes a token only where its number falls within that rounding of a border.
"""

import random
from collections.abc import Sequence

import torch
from transformers import LogitsProcessor, StoppingCriteria

from rader_ir.lm.replies import Sampling


class Draw(LogitsProcessor):
    """Leaves of each row's logits only the token that was drawn, so that greedy decoding takes it.

    Args:
        samplings: of each row; temperature 0 takes the most likely token.
        seeds: of each row.
    """

    def __init__(self, samplings: Sequence[Sampling], seeds: Sequence[int]):
        self.samplings = samplings
        self.chance = [random.Random(f"language model {seed}").random for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """scores: [B, V] -> [B, V], 0 for the token that was drawn and -inf for all others."""
        numbers = [chance() for chance in self.chance]
        rows = zip(scores, self.samplings, numbers, strict=True)
        drawn = [drawn_token(row, sampling, number) for row, sampling, number in rows]
        chosen = torch.stack(drawn).unsqueeze(1)
        return torch.full_like(scores, -torch.inf).scatter_(1, chosen, 0.0)


def drawn_token(logits: torch.Tensor, sampling: Sampling, number: float) -> torch.Tensor:
    """The token that `number` of [0, 1) picks. logits: [V] -> index of [].

    First the temperature, then the `top_k` most likely, then of those the fewest whose mass reaches `top_p`: the order in which
    transformers and vLLM filter.
    """
    if sampling.temperature == 0:
        return logits.argmax()
    probabilities = (logits.double() / sampling.temperature).softmax(0)
    if sampling.top_k is not None or sampling.top_p < 1:
        probabilities = _most_likely(probabilities, sampling)
    cumulated = probabilities.cumsum(0)
    index = torch.searchsorted(cumulated, cumulated[-1:] * number, right=True)[0]
    return index.clamp(max=probabilities.nonzero()[-1, 0])


def _most_likely(probabilities: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """The probabilities with those that are not drawn from set to 0; of equal ones the first in the vocabulary stay."""
    ordered, tokens = probabilities.sort(descending=True, stable=True)
    if sampling.top_k is not None:
        ordered, tokens = ordered[: sampling.top_k], tokens[: sampling.top_k]
    before = ordered.cumsum(0) - ordered
    kept = tokens[before < sampling.top_p * ordered.sum()]
    return torch.zeros_like(probabilities).scatter_(0, kept, probabilities[kept])


class Ends(StoppingCriteria):
    """Where each row ends: at an end token, before a stop text, or at its own max_tokens.

    Args:
        tokenizer: reads the last tokens of a row for stop texts.
        samplings: of each row.
        ends: ids of the end tokens.
        start: length of the padded prompts.

    Attributes:
        lengths: tokens that each row has written, an end token included; 0 while it goes on.
        finish: "stop" or "length" of each row; "" while it goes on.
    """

    def __init__(self, tokenizer, samplings: Sequence[Sampling], *, ends: frozenset[int], start: int):
        self.tokenizer, self.samplings, self.ends, self.start = tokenizer, samplings, ends, start
        self.lengths, self.finish = [0] * len(samplings), [""] * len(samplings)

    def __call__(self, input_ids: torch.Tensor, scores, **_) -> torch.Tensor:
        """input_ids: [B, T] -> [B], whether each row has ended."""
        written = input_ids.shape[1] - self.start
        last = input_ids[:, -1].tolist()
        for row, sampling in enumerate(self.samplings):
            if self.finish[row]:
                continue
            if last[row] in self.ends or self._stops(input_ids[row], sampling.stop, written):
                self.finish[row], self.lengths[row] = "stop", written
            elif written >= sampling.max_tokens:
                self.finish[row], self.lengths[row] = "length", written
        return torch.tensor([bool(finish) for finish in self.finish], device=input_ids.device)

    def _stops(self, ids: torch.Tensor, stop: tuple[str, ...], written: int) -> bool:
        if not stop:
            return False
        # A token is a byte at least, so these hold every stop text that the last token completes
        recent = min(written, max(len(text.encode()) for text in stop) + 4)
        text = self.tokenizer.decode(ids[-recent:], skip_special_tokens=True)
        return any(end in text for end in stop)


def before_stop(text: str, stop: tuple[str, ...]) -> str:
    """The text up to the first of the stop texts."""
    return text[: min((place for end in stop if (place := text.find(end)) >= 0), default=len(text))]
