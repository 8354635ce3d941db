"""Texts of an IDCM as token ids: a query, a document's windows, and both as the strong model reads them.

Windows are cut on ids and go to the strong model as the ids that they are; nothing is written as text and tokenised again, so a
window never grows, and every token of a document lies in the core of exactly one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rader_ir.idcm import IDCMConfig, Span, spans
from rader_ir.prompts import fill
from rader_ir.tokens import Ids, TextTokens


@dataclass(frozen=True)
class Frame:
    """What stands around a window in a pair: ids (and BERT's types) before it and behind it, and the window's own type."""

    before: list[int]
    behind: list[int]
    before_types: list[int]
    behind_types: list[int]
    type: int


@dataclass(frozen=True)
class Query:
    """A query: how pairs of it look, the ids that the selector reads, and whether it was cut."""

    frame: Frame
    ids: list[int]
    truncated: bool


@dataclass(frozen=True)
class Document:
    """A document: its ids, where in its text each of them stands, its windows, and whether it was cut."""

    text: str
    ids: list[int]
    places: list[Span]
    windows: list[Span]
    truncated: bool

    def snippet(self, window: int) -> str:
        """The text of a window, without the blanks around it."""
        begin, end = self.windows[window]
        return self.text[self.places[begin][0] : self.places[end - 1][1]].strip() if end > begin else ""


class WindowTexts:
    """Texts to ids, as one strong model and one configuration want them.

    Args:
        tokens: of the strong model's checkpoint, which has a head of one label.
        config: windows and lengths.
        instruction: put where the form has `{instruction}`.
    """

    def __init__(self, tokens: TextTokens, config: IDCMConfig, instruction: str = ""):
        self.tokens, self.config, self.instruction = tokens, config, instruction
        form = tokens.checkpoint.pair_form
        lead = "" if form is None else form.partition("{document}")[0]
        self._blank = lead[len(lead.rstrip()) :]  # belongs to the first word behind it, as byte-level tokenizers read
        self.uses_types = form is None and "token_type_ids" in tokens.tokenizer.model_input_names
        self._end = self._frame("a").behind if config.ends == "document" else []

    def queries(self, texts: Sequence[str], longest: int | None) -> list[Query]:
        """Queries, cut to `max_query_length` and so that a window has room within the `longest` tokens of the strong model.

        Raises:
            ValueError: windows, or an instruction, that leave no room for any query.
        """
        bare, made = self.tokens.checkpoint.pair_form is not None, []
        for text in texts:
            read = self._first(text, self.config.max_query_length)
            read, frame = self._fitting(read, longest)
            ids = self._encode(read)[0] if bare else self.tokens.tokenizer(read, verbose=False)["input_ids"]
            made.append(Query(frame, ids or list(frame.before), read != text))
        return made

    def documents(self, texts: Sequence[str]) -> list[Document]:
        """Documents, cut to `max_doc_length`; an empty one has one empty window."""
        options = dict(add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        made = self.tokens.tokenizer([self._blank + text for text in texts], **options) if len(texts) else {}
        found, shift = [], len(self._blank)
        for text, ids, offsets in zip(texts, made.get("input_ids", ()), made.get("offset_mapping", ()), strict=True):
            cut = ids[: self.config.max_doc_length] if text else []
            places = [(max(0, begin - shift), max(0, end - shift)) for begin, end in offsets[: len(cut)]]
            places += [(len(text), len(text))] * len(self._end)
            whole = [*cut, *self._end]
            windows = spans(len(whole), self.config.core, self.config.overlap)
            found.append(Document(text, whole, places, windows, len(cut) < len(ids) and bool(text)))
        return found

    def pairs(self, pairs: Sequence[tuple[Query, Document, int]]) -> Ids:
        """What the strong model reads of queries, documents and windows."""
        rows, types = [], []
        for query, doc, window in pairs:
            begin, end = doc.windows[window]
            frame = query.frame
            behind = [] if self._end else frame.behind
            rows.append([*frame.before, *doc.ids[begin:end], *behind])
            types.append([*frame.before_types, *[frame.type] * (end - begin), *frame.behind_types[: len(behind)]])
        return Ids(rows, 0, types if self.uses_types else None)

    def _frame(self, query: str) -> Frame:
        form = self.tokens.checkpoint.pair_form
        if form is None:
            return self._tokenizer_frame(self.instruction + query)
        lead, _, rest = form.partition("{document}")
        before = fill(lead[: len(lead) - len(self._blank)], instruction=self.instruction, query=query)
        before, behind = self.tokens.head + self._encode(before)[0], self._encode(rest)[0] + self.tokens.tail
        return Frame(before, behind, [0] * len(before), [0] * len(behind), 0)

    def _tokenizer_frame(self, query: str) -> Frame:
        made = self.tokens.tokenizer(query, "a", return_token_type_ids=True, verbose=False)
        ids, types, whose = made["input_ids"], made["token_type_ids"], made.sequence_ids(0)
        start = whose.index(1)
        stop = len(whose) - whose[::-1].index(1)
        return Frame(ids[:start], ids[stop:], types[:start], types[stop:], types[start])

    def _fitting(self, query: str, longest: int | None) -> tuple[str, Frame]:
        """As much of a query as leaves room for a window, and what it makes of a pair."""
        frame = self._frame(query)
        while longest and (excess := len(frame.before) + len(frame.behind) + self.config.width - longest) > 0:
            count = len(self._encode(query)[0])
            if count <= excess:
                raise ValueError(
                    f"windows of {self.config.width} tokens leave no room for a query within the {longest} that the strong "
                    "model reads; lower core or overlap, or shorten the instruction"
                )
            query = self._first(query, count - excess)
            frame = self._frame(query)
        return query, frame

    def _first(self, text: str, count: int | None) -> str:
        """The first tokens of a text, as text; None takes all."""
        if count is None:
            return text
        options = dict(add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        offsets = self.tokens.tokenizer(text, **options)["offset_mapping"]
        return text if len(offsets) <= count else text[: offsets[count - 1][1]]

    def _encode(self, text: str) -> list[list[int]]:
        return self.tokens.tokenizer([text], add_special_tokens=False, verbose=False)["input_ids"]
