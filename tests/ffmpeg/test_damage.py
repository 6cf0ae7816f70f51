"""Damaged film: no frame that is delivered is wrong, none is made up, and whoever reads is told."""

from __future__ import annotations

import contextlib
import hashlib
import re
import subprocess
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pytest

import bridge
from bridge.errors import CorruptMedia, DamageWarning, TruncatedMedia

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

Image: TypeAlias = np.ndarray[Any, Any]
Error: TypeAlias = TruncatedMedia | CorruptMedia

NOISY = "testsrc2=s=160x120:r=25:d=1.2,noise=alls=8:allf=t"
H264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "10", "-bf", "2")
VP9 = ("-c:v", "libvpx-vp9", "-b:v", "400k", "-g", "10", "-deadline", "realtime", "-cpu-used", "8")

CONTAINERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "mp4, index in front": ("front.mp4", (*H264, "-movflags", "+faststart")),
    "mp4, index at the end": ("behind.mp4", H264),
    "mkv": ("film.mkv", H264),
    "webm": ("film.webm", VP9),
    "ts": ("film.ts", H264),
    "avi": ("film.avi", ("-c:v", "mpeg4", "-g", "10", "-q:v", "4")),
    "gif": ("film.gif", ()),
    "apng": ("film.apng", ("-f", "apng")),
    "ogv": ("film.ogv", ("-c:v", "libtheora", "-q:v", "6", "-g", "10")),
    "flv": ("film.flv", H264),
}
FRAMES = 30


def cut(share: float) -> Callable[[bytes], bytes]:
    return lambda data: data[: int(len(data) * share)]


def without_the_last_100(data: bytes) -> bytes:
    return data[:-100]


