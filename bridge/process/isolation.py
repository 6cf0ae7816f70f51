"""What a child may have: its environment, its limits, its box. Knows nothing of what the child is for."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bridge.errors import SandboxMissing
from bridge.limits import Limits
from bridge.process.seccomp import filter_for
from bridge.process.spawner import EXECUTE, IOCTL_DEV, READ_DIR, READ_FILE, WRITE_FILE, landlock_abi

__all__ = ["OPEN", "Box", "Sandbox", "box_for", "environment", "limit", "numbered", "places", "sandbox"]

log = logging.getLogger("bridge")

# Nothing of ours, of the desktop or of a service's secrets is a media program's business; what is listed
# here is needed to find libraries and a place for temporary files.
_INHERITED = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TZ")
_PT_INTERP = 3
_TRUSTED = Limits(trust="trusted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """What one child may take.

    Attributes
    ----------
    limits : Limits
        Of the call.
    rlimits : tuple
        Pairs of one of `resource`'s names, without ``RLIMIT_``, and the limit of the call that it stands for.
    sealed : bool
        It sees the program, its libraries and the descriptors that it is given, no network and no other files.
    required : bool
        It does not start where that cannot be had.
    hardware : bool
        It may use the encoders of graphics cards.
    """

    limits: Limits = _TRUSTED
    rlimits: tuple[tuple[str, str], ...] = ()
    sealed: bool = False
    required: bool = False
    hardware: bool = False

    def reached(self, number: int | None, said: str, cpu: float = 0.0) -> str:
        """Name the limit that a child has reached; empty if none.

        Parameters
        ----------
        number : int or None
            The signal that ended it, or its exit status: some programs catch the signal.
        said : str
            Its words.
        cpu : float
            The CPU time that it took.
        """
        for rlimit, limit in self.rlimits:
            most = getattr(self.limits, limit)
            numbers, words = _TOLD_BY[rlimit]
            told = (
                number in numbers
                or (words is not None and words.search(said))
                or (rlimit == "CPU" and cpu > most - _TICK)
            )
            if told and _own(rlimit) > most:
                return limit
        return next((limit for words, limit in _MAGICK_SAYS.items() if words in said), "")


_TOLD_BY: dict[str, tuple[tuple[int | None, ...], re.Pattern[str] | None]] = {
    "CPU": ((24, 152), None),  # SIGXCPU, as signal and as status; ffmpeg catches it, but the time tells
    "FSIZE": ((25, 153), re.compile("File too large")),  # SIGXFSZ
    "AS": ((), re.compile("annot allocate memory|failed to map segment|emory allocation failed|bad_alloc")),
    "NOFILE": ((), re.compile("Too many open files")),
}
_TICK = 0.1  # seconds by which two ways of the kernel to count CPU time differ
_MAGICK_SAYS = {
    "cache resources exhausted": "magick_memory",
    "list length exceeds limit": "magick_pictures",
    "width or height exceeds limit": "side",
    "time limit exceeded": "still",
}

OPEN = Box()


def box_for(limits: Limits, work: str, *, sealed: bool = True) -> Box:
    """Give the box of a child.

    Parameters
    ----------
    limits : Limits
        Of the call.
    work : {"film", "picture", "magick", "encoder", "job"}
        What the child does: read film or a picture with ffmpeg or a picture with ImageMagick, or write. Arrays come
        from us, so encoders may take the time and the memory that they need; a job reads and writes, for hours.
    sealed : bool
        False where options of the user's own may name other files: such a child has limits, but no walls.
    """
    return Box(
        limits=limits,
        rlimits=tuple(row for row in (*_WORK[work], *_ALWAYS) if getattr(limits, row[1]) is not None),
        sealed=sealed and limits.sandbox != "off",
        required=limits.sandbox == "required",
        hardware=work in ("encoder", "job"),
    )


def numbered(box: Box) -> list[str]:
    """Give the limits of a box as the spawner wants them: which, how much, and what is never passed.

    Those that we are under ourselves hold for children, too. That of CPU time is a little more: the signal that tells
    comes before the one that ends.
    """
    import resource

    wanted = {name: int(getattr(box.limits, limit)) for name, limit in box.rlimits}
    wanted |= {"CORE": 0} if box.limits.trust != "trusted" else {}
    rows = []
    for name in ("CPU", "AS", "FSIZE", "NOFILE", "CORE"):
        what = getattr(resource, f"RLIMIT_{name}")
        soft = min(_own(name), wanted.get(name, _ENDLESS))
        if soft != _ENDLESS:
            rows.append(f"{what}:{soft}:{soft + (name == 'CPU')}")
    return rows


_ENDLESS = 1 << 62


def _own(name: str) -> int:
    """Give the limit that we are under ourselves."""
    import resource

    soft = resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[0]
    return _ENDLESS if soft == resource.RLIM_INFINITY else soft


def limit(pid: int, box: Box) -> None:
    """Set the limits of a child that runs already, where the system can."""
    try:
        from resource import prlimit
    except ImportError:
        return
    for entry in numbered(box):
        what, soft, hard = map(int, entry.split(":"))
        with contextlib.suppress(OSError, ValueError):
            prlimit(pid, what, (soft, hard))


_WORK = {
    "film": (("CPU", "cpu"), ("AS", "memory")),
    "picture": (("CPU", "still_cpu"), ("AS", "memory")),
    "magick": (("CPU", "still_cpu"), ("AS", "magick_space")),
    "encoder": (),
    "job": (("AS", "job_memory"),),
}
_ALWAYS = (("FSIZE", "file_size"), ("NOFILE", "open_files"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """What this system has to box children with.

    Attributes
    ----------
    landlock : int
        The version of Landlock; 0 if the kernel has none.
    seccomp : bool
        Whether system calls can be refused.
    """

    landlock: int = 0
    seccomp: bool = False

    @property
    def whole(self) -> bool:
        """Tell whether children can be sealed in."""
        return self.landlock > 0 and self.seccomp

    def __str__(self) -> str:
        """Say it in words."""
        if not sys.platform.startswith("linux"):
            return f"none: {sys.platform} has no Landlock"
        landlock = f"Landlock (version {self.landlock})" if self.landlock else "no Landlock in this kernel"
        return f"{landlock}, {'seccomp' if self.seccomp else 'no seccomp filter for this machine'}"

    def missing(self, box: Box, program: str) -> None:
        """Say that a box cannot be had, once, or refuse to go without.

        Raises
        ------
        SandboxMissing
            If it is required.
        """
        if box.required:
            raise SandboxMissing(
                f"{program} is not started on untrusted content: there is no sandbox for it ({self}); "
                "limits=bridge.Limits(trust='untrusted', sandbox='best-effort') goes without"
            )
        _warn(str(self))


@functools.cache
def _warn(state: str) -> None:
    log.warning("children are not boxed: %s", state)


@functools.cache
def sandbox() -> Sandbox:
    """Ask this system, once."""
    if not sys.platform.startswith("linux"):
        return Sandbox()
    return Sandbox(landlock=landlock_abi(), seccomp=bool(filter_for(os.uname().machine)))


_LOOK = READ_FILE | READ_DIR
_SYSTEM = (
    *("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64"),
    *("/usr/share", "/usr/local/share", "/var/cache/fontconfig", "/nix/store", "/gnu/store"),
    *("/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/fonts", "/etc/ssl/openssl.cnf", "/etc/localtime"),
    *("/etc/ImageMagick-6", "/etc/ImageMagick-7", "/usr/local/etc/ImageMagick-6", "/usr/local/etc/ImageMagick-7"),
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys/vm/overcommit_memory", "/sys/devices/system"),
    *("/dev/zero", "/dev/random", "/dev/urandom"),
)
_HARDWARE = ("/dev/dri", "/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-modeset")
_HARDWARE_LOOK = ("/sys", "/etc/vulkan", "/etc/OpenCL", "/proc/driver/nvidia")


@functools.lru_cache(maxsize=64)
def places(program: str, *, hardware: bool = False) -> tuple[str, ...]:
    """Give what a sealed child may open besides what it is given, as ``rights:path``, and for what.

    Only the program itself may be started, with the loader that it names; a script may start what stands where
    programs stand.
    """
    real = os.path.realpath(program)
    found = dict.fromkeys(_SYSTEM, _LOOK) | {"/dev/null": READ_FILE | WRITE_FILE, real: READ_FILE | EXECUTE}
    loader = _loader(real)
    if loader is None:
        folders = (*os.environ.get("PATH", os.defpath).split(os.pathsep), "/bin", "/usr/bin", "/lib64", "/usr/lib")
        found |= {str(Path(folder).parent): _LOOK | EXECUTE for folder in folders if folder.startswith("/")}
        found |= {os.path.realpath(sys.base_prefix): _LOOK | EXECUTE, str(Path(real).parent): _LOOK | EXECUTE}
    elif loader:
        found[os.path.realpath(loader)] = READ_FILE | EXECUTE
    if not real.startswith(("/usr/bin/", "/bin/")):
        prefix = Path(real).parent.parent
        found |= dict.fromkeys((f"{prefix}/{name}" for name in ("lib", "lib64", "share", "etc")), _LOOK)
        found |= dict.fromkeys(_libraries(real) if loader else (), _LOOK)
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    found |= dict.fromkeys((folder for folder in libraries if folder.startswith("/")), _LOOK)
    if hardware:
        found |= dict.fromkeys(_HARDWARE, _LOOK | WRITE_FILE | IOCTL_DEV) | dict.fromkeys(_HARDWARE_LOOK, _LOOK)
    return tuple(f"{rights}:{path}" for path, rights in found.items() if path != "/")


def _libraries(program: str) -> set[str]:
    """Ask the loader in which folders the libraries of a program are: not every system has them in one place."""
    asked = {"LD_TRACE_LOADED_OBJECTS": "1"}
    if "LD_LIBRARY_PATH" in os.environ:
        asked["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    try:
        said = subprocess.run(
            [program], env=asked, stdin=subprocess.DEVNULL, capture_output=True, timeout=5, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return set()
    words = os.fsdecode(said.stdout).split()
    files = {path for word in words if word.startswith("/") for path in (word, os.path.realpath(word))}
    return {str(Path(file).parent) for file in files}


def environment(program: str, scratch: str | None = None) -> dict[str, str]:
    """Give the environment of a child: no HOME (no user-level delegates), no FFREPORT, no proxies.

    With `scratch` that is its folder for temporary files: ImageMagick copies its input there, and leaves the
    copy behind when it is killed. It looks there for its policy, too.

    ``LC_ALL=C.UTF-8`` keeps messages in English, numbers with a point and file names as they are.
    """
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    kept |= {"LC_ALL": "C.UTF-8", "HOME": "/nonexistent", "AV_LOG_FORCE_NOCOLOR": "1"}
    if scratch is not None:
        kept["HOME"] = kept["TMPDIR"] = kept["MAGICK_TEMPORARY_PATH"] = kept["MAGICK_CONFIGURE_PATH"] = scratch
    if _loader(program) == "":
        # A static glibc crashes when it loads the system's character converters, as it does for the service
        # names of transport streams (seen with the static build of ffmpeg 6.0); without them it does not.
        kept["GCONV_PATH"] = "/nonexistent"
    return kept


@functools.lru_cache(maxsize=64)
def _loader(program: str) -> str | None:
    """Give the dynamic linker that a 64-bit ELF file asks for, empty if it asks for none; None for other files."""
    try:
        with Path(program).open("rb") as file:
            head = file.read(64)
            if len(head) < 64 or head[:6] != b"\x7fELF\x02\x01":
                return None
            offset, size, count = (*struct.unpack_from("<Q", head, 32), *struct.unpack_from("<HH", head, 54))
            file.seek(offset)
            table = file.read(size * count)
            for at in range(0, len(table) - 39, size or 1):
                kind, _, place, _, _, length = struct.unpack_from("<IIQQQQ", table, at)
                if kind == _PT_INTERP:
                    file.seek(place)
                    return os.fsdecode(file.read(min(length, 4096)).rstrip(b"\0"))
    except OSError:
        return None
    return ""
