"""Messages between processes: what is written is read again, and whatever else comes is an error of ours."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import errors
from bridge.errors import BridgeError, ToolFailed, TruncatedMedia, WireError, WrongVersion
from bridge.remote import wire
from bridge.remote.wire import (
    Answer,
    Ask,
    Bye,
    Credit,
    Fault,
    Frame,
    Hello,
    Layout,
    Message,
    Open,
    Ping,
    Stamp,
    pack,
    unpack,
)

numbers = st.integers(0, (1 << 32) - 1)
texts = st.text(max_size=20)
bodies = st.dictionaries(texts, st.none() | st.booleans() | st.integers() | texts | st.lists(st.integers()), max_size=4)
data = st.none() | st.binary(max_size=40)
layouts = st.builds(
    Layout,
    dtype=st.sampled_from(["u1", "<u2", "<u4", "i1", "<i2", "<f2", "<f4", "<f8"]).map(np.dtype),
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple),
    pixels=st.from_regex(r"[a-z0-9_]{0,16}", fullmatch=True),
)
longs = st.integers(-(1 << 63) + 1, (1 << 63) - 1)
bases = st.builds(Fraction, st.integers(0, (1 << 32) - 1), st.integers(1, (1 << 32) - 1))
stamps = st.builds(Stamp, captured=longs, pts=st.none() | longs, time_base=bases, flags=numbers)


@st.composite
def arrays(draw: st.DrawFn, /, make: Any, **others: Any) -> Message:
    layout = draw(layouts)
    slot = draw(st.none() | numbers)
    content = None if slot is not None else bytes(layout.nbytes)
    given_ = {name: draw(strategy) for name, strategy in others.items()}
    message: Message = make(layout=layout, slot=slot, data=content, **given_)
    return message


messages = st.one_of(
    st.builds(Hello, facts=bodies, number=numbers),
    st.builds(Open, number=numbers, delivery=st.sampled_from(wire.DELIVERIES), options=bodies),
    st.builds(Credit, number=numbers, frames=st.integers(1, 1 << 16)),
    st.builds(Fault, number=numbers, name=texts, message=texts, last_words=texts, got=st.none() | st.integers()),
    st.builds(Ping, number=numbers, answer=st.booleans()),
    st.builds(Bye, number=numbers, reason=texts),
    st.builds(Ask, number=numbers, what=texts, body=bodies, data=data, descriptors=st.integers(0, 8)),
    st.builds(Answer, number=numbers, body=bodies),
    arrays(Answer, number=numbers, body=bodies),
    arrays(Frame, number=numbers, sequence=st.integers(0, (1 << 64) - 1), stamp=stamps),
)


def copied(parts: list[wire.Bytes]) -> list[bytes]:
    return [bytes(part) for part in parts]


@given(messages)
def test_what_is_written_is_read_again(message: Message) -> None:
    assert unpack(copied(pack(message))) == message
    assert unpack([memoryview(part) for part in copied(pack(message))]) == message


@given(st.lists(st.binary(max_size=120), max_size=4))
def test_random_bytes_are_no_message(parts: list[bytes]) -> None:
    with pytest.raises(WireError):
        unpack(parts)


@given(messages, st.data())
def test_a_message_that_is_cut_changed_or_longer_is_read_or_refused(message: Message, chance: st.DataObject) -> None:
    """Nothing but our own error comes of it, and never a size that is not there."""
    parts = copied(pack(message))
    at = chance.draw(st.integers(0, len(parts) - 1))
    part = bytearray(parts[at])
    kind = chance.draw(st.sampled_from(["cut", "change", "longer", "drop", "more"]))
    if kind == "cut" and part:
        del part[chance.draw(st.integers(0, len(part) - 1)) :]
    elif kind == "change" and part:
        part[chance.draw(st.integers(0, len(part) - 1))] ^= chance.draw(st.integers(1, 255))
    elif kind == "longer":
        part += chance.draw(st.binary(min_size=1, max_size=60))
    parts[at] = bytes(part)
    if kind == "drop":
        del parts[at]
    elif kind == "more":
        parts.insert(at, chance.draw(st.binary(max_size=60)))
    try:
        found = unpack(parts)
    except WireError:
        return
    if isinstance(found, Frame | Answer) and found.data is not None:
        assert found.layout is not None
        assert len(found.data) == found.layout.nbytes


@given(st.binary(min_size=0, max_size=200), st.integers(1, 9))
def test_random_bytes_behind_a_good_head(rest: bytes, kind: int) -> None:
    ping = bytes(pack(Ping())[0])
    head = ping[:6] + bytes([kind]) + ping[7:]
    for parts in ([head + rest], [head, rest], [head + rest, b"{}"], [head, b"{}", rest]):
        try:
            unpack(parts)
        except WireError:
            continue


def frame(**changed: Any) -> Frame:
    facts: dict[str, Any] = {
        "number": 1,
        "sequence": 0,
        "layout": Layout(dtype=np.dtype("u1"), shape=(2, 3, 3), pixels="rgb24"),
        "stamp": Stamp(captured=5),
        "data": bytes(18),
    }
    return Frame(**(facts | changed))


@pytest.mark.parametrize("size", [0, 17, 19, 1 << 20])
def test_the_pixels_are_as_many_as_the_shape_says(size: int) -> None:
    with pytest.raises(WireError, match=r"not as many|there"):
        unpack([pack(frame())[0], bytes(size)])


def test_a_frame_beyond_the_limit_is_refused_by_its_head_alone() -> None:
    huge = Layout(dtype=np.dtype("<f8"), shape=(1 << 31, 1 << 31, 4))
    with pytest.raises(WireError, match="not sent"):
        pack(frame(layout=huge, data=None, slot=1))
    large = Layout(dtype=np.dtype("u1"), shape=(1 << 20, 1 << 12))
    with pytest.raises(WireError, match="cannot have"):
        unpack(pack(frame(layout=large, data=None, slot=1)), most=1 << 30)


def test_another_version_is_told_by_both_numbers() -> None:
    parts = copied(pack(Hello(facts={"a": 1})))
    other = parts[0][:4] + (wire.VERSION + 1).to_bytes(2, "little") + parts[0][6:]
    assert wire.version_of([other]) == wire.VERSION + 1
    with pytest.raises(WrongVersion, match=f"version {wire.VERSION + 1} .* this one {wire.VERSION}") as caught:
        unpack([other, parts[1]])
    assert isinstance(caught.value, ValueError | ConnectionRefusedError)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"\xff", b'"a"', b"[" * 100_000, b'{"a":' * 50_000, b"1" * 10_000, b"null"]
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        unpack([pack(Hello())[0], body])


def test_a_body_too_large_is_refused_before_it_is_read() -> None:
    body = json.dumps({"a": "b" * wire.BODY}).encode()
    with pytest.raises(WireError, match="bytes of JSON"):
        unpack([pack(Hello())[0], body])
    with pytest.raises(WireError, match="bytes of JSON"):
        pack(Hello(facts={"a": "b" * wire.BODY}))


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", np.int64(3)])
def test_what_json_has_not_is_refused_at_the_sender(value: Any) -> None:
    with pytest.raises(WireError, match="JSON"):
        pack(Hello(facts={"a": value}))


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_crosses_as_itself(name: str) -> None:
    kind = getattr(errors, name)
    if not issubclass(kind, BridgeError):
        return
    error = Fault.of(3, kind("it is so", last_words="says the program", got=4))
    found = unpack(copied(pack(error)))
    assert isinstance(found, Fault)
    made = found.error("clip.mp4")
    assert (type(made), str(made), made.last_words, made.got) == (kind, "clip.mp4: it is so", "says the program", 4)


def test_a_foreign_error_keeps_its_name_and_no_name_makes_a_class() -> None:
    made = Fault.of(1, KeyError("x")).error()
    assert type(made) is ToolFailed
    assert "KeyError" in str(made)
    for name in ("os", "DamageWarning", "__builtins__", "annotations", "Any"):
        assert type(Fault(number=1, name=name, message="m").error()) is ToolFailed
    assert str(TruncatedMedia("a")) == "a"


def test_no_control_characters_come_out_of_an_error() -> None:
    assert "\x1b" not in str(Fault(number=1, name="ToolFailed", message="\x1b[31m").error())
