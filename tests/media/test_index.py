"""FrameIndex: packets tell the frames or are said not to, every time names its frame, and damage is no index."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import zlib
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.media.index import DisplayOrder, Entry, FrameIndex, Packet, doubtful_beginning, entries_of, frame_meta

_CLOCK = Fraction(1, 25)
_CLOCKS = [Fraction(1, 90000), Fraction(1001, 30000), Fraction(1, 1_000_000), Fraction(1, 1000), Fraction(1, 12800)]

clocks = st.one_of(st.sampled_from(_CLOCKS), st.builds(Fraction, st.integers(1, 2000), st.integers(1, 100_000)))


@st.composite
def shuffled(draw: st.DrawFn, depth: int = 34, most: int = 40) -> list[Packet]:
    """Packets in the order of a file, no more than `depth` places behind that of their display."""
    steps = draw(st.lists(st.integers(1, 5000), min_size=1, max_size=most))
    late = draw(st.lists(st.integers(0, depth), min_size=len(steps), max_size=len(steps)))
    first = draw(st.integers(-(10**5), 10**10))
    times = list(itertools.accumulate(steps[:-1], initial=first))
    order = sorted(range(len(steps)), key=lambda rank: rank + late[rank])
    keys = draw(st.sets(st.integers(0, len(steps) - 1), max_size=12)) | {order[0]}
    return [
        Packet(times[rank], first + place, steps[rank], 188 * place, rank in keys) for place, rank in enumerate(order)
    ]


def displayed(packets: list[Packet]) -> list[Packet]:
    return sorted((packet for packet in packets if not packet.discard), key=lambda packet: packet.pts or 0)


def indexed(packets: list[Packet], clock: Fraction = _CLOCK) -> FrameIndex:
    index = FrameIndex.from_packets(packets, clock)
    assert index is not None
    return index


def regular(*times: int, keys: tuple[int, ...] = (), step: int = 1) -> list[Packet]:
    """Packets with these times in the order of a file."""
    return [Packet(time, None, step, 100 * place, time in keys) for place, time in enumerate(times)]


def plain(index: FrameIndex) -> dict[str, Any]:
    values = {field.name: getattr(index, field.name) for field in dataclasses.fields(index)}
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values.items()}


# Packets and frames


@given(shuffled(), clocks)
def test_frames_are_shown_by_rising_time_however_they_are_stored(packets: list[Packet], clock: Fraction) -> None:
    index = indexed(packets, clock)
    frames = displayed(packets)
    assert len(index) == len(frames)
    assert index.pts.tolist() == [frame.pts for frame in frames]
    assert index.keys.tolist() == [frame.key for frame in frames]
    assert (index.time_base, index.ordinal, index.cut, index.troubled) == (clock, False, False, False)
    assert index.entries == entries_of(packets)


@given(shuffled())
def test_a_frame_is_shown_until_the_next_and_the_last_for_its_own_duration(packets: list[Packet]) -> None:
    index = indexed(packets)
    steps = np.diff(index.pts).tolist()
    assert index.durations[:-1].tolist() == steps
    in_order = packets == sorted(packets, key=lambda packet: packet.pts or 0)
    own = displayed(packets)[-1].duration  # where frames change places, that is until the next is decoded
    assert index.durations[-1] == (own if in_order else steps[-1] if steps else 0)


@pytest.mark.parametrize(("times", "last"), [((), None), ((7,), 0), ((7, 10), 3), ((0, 1, 6), 5)])
def test_a_last_frame_without_a_duration_is_shown_as_long_as_the_one_before(
    times: tuple[int, ...], last: int | None
) -> None:
    index = FrameIndex.from_frames([Packet(time) for time in times], _CLOCK)
    assert index.durations.tolist() == [*np.diff(times).tolist(), *([] if last is None else [last])]


@given(shuffled(), st.data())
def test_discarded_packets_are_no_frames(packets: list[Packet], data: st.DataObject) -> None:
    hidden = data.draw(st.sets(st.integers(0, len(packets) - 1)))
    marked = [packet._replace(discard=place in hidden) for place, packet in enumerate(packets)]
    index = indexed(marked)
    assert index.pts.tolist() == [packet.pts for packet in displayed(marked)]
    assert index.entries == entries_of(packets)  # decoding may still begin there


@given(shuffled(), st.data())
def test_a_missing_time_makes_packets_useless_and_frames_ordinal(packets: list[Packet], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(packets) - 1))
    packets[place] = packets[place]._replace(pts=None)
    assert FrameIndex.from_packets(packets, _CLOCK) is None
    index = FrameIndex.from_frames(packets, _CLOCK, (Entry(0, None, None),))
    assert (index.ordinal, index.entries, len(index)) == (True, (), len(packets))


@given(shuffled(), st.data())
def test_equal_times_make_packets_useless_and_frames_ordinal(packets: list[Packet], data: st.DataObject) -> None:
    packets.append(packets[data.draw(st.integers(0, len(packets) - 1))]._replace(dts=None))
    assert FrameIndex.from_packets(packets, _CLOCK) is None
    index = FrameIndex.from_frames(displayed(packets), _CLOCK, (Entry(0, None, None),))
    assert (index.ordinal, index.entries, len(index)) == (True, (), len(packets))


@given(shuffled(), st.data())
def test_a_clock_that_jumps_back_makes_packets_useless(packets: list[Packet], data: st.DataObject) -> None:
    low = min(packet.dts or 0 for packet in packets)
    place = data.draw(st.integers(1, len(packets)))
    last = max(packet.pts or 0 for packet in packets)
    packets.insert(place, Packet(last + 1, low - 1))
    assert FrameIndex.from_packets(packets, _CLOCK) is None


def test_falling_times_of_frames_are_ordinal() -> None:
    index = FrameIndex.from_frames([Packet(3), Packet(2), Packet(5)], _CLOCK)
    assert index.ordinal
    assert index.pts.tolist() == [3, 2, 5]
    assert not FrameIndex.from_frames([Packet(2), Packet(3), Packet(5)], _CLOCK).ordinal


def test_missing_and_equal_decoding_times_do_no_harm() -> None:
    packets = [Packet(0, 5, key=True), Packet(3, None), Packet(1, 5), Packet(2, 6)]
    assert indexed(packets).pts.tolist() == [0, 1, 2, 3]


def test_where_packets_end_goes_along() -> None:
    packets = [Packet(0, end=100), Packet(2, end=300), Packet(1, end=None)]
    assert indexed([packets[0]._replace(key=True), *packets[1:]]).ends.tolist() == [100, -1, 300]


def test_a_film_without_key_frames_has_no_entries() -> None:
    assert entries_of(regular(0, 1, 2)) == ()


# Where decoding starts


@given(shuffled(), st.data())
def test_starts_go_strictly_backwards_and_end_at_the_beginning(packets: list[Packet], data: st.DataObject) -> None:
    index = indexed(packets)
    frame = data.draw(st.integers(0, len(index) - 1))
    *entries, last = index.starts(frame)
    assert last is None
    times = [entry.pts for entry in entries if entry is not None]
    assert len(times) == len(entries) <= 5  # 13 entries: steps double
    assert all(later > earlier for later, earlier in itertools.pairwise(times))
    assert set(entries) <= set(index.entries[1:])


@given(shuffled(), st.data())
def test_the_first_start_is_the_last_entry_shown_no_later(packets: list[Packet], data: st.DataObject) -> None:
    index = indexed(packets)
    frame = data.draw(st.integers(0, len(index) - 1))
    before = [entry for entry in index.entries[1:] if entry.pts <= index.pts[frame]]
    assert next(index.starts(frame)) == (before[-1] if before else None)
    assert index.start(frame) == (index.find(before[-1].pts) if before else 0)


def test_leading_pictures_of_an_open_gop_start_at_the_entry_before() -> None:
    packets = regular(0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 12, 10, 11, 15, 13, 14, keys=(0, 6, 12))
    index = indexed(packets)
    firsts = [next(index.starts(frame)) for frame in range(len(index))]
    assert firsts[:6] == [None] * 6
    assert firsts[6:12] == [Entry(6, 12, 400)] * 6  # 10 and 11 lie behind the entry at 12
    assert firsts[12:] == [Entry(12, None, 1000)] * 4
    assert [index.start(frame) for frame in (5, 6, 11, 12, 15)] == [0, 6, 6, 12, 12]


def test_entries_know_the_time_of_the_next_and_their_place() -> None:
    packets = regular(4, 0, 8, 6, keys=(0, 4, 8))
    assert entries_of(packets) == (Entry(0, 4, 100), Entry(4, 8, 0), Entry(8, None, 200))
    assert entries_of([Packet(None, key=True), Packet(3, key=True)]) == (Entry(3, None, None),)


def test_steps_between_starts_double() -> None:
    index = indexed(regular(*range(1000), keys=tuple(range(1000))))
    starts = [entry.pts if entry else None for entry in index.starts(999)]
    assert starts == [999, 998, 997, 995, 991, 983, 967, 935, 871, 743, 487, None]


def test_a_forgotten_entry_is_no_start() -> None:
    index = indexed(regular(*range(9), keys=(0, 3, 6)))
    bad = Entry(6, None, 600)
    assert list(index.starts(8)) == [bad, Entry(3, 6, 300), None]
    assert list(index.without(bad).starts(8)) == [Entry(3, 6, 300), None]
    assert next(index.starts(8)) == bad
    assert plain(index.without(Entry(6, None, 0))) == plain(index)


@given(shuffled(), st.data())
def test_frames_that_do_not_decode_are_left_out(packets: list[Packet], data: st.DataObject) -> None:
    index = indexed(packets)
    drawn = data.draw(st.lists(st.booleans(), min_size=len(index), max_size=len(index)))
    kept = index.keeping(np.array(drawn, np.bool_))
    assert (kept.cut, kept.entries, kept.time_base) == (index.cut, index.entries, index.time_base)
    for name in ("pts", "durations", "keys", "ends"):
        assert getattr(kept, name).tolist() == list(itertools.compress(getattr(index, name).tolist(), drawn))


@pytest.mark.parametrize(
    ("keys", "pardoned"), [((0, 12, 30), 12 + 34), ((0,), 34), ((12, 30), 30 + 34)], ids=["three", "one", "late"]
)
def test_a_decoder_may_complain_of_what_was_cut_off_up_to_the_second_entry(
    keys: tuple[int, ...], pardoned: int
) -> None:
    index = indexed(regular(*range(50), keys=keys))
    assert index.pardoned == -1
    assert dataclasses.replace(index, cut=True).pardoned == pardoned


# Times


@given(shuffled(), clocks, st.data())
def test_the_own_time_of_a_frame_finds_it(packets: list[Packet], clock: Fraction, data: st.DataObject) -> None:
    index = indexed(packets, clock)
    frame = data.draw(st.integers(0, len(index) - 1))
    assert index.at(index.meta(frame)["time"]) == frame
    assert index.at(index.timestamps[frame]) == frame
    assert index.at(np.nextafter(index.timestamps[frame], -np.inf)) == frame
    assert index.find(int(index.pts[frame])) == frame


@given(shuffled(), clocks, st.data())
def test_any_time_while_a_frame_is_shown_finds_it(packets: list[Packet], clock: Fraction, data: st.DataObject) -> None:
    index = indexed(packets, clock)
    frame = data.draw(st.integers(0, len(index) - 1))
    share = data.draw(st.fractions(0, Fraction(99, 100), max_denominator=100))
    time = (int(index.pts[frame]) + share * int(index.durations[frame])) * clock
    assert index.at(float(time)) == frame


@given(shuffled(), clocks, st.integers(1, 10**6))
def test_nothing_is_shown_before_the_first_and_after_the_last(
    packets: list[Packet], clock: Fraction, ticks: int
) -> None:
    index = indexed(packets, clock)
    first, end = int(index.pts[0]), int(index.pts[-1] + index.durations[-1])
    for time in (first - ticks, Fraction(2 * first - 1, 2), end, end + ticks, 10**19, -(10**30)):
        assert index.at(float(time * clock)) is None


@pytest.mark.parametrize("time", [-1e300, 1e30, 1e300])
def test_no_time_is_too_far_away(time: float) -> None:
    index = indexed(regular(0, 1, keys=(0,)))
    assert index.at(time) is None
    assert index.between(-1e300, time) == ([0, 1] if time > 0 else [])


def test_nothing_is_shown_of_a_film_without_frames() -> None:
    index = FrameIndex.from_frames([], _CLOCK)
    assert (len(index), index.at(0.0), index.find(0), len(index.between(0, 1))) == (0, None, None, 0)
    assert index.timestamps.tolist() == []


@given(shuffled(), clocks, st.data())
def test_between_is_half_open(packets: list[Packet], clock: Fraction, data: st.DataObject) -> None:
    index = indexed(packets, clock)
    first, last = sorted(data.draw(st.integers(0, len(index) - 1)) for _ in range(2))
    times = index.timestamps
    assert index.between(times[first], times[last]) == list(range(first, last))
    assert len(index.between(times[last], times[first])) == 0
    half = float(clock) / 2
    assert index.between(times[first] - half, times[last] + half) == list(range(first, last + 1))
    assert index.between(times[first] + half, times[last] - half) == list(range(first + 1, last))


@given(shuffled(), st.integers(0, 10**5))
def test_find_gives_exact_times_only(packets: list[Packet], beside: int) -> None:
    index = indexed(packets)
    wanted = int(index.pts[0]) + beside
    times = index.pts.tolist()
    assert index.find(wanted) == (times.index(wanted) if wanted in times else None)


@given(shuffled(), clocks, st.data())
def test_metadata_is_in_seconds(packets: list[Packet], clock: Fraction, data: st.DataObject) -> None:
    index = indexed(packets, clock)
    frame = data.draw(st.integers(0, len(index) - 1))
    own = displayed(packets)[frame]
    shown = int(index.durations[frame])
    assert index.meta(frame) == {
        "index": frame,
        "pts": own.pts,
        "time": float((own.pts or 0) * clock),
        "duration": float(shown * clock),
        "key_frame": own.key,
    }
    assert index.timestamps[frame] == pytest.approx(float((own.pts or 0) * clock), rel=1e-15)
    assert index.seconds_shown[frame] == pytest.approx(float(shown * clock), rel=1e-15)


def test_what_is_not_known_of_a_frame_is_none() -> None:
    assert frame_meta(3, None, None, _CLOCK, key=False) == {
        "index": 3,
        "pts": None,
        "time": None,
        "duration": None,
        "key_frame": False,
    }


# Between runs


@st.composite
def indexes(draw: st.DrawFn) -> FrameIndex:
    index = indexed(draw(shuffled(most=10)), draw(clocks))
    return dataclasses.replace(
        index,
        cut=draw(st.booleans()),
        troubled=draw(st.booleans()),
        ordinal=draw(st.booleans()),
        entries=tuple(entry._replace(position=draw(st.none() | st.integers(0, 1 << 60))) for entry in index.entries),
    )


@given(indexes(), st.text(st.characters(exclude_categories=["Cs"])))
def test_an_index_comes_back_under_its_key(index: FrameIndex, key: str) -> None:
    again = FrameIndex.from_bytes(index.to_bytes(key), key)
    assert again is not None
    assert plain(again) == plain(index)
    assert [getattr(again, name).dtype for name in ("pts", "durations", "keys", "ends")] == ["i8", "i8", "?", "i8"]


def test_an_index_without_frames_comes_back() -> None:
    index = FrameIndex.from_frames([], _CLOCK)
    again = FrameIndex.from_bytes(index.to_bytes(""), "")
    assert again is not None
    assert plain(again) == plain(index)


@given(indexes(), st.text(max_size=5), st.text(max_size=5))
def test_another_key_is_another_file(index: FrameIndex, key: str, other: str) -> None:
    assert (FrameIndex.from_bytes(index.to_bytes(key), other) is not None) == (key == other)


@given(indexes(), st.data())
def test_a_flipped_byte_is_noticed(index: FrameIndex, data: st.DataObject) -> None:
    content = bytearray(index.to_bytes("key"))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    assert FrameIndex.from_bytes(bytes(content), "key") is None


@given(indexes(), st.data())
def test_a_cut_and_an_addition_are_noticed(index: FrameIndex, data: st.DataObject) -> None:
    content = index.to_bytes("key")
    assert FrameIndex.from_bytes(content[: data.draw(st.integers(0, len(content) - 1))], "key") is None
    assert FrameIndex.from_bytes(content + data.draw(st.binary(min_size=1)), "key") is None


@given(st.binary(max_size=200), st.booleans())
def test_garbage_is_no_index(garbage: bytes, compressed: bool) -> None:
    body = zlib.compress(garbage) if compressed else garbage
    signed = hashlib.blake2b(body, digest_size=32).digest() + body
    for content in (garbage, body, b"framebridge index 1\n" + garbage, b"framebridge index 1\n" + signed):
        assert FrameIndex.from_bytes(content, "key") is None


# Packets as they come


def come(packets: list[Packet]) -> DisplayOrder:
    order = DisplayOrder()
    for packet in packets:
        order.add(packet)
    order.end()
    return order


def depth_of(packets: list[Packet]) -> int:
    ranks = {packet.pts: rank for rank, packet in enumerate(displayed(packets))}
    return max(place - ranks[packet.pts] for place, packet in enumerate(p for p in packets if not p.discard))


def ended(packets: list[Packet]) -> list[Packet]:
    """Each ends where the next begins."""
    return [
        packet._replace(end=after.position if after else None)
        for packet, after in zip(packets, [*packets[1:], None], strict=True)
    ]


@settings(max_examples=60)
@given(shuffled(most=90))
def test_packets_of_any_codec_come_out_in_the_order_of_display(packets: list[Packet]) -> None:
    order = come(packets)
    assert order.reliable
    assert order.packets == ended(packets)
    assert order.shown == displayed(ended(packets))


@settings(max_examples=60)
@given(shuffled(depth=70, most=150))
def test_packets_that_come_too_late_are_told(packets: list[Packet]) -> None:
    order = come(packets)
    assert order.packets == ended(packets)
    assert order.reliable == (depth_of(packets) <= 34)
    if order.reliable:
        assert order.shown == displayed(ended(packets))


@pytest.mark.parametrize(("depth", "reliable"), [(0, True), (33, True), (34, True), (35, False), (60, False)])
def test_how_late_a_packet_may_come(depth: int, reliable: bool) -> None:
    packets = regular(*range(1, depth + 1), 0, *range(depth + 1, 100))
    assert come(packets).reliable is reliable


@given(shuffled(), st.data())
def test_only_what_cannot_change_is_shown_early(packets: list[Packet], data: st.DataObject) -> None:
    order = DisplayOrder()
    for packet in packets[: data.draw(st.integers(0, len(packets)))]:
        order.add(packet)
    wanted = displayed(ended(packets))
    assert order.shown == wanted[: len(order.shown)]
    assert len(order.shown) >= len(order.packets) - 34


@given(shuffled(), st.data())
def test_discarded_packets_are_kept_and_not_shown(packets: list[Packet], data: st.DataObject) -> None:
    hidden = data.draw(st.sets(st.integers(0, len(packets) - 1)))
    marked = [packet._replace(discard=place in hidden) for place, packet in enumerate(packets)]
    order = come(marked)
    assert order.reliable
    assert order.packets == ended(marked)
    assert order.shown == displayed(ended(marked))


@given(shuffled(), st.data())
def test_a_missing_time_is_told(packets: list[Packet], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(packets) - 1))
    packets[place] = packets[place]._replace(pts=None)
    order = come(packets)
    assert not order.reliable
    assert order.packets == ended(packets)


@given(shuffled(), st.data())
def test_equal_times_are_told(packets: list[Packet], data: st.DataObject) -> None:
    twice = packets[data.draw(st.integers(0, len(packets) - 1))]
    packets.insert(data.draw(st.integers(0, len(packets))), twice)
    assert not come(packets).reliable


def test_no_packets_are_in_order() -> None:
    order = come([])
    assert (order.reliable, order.packets, order.shown) == (True, [], [])


# Beginnings


@pytest.mark.parametrize(
    ("packets", "doubtful"),
    [
        pytest.param([], False, id="nothing"),
        pytest.param(regular(0, 3, 1, 2, keys=(0,)), False, id="closed"),
        pytest.param(regular(0, 1, 2), True, id="no key frame"),
        pytest.param(regular(0, 1, 2, keys=(1,)), True, id="key frame second"),
        pytest.param(regular(3, 1, 2, 6, keys=(3,)), True, id="open"),
        pytest.param(regular(-5, -4, -3, keys=(-5,)), False, id="negative"),
    ],
)
def test_a_beginning_that_may_not_decode(packets: list[Packet], doubtful: bool) -> None:
    assert doubtful_beginning(packets) is doubtful


@given(shuffled())
def test_a_film_whose_first_packet_is_shown_first_begins_well(packets: list[Packet]) -> None:
    assert doubtful_beginning(packets) == (packets[0].pts != displayed(packets)[0].pts)
