r"""One sentence per theorem, in which the model reads it (self-summarisation, arXiv:2505.18405, section 3).

A summary depends on the theorem, the model and the prompt alone, so each is made once for the whole corpus, whoever asks first,
and kept in a file; RaDeR's code makes it anew at every retrieval. Where none can be had the document's own text stands in, cut
short, and whoever asked is told why.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

from rader_ir.files import replacing
from rader_ir.lm import Failure, Generates, Sampling
from rader_ir.lm.asking import asked
from rader_ir.prompts import Prompt
from rader_ir.records import jsonl_records
from rader_ir.seeded import seed_of
from rader_ir.synth import reading

LONGEST = (
    6000  # characters of a theorem that are sent; of BRIGHT's TheoremQA corpus the mean is 872, the longest 19,104
)
SHORTER = 1500  # where these do not fit into the model's context
STAND_IN = 1000  # characters of a text that stands in for a summary
UNREADABLE = "unreadable"
_PROOF = re.compile(r"\\begin\s*\{proof\}")


@dataclass(frozen=True)
class Summary:
    """How a model reads a document.

    Attributes:
        text: the summary, or what stands in for it.
        failure: why it is a stand-in: a value of `Failure`, or "unreadable"; None for a summary.
    """

    text: str
    failure: str | None = None


def stated(text: str, longest: int) -> str:
    """A document without its proof, and no longer than that many characters, cut between words."""
    before = _PROOF.split(text, maxsplit=1)[0].strip() or text.strip()
    if len(before) <= longest:
        return before
    cut = before[: longest - 2]
    return (cut.rsplit(None, 1)[0] if re.search(r"\s", cut) else cut) + " …"


class Summaries:
    """The summaries of a corpus: `open` reads those of the file, `close` puts the file into the order of its ids.

    Of one file there is one process at a time.

    Args:
        path: JSON lines, appended as summaries are made, so that a killed process loses none but the one that it was writing;
            rows of another model, prompt or text are passed over. None keeps them in memory alone.
        prompt: the wording, with the hole {theorem}.
        sampling: as for `lm.asking.asked`.
    """

    def __init__(self, path: str | Path | None, *, prompt: Prompt, sampling: Sampling):
        self.path, self.prompt, self.sampling = None if path is None else Path(path), prompt, sampling
        self._key = lru_cache(maxsize=None)(self._digest)
        self._kept: dict[str, dict[str, str]] = {}  # by key
        self._under_way: dict[str, asyncio.Task] = {}
        self._file = None

    def open(self) -> None:
        """Read the file; a last line that a kill has cut is taken off.

        Raises:
            ValueError: another line that is no such record; names it.
        """
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "ab+") as file:
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
        for where, record in jsonl_records(self.path):
            if record.keys() != {"doc_id", "key", "summary"} or not all(isinstance(v, str) for v in record.values()):
                raise ValueError(f"{where}: no summary of rader synthesize; move {self.path} away")
            self._kept.setdefault(record["key"], record)
        self._file = open(self.path, "ab")  # noqa: SIM115 closed by `close`

    async def close(self) -> None:
        """End what is under way, and the file, whose rows are put in the order of ids: they do not tell who asked first."""
        for task in self._under_way.values():
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)
        if self._file is not None:
            self._file.close()
            self._file = None
            with replacing(self.path) as file:
                for record in sorted(self._kept.values(), key=lambda record: (record["doc_id"], record["key"])):
                    file.write(_line(record))

    async def of(self, doc_id: str, text: str, lm: Generates) -> Summary:
        """The summary of a document. Those who ask while it is made wait for the same; one that failed is asked for again later.

        The seed follows from the doc_id alone.
        """
        key = self._key(doc_id, text, lm.identity)
        if key in self._kept:
            return Summary(self._kept[key]["summary"])
        if key not in self._under_way:
            task = asyncio.ensure_future(self._made(key, doc_id, text, lm))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        # Shielded: a caller that gives up must not take the summary from those who wait for it too
        return await asyncio.shield(self._under_way[key])

    async def _made(self, key: str, doc_id: str, text: str, lm: Generates) -> Summary:
        seed = seed_of("summary", doc_id)
        for longest in (LONGEST, SHORTER):
            values = {"theorem": stated(text, longest)}
            reply = await asked(lm, self.prompt, values, sampling=self.sampling, seed=seed)
            if reply.failure is not Failure.CONTEXT_OVERFLOW:
                break
        if reply.failure is not None:
            return Summary(stated(text, STAND_IN), str(reply.failure))
        summary = reading.summary(reply.text)
        if summary is None:
            return Summary(stated(text, STAND_IN), UNREADABLE)
        self._keep({"doc_id": doc_id, "key": key, "summary": summary})
        return Summary(summary)

    def _keep(self, record: Mapping[str, str]) -> None:
        self._kept[record["key"]] = dict(record)
        if self._file is not None:
            self._file.write(_line(record).encode())
            self._file.flush()

    def _digest(self, doc_id: str, text: str, model: str) -> str:
        """A digest of all that decides a summary."""
        sampling = asdict(replace(self.sampling, max_tokens=self.prompt.max_tokens))
        told = [doc_id, model, asdict(self.prompt), sampling, stated(text, LONGEST)]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:24]


def _line(record: Mapping[str, str]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"
