"""Systems times collections: every run made and measured once, kept in a folder, and gone on with after a kill.

OUT/LABEL holds a system's cells (`rader_ir.cells`), OUT/indexes what was made of documents, OUT/parts the runs that a hybrid or
a reranker needed beside the systems asked for. A cell whose key is unchanged is not done again, so a call that adds a system
or a collection does only what is new.
"""

import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from glob import escape
from hashlib import sha256
from pathlib import Path

from rader_ir.cells import Cell
from rader_ir.collection import Collection, short
from rader_ir.evaluation import Results
from rader_ir.measures import parsed
from rader_ir.pipeline_runs import Task, check, facts, given_run, make, reads_documents
from rader_ir.pipelines import RESERVED, System
from rader_ir.runs import Run
from rader_ir.shelf import Shelf


@dataclass
class Outcome:
    """What an experiment found.

    Attributes:
        results: {system: {collection: {measure: {query_id: value}}}}, collections by the last part of their names.
        collections: by the same names.
        runs: {system: {collection: file}}.
        remarks: {system: {collection: sentences}} on what a reader should know, such as judged queries without a list.
        absent: {collection: how many of its relevant documents are not among its documents}, where there are such.
        made, kept: cells done in this call, and those found finished.
        systems: what was run.
        settings: of the experiment, as `Experiment.settings` gives them.
    """

    results: Results
    collections: dict[str, Collection] = field(default_factory=dict)
    runs: dict[str, dict[str, Path]] = field(default_factory=dict)
    remarks: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    absent: dict[str, int] = field(default_factory=dict)
    made: int = 0
    kept: int = 0
    systems: Sequence[System] = ()
    settings: dict = field(default_factory=dict)


class Experiment:
    """Systems to be run on collections, and the folder for what they find.

    Args:
        systems: of `rader_ir.pipelines.parse`.
        out: the folder.
        engines: opens models, as `rader_ir.engines.Engines`.
        measures: names as ir_measures has them; None takes each collection's own.
        depth: documents that a run keeps for each query.
        rerank_depth: documents of the first stage that are reranked.
        questions: gives {query_id: text} that rerankers read for a collection, where these are not its queries: with chains
            of thought as queries, RaDeR's reranker reads the question itself (arXiv:2505.18405).
        indexes: folder for indexes; None takes OUT/indexes.
        drop_indexes: delete indexes once their corpus is done; with `indexes` of one's own they stay.
        verbose: whether to show progress bars.

    Raises:
        ValueError: indexes of one's own that shall be dropped; an unknown measure.
    """

    def __init__(
        self,
        systems: Sequence[System],
        out: str | Path,
        *,
        engines,
        measures: Sequence[str] | None = None,
        depth: int = 1000,
        rerank_depth: int = 100,
        questions: Callable[[Collection], Mapping[str, str]] | None = None,
        indexes: str | Path | None = None,
        drop_indexes: bool = False,
        verbose: bool = False,
    ):
        if indexes is not None and drop_indexes:
            raise ValueError(f"indexes kept in {indexes} are not dropped; leave out one of the two options")
        if measures is not None:
            parsed(measures)  # an unknown one is told before anything is made
        self.systems, self.out, self.engines, self.measures = systems, Path(out), engines, measures
        self.depth, self.rerank_depth, self.questions = depth, rerank_depth, questions
        self.indexes = Path(indexes) if indexes is not None else self.out / RESERVED[0]
        self.drop_indexes, self.verbose = drop_indexes, verbose

    def run(self, collections: Iterable[Collection]) -> Outcome:
        """Run every system on every collection, as far as that is not done.

        Args:
            collections: looked through for what systems lack before any work; then all cells of the one are finished before
                the next.

        Raises:
            ValueError: two collections whose names end alike; one without documents that are needed; whatever a system refuses.
            FileNotFoundError: a folder of runs lacks one.
        """
        from tqdm import tqdm

        outcome = Outcome({system.label: {} for system in self.systems}, systems=self.systems, settings=self.settings())
        collections = self._checked(collections)
        total = len(collections) * len(self.systems)
        shelf = None
        try:
            with tqdm(total=total, desc="experiment", unit="cell", disable=not self.verbose) as bar:
                for collection in collections:
                    shelf = self._run_on(collection, outcome, shelf, bar)
        except Exception:
            if done := outcome.made + outcome.kept:
                told = "1 finished cell is" if done == 1 else f"{done} finished cells are"
                print(f"rader: {told} kept in {self.out}; the same call goes on behind", file=sys.stderr, flush=True)
            raise
        finally:
            self.engines.close()
        if self.drop_indexes:
            self._drop(outcome.collections)
        return outcome

    def settings(self) -> dict:
        """What figures depend on beside systems and collections, as JSON values."""
        asked = "queries" if self.questions is None else "questions"
        return {"depth": self.depth, "rerank_depth": self.rerank_depth, "rerankers_read": asked}

    def _drop(self, names: Iterable[str]) -> None:
        """Delete the indexes of these collections, those that a killed call left included."""
        for name in names:
            for folder in self.indexes.glob(f"{escape(name)}-{'[0-9a-f]' * 16}"):
                shutil.rmtree(folder)
        if self.indexes.is_dir() and not any(self.indexes.iterdir()):
            self.indexes.rmdir()

    def _checked(self, collections: Iterable[Collection]) -> list[Collection]:
        """The collections, each with a name of its own and with all that the systems read of it."""
        checked: dict[str, Collection] = {}
        for collection in collections:
            if (name := short(collection.name)) in checked:
                raise ValueError(f"two collections are called {name}; give {collection.name} a folder of its own")
            for system in self.systems:
                check(system, collection)
            checked[name] = collection
        return list(checked.values())

    def _run_on(self, collection: Collection, outcome: Outcome, before: Shelf | None, bar) -> Shelf:
        """Runs all systems on a collection, and gives its shelf; that of the collection before goes if it is to be dropped."""
        name = short(collection.name)
        named = {"name": collection.name, "wanted": collection.relevant()}
        shelf = Shelf(collection.documents, self.indexes, **named, verbose=self.verbose)
        if self.drop_indexes and before is not None and not before.same(shelf):
            before.drop()
        outcome.collections[name] = collection
        cells = _Cells(self, collection, shelf)
        for system in self.systems:
            bar.set_postfix_str(f"{system.label} on {name}")
            cell, made = cells.finished(system, self.depth)
            figures = cell.figures(cells.measures)
            outcome.results[system.label][name] = figures["values"]
            outcome.runs.setdefault(system.label, {})[name] = cell.run_path
            if figures["remarks"]:
                outcome.remarks.setdefault(system.label, {})[name] = figures["remarks"]
            if figures.get("absent"):
                outcome.absent[name] = figures["absent"]
            outcome.made, outcome.kept = outcome.made + made, outcome.kept + (not made)
            bar.update()
        return shelf


