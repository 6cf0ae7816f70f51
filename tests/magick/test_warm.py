"""The warm ImageMagick: the same as the one-shot program to the last sample; its life, its box and its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest

import bridge
from bridge.errors import BridgeError, LimitExceeded, ToolTimeout
from bridge.limits import Limits, in_force
from bridge.magick import warm
from bridge.process.tools import toolbox

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.program, pytest.mark.needs("magick")]

# What of ImageMagick's options makes a picture of that sort out of a coloured one.
_SORTS = {
    "rgb": "-type TrueColor",
    "gray": "-colorspace Gray -type Grayscale",
    "rgba": "-alpha set -channel A -evaluate multiply 0.6 +channel -type TrueColorMatte",
    "graya": "-colorspace Gray -alpha set -channel A -evaluate multiply 0.6 +channel -type GrayscaleMatte",
    "palette": "-colors 17 -type Palette",
    "bilevel": "-monochrome",
    "inks": "-colorspace CMYK",
    "linear": "-colorspace RGB",
    "turned": "-orient LeftBottom",
}
_ENDINGS = ("png", "jpg", "gif", "bmp", "webp", "tif", "ppm", "pam", "pcx", "jp2", "j2k", "heic", "avif", "psd", "ico",
            "dpx")  # fmt: skip


def _magick(*arguments: str, source: bytes = b"") -> bytes:
    program = toolbox().find("magick").path
    return subprocess.run([program, *arguments], input=source, capture_output=True, check=False, timeout=60).stdout


def _read(way: str, path: Any, monkeypatch: pytest.MonkeyPatch, **kwargs: Any) -> tuple[Any, ...]:
    """Read by one of the ways; give all that a user can see."""
    monkeypatch.setenv(warm.SETTING, way)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            image = bridge.imread(path, **kwargs)
        except BridgeError as error:
            return type(error), str(error).partition("framebridge-")[0]
    said = [str(warning.message) for warning in told]
    return image.shape, image.dtype, image.tobytes(), repr(image.meta), said


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(warm.SETTING, "always")


@pytest.fixture
def jpeg(tmp_path: Path) -> Path:
    (tmp_path / "a.jpg").write_bytes(_magick("-size", "41x33", "plasma:", "jpeg:-"))
    return tmp_path / "a.jpg"


# The same as the other way


@pytest.mark.parametrize("ending", _ENDINGS)
def test_both_ways_give_the_same(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kwargs = {"format": "TIFF-MAGICK"} if ending == "tif" else {}
    for sort, options in _SORTS.items():
        depth = "16" if sort in ("rgb", "graya") else "8"
        path = tmp_path / f"{sort}.{ending}"
        path.write_bytes(_magick("-size", "41x33", "plasma:", *options.split(), "-depth", depth, f"{ending}:-"))
        crop = {"crop": (3, 4, 20, 11), "rotate": True} if sort in ("inks", "turned") else {}
        cold = _read("none", path, monkeypatch, **kwargs, **crop)
        assert _read("always", path, monkeypatch, **kwargs, **crop) == cold, sort


@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "webp", "bmp", "avif"])
def test_both_ways_say_the_same_of_damage(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray(_magick("-size", "64x48", "plasma:", f"{ending}:-"))
    third, most = len(content) // 3, len(content) * 9 // 10
    for broken in (content[:third], content[:most], content[:third] + b"\xff\xd9\0" + content[third + 3 :]):
        path = tmp_path / f"broken.{ending}"
        path.write_bytes(broken)
        for wish in ("raise", "warn"):
            cold = _read("none", path, monkeypatch, on_damage=wish)
            assert _read("always", path, monkeypatch, on_damage=wish) == cold


@pytest.mark.usefixtures("always")
def test_common_pictures_do_go_the_warm_way(tmp_path: Path) -> None:
    """Else all that is above would compare the one-shot way with itself."""
    turned = (
        () if toolbox().find("magick").release >= (7, 0) else ("heic", "avif")
    )  # of 7 not how it makes 8 bits of 16
    for ending in ("png", "jpg", "gif", "webp", "bmp", "ppm", *turned):
        path = tmp_path / f"a.{ending}"
        path.write_bytes(_magick("-size", "41x33", "plasma:", f"{ending}:-"))
        before = warm.workers.done
        bridge.imread(path)
        assert warm.workers.done == before + 1, ending


@pytest.mark.usefixtures("always")
def test_a_large_picture_is_an_array_like_any_other(tmp_path: Path) -> None:
    drawn = np.random.default_rng(5).integers(0, 65536, (700, 900, 3), dtype=np.uint16)
    bridge.imwrite(tmp_path / "a.png", drawn)
    read = bridge.imread(tmp_path / "a.png")
    assert np.array_equal(read, drawn)
    again = bridge.imread(tmp_path / "a.png")
    read[:] = 7  # its memory is its own
    assert np.array_equal(again, drawn)
    pid = os.fork()
    if not pid:
        again[:] = 9
        os._exit(0)
    os.waitpid(pid, 0)
    warm.close()
    assert np.array_equal(again, drawn)


# When


def test_the_first_two_pictures_start_nothing(jpeg: Path) -> None:
    assert warm.workers.alive == []
    for _ in range(2):
        bridge.imread(jpeg)
        assert warm.workers.alive == []
    bridge.imread(jpeg)
    assert len(warm.workers.alive) == 1


@pytest.mark.usefixtures("always")
def test_what_is_untrusted_never_shares_a_process(jpeg: Path) -> None:
    for _ in range(4):
        bridge.imread(jpeg, trust="untrusted")
    assert warm.workers.alive == []
    assert "process for each" in warm.state(Limits(trust="untrusted"), toolbox().get("magick"))["off"]


def test_it_can_be_switched_off(jpeg: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(warm.SETTING, "none")
    for _ in range(4):
        bridge.imread(jpeg)
    assert warm.workers.alive == []
    assert bridge.status()["warm"]["off"] == f"{warm.SETTING}=none"


@pytest.mark.usefixtures("always")
def test_status_tells_of_it(jpeg: Path) -> None:
    bridge.imread(jpeg)
    told = bridge.status()["warm"]
    assert told["off"] == ""
    assert told["workers"] == warm.workers.alive != []
    assert told["pictures"] >= 1


@pytest.mark.usefixtures("always")
def test_no_library_is_no_trouble(jpeg: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.magick.worker.library_names", lambda _tool: ["libNothing.so.9"])
    monkeypatch.setattr(warm.workers, "_unfit", {})
    assert bridge.imread(jpeg).shape == (33, 41, 3)
    assert warm.workers.alive == []
    assert "libNothing" in bridge.status()["warm"]["off"]


# What becomes of it


def _worker() -> psutil.Process:
    return psutil.Process(warm.workers.alive[0])


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_one_that_is_killed_is_replaced(number: signal.Signals, jpeg: Path) -> None:
    expected = bridge.imread(jpeg)
    first = _worker()
    first.send_signal(number)
    first.wait(5)
    assert np.array_equal(bridge.imread(jpeg), expected)
    assert np.array_equal(bridge.imread(jpeg), expected)
    assert warm.workers.alive[0] != first.pid


@pytest.mark.usefixtures("always")
def test_killed_while_it_decodes(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(_magick("-size", "1100x1100", "xc:", "+noise", "Random", "png:-"))
    expected = bridge.imread(path)
    for pause in (0.0, 0.02, 0.05):
        pid = warm.workers.alive[0]
        killer = threading.Timer(pause, os.kill, (pid, signal.SIGKILL))
        killer.start()
        assert np.array_equal(bridge.imread(path), expected)
        killer.join()
        bridge.imread(path)


@pytest.mark.usefixtures("always")
def test_others_are_not_hurt_by_a_crash(jpeg: Path) -> None:
    expected = bridge.imread(jpeg)
    wrong: list[object] = []
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            try:
                wrong.extend([] if np.array_equal(bridge.imread(jpeg), expected) else ["other pixels"])
            except BridgeError as error:
                wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        time.sleep(0.1)
        for pid in warm.workers.alive:
            os.kill(pid, signal.SIGKILL)
    over.set()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.usefixtures("always")
def test_deaths_one_after_the_other_end_it_for_a_while(jpeg: Path) -> None:
    for _ in range(7):
        bridge.imread(jpeg)
        for process in [psutil.Process(pid) for pid in warm.workers.alive]:
            process.kill()
            process.wait(5)
    assert bridge.imread(jpeg).shape == (33, 41, 3)
    assert warm.workers.alive == []


@pytest.mark.usefixtures("always")
def test_a_stopped_one_meets_the_deadline(jpeg: Path) -> None:
    limits = Limits(still=0.7)
    bridge.imread(jpeg, limits=limits)
    _worker().suspend()
    begun = time.monotonic()
    with pytest.raises(ToolTimeout, match=r"0\.7 s"):
        bridge.imread(jpeg, limits=limits)
    assert time.monotonic() - begun < 5
    assert warm.workers.alive == []


@pytest.mark.usefixtures("always")
def test_one_that_never_says_hello_keeps_nobody_waiting(
    jpeg: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "magick.py").write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr("bridge.magick.worker._program", lambda: tmp_path / "magick.py")
    monkeypatch.setattr("bridge.magick.worker.START", 0.2)
    monkeypatch.setattr("bridge.magick.warm.START", 0.3)
    begun = time.monotonic()
    assert bridge.imread(jpeg).shape == (33, 41, 3)
    assert time.monotonic() - begun < 10
    assert warm.workers.alive == []


@pytest.mark.usefixtures("always")
def test_limits_are_those_of_the_one_shot_way(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(_magick("-size", "900x900", "plasma:", "png:-"))
    with pytest.raises(LimitExceeded, match="magick_memory"):
        bridge.imread(tmp_path / "a.png", limits=Limits(magick_memory=1 << 20))
    assert bridge.imread(tmp_path / "a.png").shape == (900, 900, 3)


@pytest.mark.usefixtures("always")
def test_it_works_for_longer_than_one_picture_may_take(jpeg: Path) -> None:
    """ImageMagick's own limit of time counts from its start on."""
    limits = Limits(still=1.0)
    bridge.imread(jpeg, limits=limits)
    pids = warm.workers.alive
    for _ in range(3):
        time.sleep(0.7)
        bridge.imread(jpeg, limits=limits)
    assert warm.workers.alive == pids


