"""DamageJudge: which frames of a film are not what was recorded, by complaint and by structure together."""

from __future__ import annotations

import bisect
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.core.request import Request
from bridge.ffmpeg.listing import Film, decodes, faultless
from bridge.media.complete import ends_early, first_fault, overwritten

if TYPE_CHECKING:
    from bridge.ffmpeg.decoder import Decoder
    from bridge.ffmpeg.guide import Guide
    from bridge.media.index import FrameIndex

__all__ = ["DamageJudge"]

_GIF_END = b";"
_WALKED = 1 << 30  # bytes of the largest file that is looked through before its frames are believed


class DamageJudge:
    """Tells whether frames of a film may be believed.

    Parameters
    ----------
    film : Film
        Which film.
    guide : Guide
        What is known of its frames.
    strict : bool
        Whether damage is to be told; else only what a decoder says after a jump counts.
    """

    def __init__(self, film: Film, guide: Guide, *, strict: bool) -> None:
        self._film = film
        self._request = film.request
        self._guide = guide
        self._strict = strict
        self._bad: np.ndarray[Any, Any] | None = None  # which frames are damaged, once there is a reason to ask
        self._fault: int | None = None  # the byte from which on it is damaged
        self._intact = (0, 0)  # bytes of the file that were looked at

    def at(self, decoder: Decoder, place: int) -> bool:
        """Tell whether a frame that a decoder gave may be damaged, or not be what the film has there."""
        return self.known(place) or self._complains(decoder, place)

    def known(self, place: int) -> bool:
        """Tell whether a frame is damaged, whatever a decoder says of it."""
        bad = self._strict and self._bad is not None and bool(self._bad[place])
        return bad or self._overwritten(place)

    def end(self) -> str:
        """Tell in words what is missing at the end of the file; empty if nothing is."""
        return ends_early(self._request.kind or "", self._request.read_at, self._request.size)

    def _complains(self, decoder: Decoder, place: int) -> bool:
        """Tell whether the decoder has met an error that concerns this frame."""
        if not decoder.complains():
            return False
        if decoder.sought:
            return True
        if place <= self._guide.whole().pardoned:
            decoder.pardon()
            return False
        return self._strict and self._spoilt(place)

    def _spoilt(self, place: int) -> bool:
        """Tell whether a frame is damaged, once the decoder has met errors somewhere."""
        film = self._guide.whole()
        if self._bad is None:
            self._bad = self._find(film)
            # Where the listing met an error, it need not be the decoder that complains. Else it must have left out
            # what it complains of; not all decoders can, and without times nobody knows which frames it left out.
            if not self._bad.any() and (film.ordinal or not film.troubled):
                self._bad[place:] = True
        return bool(self._bad[place])

    def _find(self, film: FrameIndex) -> np.ndarray[Any, Any]:
        """Find the damaged frames by decoding once or twice more."""
        bad = np.zeros(len(film), np.bool_)
        for until_error in (False, True):
            if not bad.any() and not film.ordinal:
                bad = film.spoilt(faultless(self._film, until_error=until_error))
        if not bad.any() and self._request.kind == "gif" and not film.ordinal:
            bad[self._clean(film) :] = True
        return bad

    def _clean(self, film: FrameIndex) -> int:
        """Tell how many frames of a GIF decode without an error: by its beginnings, as its decoder leaves out none."""

        def complains(frames: int) -> bool:
            end = int(film.ends[frames - 1])
            content = self._request.read_at(0, end if end > 0 else self._request.size) + _GIF_END
            with Request(content, name=self._request.name, limits=self._request.limits) as beginning:
                return not decodes(replace(self._film, request=beginning))

        return bisect.bisect_left(range(1, len(film) + 1), x=True, key=complains)

    def _overwritten(self, place: int) -> bool:
        """Tell whether the file is damaged where a frame is decoded from: FFmpeg may read on and say nothing."""
        if not self._strict or not place:
            return False
        if self._request.kind != "mpegts" and self._request.size <= _WALKED:
            if self._fault is None:
                fault = first_fault(self._request.kind or "", self._request.read_at, self._request.size)
                self._fault = self._request.size if fault is None else fault
            return self._fault < self._request.size and self._guide.extent(place)[1] > self._fault
        return self._request.kind == "mpegts" and self._gap(*self._guide.extent(place))

    def _gap(self, begin: int, end: int) -> bool:
        """Tell whether something is missing of a transport stream between two bytes."""
        low, high = self._intact
        known = low <= begin <= high
        if overwritten(self._request.read_at, high if known else begin, end, self._guide.somewhere) is not None:
            return True
        if end == self._request.size and self.end():  # the last frame of a file that was cut
            return True
        self._intact = (low, max(high, end)) if known else (begin, end)
        return False
