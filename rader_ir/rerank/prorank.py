"""ProRank: a small language model that is asked for 1 or 0, scored by these two logits (arXiv:2506.03487, section 3).

One pass per document, nothing is written; what stands before the documents of a query is read once. Its checkpoints are those of
mxbai-rerank-v2; any instruct model that writes 0 and 1 in one token each can be opened the same way, trained for it or not.
"""

import os
from collections.abc import Sequence

import numpy as np

from rader_ir import loading
from rader_ir.checkpoints import Checkpoint, check_length, find_checkpoint
from rader_ir.choice import as_judge, check_room
from rader_ir.prompts import load_prompts
from rader_ir.rerank.pointwise import check_passages
from rader_ir.rerank.rader import RaDeR
from rader_ir.weights import fetch

DEFAULT = "mixedbread-ai/mxbai-rerank-base-v2"
# Tokens of a pair that the released checkpoints are used with; they have positions for 32,768
PROTOCOLS = {
    DEFAULT: dict(max_length=8192),
    "mixedbread-ai/mxbai-rerank-large-v2": dict(max_length=8192),
}
_LENGTH = 8192


class ProRank:
    """Scores by the logit of "1" minus that of "0", over whole documents or over their passages.

    Args:
        checkpoint: a language model: a name of `PROTOCOLS`, a hub id, a folder, an adapter; or what `rader train prorank` made,
            which carries its own wording.
        prompt: a TOML file of your own wording, laid out as `prompts/prorank.toml`; None takes the checkpoint's, else ours.
        instruction: a line of its own before the query; "" writes none.
        max_length: tokens of query, document and prompt together; a query has three quarters of them at most, and the document
            is cut to what is left. None takes the checkpoint's, 8192 for one without.
        passage_length, passage_stride: as `RaDeR`.
        revision: of a hub repository.
        batch_tokens, device, dtype, verbose: as `CrossEncoder`.

    Raises:
        ValueError: a value out of range or an unknown checkpoint (now); no language model, or no chat template (at the first
            pair).
    """

    def __init__(
        self,
        checkpoint: str | os.PathLike | Checkpoint = DEFAULT,
        *,
        prompt: str | os.PathLike | None = None,
        instruction: str = "",
        max_length: int | None = None,
        passage_length: int | None = None,
        passage_stride: int | None = None,
        revision: str | None = None,
        batch_tokens: int | None = None,
        device: str | None = None,
        dtype: str | None = None,
        verbose: bool = False,
    ):
        check_passages(passage_length, passage_stride)
        if max_length is not None:
            check_length(max_length, "max_length")
        self.checkpoint = find_checkpoint(checkpoint, revision=revision)
        self.prompt, self.instruction, self.max_length = prompt, instruction, max_length
        self._asked = load_prompts(prompt, name="prorank")["judge"]
        self.passage_length, self.passage_stride = passage_length, passage_stride
        self._options = dict(batch_tokens=batch_tokens, device=device, dtype=dtype, verbose=verbose)
        self._reader: RaDeR | None = None

    @property
    def reader(self) -> RaDeR:
        """What scores the pairs; its files are fetched now, its weights at the first pair."""
        if self._reader is None:
            protocol = PROTOCOLS.get(self.checkpoint.name, {"max_length": _LENGTH})
            asked = self._asked if self.prompt is not None or not self._is_judge() else None
            judge = as_judge(self.checkpoint, asked, **protocol)
            length = self.max_length or judge.max_doc_length
            check_room(judge, loading.read_tokenizer(fetch(judge)), length)
            line = f"instruction: {self.instruction}\n" if self.instruction else ""
            cut = dict(passage_length=self.passage_length, passage_stride=self.passage_stride, max_length=length)
            self._reader = RaDeR(judge, instruction=line, **cut, **self._options)
        return self._reader

    def _is_judge(self) -> bool:
        return fetch(self.checkpoint).checkpoint.head == "choice"

    @property
    def truncated(self) -> int:
        """Pairs cut so far."""
        return 0 if self._reader is None else self._reader.truncated

    @property
    def work(self) -> tuple[int, int]:
        """Pairs read so far, and the tokens in them."""
        return (0, 0) if self._reader is None else self._reader.work

    def score(self, queries: Sequence[str], docs: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """One float32 array [len(docs[i])] per query, in the order given; above 0 the model would rather say 1."""
        return self.reader.score(queries, docs)

    def fingerprint(self) -> str:
        """Changes with whatever changes scores."""
        return f"prorank-{self.reader.fingerprint()}"

    def unload(self) -> None:
        """Free the model."""
        if self._reader is not None:
            self._reader.unload()
