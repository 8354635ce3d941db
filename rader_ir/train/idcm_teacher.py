"""What the strong model says of windows: the selector's lessons, computed once and kept (arXiv:2105.09816, section 3.4).

A line is one query and document, appended when its portion is done, under a digest of the strong model, of how windows are cut
and of both texts. A run that is called again, or another one with another loss, reads what is there; a line that a kill cut
short is passed over.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from rader_ir.cross_encoder import CrossEncoder
from rader_ir.idcm import IDCMConfig, frames
from rader_ir.idcm_texts import Document, Query, WindowTexts
from rader_ir.loading import longest_text
from rader_ir.tokens import TextTokens

_AT_ONCE = 64  # pairs of which all windows are scored before they are written


@dataclass(frozen=True)
class Lesson:
    """One query and document.

    Attributes:
        name: of the query, for messages.
        query: ids that the selector reads.
        ids, mask: its windows, as `rader_ir.idcm.frames` gives them.
        scores: the strong model's, float32 [P].
    """

    name: str
    query: list[int]
    ids: np.ndarray
    mask: np.ndarray
    scores: np.ndarray


def lessons(
    pairs: Sequence[tuple[str, str, str]], strong: CrossEncoder, config: IDCMConfig, kept: str | Path
) -> list[Lesson]:
    """All pairs whose document has more windows than the strong model is to read; the others leave nothing to choose.

    Args:
        pairs: (name, query, document).
        strong: the teacher.
        config: how windows are cut.
        kept: the file of scores, read and appended to.

    Raises:
        ValueError: windows that leave no room for any query, or a score that is no number.
    """
    loaded = strong.open()
    texts = WindowTexts(TextTokens(loaded.tokenizer, loaded.checkpoint), config, strong.instruction)
    told = f"{strong.fingerprint()} {config.core} {config.overlap} {config.ends}"
    told += f" {config.max_query_length} {config.max_doc_length}"
    known, made, waiting = _read(Path(kept)), [], iter(pairs)
    with open(kept, "a", encoding="utf-8", newline="\n") as file:
        while portion := list(islice(waiting, _AT_ONCE)):
            queries = texts.queries([query for _, query, _ in portion], longest_text(loaded.files))
            docs = texts.documents([doc for _, _, doc in portion])
            places = [i for i, doc in enumerate(docs) if len(doc.windows) > config.passages]
            keys = {i: _key(told, *portion[i][1:]) for i in places}
            # a portion is read whole or not at all, since other batches round otherwise
            new = places if any(key not in known for key in keys.values()) else []
            for i, own in zip(new, _scores(strong, texts, [(queries[i], docs[i]) for i in new]), strict=True):
                if not np.isfinite(own).all():
                    raise ValueError(
                        f"query {portion[i][0]!r}: a score of the strong model is no number; check its weights"
                    )
                known[keys[i]] = own
                file.write(json.dumps({"key": keys[i], "scores": own.tolist()}) + "\n")
            file.flush()
            for i in places:
                framed = frames(docs[i].ids, config.core, config.overlap, loaded.tokenizer.pad_token_id)
                made.append(Lesson(portion[i][0], queries[i].ids, *framed, known[keys[i]]))
    return made


def _scores(strong: CrossEncoder, texts: WindowTexts, pairs: Sequence[tuple[Query, Document]]) -> list[np.ndarray]:
    """The strong model's scores of all windows of each pair."""
    if not pairs:
        return []
    read = [(query, doc, window) for query, doc in pairs for window in range(len(doc.windows))]
    scores = strong.score_ids([tuple(query.ids) for query, _, _ in read], texts.pairs(read))
    return np.split(scores, np.cumsum([len(doc.windows) for _, doc in pairs])[:-1])


def _key(told: str, query: str, doc: str) -> str:
    return hashlib.sha256(json.dumps([told, query, doc]).encode()).hexdigest()[:32]


def _read(path: Path) -> dict[str, np.ndarray]:
    """The scores in a file, which may be missing or end in half a line, which is taken off."""
    if not path.is_file():
        return {}
    whole = path.read_bytes()
    end = whole.rfind(b"\n") + 1
    if end < len(whole):
        with open(path, "r+b") as file:
            file.truncate(end)
    records = [json.loads(line) for line in whole[:end].decode().splitlines()]
    return {record["key"]: np.array(record["scores"], dtype=np.float32) for record in records}
