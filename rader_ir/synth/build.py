"""Training examples of the four kinds from grown trees (RaDeR, arXiv:2505.18405, section 3).

For each theorem on the way to a right answer: `cot` asks by the question and the reasoning before the lookup, `llm` by a sentence
of the model's, `question` by the question, and `lexical` by a sentence that the model writes from the theorem alone. The positive
is the theorem's own text; negatives are what reflection turned down at that lookup, and BM25's for lexical queries and where
there would be none.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from rader_ir.bm25 import BM25
from rader_ir.examples import KINDS, Example, Passage
from rader_ir.guards import statement
from rader_ir.lm import Generates
from rader_ir.lm.asking import side_by_side
from rader_ir.mining import Window
from rader_ir.prompts import Prompt
from rader_ir.runs import Run
from rader_ir.seeded import seed_of
from rader_ir.synth.grown import Grown
from rader_ir.synth.negatives import PAPER, FalseNegatives, depth_of, filled, mined
from rader_ir.synth.paths import TRAJECTORIES, Use, Yield, yielded
from rader_ir.synth.wording import Wording
from rader_ir.synth.writing import Writer

SOURCE = "synthesis"
TRAIN, DEV = "train", "dev"
COT, LLM, QUESTION, LEXICAL = KINDS


@dataclass(frozen=True)
class Recipe:
    """How examples are made.

    Attributes:
        kinds: of queries, among `KINDS`.
        trajectories: `tree` or `rollouts`, as `paths.yielded` has it.
        least_reward: of an answer that counts as right.
        least_share: of the answers that follow a theorem, the share that must be right; the paper asks for no more than one.
        per_theorem: most `cot` and most `llm` examples of one question and theorem; the other kinds have one.
        tries: calls for one query at most.
        wording: what an `llm` query may have in common with its theorem.
        round_trip: a lexical query is kept if its theorem is among the first so many that BM25 finds by it.
        windows: by kind, the ranks of BM25's list of the query that give negatives; the default is the paper's code's. Examples
            of any kind that would have none get BM25's, see `negatives.filled`.
        dev_fraction: share of the questions whose examples are for development.
        seed: of the calls, the draws from windows, and the split.

    Raises:
        ValueError: an unknown kind or kind of trajectories, a number out of range.
    """

    kinds: tuple[str, ...] = KINDS
    trajectories: str = "tree"
    least_reward: float = 1.0
    least_share: float = 0.0
    per_theorem: int = 1
    tries: int = 3
    wording: Wording = field(default_factory=Wording)
    round_trip: int = 20
    windows: Mapping[str, Window] = field(default_factory=lambda: {LEXICAL: PAPER})
    dev_fraction: float = 0.1
    seed: int = 0

    def __post_init__(self):
        if unknown := [kind for kind in (*self.kinds, *self.windows) if kind not in KINDS]:
            raise ValueError(f"kind {unknown[0]!r} is unknown; choose of {', '.join(KINDS)}")
        if self.trajectories not in TRAJECTORIES:
            raise ValueError(f"trajectories {self.trajectories!r} are unknown; choose one of {', '.join(TRAJECTORIES)}")
        if min(self.per_theorem, self.tries, self.round_trip) < 1 or not 0 <= self.dev_fraction < 1:
            raise ValueError(
                f"per_theorem {self.per_theorem}, tries {self.tries}, round_trip {self.round_trip}, dev_fraction "
                f"{self.dev_fraction}; expected 1 or more, and a share from 0 to below 1"
            )
        if not 0 <= self.least_share <= 1:
            raise ValueError(f"least_share {self.least_share}; expected a share from 0 to 1")


@dataclass(frozen=True)
class Built:
    """Examples, and what else came of making them.

    Attributes:
        examples: in the order of problem ids, then of kinds, then of nodes. `provenance` says `source`, `question_id`, `tree`,
            `query_node`, `theorem_node`, `split` (`train` or `dev`), of each negative its run, rank and score, and as
            `excluded_ids` the other documents that helped with the question or were kept anywhere in its trees.
        counts: trees and theorem nodes read, and by name whatever was asked again, left out or dropped.
    """

    examples: tuple[Example, ...]
    counts: Mapping[str, int]

    def of(self, split: str) -> list[Example]:
        """The examples of `train` or `dev`."""
        return [example for example in self.examples if example.provenance["split"] == split]


@dataclass(frozen=True, slots=True)
class Draft:
    """An example to be: a query of a kind for the theorem of a use."""

    kind: str
    query: str
    use: Use

    @property
    def query_id(self) -> str:
        """Problem, kind and theorem node; no two drafts share it."""
        return f"{self.use.problem_id}-{self.kind}-{self.use.theorem_node}"


async def build_examples(
    trees: Iterable[tuple[str, Grown]],
    lm: Generates,
    documents: Mapping[str, str],
    *,
    prompts: Mapping[str, Prompt],
    recipe: Recipe | None = None,
    bm25: BM25 | None = None,
) -> Built:
    """Examples of trees, in an order and by chance that do not depend on the order of trees or replies.

    A question and a theorem give one example of each kind (`Recipe.per_theorem`), where equal statements are one theorem and
    equal texts one question; a theorem gives one lexical example in all. The split is by question, the same for all kinds.

    Args:
        trees: (file name, tree), such as `paths.read_trees` gives; each is read once and let go.
        lm: writes the queries. Put a cache before it, and a run that was broken off asks nothing twice.
        documents: texts by doc_id, of the corpus that the trees were grown on.
        prompts: `general_query` and `lexical_query`, as `Writer` fills them; those of kinds that are left out may lack.
        recipe: how; None takes the defaults.
        bm25: index of the documents; None builds it where it is needed.

    Raises:
        ValueError: a problem in two trees, a document that the corpus lacks, a prompt that is missing.
    """
    recipe, counts = recipe or Recipe(), Counter()
    material = _material(trees, recipe, counts)
    uses = [use for each in material for use in each.uses]
    _check_documents(uses, documents)
    writer = Writer(lm, prompts, counts, recipe.seed, recipe.tries, recipe.wording)
    drafts = await _Drafting(documents, recipe, writer, counts).of(uses)
    guard = FalseNegatives(material, documents, counts)
    examples = await asyncio.to_thread(_examples, drafts, guard, recipe, bm25)
    return Built(tuple(examples), dict(sorted(counts.items())))


def _examples(drafts: Sequence[Draft], guard: FalseNegatives, recipe: Recipe, bm25: BM25 | None) -> list[Example]:
    """The drafts' examples with all their negatives."""
    built = cache(lambda: BM25.build(guard.documents.items(), blank_ids="allow") if bm25 is None else bm25)

    def retrieve(queries: Mapping[str, str], **options) -> Run:
        return built().retrieve(queries, **options)

    drafts, lists = _searched(drafts, recipe, retrieve, guard.counts)
    splits = _splits(drafts, recipe)
    examples = [_example(draft, guard, splits) for draft in sorted(drafts, key=_order)]
    examples = mined(examples, lists, recipe.windows, guard, recipe.seed)
    return filled(examples, retrieve, recipe.windows, guard, recipe.seed)


