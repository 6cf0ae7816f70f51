"""Faults 9 to 14, 37 to 40, 46 and 47: disks, descriptors, environments, limits and boxes."""

from __future__ import annotations

import os
import stat
import subprocess
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import bridge
from bridge.errors import BridgeError, LimitExceeded
from bridge.limits import Limits
from tests.faults.other import script

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fakes.programs import FakeMaker

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

PICTURE = np.full((8, 9, 3), 77, np.uint8)
PNG = bridge.imwrite("<bytes>", PICTURE, ".png") or b""


# Disks


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 kB, where this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    mounted = not os.geteuid() and not subprocess.run(command, capture_output=True, check=False).returncode
    if not mounted and os.environ.get("CI") and not os.geteuid():
        pytest.fail("root cannot mount here, and in CI nothing is skipped for that")
    if not mounted:
        pytest.skip("nothing can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


_FULL_TEMP = """
import tempfile
open(os.path.join(tempfile.gettempdir(), "filler"), "wb").write(bytes(300_000))
from bridge.core.spool import Spool
spool = Spool(1 << 30, name="a", memory=0)
try:
    spool.write(bytes(1 << 20))
    spool.finish()
    say("written")
except bridge.BridgeError as error:
    said = str(error)
    say(type(error).__name__, isinstance(error, OSError), tempfile.gettempdir() in said)
except BaseException as error:
    say("foreign", repr(error))
spool.close()
try:
    say(bridge.imread(bytes.fromhex(sys.argv[1])).shape)
except bridge.errors.OutputFailed as error:
    say(tempfile.gettempdir() in str(error))
say(sorted(os.listdir(tempfile.gettempdir())))
"""


def test_no_room_for_temporary_files(small_disk: Path) -> None:
    ended = script(_FULL_TEMP, PNG.hex(), env=os.environ | {"TMPDIR": str(small_disk)})
    assert ended.returncode == 0, ended.stderr
    first, picture, left = ended.stdout.splitlines()
    assert first.endswith("True True"), first
    assert picture in ("(8, 9, 3)", "True")  # ImageMagick copies what it reads from a pipe
    assert left == "['filler']"


def test_a_full_disk_under_a_picture(small_disk: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (400, 400, 3), np.uint8)
    old = small_disk / "a.png"
    old.write_bytes(PNG)
    with pytest.raises(BridgeError) as caught:
        bridge.imwrite(old, noise)
    assert isinstance(caught.value, OSError | RuntimeError)
    assert [path.name for path in small_disk.iterdir()] == ["a.png"]
    assert old.read_bytes() == PNG


# Descriptors and processes


_SCARCE = """
data, film = bytes.fromhex(sys.argv[1]), sys.argv[2]
bridge.imread(data)
with bridge.get_reader(film) as reader:
    reader.get_data(0)
import bridge.errors
def read_picture():
    bridge.imread(data)

def read_film():
    bridge.imread(film)

def write():
    bridge.imwrite(sys.argv[3], np.zeros((4, 4), np.uint8))

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
for room in range(0, 24):
    before = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    taken = []
    try:
        while True:
            taken.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    for _ in range(min(room, len(taken))):
        os.close(taken.pop())
    for work in (read_picture, read_film, write):
        try:
            work()
        except bridge.BridgeError:
            pass
        except BaseException as error:
            say("foreign", room, repr(error))
    for number in taken:
        os.close(number)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.collect()
    after = len(os.listdir("/proc/self/fd"))
    if after > before:
        say("leak", room, before, after)
say(bridge.imread(data).shape, bridge.imread(film).shape)
"""


def test_no_descriptors_left_and_then_again(small_film: Path, tmp_path: Path) -> None:
    ended = script(_SCARCE, PNG.hex(), small_film, tmp_path / "a.png")
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert ended.stdout.splitlines() == ["(8, 9, 3) (48, 64, 3)"]
    assert {path.name for path in tmp_path.iterdir()} <= {"a.png"}


_NO_PROCESSES = """
data = bytes.fromhex(sys.argv[1])
import ctypes
bridge.imread(data)
os.setgroups([]); os.setgid(65534)
resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
os.setuid(65534)
begun = time.monotonic()
try:
    bridge.imread(data)
    say("read")
except bridge.BridgeError as error:
    say("refused")
except BaseException as error:
    say("foreign", repr(error))
say(time.monotonic() - begun < 3)
"""


def test_no_process_can_be_started() -> None:
    """As another user who may have no process: what has lasted so far may go on, or an error of ours comes, at once."""
    if os.geteuid():
        pytest.skip("only root becomes another user")
    ended = script(_NO_PROCESSES, PNG.hex())
    assert ended.stdout.split() in (["refused", "True"], ["read", "True"]), ended.stdout + ended.stderr


# Programs


def test_a_program_that_is_replaced_under_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ffmpeg: str) -> None:
    program = tmp_path / "ffmpeg"
    program.symlink_to(ffmpeg)
    monkeypatch.setenv("FRAMEBRIDGE_FFMPEG", str(program))
    assert bridge.imread(PNG, "PNG-FFMPEG").shape == (8, 9, 3)
    for content, mode in ((b"#!/bin/sh\necho not ffmpeg\n", 0o755), (b"", 0o755), (b"\x7fELF", 0o755), (b"x", 0o644)):
        program.unlink(missing_ok=True)
        program.write_bytes(content)
        program.chmod(mode)
        with pytest.raises(BridgeError) as caught:
            bridge.imread(PNG, "PNG-FFMPEG")
        assert len(str(caught.value)) < 3000
    program.unlink()
    with pytest.raises(BridgeError, match="ffmpeg"):
        bridge.imread(PNG, "PNG-FFMPEG")


