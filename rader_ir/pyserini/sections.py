"""Command lines in sections, as Pyserini writes them: `encode input --corpus ... output ... encoder ...`.

Each section has options of its own, so that `--fields` may stand in two of them. As in Pyserini the words that open
sections cannot be values.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence


def split(argv: Sequence[str], names: Sequence[str]) -> dict[str, list[str]]:
    """{section: its arguments}, those before the first section under "".

    >>> split(["--native", "input", "--corpus", "x", "output"], ["input", "output"])
    {'': ['--native'], 'input': ['--corpus', 'x'], 'output': []}
    """
    parts: dict[str, list[str]] = {"": []}
    current = ""
    for word in argv:
        if word in names:
            current = word
            parts[current] = []
        else:
            parts[current].append(word)
    return parts


def parse(
    parsers: Mapping[str, ArgumentParser], parts: Mapping[str, Sequence[str]]
) -> tuple[Namespace, dict[str, list[str]]]:
    """Every section's options in one namespace, and {section: what its parser does not know}.

    A section that is missing is parsed as an empty one, so that its parser names what it needs. A parser's error ends
    the program with its usage; what no parser knows before the first section is one.
    """
    args = Namespace()
    parsers[""].parse_args(parts[""], args)
    unknown = {name: parser.parse_known_args(parts.get(name, []), args)[1] for name, parser in parsers.items() if name}
    return args, unknown
