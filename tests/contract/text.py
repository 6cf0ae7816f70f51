"""The seed's text, sentence by sentence, and the mark by which a test says which of them it proves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TEXT", "plain", "says", "sentences"]

F = TypeVar("F", bound="Callable[..., None]")

_QUOTES = str.maketrans({"\N{LEFT SINGLE QUOTATION MARK}": "'", "\N{RIGHT SINGLE QUOTATION MARK}": "'",
                         "\N{LEFT DOUBLE QUOTATION MARK}": '"', "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
                         "\N{BULLET}": "-"})  # fmt: skip


def plain(text: str) -> str:
    """Give text with plain quotation marks and single spaces."""
    return " ".join(text.translate(_QUOTES).split())


_LINES = Path(__file__).with_name("user-api.txt").read_text("utf-8").splitlines()
TEXT = plain("\n".join(_LINES))


def sentences() -> list[str]:
    """Give each sentence, list item and signature of the text once, in order; headings are none of them."""
    found: dict[str, None] = {}
    for line in map(plain, _LINES):
        item = line.removeprefix("- ")
        for sentence in re.split(r"(?<=[.?!])\s+(?=[A-Z])", item):
            if sentence and not _is_heading(sentence):
                found[sentence] = None
    return list(found)


def _is_heading(line: str) -> bool:
    return line in _HEADINGS or re.fullmatch(r"\w+ : [\w. ]+|kwargs : \.\.\.|\w+ : \{.*\}", line) is not None


_HEADINGS = frozenset(
    {
        "Imageio's user API",
        "More control:",
        "Supported resource URI's:",
        "Parameters:",
        "Functions for reading:",
        "Functions for saving:",
        "For reading and writing:",
        "For reading:",
        "The result can be:",
    }
)


def says(*quoted: str) -> Callable[[F], F]:
    """``@says("...")`` over a test: it proves these words of the text, which must stand there."""
    missing = [words for words in quoted if plain(words) not in TEXT]
    if missing:
        message = f"the text does not say {missing}"
        raise ValueError(message)
    return lambda test: test
