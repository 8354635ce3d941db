"""Builds the API pages from the docstrings: `python docs/build.py [FOLDER]`, by default into `site/`.

pdoc shows what a package lists in `__all__`; here every module of both packages has its page as well.
"""

import pkgutil
import sys
from pathlib import Path

import pdoc

import pyterrier_rader
import rader_ir


def modules() -> list[str]:
    """Every public module of both packages by its dotted name."""
    names = []
    for package in (rader_ir, pyterrier_rader):
        below = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        names += [package.__name__, *(module.name for module in below if "._" not in module.name)]
    return names


def main() -> None:
    """Write one page per module, an index and the search."""
    pdoc.render.configure(docformat="google")
    pdoc.pdoc(*modules(), output_directory=Path(sys.argv[1] if len(sys.argv) > 1 else "site"))


if __name__ == "__main__":
    main()
