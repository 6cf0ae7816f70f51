"""The programs that scripts/bench runs beside each other, as texts; and what transcoding is told."""

from __future__ import annotations

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

# The pictures of a folder; the fact is how many came whole.
STILLS = """
from pathlib import Path
files = sorted(Path(SOURCE).iterdir())
def whole(image):
    return image.shape[:2] == (HEIGHT, WIDTH)
"""

BRIDGE_MANY = """
import bridge, bridge.many
begun = clock()
done(begun, sum(whole(image) for image in bridge.imread_many(files)))
"""

BRIDGE_ONE_BY_ONE = """
import bridge, bridge.catalogue
begun = clock()
done(begun, sum(whole(bridge.imread(file)) for file in files))
"""

IMAGEIO_ONE_BY_ONE = """
import imageio.v2 as imageio
imageio.imread(files[0])
begun = clock()
done(begun, sum(whole(imageio.imread(file)) for file in files))
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

# A screen, so many times, as RGB arrays; the picture on it is known, and the last one that came is compared with it.
SHOWN = """
shown = np.load(os.path.join(SCRATCH, "shown.npy"))
def checked(image):
    return FRAMES if np.array_equal(image, shown) else -1
"""

MSS_SCREEN = """
import mss
with mss.MSS() as screen:
    place = screen.monitors[1]
    screen.grab(place)
    begun = clock()
    for _ in range(FRAMES):
        shot = screen.grab(place)
        image = np.frombuffer(shot.rgb, np.uint8).reshape(shot.height, shot.width, 3)
    taken = clock()
done(begun + clock() - taken, checked(image))
"""

BRIDGE_SCREEN = """
import bridge
bridge.imread("<screen>")
begun = clock()
for _ in range(FRAMES):
    image = bridge.imread("<screen>")
taken = clock()
done(begun + clock() - taken, checked(image))
"""

X11GRAB_SCREEN = """
command = [FFMPEG, "-nostdin", "-v", "error", "-f", "x11grab", "-draw_mouse", "0", "-framerate", "1000"]
command += ["-i", SOURCE, "-pix_fmt", "rgb24", "-f", "rawvideo", "pipe:1"]
with subprocess.Popen(command, stdout=subprocess.PIPE) as grabbing:
    image = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    grabbing.stdout.readinto(image.data.cast("B"))
    begun = clock()
    for _ in range(FRAMES):
        grabbing.stdout.readinto(image.data.cast("B"))
    taken = clock()
    grabbing.kill()
done(begun + clock() - taken, checked(image))
"""


# Both import the same, so that what the system counts for the whole tree of processes differs by the work alone.
TRANSCODE = """
import bridge, bridge.jobs.transcoding
from bridge.process.tools import toolbox
toolbox().abilities("ffmpeg")
target = os.path.join(SCRATCH, "made.mkv")
def counted():
    command = [FFMPEG, "-v", "error", "-i", target, "-map", "0:v", "-c", "copy", "-f", "framecrc", "-"]
    listed = subprocess.run(command, capture_output=True)
    return sum(not line.startswith(b"#") for line in listed.stdout.splitlines())
"""

PLAIN_TRANSCODE = """
begun = clock()
subprocess.run([FFMPEG, "-nostdin", "-v", "error", "-y", "-i", SOURCE, "-map", "0:v:0", *PLAIN, target], check=True)
taken = clock() - begun
print(json.dumps([taken, counted()]))
"""

BRIDGE_TRANSCODE = """
begun = clock()
bridge.transcode(SOURCE, target, again=True, **WISHES)
taken = clock() - begun
print(json.dumps([taken, counted()]))
"""

VP9 = ["-c:v", "libvpx-vp9", "-b:v", "0", "-crf", "31", "-cpu-used", "1", "-pix_fmt", "yuv420p"]
VP9_WISHES = {"video_codec": "vp9", "crf": 31, "speed": "1"}

# Name -> frames, their size, what ffmpeg is told, what transcode is told, and the workers that are compared with one
# command. VP9 is there with one tile, as below a width of 512, and with two, which keep two cores busy by themselves.
TRANSCODES = {
    "H.264, 1080p": (600, (1920, 1080), ["-c:v", "libx264", "-crf", "23", "-pix_fmt", "yuv420p"], {"crf": 23}, ()),
    "VP9, 240p": (900, (320, 240), VP9, VP9_WISHES, (2,)),
    "VP9, 360p": (600, (640, 360), VP9, VP9_WISHES, (2,)),
    "owdenoise, H.264, 240p": (
        600,
        (320, 240),
        ["-vf", "owdenoise=depth=8", "-c:v", "libx264", "-crf", "23", "-pix_fmt", "yuv420p"],
        {"crf": 23, "filters": ["owdenoise=depth=8"]},
        (2,),
    ),
}
