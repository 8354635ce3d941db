"""Records what rader_ir.pyserini relies on in a release of Pyserini, without installing or importing it.

Run `python tests/record_pyserini_signatures.py SOURCE > tests/pyserini_2_4_signatures.json`, where SOURCE is a wheel,
an sdist (`pip download --no-deps --no-binary=:all: --python-version 3.12 pyserini==2.4.0`) or the package's folder.
The test beside it holds our code against the record, and against the installed release.
"""

import ast
import json
import sys
import tarfile
import zipfile
from pathlib import Path

SIGNATURES = {  # functions and methods that we call, or that call us
    "encode/__main__": ["init_encoder"],
    "encode/_base": ["QueryEncoder.__init__", "JsonlCollectionIterator.__init__"],
    "encode/_auto": ["AutoQueryEncoder.__init__", "AutoDocumentEncoder.encode"],
    "encode/optional/_faiss": ["FaissRepresentationWriter.__init__"],
    "query_iterator": ["get_query_iterator"],
    "search/faiss/__main__": ["init_query_encoder"],
    "search/faiss/_searcher": [
        f"FaissSearcher.{name}" for name in ("__init__", "search", "batch_search", "load_index")
    ],
    "search/hybrid/_searcher": ["HybridSearcher.__init__"],
    "search/lucene/_searcher": [f"LuceneSearcher.{name}" for name in ("__init__", "set_bm25", "batch_search")],
    "search/lucene/_hnsw_searcher": ["LuceneFlatDenseSearcher.__init__", "LuceneFlatDenseSearcher.search"],
}
NAMES = {  # what we import
    "encode/__init__": ["document_encoder_class_map", "query_encoder_class_map"],
    "query_iterator": ["TopicsFormat", "get_query_iterator"],
    "search/faiss/__init__": ["FaissSearcher"],
    "search/lucene/__init__": ["JQuerySideBm25QueryGenerator", "LuceneSearcher", "LuceneFlatDenseSearcher"],
}
MAINS = ["encode/__main__", "search/faiss/__main__"]  # programs that we run


def record(source: Path) -> dict:
    """{version, signatures, names, options, passed} of the release at `source`; fails on what is not there any more."""
    modules = {name: ast.parse(read(source, name)) for name in {*SIGNATURES, *NAMES, *MAINS}}
    signatures = {f"{m}.{name}": parameters(modules[m], name) for m, names in SIGNATURES.items() for name in names}
    names = {m: [name for name in names if name in bound(modules[m])] for m, names in NAMES.items()}
    return {
        "version": version(source),
        "signatures": signatures,
        "names": names,
        "options": {m: options(modules[m]) for m in MAINS},
        "passed": {m: passed(modules[m]) for m in MAINS},
    }


def read(source: Path, module: str) -> str:
    """Text of a module of the package."""
    return read_file(source, f"pyserini/{module}.py")


def read_file(source: Path, ending: str) -> str:
    """Text of the one file in `source` whose path ends with `ending`."""
    if source.is_dir():
        return (source.parent / ending).read_text(encoding="utf-8")
    if source.suffix == ".whl":
        with zipfile.ZipFile(source) as archive:
            return archive.read(next(name for name in archive.namelist() if name.endswith(ending))).decode()
    with tarfile.open(source) as archive:
        member = next(member for member in archive if member.name.endswith(f"/{ending}"))
        return archive.extractfile(member).read().decode()


def version(source: Path) -> str:
    """The release's version, from its metadata or, of a folder, from what is installed."""
    if source.is_dir():
        from importlib.metadata import version

        return version("pyserini")
    metadata = read_file(source, "METADATA" if source.suffix == ".whl" else "PKG-INFO")
    return next(line.split(": ")[1] for line in metadata.splitlines() if line.startswith("Version: "))


def parameters(module: ast.Module, name: str) -> list[str]:
    """Parameters of a function or method, such as `k=10` or `**kwargs`, without annotations."""
    body = module.body
    *classes, function = name.split(".")
    for cls in classes:
        body = next(node.body for node in body if isinstance(node, ast.ClassDef) and node.name == cls)
    arguments = next(node.args for node in body if isinstance(node, ast.FunctionDef) and node.name == function)
    for argument in ast.walk(arguments):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    return ast.unparse(arguments).split(", ")


def bound(module: ast.Module) -> set[str]:
    """Names that a module binds at its top."""
    names = {node.name for node in module.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    for node in module.body:
        if isinstance(node, ast.ImportFrom | ast.Import):
            names |= {alias.asname or alias.name for alias in node.names}
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def options(module: ast.Module) -> dict[str, list | None]:
    """{option: its choices} of every `add_argument` in a module."""
    calls = [node for node in ast.walk(module) if isinstance(node, ast.Call)]
    found = {}
    for call in calls:
        if getattr(call.func, "attr", "") == "add_argument":
            choices = [word.value for word in call.keywords if word.arg == "choices"]
            found[call.args[0].value] = ast.literal_eval(choices[0]) if choices else None
    return dict(sorted(found.items()))


def passed(module: ast.Module) -> list[str]:
    """Keywords that a main hands over in a dictionary named kwargs: to encoders' constructors and their `encode`."""
    keys = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "dict":
            keys |= {word.arg for word in node.keywords}
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "kwargs":
            keys |= {key.value for key in getattr(node.value, "keys", [])}
        if isinstance(node, ast.Subscript) and getattr(node.value, "id", "") == "kwargs":
            keys |= {node.slice.value} if isinstance(node.slice, ast.Constant) else set()
    return sorted(keys)


if __name__ == "__main__":
    print(json.dumps(record(Path(sys.argv[1])), indent=1))
