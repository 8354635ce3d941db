"""The collections that papers measure on, each opened by its name from wherever its files are."""

from pathlib import Path

from rader_ir import bright, irds_collections, rarb
from rader_ir.collection import Collection

NAMES = (
    *(f"bright/{task}" for task in bright.TASKS),
    *(f"rarb/{task}" for task in rarb.TASKS),
    *irds_collections.PROTOCOLS,
    "beir/NAME",
)


def open_collection(
    name: str,
    *,
    source: str | Path | None = None,
    queries: str = "original",
    long: bool = False,
    qrels: str = "plain",
    instruction: bool = True,
    revision: str | None = None,
) -> Collection:
    """Open a collection by its name.

    Args:
        name: of `NAMES`; "beir/NAME" stands for any set of BEIR, such as "beir/scifact".
        source: "irds", "hub" or a folder; by default "hub" for RAR-b and "irds" for all others. A folder that holds several
            collections has each in a folder of its name, such as `rarb/math`; one that holds BRIGHT may also be its folder
            itself, see `bright.load`.
        queries, long, qrels: of BRIGHT, as for `bright.load`.
        instruction: whether the collection carries its instruction, if it has one.
        revision: another commit of the hub's data set.

    Raises:
        ValueError: an unknown name; a choice that the collection or the source does not have; broken files.
        FileNotFoundError: the folder lacks the collection or a file of it; the hub cannot be reached.
        ModuleNotFoundError: a library that the source takes is not installed.
    """
    group, _, task = name.partition("/")
    if group == "bright":
        return bright.collection(
            task,
            source=_bright_folder(source),
            queries=queries,
            long=long,
            qrels=qrels,
            instruction=instruction,
            revision=revision,
        )
    if (queries, long, qrels) != ("original", False, "plain"):
        raise ValueError(f"{name} has one set of queries, documents and judgements; other choices are BRIGHT's")
    if group == "rarb":
        if source == "irds":
            raise ValueError("ir_datasets has no RAR-b; give source 'hub' or a folder")
        return rarb.collection(task, source=_folder(source or "hub", name), instruction=instruction, revision=revision)
    if name not in irds_collections.PROTOCOLS and group != "beir":
        raise ValueError(f"collection {name!r} is unknown; choose one of {', '.join(NAMES)}")
    if source == "hub" or revision is not None:
        raise ValueError(f"{name} is not read from the hub; give source 'irds' or a folder")
    return irds_collections.collection(name, source=_folder(source or "irds", name))


def _bright_folder(source: str | Path | None) -> str | Path:
    if source is None or source in ("irds", "hub"):
        return source or "irds"
    return Path(source, "bright") if Path(source, "bright").is_dir() else Path(source)


def _folder(source: str | Path, name: str) -> str | Path:
    if source in ("irds", "hub"):
        return source
    folder = Path(source, name)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; put the files of {name} there")
    return folder
