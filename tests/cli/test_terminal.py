"""Text made harmless, and numbers in words."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bridge.cli.terminal import byte_count, clean, seconds, table


@given(st.text())
def test_clean_text_is_printable_and_loses_nothing(text: str) -> None:
    cleaned = clean(text)
    assert cleaned.isprintable()
    assert cleaned == text or not text.isprintable()
    if "\\" not in text:
        assert "".join(_undone(cleaned)) == text


def _undone(text: str) -> list[str]:
    """Undo the escapes; the text had no backslash of its own."""
    pieces = text.split("\\")
    return [pieces[0], *(_first_undone(piece) for piece in pieces[1:])]


def _first_undone(piece: str) -> str:
    length = {"x": 3, "u": 5, "U": 9}.get(piece[0], 1)
    return ("\\" + piece[:length]).encode("ascii").decode("unicode_escape") + piece[length:]


@given(st.text(max_size=30))
def test_a_cell_is_shown_as_it_is(text: str) -> None:
    out = io.StringIO()
    Console(file=out, width=400).print(table("what", "which", rows=[("[bold]:smile:", "end" + text)]))
    assert "[bold]:smile:" in out.getvalue()
    assert out.getvalue().replace("\n", "").isprintable()


def test_a_column_without_content_is_left_out() -> None:
    made = table("a", "b", "c", rows=[(1, "", 3), (4, "", 6)])
    assert [column.header for column in made.columns] == ["a", "c"]


@pytest.mark.parametrize(
    ("count", "said"),
    [(None, ""), (0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (1_055_736, "1.1 MB"), (5 * 10**9, "5,000.0 MB")],
)
def test_bytes_in_words(count: int | None, said: str) -> None:
    assert byte_count(count) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [(None, ""), (0, "0.00 s"), (5.28, "5.28 s"), (59.999, "60.00 s"), (61.5, "1:01.5"), (3723.46, "1:02:03.5")],
)
def test_seconds_in_words(count: float | None, said: str) -> None:
    assert seconds(count) == said
