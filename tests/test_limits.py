"""Limits and levels of trust: values, what a call takes of them, what is in force."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import bridge
from bridge import limits
from bridge.errors import ForbiddenFormat, ForbiddenUri, UnknownFormat
from bridge.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    bridge.configure()


def test_what_is_not_given_is_the_levels() -> None:
    assert Limits().pixels == 178_956_970
    assert Limits(trust="untrusted").pixels == 50_000_000
    own = Limits(trust="untrusted", pixels=7, memory=None)
    assert (own.pixels, own.memory, own.side, own.sandbox) == (7, None, 16_384, "required")


@pytest.mark.parametrize(
    "wrong", [{"trust": "some"}, {"pixels": -1}, {"pixels": None}, {"still": float("nan")}, {"sandbox": "yes"}]
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Limits(**wrong)  # type: ignore[arg-type] # the wrong types are what is tested


def test_a_call_names_its_limits_once_or_takes_those_in_force() -> None:
    bridge.configure(trust="untrusted", pixels=5)
    assert limits.of_call(None, None).pixels == limits.of_call(None, "untrusted").pixels == 5
    assert limits.of_call(None, "normal") == Limits()
    assert limits.of_call(Limits(side=3), None).side == 3
    with pytest.raises(ValueError, match="name it once"):
        limits.of_call(Limits(), "trusted")


def test_configure_takes_numbers_or_a_value() -> None:
    assert bridge.configure(Limits(side=3)) is limits.in_force()
    assert bridge.configure() == Limits()
    with pytest.raises(TypeError, match="either"):
        bridge.configure(Limits(), side=3)
    with pytest.raises(TypeError, match="must be a"):
        bridge.configure({"side": 3})  # type: ignore[arg-type] # likewise


@pytest.mark.parametrize(("trust", "content"), [("normal", b"%PDF-1.4\n"), ("untrusted", b"#?RADIANCE\n")])
def test_content_that_a_level_does_not_read_is_named(trust: str, content: bytes) -> None:
    with pytest.raises(ForbiddenFormat, match="trust=") as caught:
        bridge.imread(content, trust=trust)
    assert isinstance(caught.value, PermissionError)


def test_untrusted_content_of_no_known_kind_is_refused_whatever_its_name(tmp_path: Path) -> None:
    picture = Path(tmp_path, "a.tga")
    picture.write_bytes(bytes([0, 0, 2]) + bytes(9) + bytes([1, 0, 1, 0, 24, 0, 1, 2, 3]))
    with pytest.raises(ForbiddenFormat, match="of no known kind"):
        bridge.imread(picture, trust="untrusted")


def test_untrusted_content_is_no_symbolic_link(tmp_path: Path) -> None:
    link = Path(tmp_path, "a.png")
    link.symlink_to(__file__)
    with pytest.raises(ForbiddenUri, match="symbolic link"):
        bridge.imread(link, trust="untrusted")
    with pytest.raises(UnknownFormat):
        bridge.imread(link)
