"""The house keeps its floors: who may import what is read from the source of every module; so are the bounds of style.

Floors: 0 plain (standard library, numpy, ir_measures), 1 models, 2 systems, 3 training, 4 doors. A module imports its
own floor and lower ones; the three doors import nothing from each other; floor 0 and doors load no model library.
"""

import ast
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("rader_ir", "pyterrier_rader")
DOORS = ("rader_ir.pyserini", "rader_ir.cli", "pyterrier_rader")

# A module takes the floor of its longest listed prefix. A new module of rader_ir needs a line here.
FLOORS = {
    0: "lazy runs files fusion orderings answers prompts checkpoints checkpoint_folders recorded bright corpus passages "
    "bright_sources hub_data mteb_layout rarb irds_collections collections_by_name "
    "evaluation measures collection cells mcts java records examples tevatron guards seeded mining reproduce released neutral",
    1: "weights adapters linear packed threads loading tokens text_model encoder cross_encoder index index_writer index_formats "
    "analysis bm25 shelf lm attention idcm idcm_texts choice "
    "index_flat index_folder index_ids index_kinds index_shards index_stage index_stream equivalence problems "
    "significance reports doctor",
    2: "rerank rerank_file teach engines pipelines pipeline_runs experiment experiment_report interleaved rag reasoning "
    "reasoner quickstart",
    3: "synth train",
    4: "pyserini cli",
}
FLOOR_OF = {f"rader_ir.{name}": floor for floor, names in FLOORS.items() for name in names.split()}
FLOOR_OF |= {"pyterrier_rader": 4, "rader_ir": 0}

EVERYWHERE = {*sys.stdlib_module_names, *PACKAGES, "numpy"}
LIBRARIES = {
    0: {"ir_measures", "ir_datasets", "tqdm", "pyarrow", "huggingface_hub"},
    1: {"torch", "transformers", "tokenizers", "safetensors", "huggingface_hub", "faiss", "bm25s", "Stemmer", "regex"}
    | {"aiohttp", "yarl", "certifi", "vllm", "math_verify", "sympy", "pandas", "scipy", "matplotlib", "uvloop"},
    2: set(),
    3: {"sentence_transformers", "peft", "trl", "accelerate", "datasets"},
}
ONLY_IN_FUNCTIONS = {0: {"ir_datasets", "tqdm", "pyarrow", "huggingface_hub"}, 1: {"pandas", "vllm", "uvloop"}}
MODEL_LIBRARIES = {"torch", "transformers", "faiss", "bm25s", "sentence_transformers", "peft", "trl", "accelerate"}


@dataclass(frozen=True)
class Import:
    """One imported module: its full name, the line, and whether importing the file runs it (not inside a function)."""

    name: str
    line: int
    at_import: bool


@cache
def modules() -> dict[str, Path]:
    """Every module of both packages by its dotted name."""
    found = {}
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


@cache
def imports(module: str) -> tuple[Import, ...]:
    """All imports of a module; `from package import name` counts as `package.name` where that is a module of ours."""
    return tuple(_imports(tree(module), module, at_import=True))


def _imports(node: ast.AST, module: str, at_import: bool):
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, at_import) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            source = _absolute(child, module)
            for alias in child.names:
                name = f"{source}.{alias.name}"
                yield Import(name if name in modules() else source, child.lineno, at_import)
        else:
            yield from _imports(child, module, at_import and not _runs_later(child))


def _runs_later(node: ast.AST) -> bool:
    typing_only = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
    return typing_only or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def _absolute(node: ast.ImportFrom, module: str) -> str:
    if not node.level:
        return node.module
    package = module if modules()[module].name == "__init__.py" else module.rpartition(".")[0]
    parents = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*parents, *([node.module] if node.module else [])])


def longest_prefix(module: str, names) -> str | None:
    """The longest of `names` that is `module` or one of its parents."""
    fitting = [name for name in names if module == name or module.startswith(f"{name}.")]
    return max(fitting, key=len, default=None)


def floor(module: str) -> int:
    """The floor of a module, by its longest listed prefix; the package itself is floor 0."""
    return FLOOR_OF[longest_prefix(module, FLOOR_OF)]


def loads(module: str, seen: set[str]) -> set[str]:
    """The top-level names of all libraries that importing `module` loads, through our own modules too."""
    if module not in modules() or module in seen:
        return set()
    seen.add(module)
    parents = [module.rsplit(".", up)[0] for up in range(1, module.count(".") + 1)]
    libraries = set().union(*(loads(parent, seen) for parent in parents))
    for one in imports(module):
        if one.at_import:
            libraries |= {one.name.partition(".")[0]} | loads(one.name, seen)
    return libraries