class _Cells:
    """The cells of one collection, those of parts included."""

    def __init__(self, experiment: Experiment, collection: Collection, shelf: Shelf):
        self.experiment, self.collection, self.shelf = experiment, collection, shelf
        self.about = {"collection": collection.name, "content": collection.key(), "version": collection.version}
        self.measures = tuple(experiment.measures or collection.measures)

    def finished(self, system: System, depth: int) -> tuple[Cell, bool]:
        """The finished cell of a system at a depth, and whether it was made now."""
        task = self._task(depth)
        reads = any(one.kind != "run" for one in system.within())
        about = {**self.about, **(self._documents if reads else {}), **facts(system, task)}
        cell = Cell(self._folder(system, depth), self.collection, about)
        if cell.finished():
            return cell, False
        try:
            absent = self.shelf.absent if reads_documents(system, self.collection) else None
            cell.finish(lambda path: make(system, task, path), self.measures, absent=absent)
        except ValueError as error:
            given = f" ({given_run(system.folder, self.collection)})" if system.kind == "run" else ""
            raise ValueError(f"{system.label} on {self.collection.name}{given}: {error}") from error
        return cell, True

    def _part(self, system: System, depth: int) -> tuple[Callable[[], Run], dict]:
        """What opens the run of a part, made if need be, and what that run depends on."""
        return lambda: self.finished(system, depth)[0].run(), facts(system, self._task(depth))

    def _task(self, depth: int) -> Task:
        return Task(
            collection=self.collection,
            shelf=self.shelf,
            engines=self.experiment.engines,
            questions=self._questions,
            depth=depth,
            rerank_depth=self.experiment.rerank_depth,
            part=self._part,
            encoded=self._encoded,
            verbose=self.experiment.verbose,
        )

    def _encoded(self, system: System) -> bool:
        return any(
            one.kind == "dense" and (one.checkpoint, one.revision) == (system.checkpoint, system.revision)
            for asked in self.experiment.systems
            for one in asked.within()
        )

    def _folder(self, system: System, depth: int) -> Path:
        """A system's own folder; a part shares that of an equal system that was asked for."""
        if depth == self.experiment.depth:
            if system in self.experiment.systems:
                return self.experiment.out / system.label
            for asked in self.experiment.systems:
                if asked.like(system):
                    return self.experiment.out / asked.label
        told = sha256(repr(replace(system, label="")).encode()).hexdigest()[:8]
        return self.experiment.out / RESERVED[1] / f"{system.label}-{depth}-{told}"

    @cached_property
    def _documents(self) -> dict[str, str]:
        """What the key of a system that reads documents says of them; those that a version fixes need no word."""
        return {"documents": self.collection.corpus()} if self.collection.corpus is not None else {}

    @cached_property
    def _asked(self) -> Mapping[str, str]:
        questions = self.experiment.questions
        return self.collection.queries if questions is None else questions(self.collection)

    def _questions(self) -> Mapping[str, str]:
        return self._asked
