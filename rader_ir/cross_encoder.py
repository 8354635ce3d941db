"""Cross-encoder: one score per query and document read together (RaDeR, arXiv:2505.18405, section 3).

A decoder reads `query: {q} document: {d}` and its end token; a linear head on that token's state gives the score, higher is
better. The state is taken where the mask ends, not where a padding id is looked for, since gte-Qwen2's end token is its padding
token and the library's own heads then read the wrong place. BERT-likes read the pair their tokenizer's way.
"""

import os
from collections.abc import Sequence

import numpy as np
import torch

from rader_ir import loading
from rader_ir.checkpoints import DEFAULT_RERANKER, Checkpoint, check_length
from rader_ir.encoder import last_token
from rader_ir.text_model import TextModel, check_texts
from rader_ir.tokens import Ids, for_each_batch, pad


class CrossEncoder(TextModel):
    """Scores of documents for queries. Nothing is loaded or downloaded before the first pair.

    Args:
        checkpoint: a name, a folder, a hub id or a `Checkpoint`, with a head of one label.
        device, dtype, batch_tokens, forms, revision, verbose: as `Encoder`.
        max_length: tokens of query and document together, in place of the checkpoint's `max_doc_length`; only the document
            is cut.
        instruction: put where the form has `{instruction}`.

    Raises:
        ValueError, FileNotFoundError: an unknown checkpoint or option (now), or files that cannot be had (at the first pair).
    """

    head = "score"

    def __init__(
        self,
        checkpoint: str | os.PathLike | Checkpoint = DEFAULT_RERANKER,
        *,
        device: str | None = None,
        dtype: str | None = None,
        batch_tokens: int = 8192,
        max_length: int | None = None,
        instruction: str = "",
        forms: str | None = None,
        revision: str | None = None,
        verbose: bool = False,
    ):
        super().__init__(
            checkpoint,
            device=device,
            dtype=dtype,
            batch_tokens=batch_tokens,
            instruction=instruction,
            forms=forms,
            revision=revision,
            verbose=verbose,
        )
        if max_length is not None:
            check_length(max_length, "max_length")
        self.max_length = max_length

    def score(self, queries: Sequence[str], docs: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """Scores of each query's documents: one float32 array [len(docs[i])] per query, in the order given.

        Batches cross queries; equal pairs are scored once.

        Args:
            queries: n texts.
            docs: n lists of texts, each of any length, none included.

        Raises:
            ValueError: lists that do not fit each other, or a query too long to leave room for a document.
        """
        if len(queries) != len(docs):
            raise ValueError(
                f"{len(queries)} queries were given with {len(docs)} lists of documents; give one list for each"
            )
        check_texts(queries, "query")
        for texts in docs:
            check_texts(texts, "document")
        pairs = list(dict.fromkeys((q, d) for q, texts in zip(queries, docs, strict=True) for d in texts))
        place = dict(zip(pairs, self._score_pairs(pairs) if pairs else [], strict=True))
        return [
            np.array([place[q, d] for d in texts], dtype=np.float32) for q, texts in zip(queries, docs, strict=True)
        ]

    def describe(self) -> dict:
        """What makes these scores what they are; fetches the files, loads no weights."""
        settled = self.settled()
        max_length = self._length(self.max_length, settled.max_doc_length, "max_length")
        facts = {"pair_form": settled.pair_form, "max_length": max_length}
        return {**super().describe(), **facts}

    def _score_pairs(self, pairs: list[tuple[str, str]]) -> np.ndarray:
        loaded = self.open()
        max_length = self._length(self.max_length, self.checkpoint.max_doc_length, "max_length")
        queries, docs = map(list, zip(*pairs, strict=True))
        ids = self._tokens.pairs(queries, docs, self.instruction, max_length)
        self._count(ids, "pairs", max_length)
        scores = np.empty(len(pairs), dtype=np.float32)

        def step(batch: np.ndarray) -> None:
            scores[batch] = self._forward(loaded, ids, batch)

        for_each_batch(ids.lengths, self.batch_tokens, step, description="rerank", verbose=self.verbose)
        return scores

    @torch.inference_mode()
    def _forward(self, loaded: loading.Loaded, ids: Ids, batch: np.ndarray) -> np.ndarray:
        model = loaded.model
        inputs = pad([ids.rows[i] for i in batch], model.config.pad_token_id, loaded.device)
        if ids.segments is not None:
            inputs["token_type_ids"] = pad([ids.segments[i] for i in batch], 0, loaded.device)["input_ids"]
        if not hasattr(model, "score"):  # BERT-likes have their head on the first token and read it there
            return model(**inputs).logits[:, 0].float().cpu().numpy()
        hidden = getattr(model, model.base_model_prefix)(**inputs, **loaded.options).last_hidden_state
        return model.score(last_token(hidden, inputs["attention_mask"]))[:, 0].float().cpu().numpy()
