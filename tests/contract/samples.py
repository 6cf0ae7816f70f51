"""One file of each Format, made by somebody else (Pillow, tifffile, numpy, ffmpeg or by hand), and what is in it."""

from __future__ import annotations

import shutil
import struct
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    Pixels = np.ndarray[Any, Any]

__all__ = [
    "FILMS",
    "FRAMES",
    "REPRESENTATIVES",
    "SAMPLES",
    "SERIES",
    "UNSAMPLED",
    "Sample",
    "close_to",
    "frame",
    "gif",
    "make_film",
    "open_exr",
    "params",
    "picture",
    "sample_of",
]

FRAMES = 6
_GIF = ((255, 0, 0), (255, 0, 0), (0, 128, 0), (0, 0, 255), (0, 0, 255))


def picture(channels: int = 3, *, shift: int = 0, height: int = 32, width: int = 48) -> Pixels:
    """A smooth picture, different in every channel and with every `shift`."""
    rows, columns = np.mgrid[0:height, 0:width]
    planes = [rows * 4 + shift, columns * 4 + shift, (rows + columns) * 2 + shift, 255 - rows]
    found = planes[0] if channels == 1 else np.stack(planes[:channels], axis=-1)
    return found.astype(np.uint8)


def _shifted(index: int) -> Pixels:
    return picture(shift=10 * index)


def frame(index: int) -> Pixels:
    """Frame `index` of every film: one gray all over, the lighter the later, so that no codec hides which it is."""
    return np.full((48, 64, 3), round((24 + 30 * index) * 255 / 219), np.uint8)


def close_to(got: Pixels, wanted: Pixels, off: int = 10) -> bool:
    """Tell whether no value differs by more than `off`."""
    return got.shape == wanted.shape and int(np.abs(got.astype(int) - wanted.astype(int)).max()) <= off


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What is in one file."""

    format: str  # the Format's name
    file: str
    make: Callable[[Path], None]
    wanted: Callable[[int], Pixels]
    count: int = 1
    off: int = 0  # most levels by which a value may differ
    needs: tuple[str, ...] = ()
    signature: bool = True  # its content says what it is
    named: bool = False  # it must be asked for: another Format reads this content by default
    volume: bool = False  # its Format serves "v"

    @property
    def extension(self) -> str:
        return "." + self.file.rpartition(".")[2]

    def asked(self, *, named: bool = True) -> str | None:
        """The argument `format`, for a uri that carries the file's name or doesn't."""
        return self.format if self.named or not (named or self.signature) else None

    def holds(self, index: int, got: Pixels) -> bool:
        """Tell whether `got` is picture `index` of it."""
        return close_to(got, self.wanted(index), self.off)


# How they are made


def _ffmpeg(*arguments: str, data: bytes | None = None) -> None:
    program = shutil.which("ffmpeg")
    if program is None:
        from bridge.process.tools import toolbox

        program = toolbox().find("ffmpeg").path
    subprocess.run([program, "-nostdin", "-v", "error", "-y", *arguments], check=True, input=data, timeout=60)


def make_film(path: Path, *options: str, rate: int = 25, sound: bool = False) -> None:
    """Make a film of the frames `frame(0)` to `frame(5)`, with ffmpeg's options for the output."""
    source = f"color=s=64x48:r={rate}:d={FRAMES / rate},format=yuv420p,geq=lum='40+30*N':cb=128:cr=128"
    second = ("-f", "lavfi", "-i", f"sine=d={FRAMES / rate}", "-shortest") if sound else ()
    _ffmpeg("-f", "lavfi", "-i", source, *second, *options, f"file:{path}")


def _film(*options: str) -> Callable[[Path], None]:
    return lambda path: make_film(path, *options)


def _pillow(channels: int = 3, **options: Any) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(picture(channels)).save(path, **options)


def _pillow_series(path: Path) -> None:
    first, *others = (Image.fromarray(picture(shift=10 * index)) for index in range(4))
    first.save(path, "PNG", save_all=True, append_images=others, duration=40)


def _icon(path: Path) -> None:
    Image.fromarray(picture(4, width=32)).save(path, sizes=[(32, 32)], bitmap_format="bmp")


def _pam(path: Path) -> None:
    head = b"P7\nWIDTH 48\nHEIGHT 32\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n"
    path.write_bytes(head + picture(4).tobytes())


