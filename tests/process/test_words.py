"""What is kept of what a program says, and how it is quoted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.process.child import words
from bridge.process.pipes import Tail

# Tail

_FIRST, _LAST = Tail.FIRST, Tail.LAST


def _told(portions: list[bytes]) -> str:
    tail = Tail()
    for portion in portions:
        tail.add(portion)
    return str(tail)


def test_it_keeps_sixteen_and_sixty_four_kib() -> None:
    assert (_FIRST, _LAST) == (16 * 1024, 64 * 1024)


@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1, 100, _FIRST - 1, _FIRST, _LAST, 1 << 16]), st.sampled_from(b"abcdef")),
        max_size=8,
    )
)
def test_both_ends_are_kept_however_it_comes_in(rows: list[tuple[int, int]]) -> None:
    portions = [bytes([letter]) * count for count, letter in rows]
    said = b"".join(portions)
    told = _told(portions)
    if len(said) <= _FIRST + _LAST:
        assert told == said.decode()
        return
    left_out = len(said) - _FIRST - _LAST
    assert told == said[:_FIRST].decode() + f"\n[{left_out} bytes left out]\n" + said[-_LAST:].decode()


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_short_words_are_kept_whole(portions: list[bytes]) -> None:
    assert _told(portions) == b"".join(portions).decode("utf-8", "replace")


@given(st.integers(0, 1 << 20), st.integers(1 << 10, 1 << 16))
def test_memory_stays_small(total: int, portion: int) -> None:
    tail = Tail()
    for at in range(0, total, portion):
        tail.add(bytes(min(portion, total - at)))
    assert len(tail._first) <= _FIRST
    assert len(tail._last) <= _LAST


# words


@given(st.text())
def test_any_text_becomes_one_printable_line(text: str) -> None:
    said = words(text)
    assert said.isprintable()
    assert len(said) <= 2000


@given(st.text(alphabet=st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Co"]), max_size=3000))
def test_control_characters_are_never_passed_on(text: str) -> None:
    assert words(f"a {text} b").isprintable()
    assert len(words(text * 20)) <= 2000


@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        ("", ""),
        ("\n \n", ""),
        ("one\ntwo\n", "one; two"),
        ("same\nsame\nsame\n", "same"),
        ("[mov,mp4,m4a @ 0x55d0aa] moov atom not found\n", "moov atom not found"),
        ("[in#0 @ 0x1] [h264 @ 0x2] bad\n", "bad"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("tab\there", "tab\\there"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("ünïcode stays", "ünïcode stays"),
    ],
)
def test_how_it_is_quoted(stderr: str, said: str) -> None:
    assert words(stderr) == said


def test_the_end_is_quoted_not_the_beginning() -> None:
    said = words("\n".join(f"line {number}" for number in range(1000)))
    assert said.endswith("line 999")
    assert "line 0" not in said
    assert words("x" * 10_000 + " the reason").endswith("the reason")
