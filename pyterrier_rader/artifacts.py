"""What the two kinds of index share as PyTerrier artifacts: the file that names them, and the ways to write them.

`index.index(documents)` refuses a folder that holds an index; `index.indexer(mode="overwrite")` removes that folder with all
that is in it first, and removes nothing where it finds no index of its own kind.
"""

import json
import reprlib
import shutil
from collections.abc import Iterable, Mapping

import pandas as pd
import pyterrier as pt

from pyterrier_rader.configured import Configured, shown_as


class Writer(Configured, pt.Indexer):
    """Writes an index in one of its modes; made by `index.indexer(mode=...)`.

    Args:
        target: the index, with `modes`, `built()`, `write(documents, append=...)` and `index_inputs()`.
        mode: "create" refuses a finished index, "overwrite" replaces it, "append" (dense indexes) adds to it.
    """

    schematic = shown_as("Indexer")

    def __init__(self, target, *, mode: str = "create"):
        if mode not in target.modes:
            raise ValueError(f"mode {mode!r} is unknown; choose {', '.join(map(repr, target.modes))}")
        self.target, self.mode = target, mode

    def index(self, iter: Iterable[Mapping]):
        """Write the documents and return the index.

        Raises:
            FileExistsError: in mode "create", the folder holds a finished index.
        """
        if self.target.built():
            if self.mode == "create":
                raise FileExistsError(f"{self.target.path} holds an index; open it, or use indexer(mode='overwrite')")
            if self.mode == "overwrite":
                shutil.rmtree(self.target.path)
        self.target.write(iter, append=self.mode == "append")
        return self.target

    def index_inputs(self) -> list[list[str]]:
        """The columns of a document."""
        return self.target.index_inputs()


class Written(Configured, pt.Artifact, pt.Indexer):
    """Base of the indexes: opened once per object, and left out when the object is pickled."""

    modes = ("create", "overwrite")

    def __init__(self, path):
        super().__init__(path)
        self._opened = None

    def index(self, iter: Iterable[Mapping]):
        """Write documents to this folder and return the index; a finished index is refused."""
        return self.indexer().index(iter)

    def indexer(self, *, mode: str = "create") -> Writer:
        """An indexer that may also replace what is there (mode "overwrite")."""
        return Writer(self, mode=mode)

    def name_artifact(self) -> None:
        """Write pt_meta.json, by which `pt.Artifact.load` finds the class."""
        (self.path / "pt_meta.json").write_text(json.dumps(self._build_metadata()), encoding="utf-8")

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_opened": None}


def docno_of(document: Mapping) -> str:
    """The docno of a document, as a string, since frames that pandas read may have whole numbers.

    Raises:
        ValueError: it has none; shows the document.
    """
    if pd.isna(docno := document.get("docno")):
        raise ValueError(f"a document has no docno: {reprlib.repr(dict(document))}; give every document a docno")
    return str(docno)


def text_of(document: Mapping, field: str) -> tuple[str, str]:
    """The docno and text of a document.

    Raises:
        ValueError: it has no docno, or no text, which names the docno.
    """
    docno = docno_of(document)
    if not isinstance(document.get(field), str):
        raise ValueError(f"document {docno!r} has no text in {field!r}; mend it, or name its text_field")
    return docno, document[field]
