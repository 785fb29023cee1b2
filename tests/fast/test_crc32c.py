"""CRC-32C against the well-known value, another library, and itself by table."""

import google_crc32c
from hypothesis import given
from hypothesis import strategies as st

from router._fast.crc32c import crc32c, portable


def test_the_known_value() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(b"") == 0


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_it_is_the_standards(first: bytes, second: bytes) -> None:
    expected = google_crc32c.value(first + second)
    assert crc32c(first + second) == expected
    assert portable(first + second) == expected
    assert crc32c(second, crc32c(first)) == expected
    assert portable(second, portable(first)) == expected
