"""The folder of a synthesis: one tree per problem, what made them, and what came of them.

`trees/NAME.json` is written after each rollout, whole or not at all, so a killed run goes on where it was. `run.json` holds what
all trees of the folder have in common; a call with anything else in it is refused, for its trees would not fit together.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rader_ir.files import replacing
from rader_ir.index_folder import explained, locked
from rader_ir.mcts import Rules
from rader_ir.problems import Problem
from rader_ir.synth.grown import Grown

TREES, RUN, EXAMPLES, REPORT, REPLIES, SUMMARIES = (
    "trees",
    "run.json",
    "examples.jsonl",
    "report.json",
    "replies.sqlite",
    "summaries.jsonl",
)

_WRITERS = 4  # trees written at a time


class Store:
    """Trees in a folder, each under its problem's id.

    Args:
        folder: made with its parents where it is not there.
        rules, seed: of every search.
        about: what else decides the replies, by name, as JSON keeps it.
    """

    def __init__(self, folder: str | Path, rules: Rules, seed: int, about: Mapping[str, Any]):
        self.folder, self.rules, self.seed, self.about = Path(folder).expanduser(), rules, seed, dict(about)

    @contextmanager
    def open(self) -> Iterator["Store"]:
        """Hold the folder for this process alone, once it is known to be of this run.

        Raises:
            ValueError: the folder was made with other rules, another seed, model, prompts, corpus or retriever.
            RuntimeError: another process is at work in it.
        """
        (self.folder / TREES).mkdir(parents=True, exist_ok=True)
        with locked(self.folder), explained(self.folder):
            self._check()
            self._tidy()
            # What is being written is written before another process may come
            with ThreadPoolExecutor(_WRITERS, thread_name_prefix="trees") as self._writers:
                yield self

    def _check(self) -> None:
        path, told = self.folder / RUN, self._told()
        if not path.is_file():
            with replacing(path) as file:
                file.write(json.dumps(told, ensure_ascii=False, indent=1) + "\n")
            return
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(
                f"{path} is broken ({error}); move {self.folder} away, or choose another folder"
            ) from error
        differing = sorted(name for name in {**told, **kept} if told.get(name) != kept.get(name))
        if differing:
            name = differing[0]
            raise ValueError(
                f"{self.folder} was made with {name} {kept.get(name)!r:.100}, this call has {told.get(name)!r:.100}; choose "
                "another folder, or make the same call again to go on"
            )

    def _tidy(self) -> None:
        """Take away the halves of files that a killed process was writing."""
        for unfinished in self.folder.rglob(".*.unfinished"):
            unfinished.unlink(missing_ok=True)

    def _told(self) -> dict:
        return json.loads(json.dumps({**asdict(self.rules), "seed": self.seed, **self.about}))

    def path(self, problem_id: str) -> Path:
        """The file of a problem's tree."""
        return self.folder / TREES / f"{file_name(problem_id)}.json"

    def load(self, problem: Problem) -> Grown:
        """A problem's tree as far as it is grown; a new one where there is none.

        Raises:
            ValueError: the file is broken, or of another problem.
        """
        path = self.path(problem.problem_id)
        if not path.is_file():
            return Grown(problem, self.rules, self.seed, self.about)
        grown = Grown.read(path)
        if grown.problem != problem:
            raise ValueError(f"{path} holds another problem than {problem.problem_id!r} is now; choose another folder")
        return grown

    def save(self, grown: Grown) -> None:
        """Keep a tree."""
        grown.write(self.path(grown.problem.problem_id))

    async def keep(self, grown: Grown) -> None:
        """`save`, while other trees go on; this one must not change meanwhile."""
        await asyncio.get_running_loop().run_in_executor(self._writers, self.save, grown)


def file_name(problem_id: str) -> str:
    """A name for the file of a problem: its id where that is plain, else what is plain of it and a digest.

    >>> file_name("gsm8k_test_5"), file_name("jianyu_xu/Lah_number_6.json")
    ('gsm8k_test_5', 'jianyu_xu_Lah_number_6.json-9f2074f6')
    """
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", problem_id)[:80].lstrip(".")
    if plain == problem_id:
        return plain
    return f"{plain}-{hashlib.sha256(problem_id.encode()).hexdigest()[:8]}"
