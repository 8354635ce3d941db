"""One problem's search as it is kept: the tree, what each lookup found and why it was kept or turned down, and what made it.

A file holds all that a search needs to go on and all that examples and the viewer need, and nothing that depends on time, so
that two runs with one seed leave equal files.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rader_ir.files import read_text, replacing
from rader_ir.mcts import QUESTION, Rules, Tree
from rader_ir.problems import Problem

VERSION = 1
FAILED, KEPT, REJECTED, USED = "failed", "kept", "rejected", "used"
VERDICTS = (KEPT, REJECTED, USED, FAILED)


@dataclass(frozen=True)
class Found:
    """A document that a lookup found.

    Attributes:
        doc_id, score: of the retriever.
        verdict: `kept` or `rejected` by reflection; `used`, since the path held it already, so nobody asked; `failed`, since
            no judgement could be had or read. Only what is kept becomes a node.
        summary: the sentence that the model reads in its place; "" where none could be had.
        reason: of the judgement, in the model's words; of a failure, what failed.
    """

    doc_id: str
    score: float
    verdict: str
    summary: str = ""
    reason: str = ""

    def __post_init__(self):
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict {self.verdict!r} is unknown; choose one of {', '.join(VERDICTS)}")


@dataclass
class Grown:
    """A problem's tree, grown so far.

    Contents of its nodes: question {"text"}; thought {"text"}, with "answer" where it holds one; solution {"text", "answer",
    "rewards"} with the rewards of the samples that were drawn; query {"text", "name", "statement", "preconditions", "why",
    "subject"}, of which "text" is what was searched; theorem {"doc_id", "text", "score", "reason"}; its "text" is a summary.

    Attributes:
        problem, rules, seed: what is solved, how, and by which chance.
        about: what else decides the replies, by name: the model, the prompts, the corpus, the retriever.
        tree: grown so far.
        found: by id of a query node (in gold mode, of the node that the theorems follow), what was found, best first.
        counts: events by name, such as replies that could not be read or calls that failed.
    """

    problem: Problem
    rules: Rules
    seed: int
    about: Mapping[str, Any] = field(default_factory=dict)
    tree: Tree = None
    found: dict[int, tuple[Found, ...]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self):
        self.tree = self.tree or Tree({"text": self.problem.question})

    @property
    def finished(self) -> bool:
        """Whether it has all its rollouts."""
        return len(self.tree.rollouts) >= self.rules.rollouts

    @property
    def solved(self) -> bool:
        """Whether a rollout ended at a right answer; never where none is known."""
        return self.problem.answer is not None and any(
            (self.tree.nodes[end].reward or 0.0) >= 1.0 for end in self.tree.rollouts
        )

    def count(self, event: str) -> None:
        """One more of an event."""
        self.counts[event] = self.counts.get(event, 0) + 1

    def write(self, path: str | Path) -> None:
        """As JSON, whole or not at all."""
        record = {
            "version": VERSION,
            "problem": asdict(self.problem),
            "rules": asdict(self.rules),
            "seed": self.seed,
            "about": dict(self.about),
            "tree": self.tree.to_json(),
            "found": {str(node): [vars(each) for each in found] for node, found in sorted(self.found.items())},
            "counts": dict(sorted(self.counts.items())),
        }
        with replacing(path) as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, path: str | Path) -> "Grown":
        """What `write` left.

        Raises:
            ValueError: broken JSON, another version, a field missing; names the file.
        """
        try:
            record = json.loads(read_text(path))
            if record["version"] != VERSION:
                raise ValueError(f"version {record['version']!r}; this program reads version {VERSION}")
            rules = record["rules"] | {"answer_marks": tuple(record["rules"]["answer_marks"])}
            grown = cls(
                Problem(**record["problem"]),
                Rules(**rules),
                record["seed"],
                record["about"],
                Tree.from_json(record["tree"]),
                {int(node): tuple(Found(**each) for each in found) for node, found in record["found"].items()},
                record["counts"],
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is no tree of rader synthesize ({error!r:.200}); move it away") from error
        if grown.tree.root.kind != QUESTION or grown.tree.root.content != {"text": grown.problem.question}:
            raise ValueError(f"{path}: its root is not the problem's question; move it away")
        return grown
