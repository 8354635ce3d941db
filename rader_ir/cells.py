"""Cells of an experiment: what one system found in one collection, on the disk, under a key of all that it depends on.

A cell is a run, NAME.trec.gz, and its figures, NAME.figures.json, which hold the key. It is finished where both are there and
the key is the one asked for: checkpoint, revision, forms, dtype, queries, judgements, their version, documents in files. Work in
hand lies in a hidden file whose name carries the key's digest, so that a killed call goes on with its own work and no other's.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from glob import escape
from pathlib import Path

from rader_ir.checkpoint_folders import read_json
from rader_ir.collection import Collection, short
from rader_ir.evaluation import missing_queries, per_query, remarks
from rader_ir.files import digest_of, replacing
from rader_ir.runs import Run, read_run


@dataclass(frozen=True)
class Cell:
    """One system on one collection.

    Attributes:
        folder: of the system.
        collection: what was searched.
        key: JSON values; whatever the run depends on.
    """

    folder: Path
    collection: Collection
    key: dict

    @property
    def run_path(self) -> Path:
        """Where the run is, once it is finished."""
        return self.folder / f"{short(self.collection.name)}.trec.gz"

    @property
    def figures_path(self) -> Path:
        """Where the figures are."""
        return self.folder / f"{short(self.collection.name)}.figures.json"

    def finished(self) -> bool:
        """Whether run and figures of this very key are there, whole; of damaged ones a line on stderr is printed."""
        if self._work.exists() or not (self.run_path.is_file() and self.figures_path.is_file()):
            return False
        try:
            figures = read_json(self.figures_path)
        except ValueError:
            return self._damaged(self.figures_path)
        if figures.get("key") != self.key:
            return False
        return figures.get("run") == digest_of([self.run_path]) or self._damaged(self.run_path)

    def _damaged(self, path: Path) -> bool:
        print(f"rader: {path} is damaged or was changed by hand; it is made anew", file=sys.stderr, flush=True)
        return False

    def finish(
        self,
        make: Callable[[Path], None],
        measures: Sequence[str],
        *,
        absent: Callable[[], int] | None = None,
    ) -> None:
        """Have the run made, measure it, and put both in place.

        Args:
            make: writes the run to the path that it is given; called again after a kill, unless it had finished.
            measures: names as ir_measures has them.
            absent: counts the relevant documents that are not in the collection, for the figures; None of a run that is given.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._work.exists():
            make(self._work)
        self._measure(self._work, measures, None if absent is None else absent())
        os.replace(self._work, self.run_path)  # last: while the work lies there, the cell is not finished
        self._tidy()

    def run(self) -> Run:
        """The run of a finished cell."""
        return read_run(self.run_path)

    def figures(self, measures: Sequence[str]) -> dict:
        """What the figures of a finished cell hold, measured again where they were for other measures.

        Returns:
            {"key", "run" (a digest of its file), "asked" (the measures), "queries" (how many are judged), "missing" (those
            without a list, which count as 0), "absent" (relevant documents that the collection lacks, null where it was not
            read), "remarks" (sentences on that and the like), "means" {measure: mean}, "values"
            {measure: {query_id: value}}}
        """
        figures = read_json(self.figures_path)
        if figures.get("asked") != list(measures):
            self._measure(self.run_path, measures, figures.get("absent"))
            figures = read_json(self.figures_path)
        return figures

    def _measure(self, path: Path, measures: Sequence[str], absent: int | None) -> None:
        run = read_run(path)
        values = per_query(run, self.collection.qrels, measures)
        figures = {
            "key": self.key,
            "run": digest_of([path]),
            "asked": list(measures),
            "queries": len(self.collection.qrels),
            "missing": len(missing_queries(run, self.collection.qrels)),
            "absent": absent,
            "remarks": remarks(run, self.collection.qrels),
            "means": {measure: sum(each.values()) / len(each) for measure, each in values.items()},
            "values": values,
        }
        with replacing(self.figures_path) as file:
            json.dump(figures, file, indent=1, ensure_ascii=False)
            file.write("\n")

    @cached_property
    def _work(self) -> Path:
        digest = hashlib.sha256(json.dumps(self.key, sort_keys=True).encode()).hexdigest()[:16]
        return self.folder / f".{short(self.collection.name)}.{digest}.trec.gz"

    def _tidy(self) -> None:
        """Take away what killed calls left of this cell, and work that another key had begun."""
        stem = f".{escape(short(self.collection.name))}"
        digest = "[0-9a-f]" * 16
        for pattern in (
            f"{stem}.{digest}.trec.gz*",
            f".{stem}.{digest}.trec.gz.*.unfinished",
            f"{stem}.figures.json.*.unfinished",
        ):
            for left in self.folder.glob(pattern):
                left.unlink(missing_ok=True)