def flipped(data: bytes) -> bytes:
    """Turn over 40 bytes of the middle third."""
    changed = bytearray(data)
    for at in np.random.default_rng(1).integers(len(data) // 3, 2 * len(data) // 3, 40):
        changed[at] ^= 0xFF
    return bytes(changed)


def overwritten(data: bytes) -> bytes:
    """Write over 4000 bytes in the middle."""
    at = len(data) // 2
    return data[:at] + np.random.default_rng(2).bytes(4000) + data[at + 4000 :]


CUTS = {"30 %": cut(0.3), "60 %": cut(0.6), "90 %": cut(0.9), "100 bytes missing": without_the_last_100}
NOT_TOLD = ("webm",)  # VP9 has nothing by which flipped bytes could be told
OVERWRITTEN = ("ts", "mp4, index in front", "mp4, index at the end", "ogv")
CASES = [
    *((name, damage, change) for name in CONTAINERS for damage, change in CUTS.items()),
    *((name, "overwritten", overwritten) for name in OVERWRITTEN),
]


def reader_of(path: Path, **keywords: Any) -> Any:
    """Open a film; a GIF is for ffmpeg, too, as far as these tests go."""
    return bridge.get_reader(path, "GIF-FFMPEG" if path.suffix == ".gif" else None, **keywords)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What came of iterating, and how it ended."""

    frames: list[Any]
    error: Error | None
    warned: list[str]

    @property
    def indexes(self) -> list[int]:
        return [frame.meta["index"] for frame in self.frames]


def read(path: Path, on_damage: str | None = None) -> Reading:
    """Iterate to the end or to the error; every other error than those two comes out."""
    frames: list[Any] = []
    error: Error | None = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with reader_of(path, **({} if on_damage is None else {"on_damage": on_damage})) as reader:
                frames.extend(reader)
        except (TruncatedMedia, CorruptMedia) as problem:
            error = problem
    return Reading(frames=frames, error=error, warned=[w.category.__name__ for w in caught])


class Films:
    """The undamaged films, and their frames, read once a session."""

    def __init__(self, lavfi: Any) -> None:
        self._lavfi = lavfi
        self._frames: dict[str, list[Any]] = {}

    def path(self, name: str) -> Path:
        file_name, options = CONTAINERS[name]
        return self.remade(file_name, options)

    def remade(self, file_name: str, options: tuple[str, ...], *more: str) -> Path:
        made: Path = self._lavfi(file_name, NOISY, *options, *more)
        return made

    def frames(self, name: str) -> list[Any]:
        if name not in self._frames:
            with reader_of(self.path(name)) as reader:
                self._frames[name] = list(reader)
        return self._frames[name]

    def damaged(self, name: str, change: Callable[[bytes], bytes], folder: Path) -> Path:
        whole = self.path(name)
        damaged = folder / whole.name
        damaged.write_bytes(change(whole.read_bytes()))
        return damaged


@pytest.fixture(scope="session")
def films(lavfi: Any) -> Films:
    return Films(lavfi)


def same_frame(frame: Any, whole: list[Any]) -> bool:
    """Tell whether a frame is the one of its index in the undamaged film: in time and in every pixel."""
    index = frame.meta["index"]
    if not 0 <= index < len(whole) or not np.array_equal(frame, whole[index]):
        return False
    return bool(frame.meta["time"] == pytest.approx(whole[index].meta["time"], abs=1e-6))


def wrong(reading: Reading, whole: list[Any]) -> list[int]:
    return [frame.meta["index"] for frame in reading.frames if not same_frame(frame, whole)]


def told(reading: Reading) -> Error:
    """Give the error, which says how many frames were delivered."""
    assert reading.error is not None, f"{len(reading.frames)} frames, and no word of damage"
    if isinstance(reading.error, TruncatedMedia):
        assert reading.error.got == len(reading.frames)
    else:
        assert not reading.frames
    assert not reading.warned
    return reading.error


# Raised, by default


@pytest.mark.parametrize(("name", "damage", "change"), CASES, ids=[f"{name}: {damage}" for name, damage, _ in CASES])
def test_damage_is_raised_after_the_good_frames(
    name: str, damage: str, change: Callable[[bytes], bytes], films: Films, tmp_path: Path
) -> None:
    del damage
    whole = films.frames(name)
    assert len(whole) == FRAMES
    damaged = films.damaged(name, change, tmp_path)
    reading = read(damaged)
    assert str(damaged) in str(told(reading))
    assert len(reading.frames) <= FRAMES
    assert reading.indexes == list(range(len(reading.frames)))
    assert wrong(reading, whole) == []


@pytest.mark.parametrize("share", [0.45, 0.55, 0.65])
@pytest.mark.parametrize("name", ["mp4, index in front", "mkv", "ts", "flv", "avi"])
def test_overwritten_bytes_are_never_bridged(name: str, share: float, lavfi: Any, tmp_path: Path) -> None:
    file_name, options = CONTAINERS[name]
    film = lavfi(file_name, NOISY.replace("d=1.2", "d=1.6"), *options)
    damaged, data = tmp_path / file_name, film.read_bytes()
    at = int(len(data) * share)
    damaged.write_bytes(data[:at] + np.random.default_rng(2).bytes(4000) + data[at + 4000 :])
    reading = read(damaged)
    told(reading)
    assert wrong(reading, read(film).frames) == []


def digests_of_strict_decoding(ffmpeg: str, path: Path) -> list[str]:
    """Give the frames that ffmpeg's strictest decoder gives without a complaint, until one is missing."""
    strict = ["-nostdin", "-v", "error", "-threads", "1", "-err_detect", "explode"]
    for option in ("-fps_mode", "-vsync"):
        form = [option, "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
        ran = subprocess.run(
            [ffmpeg, *strict, "-i", str(path), "-map", "0:v:0", *form], capture_output=True, check=False
        )
        if ran.stdout:
            break
    one = 160 * 120 * 3
    return [hashlib.sha256(ran.stdout[at : at + one]).hexdigest() for at in range(0, len(ran.stdout), one)]


@pytest.mark.parametrize("name", [name for name in CONTAINERS if name not in NOT_TOLD])
def test_flipped_bytes_are_told_as_soon_as_a_decoder_can(name: str, films: Films, ffmpeg: str, tmp_path: Path) -> None:
    whole = films.frames(name)
    damaged = films.damaged(name, flipped, tmp_path)
    reading = read(damaged)
    told(reading)
    assert reading.indexes == list(range(len(reading.frames)))
    # Where pages of Ogg are lost, nobody tells which frames lay before them: only the first is sure.
    assert len(reading.frames) > (0 if name == "ogv" else 3)
    accepted: list[str] = []
    if name not in ("ogv", "apng"):  # these have checksums; the others' codes can be turned into other valid ones
        accepted = digests_of_strict_decoding(ffmpeg, damaged)
    for index in wrong(reading, whole)[:1]:  # what follows it may be wrong because it is
        frame = np.ascontiguousarray(reading.frames[index][..., :3])
        assert index < len(accepted), f"frame {index} is wrong"
        assert hashlib.sha256(frame.tobytes()).hexdigest() == accepted[index], f"frame {index} is wrong"


# Warned of, and ignored

TOLERANT = [
    *((name, "60 %", CUTS["60 %"]) for name in CONTAINERS),
    *((name, "100 bytes missing", without_the_last_100) for name in ("mkv", "avi", "gif")),
    *((name, "overwritten", overwritten) for name in OVERWRITTEN),
]
IDS = [f"{name}: {damage}" for name, damage, _ in TOLERANT]


def opens(name: str, damage: str) -> bool:
    """Tell whether there is anything to read: without its index an MP4 says nothing."""
    return name != "mp4, index at the end" or damage == "overwritten"


@pytest.mark.parametrize(("name", "damage", "change"), TOLERANT, ids=IDS)
def test_with_a_warning_frames_keep_their_index(
    name: str, damage: str, change: Callable[[bytes], bytes], films: Films, tmp_path: Path
) -> None:
    whole = films.frames(name)
    damaged = films.damaged(name, change, tmp_path)
    reading = read(damaged, "warn")
    if not opens(name, damage):
        assert isinstance(reading.error, CorruptMedia)
        return
    assert reading.error is None
    assert DamageWarning.__name__ in reading.warned
    assert set(reading.warned) == {DamageWarning.__name__}
    assert reading.indexes == sorted(set(reading.indexes))
    assert 0 < len(reading.frames) <= FRAMES
    listed = [frame.meta["time"] for frame in whole]
    if not name.startswith("mp4"):  # the others have no table that still tells of frames that are gone
        with reader_of(damaged, on_damage="ignore") as reader:
            listed = list(reader.timestamps)
    assert [frame.meta["time"] for frame in reading.frames] == pytest.approx([listed[n] for n in reading.indexes])
    assert all(same_frame(frame, whole) for frame in reading.frames[:8])  # the beginning is whole


@pytest.mark.parametrize(("name", "damage", "change"), TOLERANT, ids=IDS)
def test_ignored_damage_is_silent(
    name: str, damage: str, change: Callable[[bytes], bytes], films: Films, tmp_path: Path
) -> None:
    reading = read(films.damaged(name, change, tmp_path), "ignore")
    assert reading.warned == []
    assert isinstance(reading.error, CorruptMedia) is not opens(name, damage)
    assert opens(name, damage) is bool(reading.frames)


@pytest.mark.parametrize("wish", ["Raise", "", None, 1, "strict"])
def test_a_wrong_wish_is_refused(wish: Any, films: Films) -> None:
    with pytest.raises(ValueError, match="on_damage"):
        reader_of(films.path("mkv"), on_damage=wish)


# Single frames and batches


@pytest.mark.parametrize("name", [name for name in CONTAINERS if name != "mp4, index at the end"])
def test_a_frame_well_before_the_damage_is_read(name: str, films: Films, tmp_path: Path) -> None:
    whole = films.frames(name)
    with reader_of(films.damaged(name, CUTS["90 %"], tmp_path)) as reader:
        for index in (12, 3):
            assert same_frame(reader.get_data(index), whole)
        assert np.array_equal(reader.get_batch([5, 2]), np.stack([whole[5], whole[2]]))


@pytest.mark.parametrize("name", ["mp4, index in front", "mp4, index at the end", "ts", "avi", "flv"])
def test_a_damaged_frame_is_never_given_by_position(name: str, films: Films, tmp_path: Path) -> None:
    change = overwritten if name in OVERWRITTEN else CUTS["60 %"]
    whole = films.frames(name)
    damaged = films.damaged(name, change, tmp_path)
    with reader_of(damaged) as reader:
        tolerant = {frame.meta["index"]: frame for frame in read(damaged, "ignore").frames}
        right = {index for index, frame in tolerant.items() if same_frame(frame, whole)}
        first = min(set(range(len(reader))) - right)
        with pytest.raises((TruncatedMedia, CorruptMedia)):
            reader.get_data(first)
        with pytest.raises((TruncatedMedia, CorruptMedia)):
            reader.get_batch([2, first])
        assert same_frame(reader.get_data(2), whole)  # it is still of use


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", ["ts", "mkv", "flv", "avi", "mp4, index in front"])
def test_a_batch_never_holds_a_wrong_frame(name: str, seed: int, films: Films, tmp_path: Path) -> None:
    whole = {round(frame.meta["time"], 3): frame for frame in films.frames(name)}  # an index may list fewer frames
    data = films.path(name).read_bytes()
    rng = np.random.default_rng(seed)
    at = int(len(data) * rng.uniform(0.3, 0.8))
    damaged = tmp_path / films.path(name).name
    damaged.write_bytes(data[:at] + rng.bytes(1500) + data[at + 1500 :])
    came = 0
    with reader_of(damaged) as reader:
        for wanted in [[0], *rng.integers(0, len(reader), (4, 3)).tolist()]:
            with contextlib.suppress(TruncatedMedia, CorruptMedia):
                for frame in reader.get_batch(wanted):
                    assert np.array_equal(frame, whole[round(frame.meta["time"], 3)]), (wanted, at)
                came += 1
    assert 1 <= came < 5


@pytest.mark.parametrize("lost", [13, 18, 22])
def test_a_picture_whose_kind_no_decoder_knows_is_not_replaced_by_another(
    lost: int, films: Films, tmp_path: Path
) -> None:
    """Its decoder fills the gap with a copy, and gives it the time of another frame."""
    made = films.remade("film.ts", (*H264, "-bf", "3", "-x264-params", "b-pyramid=normal"), "-output_ts_offset", "-2")
    whole = {round(frame.meta["time"], 3): frame for frame in read(made).frames}
    data = bytearray(made.read_bytes())
    slices = [match.end() - 1 for match in re.finditer(rb"\x00\x00\x01[\x01\x21\x41\x61]", bytes(data))]
    data[slices[lost]] |= 0x1F
    damaged = tmp_path / "damaged.ts"
    damaged.write_bytes(data)
    raised = 0
    for index in range(max(0, lost - 5), lost + 6):
        with reader_of(damaged) as reader:
            try:
                frame = reader.get_data(index)
            except (TruncatedMedia, CorruptMedia):
                raised += 1
                continue
            assert np.array_equal(frame, whole[round(frame.meta["time"], 3)]), index
    assert raised


def test_frames_behind_the_damage_are_read_where_a_key_frame_follows(films: Films, tmp_path: Path) -> None:
    name = "mp4, index in front"
    whole = films.frames(name)
    with reader_of(films.damaged(name, overwritten, tmp_path)) as reader:
        assert same_frame(reader.get_data(29), whole)
        assert same_frame(reader.get_data(1), whole)


# Undamaged films

WHOLE: dict[str, tuple[str, tuple[str, ...]]] = {
    **CONTAINERS,
    "many B-frames": ("film.mp4", (*H264, "-bf", "6", "-x264-params", "b-pyramid=normal:b-adapt=0")),
    "open GOP": ("film.mkv", (*H264, "-bf", "3", "-x264-params", "open-gop=1:b-adapt=0")),
    "open GOP, ts": ("film.ts", (*H264, "-bf", "3", "-x264-params", "open-gop=1:b-adapt=0")),
    "open GOP, HEVC": ("film.mp4", ("-c:v", "libx265", "-x265-params", "keyint=10:open-gop=1:bframes=4:log-level=0")),
    "interlaced": ("film.mkv", (*H264, "-flags", "+ildct+ilme", "-x264-params", "tff=1")),
    "intra refresh": ("film.mkv", (*H264, "-x264-params", "intra-refresh=1:bframes=0")),
    "MPEG-2": ("film.ts", ("-c:v", "mpeg2video", "-bf", "2", "-g", "9", "-q:v", "4")),
    "MPEG-2, program": ("film.mpg", ("-c:v", "mpeg2video", "-bf", "2", "-g", "9", "-q:v", "4")),
    "MPEG-4": ("film.avi", ("-c:v", "mpeg4", "-bf", "2", "-g", "9", "-q:v", "4")),
    "hidden frames": ("film.webm", ("-c:v", "libvpx-vp9", "-auto-alt-ref", "1", "-lag-in-frames", "16", "-b:v", "1M")),
    "hidden frames, VP8": ("film.webm", ("-c:v", "libvpx", "-auto-alt-ref", "1", "-lag-in-frames", "16", "-b:v", "1M")),
    "FFV1": ("film.mkv", ("-c:v", "ffv1")),
    "ProRes": ("film.mov", ("-c:v", "prores")),
    "fragments": ("film.mp4", (*H264, "-movflags", "+frag_keyframe+empty_moov+default_base_moof")),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_film_gives_no_cause_for_complaint(name: str, lavfi: Any) -> None:
    file_name, options = WHOLE[name]
    film = lavfi(file_name, NOISY, *options)
    reading = read(film)
    assert (reading.error, reading.warned) == (None, [])
    assert reading.indexes == list(range(FRAMES))
    with reader_of(film) as reader:
        assert len(reader) == FRAMES
        for index in (25, 7, 24):
            assert same_frame(reader.get_data(index), reading.frames)
        assert np.array_equal(reader.get_batch([27, 4, 4, 12]), np.stack([reading.frames[n] for n in (27, 4, 4, 12)]))


@pytest.mark.parametrize("inside", [0, 77])
@pytest.mark.parametrize("on_damage", ["raise", "warn"])
@pytest.mark.parametrize("name", ["ts", "open GOP, ts", "MPEG-2"])
def test_a_transport_stream_cut_at_its_start_is_no_damage(
    name: str, on_damage: str, inside: int, lavfi: Any, tmp_path: Path
) -> None:
    file_name, options = WHOLE[name]
    film = lavfi(file_name, NOISY, *options)
    recorded = tmp_path / "recorded.ts"
    recorded.write_bytes(film.read_bytes()[188 * 140 + inside :])
    whole = {round(frame.meta["time"] * 90000): frame for frame in read(film).frames}
    reading = read(recorded, on_damage)
    assert (reading.error, reading.warned) == (None, [])
    assert reading.indexes == list(range(len(reading.frames)))
    assert 5 < len(reading.frames) < FRAMES
    with reader_of(recorded) as reader:
        assert len(reader) == len(reading.frames)
        assert same_frame(reader.get_data(len(reader) - 2), reading.frames)
    for frame in reading.frames:
        assert np.array_equal(frame, whole[round(frame.meta["time"] * 90000)])
