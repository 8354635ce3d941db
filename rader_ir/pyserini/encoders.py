"""Query and document encoders with the signatures that Pyserini calls, in 1.6 and 2.4 alike.

They are thin: `rader_ir.encoder.Encoder` writes, cuts, pools and normalises texts as the checkpoint was trained, so
vectors equal those of every other door. They need no Pyserini: its searchers take any object with `encode`, and its
batch search uses `encode_batch`, which none of its own encoders has, to fill whole batches.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rader_ir.pyserini.agreement import check_flags, check_length


class RaDeRDocumentEncoder:
    """Document vectors for `pyserini.encode`. Nothing is loaded before the first text.

    Args:
        model_name: a checkpoint's name, folder or hub id.
        device: `cpu`, `cuda:0`, ...; None takes the best one here.
        fp16: half precision, whatever `encode` is told.
        pooling, l2_norm, prefix, max_length, tokenizer_name: Pyserini's flags, held against the checkpoint, which decides.

    Raises:
        ValueError: an unknown checkpoint, or a flag that contradicts it.
    """

    def __init__(
        self,
        model_name: str,
        device: str | None = None,
        *,
        fp16: bool = False,
        pooling: str | None = None,
        l2_norm: bool | None = None,
        prefix: str | None = None,
        max_length: int | None = None,
        tokenizer_name: str | None = None,
    ):
        self.model_name, self.device, self.fp16 = model_name, device, fp16
        self.encoder = _open(model_name, device, fp16)
        check_flags(
            self.encoder,
            "doc",
            pooling=pooling,
            l2_norm=l2_norm,
            prefix=prefix,
            max_length=max_length,
            tokenizer_name=tokenizer_name,
        )

    def encode(
        self,
        texts: Sequence[str | None],
        titles: Sequence[str | None] | None = None,
        *,
        fp16: bool = False,
        max_length: int | None = None,
        add_sep: bool = False,
    ) -> np.ndarray:
        """Vectors of documents, float32 [n, d], in the order of `texts`.

        Args:
            texts: Pyserini gives None for an empty text; it is encoded as "".
            titles: one per text, put before it on a line of its own.
            fp16: half precision.
            max_length: tokens; must be the checkpoint's.
            add_sep: title and text as two segments, which the checkpoint's form has no place for.

        Raises:
            ValueError: lists of unequal length, another `max_length`, or `add_sep`.
        """
        if add_sep:
            raise ValueError(
                "add_sep has no place in the checkpoint's form; leave it out: title and text are joined by newline"
            )
        check_length(self.encoder, "doc", max_length)
        if fp16 and not self.fp16:
            self.encoder.unload()
            self.fp16, self.encoder = True, _open(self.model_name, self.device, True)
        return self.encoder.encode_docs(_joined(titles, texts))


class RaDeRQueryEncoder:
    """Query vectors for Pyserini's searchers, from a checkpoint or from queries encoded before.

    Args:
        encoder_dir: a checkpoint's name, folder or hub id.
        tokenizer_name: must be the checkpoint itself.
        encoded_queries: folder with an `embedding.pkl`, in place of a checkpoint. Third by position, as in Pyserini's own
            classes, whose name for it differs between 1.6 and 2.4.
        device: `cpu`, `cuda:0`, ...; None takes the best one here.
        prefix: what stands before a query; held against the checkpoint, which decides.
        fp16: half precision.
        instruction: put before every query by the checkpoint's form, as BRIGHT's task instructions are.
        pooling, l2_norm, max_length: as `prefix`.

    Raises:
        ValueError: neither or both of a checkpoint and encoded queries; a flag that contradicts the checkpoint.
        FileNotFoundError: no `embedding.pkl` in the folder.
    """

    def __init__(
        self,
        encoder_dir: str | None = None,
        tokenizer_name: str | None = None,
        encoded_queries: str | Path | None = None,
        device: str | None = None,
        *,
        prefix: str | None = None,
        fp16: bool = False,
        instruction: str = "",
        pooling: str | None = None,
        l2_norm: bool | None = None,
        max_length: int | None = None,
    ):
        if (encoder_dir is None) == (encoded_queries is None):
            raise ValueError("give either a checkpoint (encoder_dir) or a folder of encoded queries, one of the two")
        self.encoder_dir, self.encoded_queries = encoder_dir, encoded_queries
        if encoded_queries is not None:
            from rader_ir.pyserini.vectors import read_encoded_queries

            self.vectors = read_encoded_queries(encoded_queries)
            return
        self.encoder = _open(encoder_dir, device, fp16, instruction)
        check_flags(
            self.encoder,
            "query",
            pooling=pooling,
            l2_norm=l2_norm,
            prefix=prefix,
            max_length=max_length,
            tokenizer_name=tokenizer_name,
        )

    def encode(
        self, query: str | None = None, qid: str | int | None = None, max_length: int | None = None
    ) -> np.ndarray:
        """Vector of one query, float32 [d]. Pyserini gives a text, or with `raw_jsonl` topics `query` and `qid`.

        Raises:
            ValueError: another `max_length` than the checkpoint's, or a query that is not among the encoded ones.
        """
        return self.encode_batch([{"query": query, "qid": qid}], max_length=max_length)[0]

    def encode_batch(self, queries: Sequence[str | Mapping | None], max_length: int | None = None) -> np.ndarray:
        """Vectors of many queries, float32 [n, d]; each is a text, or a mapping with a `query`; None is as "".

        Raises:
            ValueError: as `encode`.
        """
        texts = [(query.get("query") if isinstance(query, Mapping) else query) or "" for query in queries]
        if self.encoded_queries is not None:
            return np.stack([self._encoded(text) for text in texts])
        check_length(self.encoder, "query", max_length)
        return self.encoder.encode_queries(texts)

    def _encoded(self, text: str) -> np.ndarray:
        if text not in self.vectors:
            raise ValueError(
                f"the query {text[:80]!r} is not among the {len(self.vectors)} encoded ones in {self.encoded_queries}; "
                "encode these topics, or give a checkpoint"
            )
        return self.vectors[text]


def _open(checkpoint: str, device: str | None, fp16: bool, instruction: str = ""):
    from rader_ir.encoder import Encoder

    return Encoder(checkpoint, device=device, dtype="float16" if fp16 else None, instruction=instruction)


def _joined(titles: Sequence[str | None] | None, texts: Sequence[str | None]) -> list[str]:
    """Each title before its text on a line of its own; what is None or empty is left out."""
    if titles is None:
        return [text or "" for text in texts]
    if len(titles) != len(texts):
        raise ValueError(f"{len(titles)} titles were given for {len(texts)} texts; give one for each")
    return ["\n".join(filter(None, pair)) for pair in zip(titles, texts, strict=True)]