def _material(trees: Iterable[tuple[str, Grown]], recipe: Recipe, counts: Counter) -> list[Yield]:
    """What the trees yield, in the order of problem ids."""
    found: dict[str, Yield] = {}
    for name, grown in trees:
        limits = {"least_reward": recipe.least_reward, "least_share": recipe.least_share}
        one = yielded(name, grown, trajectories=recipe.trajectories, **limits)
        if one.problem_id in found:
            raise ValueError(f"{name}: problem {one.problem_id!r} has a tree already; give each problem one tree")
        found[one.problem_id] = one
        counts["trees"] += 1
        counts["trees with theorems on right paths"] += bool(one.uses)
        counts["theorems on right paths"] += len(one.uses)
    return [found[problem_id] for problem_id in sorted(found)]


def _check_documents(uses: Iterable[Use], documents: Mapping[str, str]) -> None:
    for use in uses:
        for doc_id in (use.doc_id, *(negative.doc_id for negative in use.rejected)):
            if not documents.get(doc_id, "").strip():
                raise ValueError(
                    f"{use.tree}: document {doc_id!r} is not in the corpus, or empty; give the corpus that the tree was grown on"
                )


class _Drafting:
    """Writes the drafts of all kinds, each question and theorem once."""

    def __init__(self, documents: Mapping[str, str], recipe: Recipe, writer: Writer, counts: Counter):
        self.documents, self.recipe, self.writer, self.counts = documents, recipe, writer, counts
        self.stated = cache(lambda doc_id: statement(documents[doc_id]))

    async def of(self, uses: Sequence[Use]) -> list[Draft]:
        pairs: dict[tuple[str, str], list[Use]] = {}
        theorems: dict[str, Use] = {}
        for use in uses:
            theorem = self.stated(use.doc_id)
            pairs.setdefault((statement(use.question), theorem), []).append(use)
            theorems.setdefault(theorem, use)
        made = [draft for same in pairs.values() for draft in self._plain(same)]
        jobs = [(LLM, same) for same in pairs.values()] + [(LEXICAL, [use]) for use in theorems.values()]
        jobs = [(kind, same) for kind, same in jobs if kind in self.recipe.kinds]
        written = await side_by_side(jobs, self._written)
        return made + [draft for each in written for draft in each]

    def _plain(self, same: Sequence[Use]) -> Iterator[Draft]:
        """Those that need no writing; a lookup right after the question has no reasoning to ask by."""
        if QUESTION in self.recipe.kinds:
            yield Draft(QUESTION, same[0].question, same[0])
        if COT in self.recipe.kinds:
            texts: dict[str, Use] = {}
            for use in same:
                if use.reasoning:
                    texts.setdefault(f"{use.question}\n{use.reasoning}", use)
                else:
                    self.counts["cot without reasoning"] += 1
            for query, use in list(texts.items())[: self.recipe.per_theorem]:
                yield Draft(COT, query, use)

    async def _written(self, job: tuple[str, Sequence[Use]]) -> list[Draft]:
        kind, same = job
        if kind == LEXICAL:
            query = await self.writer.lexical(same[0].doc_id, self.documents[same[0].doc_id])
            return [] if query is None else [Draft(LEXICAL, query, same[0])]
        texts: dict[str, Use] = {}
        for use in same:  # the next one only where those before did not give enough
            if len(texts) == self.recipe.per_theorem:
                break
            if (query := await self.writer.general(use, self.documents[use.doc_id])) is not None:
                texts.setdefault(query, use)
        return [Draft(LLM, query, use) for query, use in texts.items()]


