"""Tone mapping: film of high dynamic range -> pictures for ordinary displays, 8 bits of BT.709. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.media.hdr import HLG

if TYPE_CHECKING:
    from bridge.media.hdr import HighDynamicRange

__all__ = ["WHITE", "ToneMap", "hlg_scene", "peak_of", "pq_light", "pq_signal"]

WHITE = 203.0  # cd/m2 of diffuse white, ITU-R BT.2408
_PQ_PEAK = 10_000.0  # cd/m2
_HLG_PEAK = 1000.0  # cd/m2 of the nominal display of BT.2100, for which the gamma of the OOTF is 1.2
_HLG_GAMMA = 1.2
_CODES = 1 << 16
_BAND = 1 << 15  # pixels that are converted at a time: so much stays in the cache

_D65 = (0.3127, 0.3290)
_PRIMARIES = {
    "bt709": ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    "bt2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    "smpte432": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # Display P3
}

_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def pq_light(signal: Any) -> Any:
    """Give the light in cd/m2 of a signal of 0 to 1: the EOTF of SMPTE ST 2084.

    Examples
    --------
    >>> round(float(pq_light(520 / 1023)))
    100
    """
    power = np.power(signal, 1 / _M2)
    return _PQ_PEAK * np.power(np.maximum(power - _C1, 0) / (_C2 - _C3 * power), 1 / _M1)


def pq_signal(light: Any) -> Any:
    """Give the signal of a light in cd/m2: the inverse of `pq_light`."""
    power = np.power(np.asarray(light) / _PQ_PEAK, _M1)
    return np.power((_C1 + _C2 * power) / (1 + _C3 * power), _M2)


def hlg_scene(signal: Any) -> Any:
    """Give the light of the scene, 0 to 1, of a signal of 0 to 1: the inverse of the OETF of HLG, ITU-R BT.2100.

    Examples
    --------
    >>> round(float(12 * hlg_scene(0.5)), 6)
    1.0
    """
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    signal = np.asarray(signal)
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def peak_of(transfer: str | None, known: HighDynamicRange | None) -> float:
    """Give the light in cd/m2 that is to come out as full white: MaxCLL, else what the mastering display could show."""
    said = known and (known.max_content or known.max_luminance)
    most = _HLG_PEAK if transfer == HLG else _PQ_PEAK
    return min(max(float(said or _HLG_PEAK), WHITE), most)


class ToneMap:
    """Turns frames of PQ or HLG into 8 bits of BT.709, as film of ordinary range is read.

    Parameters
    ----------
    transfer : str
        ``"smpte2084"`` (PQ) or ``"arib-std-b67"`` (HLG).
    peak : float
        The brightest light of the content in cd/m2, `WHITE` or more; it becomes full white, and so does what is
        brighter all the same.
    primaries : str or None
        FFmpeg's name of them; BT.2020 where they are not known.

    Notes
    -----
    Light is told by the EOTF of SMPTE ST 2084, or by the inverse OETF and the OOTF of ITU-R BT.2100 for a display
    of 1000 cd/m2. The brightest of red, green and blue is brought from `peak` to `WHITE` by the EETF of ITU-R
    BT.2390, a Hermite spline above a knee and nothing below it, and the other two by the same factor, so hue stays.
    Diffuse white, 203 cd/m2 (ITU-R BT.2408), comes out at 78 % of the code range for a peak of 10000 cd/m2 and at
    90 % for one of 1000. Then light goes to the primaries of BT.709 (ITU-R BT.2087), where what these cannot show is
    clipped, and through the inverse EOTF of ITU-R BT.1886, a power of 1 / 2.4, to codes.

    Examples
    --------
    >>> import numpy as np
    >>> gray = np.full((1, 1, 3), round(0.5081 * 65535), np.uint16)  # 100 cd/m2
    >>> ToneMap("smpte2084", 1000.0)(gray).tolist()
    [[[189, 189, 189]]]
    """

    def __init__(self, transfer: str, peak: float, primaries: str | None = None) -> None:
        signal = np.arange(_CODES) / (_CODES - 1)
        self.transfer, self.peak = transfer, peak
        own = primaries if primaries in _PRIMARIES else "bt2020"
        to_light = _to_light(own)
        self._matrix = (np.linalg.inv(_to_light("bt709")) @ to_light).T.astype(np.float32)
        self._luminance = to_light[1].astype(np.float32)
        self._by = self._by_scene if transfer == HLG else self._by_code
        self._light = (hlg_scene(signal) if transfer == HLG else pq_light(signal)).astype(np.float32)
        self._curve = _curve(_HLG_PEAK * signal**2 if transfer == HLG else pq_light(signal), peak)
        self._codes = np.rint(255 * signal ** (2 / 2.4)).astype(np.uint8)  # of the root of light

    def __call__(self, frame: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Convert a frame of uint16, ``(height, width, 3 or 4)``, to uint8; a fourth channel is transparency."""
        made = np.empty(frame.shape, np.uint8)
        rows = max(1, _BAND // max(1, frame.shape[1]))
        for top in range(0, len(frame), rows):
            band = np.s_[top : top + rows]
            made[band, :, :3] = self._pixels(frame[band, :, :3].reshape(-1, 3)).reshape(*frame[band].shape[:2], 3)
        if frame.shape[2] == 4:
            np.floor_divide(frame[..., 3] + np.uint32(128), 257, out=made[..., 3], casting="unsafe")
        return made

    def _pixels(self, codes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        light = self._by(codes)
        green = light[:, 1:2].copy()
        light -= green
        light = light @ self._matrix  # of weights with the sum 1: so gray stays gray to the last bit
        light += green
        np.clip(light, 0, 1, out=light)
        return self._codes.take(_indexes(light))

    def _by_code(self, codes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Give the light of PQ after the tone curve, 1 for full white."""
        light: np.ndarray[Any, Any] = self._light.take(codes)
        most = _brightest(codes)
        light *= (self._curve.take(most) / self._light.take(np.maximum(most, 1)))[:, None]
        return light

    def _by_scene(self, codes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Give the light of HLG after the OOTF and the tone curve, 1 for full white."""
        light: np.ndarray[Any, Any] = self._light.take(codes)
        most = _brightest(light)
        shown = np.power(light @ self._luminance, np.float32(_HLG_GAMMA - 1))
        shown *= most
        np.minimum(shown, 1, out=shown)
        light *= (self._curve.take(_indexes(shown)) / np.maximum(most, np.float32(1e-12)))[:, None]
        return light


def _brightest(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    most: np.ndarray[Any, Any] = np.maximum(np.maximum(pixels[:, 0], pixels[:, 1]), pixels[:, 2])
    return most


def _indexes(light: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Give the places in a table by the root of light: so dark ones have more of them. Changes what it is given."""
    np.sqrt(light, out=light)
    light *= _CODES - 1
    light += 0.5
    return light.astype(np.uint16)


def _curve(light: np.ndarray[Any, Any], peak: float) -> np.ndarray[Any, Any]:
    """Give each light after the tone curve, 1 for full white: the EETF of BT.2390-8, 5.4.1, black left alone."""
    top = pq_signal(peak)
    signal = np.minimum(pq_signal(light) / top, 1)
    most = pq_signal(WHITE) / top
    knee = 1.5 * most - 0.5
    t = np.maximum(signal - knee, 0) / max(1 - knee, 1e-9)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * most
    mapped: np.ndarray[Any, Any] = pq_light(top * np.where(signal < knee, signal, spline)) / WHITE
    return mapped.astype(np.float32)


def _to_light(name: str) -> np.ndarray[Any, Any]:
    """Give the matrix from RGB to CIE XYZ (SMPTE RP 177); its second row weighs the channels to luminance."""
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in (*_PRIMARIES[name], _D65)]).T
    matrix: np.ndarray[Any, Any] = columns[:, :3] * np.linalg.solve(columns[:, :3], columns[:, 3])
    return matrix
