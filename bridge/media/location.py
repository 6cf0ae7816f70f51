"""ISO 6709: a place on earth as cameras write it into film, ``+48.8577+002.2950+035.0/``. Pure."""

from __future__ import annotations

import re

__all__ = ["read_location"]

_NUMBER = r"([+-])(\d{%s})(\d\d)?(\d\d)?(\.\d{1,12})?"
_PLACE = re.compile(_NUMBER % 2 + _NUMBER % 3 + r"([+-]\d{1,9}(?:\.\d{1,12})?)?(?:CRS[\w:/.-]{0,64})?/?", re.ASCII)


def read_location(text: str) -> dict[str, float | None] | None:
    """Give latitude and longitude in degrees, north and east positive, and altitude in metres.

    The altitude is None where the text has none; None comes for what is no such text, or no place on earth.

    Examples
    --------
    >>> read_location("+40.75-074.00/")
    {'latitude': 40.75, 'longitude': -74.0, 'altitude': None}
    >>> read_location("-3730.5+14430.25+120CRSWGS_84/")
    {'latitude': -37.50833333333333, 'longitude': 144.50416666666666, 'altitude': 120.0}
    """
    match = _PLACE.fullmatch(text.strip())
    if match is None:
        return None
    latitude, longitude = _degrees(*match.groups()[:5]), _degrees(*match.groups()[5:10])
    if abs(latitude) > 90 or abs(longitude) > 180:
        return None
    return {"latitude": latitude, "longitude": longitude, "altitude": float(match[11]) if match[11] else None}


def _degrees(sign: str, degrees: str, minutes: str | None, seconds: str | None, fraction: str | None) -> float:
    """Put degrees, minutes and seconds together; the fraction belongs to the last of these that is there."""
    parts = [degrees, *(part for part in (minutes, seconds) if part)]
    parts[-1] += fraction or ""
    value = sum(float(part) / (1, 60, 3600)[power] for power, part in enumerate(parts))
    return -value if sign == "-" else value
