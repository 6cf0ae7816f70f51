"""DICOM, read in this process; pictures that are coded as JPEG, JPEG-LS or JPEG 2000 are decoded by the programs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.core.format import Format, Reader
from bridge.core.intake import check_count, check_memory, check_size
from bridge.media.dicom import dicom_head
from bridge.media.dicom_pixels import (
    by_palette,
    coded_frame,
    frame_codes,
    plain_frames,
    readable_code,
    run_length_frame,
    to_rgb,
)
from bridge.media.head import PictureHead
from bridge.media.info import ImagePage, MediaInfo, file_facts
from bridge.media.srgb import take_colorspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.core.request import Request
    from bridge.limits import Limits

    Decode = Callable[[bytes, Limits, str], np.ndarray[Any, Any]]

__all__ = ["DicomFormat", "DicomReader"]


class DicomReader(Reader):
    """Reads DICOM: picture by picture, or as a volume ``(frames, height, width)``, with channels behind for colours.

    Samples are given as they are stored, with the type that their bits and their sign ask for: what turns them into
    units (``RescaleSlope``, ``RescaleIntercept``) or into what a screen shows (``WindowCenter``) is in the metadata,
    group ``DICOM``. Luma and chroma come as RGB.

    Parameters
    ----------
    colorspace : str
        ``"srgb"`` gives the colours of a palette in the place of its numbers.
    """

    _format: DicomFormat

    def _open(self, *, colorspace: Any = None, **kwargs: Any) -> None:
        super()._open(**kwargs)
        coloured = take_colorspace(colorspace)
        request, limits = self.request, self.request.limits
        self._head = head = dicom_head(request.read_at, request.size, limits.volumes_memory)
        self._codes = [] if head.coding.pixels == "plain" else frame_codes(head)
        check_size(limits, request.name, head.width, head.height)
        check_count(limits, request.name, head.frames)
        at_once = head.frames if request.mode in "vV" else 1
        check_memory(limits, request.name, at_once * self._picture_bytes, request.size)
        self._palette = coloured and head.photometric == "PALETTE COLOR" and head.channels == 1

    def _length(self) -> float:
        return 1 if self.request.mode in "vV" else self._head.frames

    def _counted(self) -> int | None:
        return self._head.frames

    def _expected(self) -> int | None:
        return self._head.frames * self._picture_bytes

    @property
    def _picture_bytes(self) -> int:
        return math.prod(self._head.shape) * self._head.dtype.itemsize

    def _data(self, index: int) -> tuple[np.ndarray[Any, Any], dict[str, Any]] | None:
        if index >= self._length():
            return None
        if self.request.mode in "vV":
            return self._pictures(0, self._head.frames), self._meta(index)
        return self._pictures(index, 1)[0], self._meta(index)

    def _pictures(self, first: int, count: int) -> np.ndarray[Any, Any]:
        head = self._head
        if head.coding.pixels == "plain":
            images = to_rgb(head, plain_frames(head, first, count))
        else:
            images = np.stack([self._decoded(number) for number in range(first, first + count)])
        return by_palette(head, images) if self._palette else images

    def _decoded(self, number: int) -> np.ndarray[Any, Any]:
        head = self._head
        code = b"".join(head.data(at, size) for at, size in self._codes[number])
        if head.coding.pixels == "rle":
            return to_rgb(head, run_length_frame(head, code))
        name = f"{self.request.name} (picture {number})"
        code = readable_code(head, code.removesuffix(b"\0"))
        return coded_frame(head, code, np.asarray(self._format.decode(code, self.request.limits, name)))

    def _info(self) -> MediaInfo:
        head = self._head
        page = ImagePage(shape=head.shape, dtype=str(head.dtype))
        pages = (page,) * head.frames
        if self.request.mode in "vV":
            pages = (ImagePage(shape=(head.frames, *head.shape), dtype=str(head.dtype)),)
        return MediaInfo(uri=self.request.name, format="DICOM", size=self.request.size, pages=pages, source="header")

    def _meta(self, index: int | None) -> dict[str, Any]:
        if index is not None:
            return {"index": index}
        head = self._head
        picture = PictureHead(
            width=head.width, height=head.height, channels=head.channels, depth=head.allocated, frames=head.frames
        )
        return {"DICOM": dict(head.values), "FILE": file_facts(self._format.name, "bridge", picture)}


class DicomFormat(Format):
    """Medical pictures and stacks of them."""

    name = "DICOM"
    depths = "1, 8, 16, 32, 64, float"
    metadata = True
    description = "medical picture or stack"
    extensions = (".dcm", ".dicom")
    modes = "iIvV"
    reader = DicomReader

    def __init__(self, decode: Decode) -> None:
        self.decode = decode

    def can_read(self, request: Request) -> bool:
        """Take content that says it is DICOM."""
        return request.kind == "dicom"