_POISON = {
    "FFREPORT": "file={here}/report.log:level=48",
    "HOME": "{here}",
    "MAGICK_CONFIGURE_PATH": "{here}",
    "MAGICK_DEBUG": "All",
    "MAGICK_HOME": "{here}",
    "MAGICK_CODER_MODULE_PATH": "{here}",
    "MAGICK_WIDTH_LIMIT": "1",
    "MAGICK_MEMORY_LIMIT": "1",
    "MAGICK_TIME_LIMIT": "1",
    "LD_PRELOAD": "{here}/evil.so",
    "LD_AUDIT": "{here}/evil.so",
    "http_proxy": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
    "all_proxy": "http://127.0.0.1:9",
    "AV_LOG_FORCE_COLOR": "1",
    "LANG": "de_DE.UTF-8",
    "LC_ALL": "tr_TR.UTF-8",
    "FONTCONFIG_FILE": "{here}/fonts.conf",
    "XDG_CONFIG_HOME": "{here}",
    "GCONV_PATH": "{here}",
    "FFMPEG_DATADIR": "{here}",
    "OMP_NUM_THREADS": "999",
}
_POLICY = '<policymap><policy domain="coder" rights="none" pattern="*"/></policymap>'
_DELEGATES = '<delegatemap><delegate decode="png" command="touch {here}/pwned"/></delegatemap>'


def test_the_environment_is_left_at_the_door(small_film: Path, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / ".config" / "ImageMagick", tmp_path / ".magick", tmp_path / "ImageMagick"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "policy.xml").write_text(_POLICY)
        (folder / "delegates.xml").write_text(_DELEGATES.format(here=tmp_path))
    (tmp_path / "ffpresets").mkdir()
    before = sorted(path.name for path in tmp_path.iterdir())
    poison = {name: value.format(here=tmp_path) for name, value in _POISON.items()}
    ended = script(
        """
# Set now, as Python itself would not start with some of these.
os.environ.update(dict(zip(sys.argv[3::2], sys.argv[4::2])))
say(bridge.imread(bytes.fromhex(sys.argv[1])).shape, len(bridge.mimread(sys.argv[2])))
""",
        PNG.hex(),
        small_film,
        *[word for pair in poison.items() for word in pair],
        cwd=tmp_path,
    )
    assert ended.stdout.strip() == "(8, 9, 3) 10", ended.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == before