def _photoshop(path: Path) -> None:
    head = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, 32, 48, 8, 3)
    path.write_bytes(head + bytes(4 * 3) + bytes(2) + picture().transpose(2, 0, 1).tobytes())


def _dpx(path: Path) -> None:
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "48x32", "-i", "pipe:0")
    _ffmpeg(
        *raw, "-frames:v", "1", "-c:v", "dpx", "-f", "image2", "-update", "1", f"file:{path}", data=picture().tobytes()
    )


def gif(colours: Iterable[tuple[int, int, int]], side: int = 16) -> bytes:
    """A GIF of frames of one colour each, equal neighbours and all; Pillow would make one frame of those."""
    table = list(dict.fromkeys(colours := list(colours)))
    palette = b"".join(map(bytes, table)).ljust(12, b"\0")
    blocks = [
        b"GIF89a",
        struct.pack("<HHBBB", side, side, 0xF1, 0, 0),
        palette,
        b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0",
    ]
    for colour in colours:
        codes = [code for _ in range(side * side // 2) for code in (4, *[table.index(colour)] * 2)] + [5]
        bits = sum(code << 3 * at for at, code in enumerate(codes))
        data = bits.to_bytes((3 * len(codes) + 7) // 8, "little")
        blocks += [b"\x21\xf9\x04\x04\x0a\0\0\0", b"\x2c" + struct.pack("<HHHHB", 0, 0, side, side, 0), b"\x02"]
        blocks += [bytes([len(data[at : at + 255])]) + data[at : at + 255] for at in range(0, len(data), 255)] + [b"\0"]
    return b"".join([*blocks, b"\x3b"])


def _gif(path: Path) -> None:
    path.write_bytes(gif(_GIF))


def _gif_frame(index: int) -> Pixels:
    return np.full((16, 16, 3), _GIF[index], np.uint8)


def _moving_avif(path: Path) -> None:
    first, *others = [Image.fromarray(_gif_frame(index)) for index in range(len(_GIF))]
    first.save(path, save_all=True, append_images=others, quality=100, duration=100)


def _heic(path: Path) -> None:
    """Nothing but ImageMagick makes it, and not every one does."""
    Image.fromarray(picture()).save(path.with_suffix(".png"))
    for program in ("magick", "convert"):
        try:
            subprocess.run([program, path.with_suffix(".png"), path], check=True, timeout=60, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        if path.is_file() and path.read_bytes()[4:8] == b"ftyp":
            return
    pytest.skip("nothing here makes a HEIC file")


def _array(path: Path) -> None:
    np.save(path, picture())


def _arrays(path: Path) -> None:
    np.savez(path, picture0=_shifted(0), picture1=_shifted(1), picture2=_shifted(2))


def _page(path: Path) -> None:
    tifffile.imwrite(path, picture(), photometric="rgb")


def _anymap(path: Path) -> None:
    path.write_bytes(b"P6 48 32 255\n" + picture().tobytes())


def _codestream(path: Path) -> None:
    Image.fromarray(picture()).save(path, "JPEG2000", no_jp2=True, irreversible=False)


def _floats(index: int) -> Pixels:
    """Values that Radiance holds: small whole numbers."""
    return (picture(shift=index) // 2).astype(np.float32)


def _jpeg_ls(path: Path) -> None:
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "48x32", "-i", "pipe:0")
    _ffmpeg(*raw, "-c:v", "jpegls", "-f", "image2", "-update", "1", f"file:{path}", data=picture().tobytes())


def _sky(path: Path) -> None:
    cards = ["SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   =                    3"]
    cards += [f"NAXIS{axis}  = {side:20d}" for axis, side in enumerate((3, 48, 32), 1)]
    head = "".join(card.ljust(80) for card in [*cards, "END"]).ljust(2880)
    path.write_bytes(head.encode() + picture().tobytes().ljust(2 * 2880, b"\0"))


def _radiance(path: Path) -> None:
    exponents = np.full((32, 48, 1), 136, np.uint8)
    pixels = np.concatenate([_floats(0).astype(np.uint8), exponents], axis=2)
    path.write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 32 +X 48\n" + pixels.tobytes())


def _float_map(path: Path) -> None:
    path.write_bytes(b"PF\n48 32\n1.0\n" + _floats(0)[::-1].astype(">f4").tobytes())


def open_exr(planes: dict[str, Pixels]) -> bytes:
    """An EXR of one block a line, not compressed; each plane with the name of its channel, half floats or floats."""
    height, width = next(iter(planes.values())).shape
    kinds = {"float16": 1, "float32": 2, "uint32": 0}
    listed = b"".join(
        name.encode() + b"\0" + struct.pack("<iB3xii", kinds[planes[name].dtype.name], 0, 1, 1)
        for name in sorted(planes)
    )
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    facts = [
        ("channels", "chlist", listed + b"\0"), ("compression", "compression", b"\0"), ("dataWindow", "box2i", window),
        ("displayWindow", "box2i", window), ("lineOrder", "lineOrder", b"\0"),
        ("pixelAspectRatio", "float", struct.pack("<f", 1)), ("screenWindowCenter", "v2f", bytes(8)),
        ("screenWindowWidth", "float", struct.pack("<f", 1)),
    ]  # fmt: skip
    head = b"v/1\x01\x02\0\0\0" + b"".join(
        f"{name}\0{kind}\0".encode() + struct.pack("<i", len(value)) + value for name, kind, value in facts
    )
    lines = [b"".join(planes[name][row].tobytes() for name in sorted(planes)) for row in range(height)]
    blocks = [struct.pack("<ii", row, len(line)) + line for row, line in enumerate(lines)]
    first = len(head) + 1 + 8 * height
    places = [first + row * len(blocks[0]) for row in range(height)]
    return head + b"\0" + struct.pack(f"<{height}Q", *places) + b"".join(blocks)


def _open_exr(path: Path) -> None:
    path.write_bytes(open_exr({name: _floats(0)[..., at] for at, name in enumerate("RGB")}))


def _qoi(path: Path) -> None:
    pixels = b"".join(b"\xfe" + bytes(pixel) for pixel in picture().reshape(-1, 3).tolist())
    path.write_bytes(b"qoif" + struct.pack(">IIBB", 48, 32, 3, 0) + pixels + bytes(7) + b"\x01")


# The table


def _still(name: str, file: str, make: Callable[[Path], None], **facts: Any) -> Sample:
    facts = {"wanted": lambda _: picture(), "needs": ("magick",), **facts}
    return Sample(format=name, file=file, make=make, **facts)


def _other(name: str, file: str, make: Callable[[Path], None], **facts: Any) -> Sample:
    return _still(name, file, make, **{"needs": ("ffmpeg",), "named": True, **facts})


def _moving(name: str, file: str, *options: str, **facts: Any) -> Sample:
    facts = {"wanted": frame, "count": FRAMES, "off": 10, "needs": ("ffmpeg",), **facts}
    return Sample(format=name, file=file, make=_film(*options), **facts)


_X264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p")
_MPEG2 = ("-c:v", "mpeg2video", "-q:v", "2")

SAMPLES: tuple[Sample, ...] = (
    _still("NPY", "array.npy", _array, needs=(), volume=True),
    _still("NPZ", "arrays.npz", _arrays, needs=(), volume=True, signature=False, count=3, wanted=_shifted),
    _still("TIFF", "page.tif", _page, needs=(), volume=True),
    _still("FITS", "picture.fits", _sky, needs=(), volume=True),
    _still("PNG", "picture.png", _pillow()),
    _still("JPEG", "picture.jpg", _pillow(quality=95), off=12),
    _still("GIF", "moving.gif", _gif, count=5, wanted=_gif_frame),
    _still("BMP", "picture.bmp", _pillow()),
    _still("WEBP", "picture.webp", _pillow(lossless=True)),
    _still("TIFF-MAGICK", "packed.tif", _pillow(compression="tiff_lzw")),
    _still("PNM", "picture.ppm", _anymap),
    _still("PAM", "picture.pam", _pam, wanted=lambda _: picture(4), signature=False),
    _still("TGA", "picture.tga", _pillow(), signature=False),
    _still("PCX", "picture.pcx", _pillow(), signature=False),
    _still("ICO", "icon.ico", _icon, wanted=lambda _: picture(4, width=32)),
    _still("PSD", "picture.psd", _photoshop),
    _still("JP2", "picture.jp2", _pillow(), off=2),
    _still("HEIC", "picture.heic", _heic, off=24),
    _still("AVIF", "picture.avif", _pillow(quality=95), off=12),
    _still("J2K", "picture.j2k", _codestream),
    _still("HDR", "picture.hdr", _radiance, needs=(), wanted=_floats),
    _still("PFM", "picture.pfm", _float_map, needs=(), wanted=_floats),
    _other("EXR-FFMPEG", "picture.exr", _open_exr, wanted=_floats, named=False),
    _other("JP2-FFMPEG", "picture.jp2", _pillow(irreversible=False)),
    _other("J2K-FFMPEG", "picture.j2k", _codestream),
    _other("JLS", "picture.jls", _jpeg_ls, named=False),
    _other("QOI", "picture.qoi", _qoi, named=False),
    _other("SGI", "picture.sgi", _pillow(), named=False),
    _other("DDS", "picture.dds", _pillow(), named=False),
    _still("DPX", "picture.dpx", _dpx, needs=("magick", "ffmpeg"), off=1),
    _other("PNG-FFMPEG", "picture.png", _pillow()),
    _other("JPEG-FFMPEG", "picture.jpg", _pillow(quality=95), off=12),
    _other("BMP-FFMPEG", "picture.bmp", _pillow()),
    _other("WEBP-FFMPEG", "picture.webp", _pillow(lossless=True)),
    _other("PNM-FFMPEG", "picture.ppm", _anymap),
    _other("GIF-FFMPEG", "moving.gif", _gif, count=5, wanted=_gif_frame),
    _other("AVIF-FFMPEG", "moving.avif", _moving_avif, count=5, wanted=_gif_frame, off=3, named=False),
    _other("APNG", "moving.apng", _pillow_series, count=4, wanted=_shifted, named=False),
    _moving("MP4", "film.mp4", *_X264),
    _moving("MOV", "film.mov", *_X264),
    _moving("MKV", "film.mkv", *_X264),
    _moving("WEBM", "film.webm", "-c:v", "libvpx-vp9"),
    _moving("AVI", "film.avi", "-c:v", "mpeg4", "-q:v", "2"),
    _moving("TS", "film.ts", *_X264),
    _moving("MPG", "film.mpg", *_MPEG2),
    _moving("OGG", "film.ogv", "-c:v", "libtheora", "-q:v", "10"),
    _moving("FLV", "film.flv", *_X264),
    _moving("WMV", "film.wmv", "-c:v", "wmv2", "-q:v", "2"),
    _moving("MXF", "film.mxf", *_MPEG2),
    _moving("NUT", "film.nut", "-c:v", "ffv1"),
    _moving("Y4M", "film.y4m"),
    _moving("H264", "film.h264", *_X264),
    _moving("HEVC", "film.hevc", "-c:v", "libx265", "-x265-params", "log-level=none"),
    _moving("M2V", "film.m2v", *_MPEG2),
)  # fmt: skip

# Formats that have no file here, and why.
UNSAMPLED = {
    "DICOM": "tests/arrays/test_dicom.py: pydicom's own files",
    "RAW": "test_camera_raw.py",
    "SVG": "read only where it is trusted: test_documents.py",
    "TGA-GRAY": "test_transparent_stills.py",
    "EXR": "it is only written; EXR-FFMPEG reads it",
    "JXL": "nothing here but ffmpeg makes it",
    "JXL-FFMPEG": "nothing here but ffmpeg makes it: test_still_formats.py",
    **dict.fromkeys(("SVG", "PDF", "PS"), "test_documents.py: only where they are trusted"),
    **dict.fromkeys(("CAMERA", "SCREEN", "CLIPBOARD", "ZMQ"), "tests/capture: they have no files"),
    "SEQUENCE": "test_sequences.py: it has no content of its own",
}

REPRESENTATIVES = frozenset({"NPZ", "TIFF", "PNG", "JPEG-FFMPEG", "GIF", "MP4"})  # one of each way of reading
SERIES = tuple(sample for sample in SAMPLES if sample.count > 1)
FILMS = tuple(sample for sample in SAMPLES if sample.wanted is frame)


def sample_of(name: str) -> Sample:
    """Give the sample of the Format of that name."""
    return next(sample for sample in SAMPLES if sample.format == name)


def params(samples: Iterable[Sample] = SAMPLES) -> list[Any]:
    """Give them as parameters of a test, each with the programs that it needs."""
    return [pytest.param(sample, id=sample.format, marks=pytest.mark.needs(*sample.needs)) for sample in samples]