@pytest.mark.parametrize("module", modules())
def test_has_a_floor(module):
    listed = longest_prefix(module, FLOOR_OF)
    assert listed != "rader_ir" or module == "rader_ir", f"{module} has no floor; add it to FLOORS"


@pytest.mark.parametrize("module", modules())
def test_imports_no_higher_floor(module):
    ours = [one for one in imports(module) if one.name.partition(".")[0] in PACKAGES]
    higher = [f"line {one.line}: {one.name}" for one in ours if floor(one.name) > floor(module)]
    assert not higher, f"{module} stands on floor {floor(module)} and imports from above: {higher}"


@pytest.mark.parametrize("module", [name for name in modules() if floor(name) < 4])  # doors may import anything
def test_imports_only_the_libraries_of_its_floor(module):
    allowed = EVERYWHERE.union(*(LIBRARIES[level] for level in range(floor(module) + 1)))
    foreign = {one.name for one in imports(module) if one.name.partition(".")[0] not in allowed}
    assert not foreign, f"{module} stands on floor {floor(module)} and may not import {sorted(foreign)}"


@pytest.mark.parametrize("module", [name for name in modules() if floor(name) in ONLY_IN_FUNCTIONS])
def test_some_libraries_are_opened_only_where_they_are_used(module):
    late = ONLY_IN_FUNCTIONS[floor(module)]
    eager = {one.name for one in imports(module) if one.at_import and one.name.partition(".")[0] in late}
    assert not eager, f"{module} imports {sorted(eager)} at its top; import it in the function that needs it"


@pytest.mark.parametrize("module", [name for name in modules() if floor(name) in (0, 4)])
def test_floor_0_and_doors_load_no_model_library(module):
    heavy = loads(module, set()) & MODEL_LIBRARIES
    assert not heavy, f"importing {module} loads {sorted(heavy)}; import the file that needs it inside a function"


@pytest.mark.parametrize("module", [name for name in modules() if longest_prefix(name, DOORS)])
def test_doors_import_nothing_from_each_other(module):
    own = longest_prefix(module, DOORS)
    others = {one.name for one in imports(module) if longest_prefix(one.name, DOORS) not in (None, own)}
    assert not others, f"{module} belongs to the door {own} and imports {sorted(others)}"


@pytest.mark.parametrize("module", modules())
def test_modules_are_short(module):
    lines = modules()[module].read_text(encoding="utf-8").count("\n")
    assert lines <= 400, f"{module} has {lines} lines; cut it along a name (at most 400)"


def functions(module: str):
    return [node for node in ast.walk(tree(module)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("module", modules())
def test_functions_are_short(module):
    sizes = {node.name: _lines_of_code(node) for node in functions(module)}
    long = {name: size for name, size in sizes.items() if size > 50}
    assert not long, f"{module}: functions of more than 50 lines without their docstring: {long}"


def _lines_of_code(node) -> int:
    docstring = ast.get_docstring(node, clean=False)
    return node.end_lineno - node.lineno + 1 - (docstring.count("\n") + 1 if docstring else 0)


@pytest.mark.parametrize("module", modules())
def test_public_names_have_docstrings(module):
    public = [node for node in tree(module).body if not getattr(node, "name", "_").startswith("_")]
    bare = [node.name for node in public if not ast.get_docstring(node)]
    assert ast.get_docstring(tree(module)), f"{module} has no docstring"
    assert not bare, f"{module}: public names without a docstring: {bare}"


def test_the_reader_of_imports_sees_what_it_must(tmp_path, monkeypatch):
    """A module with an import of each kind, against the imports counted by hand."""
    (tmp_path / "rader_ir").mkdir()
    (tmp_path / "rader_ir" / "__init__.py").write_text("")
    (tmp_path / "rader_ir" / "low.py").write_text("import torch\n")
    source = (
        "from .low import x\nfrom . import low\nimport os.path\ndef f():\n    import faiss\nclass C:\n    import json\n"
    )
    (tmp_path / "rader_ir" / "high.py").write_text(source)
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    for cached in (modules, tree, imports):
        cached.cache_clear()
    try:
        seen = [(one.name, one.at_import) for one in imports("rader_ir.high")]
        loaded = loads("rader_ir.high", set())
    finally:
        for cached in (modules, tree, imports):
            cached.cache_clear()
    assert seen == [("rader_ir.low", True)] * 2 + [("os.path", True), ("faiss", False), ("json", True)]
    assert loaded == {"rader_ir", "torch", "os", "json"}
