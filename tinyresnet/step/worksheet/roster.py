"""A class as a CSV file: the names in it, each once, and file names that are safe everywhere."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
import zlib
from pathlib import Path

from ...errors import InputError

HEADING = re.compile(r"([\w']+[ _-])?(first|last|sur|full|given|family|fore)?names?|姓名")


def read_roster(path: Path) -> list[str]:
    """The names: of the column "name" (or of all columns like "first name", joined), or one a line where there is no heading.

    A name that comes again is numbered: "Ana", "Ana (2)". Raises InputError if the file is missing, empty or not UTF-8.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read the roster {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"the roster {path} is not UTF-8: save it as CSV in UTF-8") from error
    first_line = text.lstrip().partition("\n")[0]
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=max(",;\t", key=first_line.count)))
    except csv.Error as error:
        raise InputError(f"the roster {path} is no CSV file: {error}") from error
    cells = [[" ".join(cell.split()) for cell in row] for row in rows]
    names = [name for name in _names([row for row in cells if any(row)]) if name]
    if not names:
        raise InputError(
            f"the roster {path} has no names: one name a line is wanted, or a column with the heading name"
        )
    return _numbered(names)


def _names(rows: list[list[str]]) -> list[str]:
    headings = [cell.casefold() for cell in rows[0]] if rows else []
    columns = [i for i, cell in enumerate(headings) if cell in ("name", "姓名")][:1]
    columns = columns or [i for i, cell in enumerate(headings) if HEADING.fullmatch(cell)]
    if not columns:
        return [", ".join(filter(None, row)) for row in rows]
    return [" ".join(filter(None, (row[i] for i in columns if i < len(row)))) for row in rows[1:]]


def _numbered(names: list[str]) -> list[str]:
    taken: dict[str, None] = {}
    for name in names:
        number, one = 1, name
        while one in taken:
            number += 1
            one = f"{name} ({number})"
        taken[one] = None
    return list(taken)


def student_seed(seed: int, name: str) -> int:
    """The seed of one student's sheet: the same on every machine and in every year."""
    return zlib.crc32(f"{seed}:{name}".encode())


def file_name(number: int, name: str) -> str:
    """ "07-ana-lima.html": letters and digits of the name, after its number, which makes it unique and no reserved name."""
    words = re.findall(r"[^\W_]+", unicodedata.normalize("NFC", name).lower())
    return f"{number:02d}-{'-'.join(words)[:40].strip('-') or 'student'}.html"
