"""`rader tree`: the trees of `rader synthesize` in, pages that show them out, or the files of RaDeR's own code.

One tree makes one page; a folder of them makes a page for each and a list, index.html. Each page is a file that stands alone
and opens in any browser, without a network. `--official` writes answer sheets and hard negatives in place of pages.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The tree or trees, the page or pages, and the examples made of them."""
    parser.add_argument(
        "trees", metavar="TREE", help="a tree (.json), a folder of trees, or the folder that rader synthesize wrote"
    )
    parser.add_argument(
        "out",
        nargs="?",
        metavar="OUT",
        help="HTML file to write, or the folder for a folder's pages (default: TREE with .html, TREE/pages)",
    )
    parser.add_argument(
        "--examples",
        metavar="FILE",
        help="JSONL file of the examples made of the trees (default: that of their folder)",
    )
    parser.add_argument(
        "--official",
        action="store_true",
        help="no pages: answer sheets and hard negatives as RaDeR's own code has them, in the new folder OUT",
    )
    parser.set_defaults(out_name="OUT")


def run(args: argparse.Namespace) -> dict:
    """Reads, writes, and counts what the pages show."""
    if args.official:
        return _official(args)
    from tqdm import tqdm

    from rader_ir.synth import viewer

    given = Path(args.trees)
    folder = given / "trees" if (given / "trees").is_dir() else given
    examples = _examples(args, given)
    if folder.is_dir():
        out = Path(args.out or _home(given) / "pages")
        if out.suffix == ".html":
            raise ValueError(f"{args.trees} is a folder, and OUT {out} a page; name a folder for the pages")
        trees = viewer.tree_files(folder)
        out.mkdir(parents=True, exist_ok=True)
        pages = viewer.write_pages(trees, out, examples=examples)
        written = list(tqdm(pages, total=len(trees), desc="pages", unit="page", disable=args.quiet))
        first = out / viewer.INDEX
    else:
        first = Path(args.out or given.with_name(viewer.page_name(given)))
        written = [viewer.write_page(given, first, examples=examples)]
    shown = sum(sum(one["examples"].values()) for one in written)
    return {
        "trees": len(written),
        "solved": sum(one["right_rollouts"] > 0 for one in written),
        "nodes": sum(one["nodes"] for one in written),
        "examples": shown,
        "examples_elsewhere": sum(map(len, examples.values())) - shown,
        "out": str(first),
    }


def _home(given: Path) -> Path:
    """The folder of the synthesis that a tree, or a folder of trees, belongs to."""
    given = given.absolute()
    folder = given if given.is_dir() else given.parent
    return folder.parent if folder.name == "trees" else folder


def _examples(args: argparse.Namespace, given: Path) -> dict:
    """Those of --examples, or else of the folder that was given, by the id of their problem."""
    from rader_ir.examples import read_examples
    from rader_ir.synth.viewer import examples_by_question

    path = args.examples or _home(given) / "examples.jsonl"
    if not args.examples and not Path(path).is_file():
        return {}
    found = examples_by_question(read_examples(path))
    if args.examples and not found:
        raise ValueError(f"{path} holds no example made of a tree; give the examples.jsonl of rader synthesize")
    return found


def _official(args: argparse.Namespace) -> dict:
    """The trees as answer sheets, in the order of their files."""
    from rader_ir.synth.grown import Grown
    from rader_ir.synth.official import export_official
    from rader_ir.synth.viewer import tree_files

    if args.out is None or args.examples:
        raise ValueError("--official needs OUT, a new folder, and no --examples")
    given = Path(args.trees)
    folder = given / "trees" if (given / "trees").is_dir() else given
    trees = tree_files(folder) if folder.is_dir() else [given]
    return {"trees": export_official(map(Grown.read, trees), args.out), "out": args.out}