@pytest.mark.usefixtures("always")
def test_it_is_boxed(jpeg: Path) -> None:
    bridge.imread(jpeg)
    status = (psutil.PROCFS_PATH, str(warm.workers.alive[0]), "status")
    with open(os.path.join(*status)) as file:  # noqa: PTH118, PTH123 - a file of the kernel's
        facts = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    assert (facts["Seccomp"], facts["NoNewPrivs"]) == ("2", "1")
    space = _worker().rlimit(psutil.RLIMIT_AS)[0]
    assert space == in_force().magick_space


@pytest.mark.usefixtures("always")
def test_a_fork_has_its_own(jpeg: Path) -> None:
    expected = bridge.imread(jpeg)
    pids = warm.workers.alive
    pid = os.fork()
    if not pid:
        same = warm.workers.alive == [] and np.array_equal(bridge.imread(jpeg), expected)
        warm.close()
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert np.array_equal(bridge.imread(jpeg), expected)
    assert warm.workers.alive == pids


@pytest.mark.parametrize("end", ["pass", "import os; os.kill(os.getpid(), 9)", "raise SystemExit(3)"])
def test_nothing_is_left_of_a_script(end: str, jpeg: Path) -> None:
    text = f"import bridge, sys\nfrom bridge.magick import warm\nfor _ in range(9): bridge.imread({str(jpeg)!r})\n"
    text += f"print(*warm.workers.alive, flush=True)\n{end}\n"
    ran = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False, timeout=60)
    pids = [int(word) for word in ran.stdout.split()]
    assert pids, ran.stderr
    assert not ran.stderr
    gone, alive = psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=3)
    del gone
    assert not alive


def test_import_starts_nothing() -> None:
    text = "import bridge, bridge.many, os; print(open(f'/proc/self/task/{os.getpid()}/children').read())"
    ran = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, timeout=60)
    assert not ran.stdout.strip()
