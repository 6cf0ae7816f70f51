"""The eight kinds of source that a film in chunks is tried with, and independent looks at what came out."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import closing
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from bridge.core.request import Request
from bridge.ffmpeg.containers import DEMUXERS
from bridge.ffmpeg.guide import Guide
from bridge.ffmpeg.listing import Film
from bridge.ffmpeg.probe import media_info
from bridge.jobs.chunks import How, Outcome, Recipe, make
from bridge.jobs.folder import Folder
from bridge.jobs.plan import make_plan
from bridge.media.sniff import sniff
from tests.conftest import ffmpeg_under_test

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bridge.jobs.step import Progress

LOSSLESS = ("-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", "-bf", "2")
_PICTURE = ("-f", "lavfi", "-i", "testsrc2=s=128x96:r=24:d=3")
_SOUND = ("-f", "lavfi", "-i", "sine=440:d=3")
_HOLE = ("-f", "lavfi", "-i", "sine=440:d=3,aselect='not(between(t,0.8,2.2))',asetpts=PTS+0.5/TB")
_X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "16", "-bf", "3")
_UNEVEN = ("-vf", "select='mod(n,3)+not(mod(n,7))'", "-vsync", "passthrough", "-enc_time_base", "-1")

_CONTAINERS = {".mp4": ("mp4", "mov"), ".mkv": ("matroska", "matroska"), ".ts": ("mpegts", "mpegts")}

KINDS: dict[str, tuple[str, ...]] = {
    "closed.mp4": (*_PICTURE, *_SOUND, *_X264, "-c:a", "aac"),
    "open.mp4": (*_PICTURE, *_SOUND, *_X264, "-x264-params", "open-gop=1:scenecut=0:b-adapt=0", "-c:a", "aac"),
    "open.ts": (*_PICTURE, *_SOUND, "-c:v", "mpeg2video", "-g", "12", "-bf", "2", "-c:a", "mp2"),
    "uneven.mp4": (*_PICTURE, *_SOUND, *_UNEVEN, *_X264, "-c:a", "aac"),
    "uneven.mkv": (*_PICTURE, *_SOUND, *_UNEVEN, *_X264, "-c:a", "aac"),
    "late.mkv": (*_PICTURE, *_SOUND, *_X264, "-c:a", "aac", "-output_ts_offset", "5"),
    "hole.mkv": (*_PICTURE, *_HOLE, *_X264, "-c:a", "libopus"),
    "edited.mp4": (),
}


def system_ffmpeg() -> str:
    """A complete one, whichever is under test."""
    return shutil.which("ffmpeg") or ffmpeg_under_test()


def run(*arguments: object) -> str:
    """Run the independent ffmpeg; give what it prints."""
    command = [system_ffmpeg(), "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def film(folder: Path, kind: str) -> Path:
    """Make one of the kinds; one that was made is there."""
    path = folder / kind
    if not path.exists():
        if kind == "edited.mp4":
            run("-ss", "0.4", "-i", film(folder, "closed.mp4"), "-c", "copy", path)
        else:
            run(*KINDS[kind], path)
    return path


def in_chunks(
    source: Path,
    target: Path,
    *,
    filters: Sequence[str] = (),
    video: Sequence[str] = LOSSLESS,
    overlap: tuple[int, int] = (0, 0),
    seconds: tuple[float, float] = (0.4, 0.7),
    report: Callable[[Progress], object] = lambda _: None,
    how: How | None = None,
) -> Outcome:
    """Make a film in chunks of about half a second."""
    with Request(str(source)) as request, Request(str(target), writing=True) as out, Folder(str(target)) as folder:
        demuxer = DEMUXERS[sniff(request.head) or ""]
        guide = Guide(Film(request=request, demuxer=demuxer))
        index = guide.whole()
        guide.close()
        start = media_info(request, demuxer).start or 0.0
        muxer, reader = _CONTAINERS[target.suffix]
        recipe = Recipe(
            demuxer=demuxer,
            muxer=muxer,
            read_back=reader,
            reads=("-f", demuxer),
            filters=tuple(filters),
            video=tuple(video),
            rest=("-map", "0:a?", "-c:a", "copy", "-map_metadata", "0", "-f", muxer),
            offset=Fraction(round(start * 1_000_000), 1_000_000),
        )
        plan = make_plan(index, 2, least=seconds[0], most=seconds[1], overlap=overlap)
        making = make(recipe, plan, film=request, out=out, folder=folder, how=how or How(workers=2))
        with closing(making):
            while True:
                try:
                    report(next(making))
                except StopIteration as end:
                    out.commit()
                    folder.finish()
                    outcome: Outcome = end.value
                    return outcome


def whole(source: Path, target: Path, *, filters: Sequence[str] = (), video: Sequence[str] = LOSSLESS) -> Path:
    """Make the same in one piece, by a command as people write it."""
    chain = ("-vf", ",".join(filters)) if filters else ()
    kept = ("-vsync", "passthrough", "-enc_time_base:v", "-1")
    run("-i", source, "-map", "0:V:0", "-map", "0:a?", *chain, *video, *kept, "-c:a", "copy", target)
    return target


def frames(path: Path) -> list[tuple[Fraction, str]]:
    """Decode the picture: the time of each frame, and the digest of its pixels."""
    said = run(
        "-i", path, "-map", "0:v", "-vsync", "passthrough", "-enc_time_base", "-1", "-copyts", "-f", "framemd5", "-"
    )
    clock = next(Fraction(line.split()[-1]) for line in said.splitlines() if line.startswith("#tb 0"))
    rows = [line.split(",") for line in said.splitlines() if not line.startswith("#")]
    return [(int(row[2]) * clock, row[5].strip()) for row in rows]


def sound(path: Path) -> tuple[list[str], list[float]]:
    """Give the packets of the sound as they are: their digests, and their times in seconds."""
    said = run("-i", path, "-map", "0:a", "-c", "copy", "-copyts", "-f", "framemd5", "-")
    clock = next(Fraction(line.split()[-1]) for line in said.splitlines() if line.startswith("#tb 0"))
    rows: list[Any] = [line.split(",") for line in said.splitlines() if not line.startswith("#")]
    return [row[5].strip() for row in rows], [float(int(row[2]) * clock) for row in rows]
