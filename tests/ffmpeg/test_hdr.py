"""Film of high dynamic range: codes as they are, what the file says of its light, and a picture to look at."""

from __future__ import annotations

import math
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import bridge
from bridge.errors import LimitExceeded

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

LIGHTS = (0, 1, 10, 100, 203, 400, 1000)  # cd/m2 of the gray steps
STEP = 32  # pixels
MASTER = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400"
SAID = {
    "primaries": ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)),
    "white_point": (0.3127, 0.329),
    "min_luminance": 0.0001,
    "max_luminance": 1000.0,
    "max_content": 1000,
    "max_average": 400,
}
NOTHING = dict.fromkeys(SAID)


def signal_of(light: float) -> float:
    """Give the signal of PQ, written down anew from the text of ITU-R BT.2100-2, table 4."""
    y = math.pow(light / 10_000, 0.1593017578125)
    return math.pow((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y), 78.84375)


def code_of(light: float) -> int:
    """Give the luma of ten bits, limited range."""
    return round(64 + 876 * signal_of(light))


def gray_steps(target: Path, transfer: str, codes: list[int], *options: str) -> Path:
    """Write upright gray steps of those codes of ten bits with the plain program, tagged as BT.2020."""
    row = np.repeat(np.array(codes, "<u2"), STEP)
    luma, chroma = np.tile(row, (64, 1)), np.full((2, 32, len(row) // 2), 512, "<u2")
    raw = (luma.tobytes() + chroma.tobytes()) * 5
    command = [shutil.which("ffmpeg") or "ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "yuv420p10le"]
    command += ["-s", f"{len(row)}x64", "-r", "10", "-color_range", "tv", "-i", "-", "-color_primaries", "bt2020"]
    command += ["-color_trc", transfer, "-colorspace", "bt2020nc", "-color_range", "tv"]
    told = f"setparams=color_primaries=bt2020:color_trc={transfer}:colorspace=bt2020nc:range=tv"  # FFmpeg since 7
    command += ["-vf", told, *options, str(target)]
    subprocess.run(command, input=raw, check=True, timeout=60)
    return target


def x265(more: str = "") -> list[str]:
    return ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", f"log-level=0:lossless=1{more}"]


def ffv1() -> list[str]:
    return ["-c:v", "ffv1"]


def middles(frame: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(frame)[32, STEP // 2 :: STEP].astype(int)


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gray steps of known light, mastered for 1000 cd/m2."""
    film = tmp_path_factory.mktemp("steps") / "hdr.mp4"
    return gray_steps(film, "smpte2084", list(map(code_of, LIGHTS)), *x265(f":hdr10=1:{MASTER}"))


@pytest.mark.parametrize("name", ["hdr.mp4", "hdr.mkv", "hdr.ts"])
def test_what_the_film_says_of_its_light_is_told(name: str, tmp_path: Path) -> None:
    film = gray_steps(tmp_path / name, "smpte2084", [500] * 4, *x265(f":hdr10=1:{MASTER}"))
    with bridge.get_reader(film) as reader:
        meta = reader.get_meta_data()
    assert meta["hdr"] == SAID
    assert meta["color"] == {
        "matrix": "bt2020nc",
        "range": "tv",
        "primaries": "bt2020",
        "transfer": "smpte2084",
        "assumed": (),
    }
    video = bridge.probe(film).video
    assert video is not None
    assert video.hdr is not None
    assert video.hdr.to_dict() == SAID


def test_what_the_film_does_not_say_is_none(tmp_path: Path) -> None:
    film = gray_steps(tmp_path / "hlg.mkv", "arib-std-b67", [500] * 4, *ffv1())
    with bridge.get_reader(film) as reader:
        assert reader.get_meta_data()["hdr"] == NOTHING


def test_a_film_of_ordinary_range_has_no_such_group(lavfi: Any) -> None:
    film = lavfi("plain.mp4", "testsrc2=s=96x64:r=25:d=0.2", "-c:v", "libx264", "-pix_fmt", "yuv420p")
    with bridge.get_reader(film) as reader:
        assert "hdr" not in reader.get_meta_data()


def test_sixteen_bits_are_the_codes_of_the_film(steps: Path) -> None:
    frame = bridge.mimread(steps, dtype="uint16")[0]
    expected = np.array([signal_of(light) for light in LIGHTS]) * 65535
    assert frame.dtype == np.uint16
    off = np.abs(middles(frame) - expected[:, None]).max(axis=1)
    assert (off <= 65535 / 876 + 0.004 * expected).all()  # one code of ten bits, and swscale's white is a little low


def test_tone_mapping_shows_light_as_an_ordinary_display_does(steps: Path) -> None:
    with bridge.get_reader(steps, tonemap=True) as reader:
        frames = list(reader)
        meta = reader.get_meta_data()
        assert reader.expected_bytes() == sum(frame.nbytes for frame in frames)
    assert (meta["tonemapped"], meta["tonemap_peak"]) == (True, 1000.0)
    assert len(frames) == 5
    assert {(frame.dtype.name, frame.shape) for frame in frames} == {("uint8", (64, STEP * len(LIGHTS), 3))}
    found = middles(frames[0])
    assert (found.max(axis=1) - found.min(axis=1)).max() <= 1
    for light, level in zip(LIGHTS, found[:, 1], strict=True):
        assert level == pytest.approx(255 * (shown(light, 1000) / 203) ** (1 / 2.4), abs=1.5), light
    assert found[0, 1] == 0
    assert 0.75 * 255 <= found[LIGHTS.index(203), 1] <= 0.95 * 255
    assert found[-1, 1] >= 254


def shown(light: float, peak: float) -> float:
    """Give the light that BT.2390's EETF makes of a gray, by its text: from black 0 to `peak`, for 203 cd/m2."""
    e1, most = signal_of(light) / signal_of(peak), signal_of(203) / signal_of(peak)
    knee = 1.5 * most - 0.5
    if e1 >= knee:
        t = (e1 - knee) / (1 - knee)
        e1 = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * most
    wanted, low, high = e1 * signal_of(peak), 0.0, 10_000.0
    while high - low > 1e-6:  # the EOTF, by halving
        middle = (low + high) / 2
        low, high = (middle, high) if signal_of(middle) < wanted else (low, middle)
    return low


def test_hlg_is_shown_too(tmp_path: Path) -> None:
    signals = (0.0, 0.2, 0.4, 0.75, 1.0)
    film = gray_steps(tmp_path / "hlg.mkv", "arib-std-b67", [round(64 + 876 * signal) for signal in signals], *ffv1())
    found = middles(bridge.mimread(film, tonemap=True)[2])
    for signal, level in zip(signals, found[:, 1], strict=True):
        scene = signal**2 / 3 if signal <= 0.5 else (math.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12
        assert level == pytest.approx(255 * (shown(1000 * scene**1.2, 1000) / 203) ** (1 / 2.4), abs=1.5), signal


def test_however_frames_are_asked_for_they_are_tone_mapped_once(steps: Path) -> None:
    whole = bridge.mimread(steps, tonemap=True)
    with bridge.get_reader(steps, tonemap=True) as reader:
        assert np.array_equal(reader.get_data(3), whole[3])
        assert np.array_equal(reader.get_batch([4, 0, 4]), [whole[4], whole[0], whole[4]])
        assert np.array_equal(reader.at(0.25), whole[2])
        assert len(reader) == 5
    assert bridge.imread(steps, tonemap=True, size=(56, 16)).shape == (16, 56, 3)
    with bridge.get_reader(steps, tonemap=True, fps=20) as reader:
        faster = list(reader)
    assert len(faster) == 10
    assert np.array_equal(faster[0], whole[0])


def test_a_film_of_ordinary_range_is_left_alone(lavfi: Any) -> None:
    film = lavfi("plain.mp4", "testsrc2=s=96x64:r=25:d=0.2", "-c:v", "libx264", "-pix_fmt", "yuv420p")
    with bridge.get_reader(film, tonemap=True) as reader:
        assert "tonemapped" not in reader.get_meta_data()
        assert np.array_equal(list(reader), bridge.mimread(film))


@pytest.mark.parametrize("wrong", [{"dtype": "uint16"}, {"pixelformat": "rgb48le"}], ids=str)
def test_tone_mapping_gives_eight_bits_and_nothing_else(wrong: dict[str, Any], steps: Path) -> None:
    with pytest.raises(ValueError, match="8-bit"):
        bridge.get_reader(steps, tonemap=True, **wrong)


def test_the_limit_of_pixels_holds_for_what_is_asked_of_a_frame(steps: Path) -> None:
    with pytest.raises(LimitExceeded):
        bridge.mimread(steps, tonemap=True, limits=bridge.Limits(pixels=1000))
