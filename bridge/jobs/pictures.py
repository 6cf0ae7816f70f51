"""Pictures of a film: thumbnails, a contact sheet, an animated preview; each from places evenly spaced in it."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.core.request import Request
from bridge.errors import BadJob
from bridge.jobs.encoding import reads
from bridge.jobs.runner import settle
from bridge.jobs.step import Step, made

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from bridge.jobs.bench import Bench
    from bridge.jobs.job import Picture
    from bridge.jobs.step import Progress
    from bridge.jobs.survey import Survey
    from bridge.limits import Limits

__all__ = ["check_pictures", "draw", "targets_of"]

_NUMBER = re.compile(r"%(?:0\d)?d")
_STILLS = {".jpg": ("mjpeg", "yuvj420p"), ".jpeg": ("mjpeg", "yuvj420p"), ".png": ("png", "rgb24")}
_MOVING = (".gif", ".webp")
_AT_ONCE = 64  # places of one command
_RATE, _LENGTH = 10, 8  # frames a second of a preview, and frames of each place


def targets_of(picture: Picture) -> list[str]:
    """Give the names of the files that are made.

    Raises
    ------
    BadJob
        If several would have one name, or a name says nothing of a format.
    """
    path = Path(picture.target)
    suffix = path.suffix.lower()
    taken = _MOVING if picture.kind == "preview" else tuple(_STILLS)
    if suffix not in taken:
        raise BadJob(f"{picture.target}: a {picture.kind} ends in one of {', '.join(taken)}")
    if picture.kind != "thumbnails":
        if picture.count > _AT_ONCE:
            raise BadJob(f"a {picture.kind} shows at most {_AT_ONCE} places of the film, not {picture.count}")
        return [picture.target]
    number = _NUMBER.search(path.name)
    if number is None:
        if picture.count == 1:
            return [picture.target]
        raise BadJob(f"{picture.target}: several thumbnails need a number in their name, as in thumb%02d.jpg")
    before, after = path.name[: number.start()], path.name[number.end() :]
    return [str(path.with_name(f"{before}{number[0] % place}{after}")) for place in range(picture.count)]


def check_pictures(pictures: Sequence[Picture], film: Survey) -> None:
    """Refuse pictures that cannot be made.

    Raises
    ------
    BadJob
    """
    for picture in pictures:
        targets_of(picture)
        if film.video is None:
            raise BadJob(f"{film.name} has no film of which pictures could be taken")


def draw(bench: Bench, picture: Picture, stack: contextlib.ExitStack) -> Generator[Progress, None, list[Request]]:
    """Make the pictures; give the requests that put them in their places when all else is done."""
    film, limits = bench.films[0], bench.order.limits
    done = []
    places = _places(film, picture.count)
    groups = [[place] for place in places] if picture.kind == "thumbnails" else [places]
    for group, target in zip(groups, targets_of(picture), strict=True):
        out = stack.enter_context(Request(target, writing=True, limits=limits))
        step = _step(film, limits, picture, group, target)
        with contextlib.ExitStack() as files:
            inputs = [files.enter_context(film.request.input()) for _ in group]
            output = files.enter_context(out.output())
            yield from bench.run(step, picture.kind, inputs=inputs, outputs=[output], part=out.part())
            settle([output])
        done.append(out)
    return done


def _places(film: Survey, count: int) -> list[float | None]:
    """Give times in the film, in the middles of equal parts of it; None is its beginning."""
    index = film.index
    if index.ordinal or not len(index):
        return [None] * count
    frames = [(2 * part + 1) * len(index) // (2 * count) for part in range(count)]
    start = film.info.start or 0.0
    return [float(int(index.pts[frame]) * index.time_base) - start if frame else None for frame in frames]


def _step(film: Survey, limits: Limits, picture: Picture, places: Sequence[float | None], target: str) -> Step:
    words: list[str] = []
    graph = ""
    moving = picture.kind == "preview"
    length = f"fps={_RATE},trim=end_frame={_LENGTH}" if moving else "trim=end_frame=1"
    for number, place in enumerate(places):
        words += reads(film, limits, number, () if place is None else ("-ss", f"{max(0.0, place - 1e-3):.6f}"))
        graph += f"[{number}:V:0]{length},scale={picture.width}:-2,setsar=1,setpts=N/{_RATE}/TB[p{number}];"
    graph += "".join(f"[p{number}]" for number in range(len(places))) + f"concat=n={len(places)}"
    suffix = Path(target).suffix.lower()
    if picture.kind == "sheet":
        columns = min(picture.columns, len(places))
        graph += f",tile={columns}x{-(-len(places) // columns)}:padding=4:margin=4"
    if suffix == ".gif":
        graph += ",split[a][b];[a]palettegen[c];[b][c]paletteuse"
    form = ("-f", suffix[1:], "-loop", "0") if moving else ("-frames:v", "1", "-f", "image2pipe", *_still(suffix))
    codec = ("-c:v", "libwebp_anim") if suffix == ".webp" else ()
    return Step(
        subject=film.name,
        arguments=(*words, "-filter_complex", f"{graph}[v]", "-map", "[v]", *codec, *form, "-y", made(0)),
        inputs=(film.name,) * len(places),
        outputs=(target,),
        silent=suffix == ".gif",
    )


def _still(suffix: str) -> tuple[str, ...]:
    codec, pixels = _STILLS[suffix]
    return ("-c:v", codec, "-pix_fmt", pixels, *(("-q:v", "3") if codec == "mjpeg" else ()))