# Modes and folders


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_whatever_the_umask(umask: int, tmp_path: Path, fake: FakeMaker) -> None:
    (tmp_path / "tmp").mkdir()
    ended = script(
        """
import glob, tempfile
os.umask(int(sys.argv[2]))
bridge.imwrite("a.png", bridge.imread(bytes.fromhex(sys.argv[1])))
from bridge.process.child import Child
with Child([sys.argv[3]], subject="a", scratch=True) as child:
    child.read_into(memoryview(bytearray(2)), 20)
    for path in glob.glob(os.path.join(tempfile.gettempdir(), "**"), recursive=True)[1:]:
        say(oct(os.lstat(path).st_mode & 0o777))
    child.abort()
""",
        PNG.hex(),
        umask,
        fake(behaviour="hang", frames=[b"up"]),
        cwd=tmp_path,
        env=os.environ | {"TMPDIR": str(tmp_path / "tmp")},
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout, "no private folder"
    assert all(int(mode, 8) & 0o077 == 0 for mode in ended.stdout.split()), ended.stdout
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("kind", ["missing", "file", "readonly", "link"])
def test_a_temporary_folder_that_is_none(kind: str, tmp_path: Path) -> None:
    """Then another is taken or an error of ours comes; nothing is written through a planted link."""
    folder, victim = tmp_path / "tmp", tmp_path / "victim"
    victim.mkdir()
    if kind == "file":
        folder.write_bytes(b"")
    elif kind == "readonly":
        folder.mkdir()
        folder.chmod(0o555)
    elif kind == "link":
        folder.mkdir(mode=0o777)
        for name in ("framebridge-", "framebridge", "framebridge-spawner", f"framebridge-{os.getuid()}"):
            (folder / name).symlink_to(victim)
    ended = script(
        """
try:
    say(bridge.imread(bytes.fromhex(sys.argv[1])).shape)
except bridge.BridgeError as error:
    say("refused")
""",
        PNG.hex(),
        env=os.environ | {"TMPDIR": str(folder)},
    )
    assert ended.stdout.strip() in ("(8, 9, 3)", "refused"), ended.stderr
    assert [*victim.iterdir()] == []


def test_a_temporary_folder_that_goes_away(tmp_path: Path, small_film: Path) -> None:
    ended = script(
        """
import shutil, tempfile
data = bytes.fromhex(sys.argv[1])
bridge.imread(data)
shutil.rmtree(tempfile.gettempdir())
for _ in range(2):
    for what in (data, sys.argv[2]):
        try:
            bridge.imread(what)
        except bridge.BridgeError:
            pass
os.mkdir(tempfile.gettempdir())
say(bridge.imread(data).shape, bridge.imread(sys.argv[2]).shape)
""",
        PNG.hex(),
        small_film,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert ended.stdout.strip() == "(8, 9, 3) (48, 64, 3)", ended.stderr[-2000:]


# Limits of children


@pytest.fixture(scope="module")
def heavy(lavfi: Any) -> Path:
    """A film that takes more than a second of CPU to read."""
    made: Path = lavfi(
        "heavy.mp4", "testsrc2=s=1280x720:d=48:r=25", "-pix_fmt", "yuv420p", "-c:v", "mpeg4", "-q:v", "3"
    )
    return made


@pytest.mark.parametrize("trust", ["normal", "untrusted"])
def test_cpu_time_that_runs_out(trust: str, heavy: Path) -> None:
    with (
        pytest.raises(LimitExceeded, match="cpu"),
        bridge.get_reader(heavy, limits=Limits(trust=trust, cpu=1)) as reader,
    ):
        for _ in range(3):
            for _ in reader:
                pass


@pytest.mark.parametrize("trust", ["normal", "untrusted"])
def test_memory_that_runs_out(trust: str, heavy: Path) -> None:
    with pytest.raises(LimitExceeded, match="memory"):
        bridge.mimread(heavy, memtest=False, limits=Limits(trust=trust, memory=40 << 20, frames_at_once=None))


@pytest.mark.needs("magick")
@pytest.mark.parametrize("trust", ["normal", "untrusted"])
def test_memory_of_a_picture_that_runs_out(trust: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (1500, 1500, 3), np.uint8)
    data = bridge.imwrite("<bytes>", noise, ".png")
    with pytest.raises(LimitExceeded, match=r"magick_memory|magick_space"):
        bridge.imread(data, limits=Limits(trust=trust, magick_memory=4 << 20))


@pytest.mark.parametrize("extension", [".png", ".mkv"])
def test_a_file_that_grows_too_large(extension: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (10, 200, 200, 3), np.uint8)
    with pytest.raises(LimitExceeded, match="file_size"):
        bridge.mimwrite(
            tmp_path / f"a{extension}", noise[: 1 if extension == ".png" else 10], limits=Limits(file_size=20_000)
        )
    assert [*tmp_path.iterdir()] == []


# Boxes


# A kernel without Landlock, made of one with seccomp: three calls answer ENOSYS, for this process and all below it.
_OLD_KERNEL = """
import ctypes, struct
def old_kernel():
    lines = [(0x20, 0, 0, 0), (0x35, 0, 2, 444),
             (0x25, 1, 0, 446), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7fff0000)]
    code = b"".join(struct.pack("HBBI", *line) for line in lines)
    buffer = ctypes.create_string_buffer(code, len(code))
    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))
    program = Program(len(lines), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0
    libc.syscall.restype = ctypes.c_long
    assert libc.syscall(444, 0, 0, 1) == -1 and ctypes.get_errno() == 38
old_kernel()
data = bytes.fromhex(sys.argv[1])
def attempt(**numbers):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            said = bridge.imread(data, limits=bridge.Limits(**numbers)).shape
        except bridge.BridgeError as error:
            said = "refused, " + ("and says why" if "sandbox" in str(error) else str(error))
    say(said)
"""


def test_a_kernel_without_boxes() -> None:
    body = """
attempt(trust="untrusted")
attempt(trust="untrusted", sandbox="best-effort")
attempt(trust="normal")
attempt(trust="normal", sandbox="required")
attempt(trust="trusted")
"""
    ended = script(_OLD_KERNEL + body, PNG.hex())
    assert ended.returncode == 0, ended.stderr
    read, refused = "(8, 9, 3)", "refused, and says why"
    assert ended.stdout.splitlines() == [refused, read, read, refused, read]


def test_the_state_of_boxes_can_be_seen() -> None:
    ended = script(_OLD_KERNEL + "attempt(trust='normal')\nsay(bridge.status())\n", PNG.hex())
    assert ended.returncode == 0, ended.stderr[-500:]
    assert "landlock" in ended.stdout.lower()
