"""Public names of a package that open lazily (PEP 562): a module is imported when one of its names is first asked for."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazily(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` for the `__init__` of a package.

    Args:
        package: its `__name__`.
        modules: by public name, the module below the package that has it.
    """
    public = sorted(modules)

    def opened(name: str) -> Any:
        if name in modules:
            return getattr(import_module(f"{package}.{modules[name]}"), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}; its public names are {', '.join(public)}")

    return opened, lambda: [*vars(sys.modules[package]), *public], public
