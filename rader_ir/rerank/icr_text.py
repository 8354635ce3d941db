"""The prompt of in-context reranking as token ids: what stands before the passages, the passages, and the search behind them.

Every part is tokenised by itself and the ids are joined, so where a passage lies is known exactly, and what does not fit is cut
by counting. The search's part is the same for every search but for its own words, and so is that of the neutral one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rader_ir.neutral import neutral, shortened
from rader_ir.prompts import Prompt, fields, fill

NEUTRAL = "N/A"  # the search that says nothing (section 3)
LEAST = 64  # tokens of a passage below which rather fewer passages go into a prompt
_HERE = "passages-and-search-go-here"


@dataclass(frozen=True)
class Text:
    """One prompt.

    Attributes:
        ids: all but the search.
        spans: (start, end) of each passage in `ids`, in the order given.
        ending, neutral: ids of the search behind `ids`, and of the neutral one.
    """

    ids: list[int]
    spans: list[tuple[int, int]]
    ending: list[int]
    neutral: list[int]


class Wording:
    """A prompt in a model's tokens.

    Args:
        tokenizer: of transformers.
        prompt: with `{passages}` before `{query}`.
        chat: whether the model's chat template goes around it; None: if there is one.

    Raises:
        ValueError: a chat is asked for and the tokenizer has no template.
    """

    def __init__(self, tokenizer, prompt: Prompt, *, chat: bool | None = None):
        self.tokenizer, self.prompt = tokenizer, prompt
        self._special = tuple(tokenizer.all_special_tokens)
        if chat and not tokenizer.chat_template:
            raise ValueError("chat is True, and this model's tokenizer has no chat template; leave chat out")
        around = self._chat() if (chat or (chat is None and tokenizer.chat_template)) else self._plain()
        self._before, rest = prompt.user.split("{passages}")
        between, after = rest.split("{query}")
        (self._start, self._begin), end = around
        self._between, self._end = self._ids(between), self._ids(after + end)
        self.separator = self._ids(prompt.separator)

    def _chat(self) -> tuple[tuple[list[int], str], str]:
        """What a chat puts before and behind the user's text, on all days the same: some templates put in the day."""
        system = [{"role": "system", "content": self.prompt.system}] if self.prompt.system else []
        text = self.tokenizer.apply_chat_template(
            [*system, {"role": "user", "content": _HERE}],
            tokenize=False,
            add_generation_prompt=True,
            date_string="26 Jul 2024",
        )
        before, here, after = text.partition(_HERE)
        if not here:
            raise ValueError("the model's chat template leaves out the user's text; give chat=False")
        return ([], before), after

    def _plain(self) -> tuple[tuple[list[int], str], str]:
        """A text alone, behind the token that the tokenizer puts before all texts, if it does."""
        first = [token for token in self.tokenizer("")["input_ids"] if token == self.tokenizer.bos_token_id]
        return (first, f"{self.prompt.system}\n\n" if self.prompt.system else ""), ""

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"] if text else []

    def lead(self, count: int) -> list[int]:
        """What stands before `count` passages."""
        return self._start + self._ids(fill(self._begin + self._before, count=str(count)))

    def passage(self, number: int, text: str) -> list[int]:
        """One passage, harmless already, with its number."""
        return self._ids(fill(self.prompt.passage, number=str(number), text=text))

    def query(self, text: str, words: int | None = None) -> list[int]:
        """A search's own words, harmless, so many of them at most."""
        return self._ids(self.harmless(text, words))

    def harmless(self, text: str, words: int | None) -> str:
        """A text as it goes into the prompt: neutral (`rader_ir.neutral`), so many pieces of it."""
        text = neutral(text, special=self._special)
        return text if words is None else shortened(text, words)

    def ending(self, query: Sequence[int]) -> list[int]:
        """Everything behind the passages, whose tokens are the ones that look back at them: never empty."""
        return [*self._between, *query, *self._end] or list(self.separator)

    def text(self, query: Sequence[int], passages: Sequence[Sequence[int]]) -> Text:
        """The prompt over these passages, given by their ids, in this order."""
        ids, spans = self.lead(len(passages)), []
        for number, passage in enumerate(passages):
            ids += self.separator if number else []
            spans.append((len(ids), len(ids) + len(passage)))
            ids += passage
        return Text(ids, spans, self.ending(query), self.ending(self.query(NEUTRAL)))

    def fixed(self, count: int) -> int:
        """Tokens of a prompt over `count` passages beside the passages, what separates them, and the search's own words."""
        return len(self.lead(count)) + len(self.ending([]))


def fitting(lengths: Sequence[int], room: int) -> int:
    """To how many tokens all passages are cut so that together they have at most `room`: the largest number, 0 if none will do.

    >>> fitting([5, 100, 40], 145), fitting([5, 100, 40], 85), fitting([5, 100, 40], 6)
    (100, 40, 2)
    """
    low, high = 0, max(lengths, default=0)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if sum(min(length, middle) for length in lengths) <= room else (low, middle - 1)
    return low


def check_prompt(prompt: Prompt) -> Prompt:
    """The prompt if its passages can be read before its search is known.

    Raises:
        ValueError: the holes stand otherwise.
    """
    before, _, after = prompt.user.partition("{passages}")
    alone = prompt.user.count("{passages}") == prompt.user.count("{query}") == 1
    early = (fields(prompt.system) | fields(before)) & {"query", "passages"}
    if not alone or early or "count" in fields(after):
        raise ValueError(
            f"the prompt {prompt.user[:60]!r} must have {{passages}} once, then {{query}} once, both in `user`, and {{count}} "
            "before them only: passages are read before the search is known"
        )
    return prompt