def _searched(
    drafts: Sequence[Draft], recipe: Recipe, retrieve: Callable[..., Run], counts: Counter
) -> tuple[list[Draft], dict[str, Run]]:
    """The drafts without lexical ones that BM25 does not lead back to their theorem, and by kind the lists of their queries."""
    lists: dict[str, Run] = {}
    for kind in recipe.kinds:
        if kind != LEXICAL and kind not in recipe.windows:
            continue
        window = recipe.windows.get(kind)
        depth = max(recipe.round_trip, 0 if window is None else depth_of(window))
        if queries := {draft.query_id: draft.query for draft in drafts if draft.kind == kind}:
            lists[kind] = retrieve(queries, depth=depth)
    kept = []
    for draft in drafts:
        if draft.kind == LEXICAL and draft.use.doc_id not in list(lists[LEXICAL][draft.query_id])[: recipe.round_trip]:
            counts[f"lexical_query not found again among {recipe.round_trip}"] += 1
        else:
            kept.append(draft)
    return kept, lists


def _splits(drafts: Iterable[Draft], recipe: Recipe) -> dict[str, str]:
    """`train` or `dev` by question: the share of least hash is for development, one question at least if there are two."""
    questions = {statement(draft.use.question) for draft in drafts}
    ordered = sorted(questions, key=lambda question: (seed_of(recipe.seed, "split", question), question))
    held = round(recipe.dev_fraction * len(ordered))
    if recipe.dev_fraction and len(ordered) > 1:
        held = max(held, 1)
    return {question: DEV if place < held else TRAIN for place, question in enumerate(ordered)}


def _order(draft: Draft) -> tuple[str, int, int]:
    return draft.use.problem_id, KINDS.index(draft.kind), draft.use.theorem_node


def _example(draft: Draft, guard: FalseNegatives, splits: Mapping[str, str]) -> Example:
    use = draft.use
    provenance = {
        "source": SOURCE,
        "question_id": use.problem_id,
        "tree": use.tree,
        "query_node": use.query_node,
        "theorem_node": use.theorem_node,
        "split": splits[statement(use.question)],
    }
    if others := guard.excluded(use):
        provenance["excluded_ids"] = others
    positive = Passage(use.doc_id, guard.documents[use.doc_id])
    if draft.kind == LEXICAL:
        return Example(draft.query_id, draft.query, (positive,), kind=LEXICAL, provenance=provenance)
    negatives, origins = guard.rejected(use)
    if origins:
        provenance["negatives"] = origins
    return Example(draft.query_id, draft.query, (positive,), negatives, kind=draft.kind, provenance=provenance)
