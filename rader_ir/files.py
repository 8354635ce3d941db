"""Text files as every reader and writer here treats them: UTF-8, plain or gzip.

Reading goes line by line, so memory stays bounded, and whatever is wrong is reported with the file and the line. Gzip
is told by its first bytes when read, since downloads are renamed and unpacked on their way, and by the name's ending
when written. Writing goes to a hidden file beside the target that takes its place at the end: a failure leaves the old
file, or none.
"""

import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

_GZIP = b"\x1f\x8b"  # how gzip begins and UTF-8 cannot


def numbered_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without its end) for each line of a UTF-8 file that is not blank.

    Gzip is unpacked, whatever the file's name. Only a line feed, or carriage return + line feed, ends a line; a byte
    order mark is dropped.

    Raises:
        ValueError: a line is not UTF-8, or gzip data is broken or cut short; names the file and the line.
    """
    return ((number, line) for number, line in _lines(path) if line.strip())


def read_text(path: str | Path) -> str:
    """The whole text of a UTF-8 file, with the errors of `numbered_lines`."""
    return "\n".join(line for _, line in _lines(path))


def find_file(folder: str | Path, name: str, endings: Sequence[str]) -> Path | None:
    """The file `name` + one of the endings, perhaps packed as .gz, or None.

    Raises:
        ValueError: the folder has several.
    """
    paths = [Path(folder, f"{name}{ending}{packed}") for ending in endings for packed in ("", ".gz")]
    there = [path for path in paths if path.is_file()]
    if len(there) > 1:
        raise ValueError(f"{folder} holds {' and '.join(path.name for path in there)}; keep one of them")
    return there[0] if there else None


def digest_of(paths: Iterable[str | Path]) -> str:
    """A digest (16 hexadecimal digits) of the bytes of files, in their order; names and places do not count."""
    whole = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()[:16]


def _lines(path) -> Iterator[tuple[int, str]]:
    number = 0
    try:
        with open(path, "rb") as raw_file, _unpacked(raw_file) as file:
            for number, raw in enumerate(file, start=1):
                if number == 1 and _is_wide(raw):
                    raise ValueError(f"{path}: UTF-16 or UTF-32, by its first line; convert the file to UTF-8")
                yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}:{number}: not UTF-8 ({error.reason}); convert the file to UTF-8") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: broken gzip data after line {number} ({error}); get the file again") from error


def _unpacked(file: io.BufferedReader):
    return gzip.GzipFile(fileobj=file, mode="rb") if file.peek(2)[:2] == _GZIP else file


def _is_wide(line: bytes) -> bool:
    """Whether a file's first line is UTF-16 or UTF-32: a byte order mark, or a 0 at every second place."""
    zeros = len(line) > 3 and not (any(line[::2]) and any(line[1::2]))
    return zeros or line.startswith((b"\xff\xfe", b"\xfe\xff"))


@contextmanager
def replacing(path: str | Path) -> Iterator[TextIO]:
    """Open a text file that becomes `path` when the block ends, and vanishes when the block raises; .gz packs it.

    Its bytes depend on nothing but what is written: line feeds on every system, no time stamp in gzip's header.
    """
    with (
        replacing_bytes(path) as raw,
        _packed(raw, Path(path)) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as file,
    ):
        yield file


@contextmanager
def replacing_bytes(path: str | Path) -> Iterator[BinaryIO]:
    """Open a binary file, such as a picture, that becomes `path` when the block ends and vanishes when it raises."""
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        with open(unfinished, "wb") as raw:
            yield raw
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _packed(raw, path: Path):
    if not path.name.endswith(".gz"):
        return raw
    return gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6, mtime=0)
