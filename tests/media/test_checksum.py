"""The checksum of Ogg and NUT: its published value, and what makes it a checksum."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.media.checksum import crc32_msb_first


def bit_by_bit(data: bytes) -> bytes:
    """As the specifications put it: the remainder of a division by 0x04C11DB7."""
    left = 0
    for byte in data:
        left ^= byte << 24
        for _ in range(8):
            left = (left << 1 ^ 0x04C11DB7) & 0xFFFFFFFF if left >> 31 else left << 1
    return left.to_bytes(4, "big")


def test_the_published_value() -> None:
    assert crc32_msb_first(b"123456789") == bytes.fromhex("89a1897f")
    assert crc32_msb_first(b"") == bytes(4)


@given(st.binary(max_size=300))
def test_it_is_what_the_definition_says(data: bytes) -> None:
    assert crc32_msb_first(data) == bit_by_bit(data)


@given(st.binary())
def test_with_its_checksum_behind_it_anything_has_checksum_zero(data: bytes) -> None:
    assert crc32_msb_first(data + crc32_msb_first(data)) == bytes(4)


@given(st.binary(min_size=1), st.data())
def test_a_flipped_byte_is_noticed(data: bytes, draw: st.DataObject) -> None:
    changed = bytearray(data)
    changed[draw.draw(st.integers(0, len(data) - 1))] ^= draw.draw(st.integers(1, 255))
    assert crc32_msb_first(bytes(changed)) != crc32_msb_first(data)
