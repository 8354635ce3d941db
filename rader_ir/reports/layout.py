"""A table of figures that can be shown in a terminal, in Markdown, in LaTeX and as JSON, the same in each.

A cell is a figure, perhaps with an interval, a mark of significance and the honour of being the best of its column, or
plain text. LaTeX needs the package booktabs, and graphicx for many columns; names and notes are escaped, so that any
name of a file or system compiles.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

ABOVE, BELOW = "†", "‡"  # marks of a figure significantly above or below the baseline's
_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"},
    **{"<": "\\textless{}", ">": "\\textgreater{}", "|": "\\textbar{}", '"': "{''}"},
    **{
        ABOVE: "\\dag{}",
        BELOW: "\\ddag{}",
        "[": "{[}",
        "]": "{]}",
    },  # a row that begins with [ would be an option of \\
}
_NUMBER = re.compile(r"(<?[-+]?[\d.,]+%?|[\d,]+ / [\d,]+|-)")


@dataclass(frozen=True)
class Cell:
    """A figure.

    Attributes:
        value: the figure.
        low, high: bounds of its interval, or None.
        mark: `ABOVE`, `BELOW` or nothing.
        best: whether it is the highest of its column.
        brief: shows the figure alone; JSON still has the interval.
    """

    value: float
    low: float | None = None
    high: float | None = None
    mark: str = ""
    best: bool = False
    brief: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of cells under headings.

    Attributes:
        title: what the figures are; may be empty.
        columns: headings, the first that of the rows' names.
        rows: as many entries as headings each: a `Cell`, text, or None where there is nothing.
        notes: sentences below the table.
        digits: decimals of figures.
        caption: in LaTeX, where the title is too short to stand alone; by default the title.
        label: in LaTeX, behind a caption, for references; may be empty.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell | str | None, ...], ...]
    notes: tuple[str, ...] = ()
    digits: int = 4
    caption: str = ""
    label: str = ""

    def __post_init__(self):
        """Refuses, by a ValueError, a row that is not as long as the headings."""
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row has {len(row)} entries under {len(self.columns)} headings: {row}")

    def text(self) -> str:
        """For a terminal: columns aligned by blanks, figures to the right."""
        rows = [list(self.columns), *([self._plain(entry) for entry in row] for row in self.rows)]
        for column in range(len(self.columns)):
            if any(row[column].endswith((ABOVE, BELOW)) for row in rows):  # digits stay below digits
                for row in rows:
                    row[column] += "" if row[column].endswith((ABOVE, BELOW)) else " "
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        left = self._left()
        lines = ["  ".join(_aligned(row, widths, left)).rstrip() for row in rows]
        lines.insert(1, "-" * max(map(len, lines)))
        return "\n".join(
            [*([self.title, ""] if self.title else []), *lines, *([""] if self.notes else []), *self.notes]
        )

    def markdown(self) -> str:
        """A pipe table, the best figures bold, the title and the notes as paragraphs."""
        rows = [[_cell_of_markdown(heading) for heading in self.columns]]
        rows += [[self._markdown(entry) for entry in row] for row in self.rows]
        widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]
        left = self._left()
        rule = [
            "-" * width if is_left else "-" * (width - 1) + ":" for width, is_left in zip(widths, left, strict=True)
        ]
        body = [_aligned(rows[0], widths, left), rule, *(_aligned(row, widths, left) for row in rows[1:])]
        lines = ["| " + " | ".join(row) + " |" for row in body]
        title = [f"**{self.title}**", ""] if self.title else []
        return "\n".join([*title, *lines, *(line for note in self.notes for line in ("", note))])

    def latex(self) -> str:
        """A table environment of booktabs, the best figures bold; the notes stand below."""
        left, wide = self._left(), len(self.columns) > 7
        lines = [f"% needs \\usepackage{{booktabs{',graphicx' if wide else ''}}}", "\\begin{table}", "\\centering"]
        if caption := self.caption or self.title:
            lines += [f"\\caption{{{escaped(caption)}}}", *([f"\\label{{{self.label}}}"] if self.label else [])]
        lines += ["\\resizebox{\\linewidth}{!}{%"] if wide else []
        lines += [f"\\begin{{tabular}}{{{''.join('l' if is_left else 'r' for is_left in left)}}}", "\\toprule"]
        lines += [" & ".join(map(escaped, self.columns)) + " \\\\", "\\midrule"]
        lines += [" & ".join(map(self._latex, row)) + " \\\\" for row in self.rows]
        lines += ["\\bottomrule", "\\end{tabular}" + ("}" if wide else "")]
        if self.notes:
            lines += ["", "\\smallskip", *(f"{{\\footnotesize {escaped(note)}\\par}}" for note in self.notes)]
        return "\n".join([*lines, "\\end{table}"])

    def to_json(self) -> dict:
        """Title, headings, rows and notes for `json.dump`; figures with their intervals, marks and honours."""
        rows = [[asdict(entry) if isinstance(entry, Cell) else entry for entry in row] for row in self.rows]
        return {"title": self.title, "columns": list(self.columns), "rows": rows, "notes": list(self.notes)}

    def _left(self) -> list[bool]:
        """Whether each column is of words, which begin at its left edge; figures and numbers end at the right one."""
        words = [
            [entry for entry in column if isinstance(entry, str) and not _NUMBER.fullmatch(entry)]
            for column in zip(*self.rows, strict=True)
        ]
        return [at == 0 or bool(column) for at, column in enumerate(words)] or [True] * len(self.columns)

    def _plain(self, entry: Cell | str | None) -> str:
        return self._figure(entry) + entry.mark if isinstance(entry, Cell) else entry or ""

    def _markdown(self, entry: Cell | str | None) -> str:
        if not isinstance(entry, Cell):
            return _cell_of_markdown(entry or "")
        return self._figure(entry, "**{}**" if entry.best else "{}") + entry.mark

    def _latex(self, entry: Cell | str | None) -> str:
        if not isinstance(entry, Cell):
            return escaped(entry or "")
        figure = self._figure(entry, "\\textbf{{{}}}" if entry.best else "{}").replace(" [", " {[}").replace("]", "{]}")
        return figure + (f"\\textsuperscript{{{escaped(entry.mark)}}}" if entry.mark else "")

    def _figure(self, cell: Cell, form: str = "{}") -> str:
        figure = form.format(f"{cell.value:.{self.digits}f}")
        if cell.low is None or cell.high is None or cell.brief:
            return figure
        return f"{figure} [{cell.low:.{self.digits}f}, {cell.high:.{self.digits}f}]"


def label_of(words: str) -> str:
    """A label for LaTeX, of letters and digits.

    >>> label_of("nDCG@10 differences")
    'tab:nDCG-10-differences'
    """
    return "tab:" + "-".join(re.findall("[A-Za-z0-9]+", words))


def p_text(p: float) -> str:
    """A p-value as tables show it: four decimals, and a small one never as nothing."""
    return f"{p:.4f}" if p >= 0.0001 else "<0.0001"


def escaped(text: str) -> str:
    r"""Text as LaTeX prints it, each of its special characters written out; line breaks become blanks.

    >>> escaped("50% of a_b & c")
    '50\\% of a\\_b \\& c'
    """
    return "".join(_LATEX.get(character, character) for character in re.sub(r"\s+", " ", text))


def _aligned(row: Sequence[str], widths: Sequence[int], left: Sequence[bool]) -> list[str]:
    return [
        entry.ljust(width) if is_left else entry.rjust(width)
        for entry, width, is_left in zip(row, widths, left, strict=True)
    ]


def _cell_of_markdown(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("\\", "\\\\").replace("|", "\\|")
