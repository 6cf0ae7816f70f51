"""The spawner: a small process with one thread that starts all children, boxes them, and ends with its parent.

Run as a program, by path, with no package around it: it imports only what starts quickly. It knows how to do what a
`Job` says and nothing of why. What comes and goes:

* On its control socket (descriptor 0) one message a child: the job, written as `packed` does it, with descriptors:
  the child's line, then what the child gets, in the order in which the job names them. A job too long for a message
  is `M` alone, and the first descriptor is a file that holds it. `Q` says that the parent puts its folders away itself.
* On the child's line: to the parent `P` and the process id, or `E` and an errno; at its end `X`, the wait status and
  the CPU time. From the parent: the number of a signal for the child's group. A line that closes ends the group.

It ends everything when the control socket closes or its parent dies, whichever thread had started it: the
parent-death signal of Linux is bound to that thread, a process descriptor is not.
"""

from __future__ import annotations

import _socket as socket  # the whole module takes longer to import than a child to start
import contextlib
import ctypes
import errno
import fcntl
import gc
import os
import resource
import select
import signal
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FOLDER", "landlock_abi", "main", "packed", "sweep", "unpacked"]

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 22, 36, 38
_FILTER = 2
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on all machines
_VERSION = 1
LONG, QUIT = b"M", b"Q"
SHORT = 1 << 16  # bytes of a job that goes into a message
FOLDER = "framebridge-"  # then the owner's process id, then anything
_MOST = 64  # descriptors in a message
_IDLE = 500  # milliseconds without work after which there is time to tidy up
_LAST = 1000  # milliseconds for a parent that has closed its control socket to be gone

# Rights of Landlock, by the first version that knows them.
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15
_ALL = ((1, (1 << 13) - 1), (2, 1 << 13), (3, TRUNCATE), (5, IOCTL_DEV))
_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
_NETWORK, _SCOPES = 3, 3  # TCP both ways; abstract sockets and signals

libc = ctypes.CDLL(None, use_errno=True)


def packed(*lists: Sequence[str | bytes]) -> bytes:
    """Write lists of texts without NUL as one."""
    fields = []
    for texts in lists:
        fields.append(str(len(texts)).encode())
        fields += [os.fsencode(text) for text in texts]
    if any(b"\0" in field for field in fields):
        raise ValueError("embedded null byte")
    return b"\0".join(fields)


def unpacked(data: bytes) -> list[list[bytes]]:
    """Read what `packed` wrote."""
    fields, at, lists = data.split(b"\0"), 0, []
    while at < len(fields):
        count = int(fields[at])
        lists.append(fields[at + 1 : at + 1 + count])
        at += 1 + count
    return lists


def landlock_abi() -> int:
    """Tell the version of Landlock that the kernel has; 0 if none."""
    return max(0, int(libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(_VERSION))))


class Job:
    """What one child is to be."""

    def __init__(self, data: bytes) -> None:
        lists = unpacked(data)
        self.argv, self.environment, (folder, scratch, part), targets, limits, paths, flags, (self.filter,) = lists
        self.folder, self.scratch, self.part = folder, os.fsdecode(scratch), os.fsdecode(part)
        self.targets = [int(target) for target in targets]
        self.limits = [tuple(map(int, limit.split(b":"))) for limit in limits]
        self.paths = [(int(rights), path) for rights, _, path in (entry.partition(b":") for entry in paths)]
        self.boxed = b"box" in flags


class Child:
    """A running child: its line to the parent, and its descriptor."""

    def __init__(self, pid: int, line: socket.socket) -> None:
        self.pid = pid
        self.line: socket.socket | None = line
        self.pidfd = os.pidfd_open(pid)

    def signal_group(self, number: int) -> None:
        """Signal it and what it started; only while it is unreaped, so that the id is its own."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def tell(self, kind: bytes, number: int, seconds: float = 0.0) -> None:
        """Write to the parent; it may have gone."""
        if self.line is not None:
            with contextlib.suppress(OSError):
                self.line.send(kind + struct.pack("=id", number, seconds))

    def close(self) -> None:
        """Let go of the line."""
        if self.line is not None:
            self.line.close()
            self.line = None


class Spawner:
    """The loop: jobs, signals, ends."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._parent = os.getppid()
        self._abi = landlock_abi()
        self._poll = select.epoll()
        self._poll.register(control.fileno(), select.EPOLLIN)
        self._parent_fd = os.pidfd_open(self._parent)
        self._poll.register(self._parent_fd, select.EPOLLIN)
        self._deaths, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._poll.register(self._deaths, select.EPOLLIN)
        self._by_line: dict[int, Child] = {}
        self._by_pidfd: dict[int, Child] = {}
        self._places: dict[bytes, tuple[int, int, tuple[int, int]]] = {}
        self._leavings: set[str] = set()

    def run(self, temporary: str) -> None:
        """Serve until the parent has no more use for us."""
        try:
            while self._serve_all(_IDLE):
                pass
            sweep(temporary)
            while True:
                self._serve_all(None)
        except _Over as over:
            self._end_all()
            if not over.args:
                self._put_away()

    def _serve_all(self, milliseconds: int | None) -> bool:
        ready = self._poll.poll(milliseconds and milliseconds / 1000)
        for descriptor, _ in sorted(ready, key=self._late):
            self._serve(descriptor)
        return bool(ready)

    def _late(self, event: tuple[int, int]) -> bool:
        """Put last what nobody waits for."""
        return event[0] == self._deaths

    def _serve(self, descriptor: int) -> None:
        if descriptor == self._parent_fd:
            raise _Over
        if descriptor == self._control.fileno():
            self._start()
        elif descriptor == self._deaths:
            os.read(self._deaths, 4096)
            self._reap_orphans()
        elif descriptor in self._by_pidfd:
            self._ended(self._by_pidfd[descriptor])
        elif descriptor in self._by_line:
            self._heard(self._by_line[descriptor])

    # Starting

    def _start(self) -> None:
        data, descriptors = _received(self._control)
        if not descriptors:
            return
        if data == LONG:
            data = _content(descriptors.pop(0))
        line_fd, *given = descriptors
        line = socket.socket(fileno=line_fd)
        try:
            job = Job(data)
            child = Child(self._fork(job, given), line)
        except Exception as error:  # noqa: BLE001 - other children go on, whatever is wrong with this one
            with contextlib.suppress(OSError):
                line.send(b"E" + struct.pack("=id", getattr(error, "errno", None) or errno.EINVAL, 0.0))
            line.close()
            return
        finally:
            for descriptor in given:
                os.close(descriptor)
        self._note(job.scratch, job.part)
        self._by_line[line.fileno()] = self._by_pidfd[child.pidfd] = child
        self._poll.register(line.fileno(), select.EPOLLIN)
        self._poll.register(child.pidfd, select.EPOLLIN)
        child.tell(b"P", child.pid)

    def _fork(self, job: Job, given: list[int]) -> int:
        """Start a program; raise what it could not be started for."""
        ruleset = self._ruleset(job, given) if job.boxed and self._abi else -1
        told, tell = os.pipe()
        try:
            pid = os.fork()
            if not pid:
                _become(job, given, ruleset, tell)
            os.close(tell)
            tell = -1
            failed = os.read(told, 8)
        finally:
            for descriptor in (told, tell, ruleset):
                if descriptor >= 0:
                    os.close(descriptor)
        if failed:
            os.waitpid(pid, 0)
            number = int.from_bytes(failed, sys.byteorder)
            raise OSError(number, os.strerror(number))
        return pid

    def _ruleset(self, job: Job, given: list[int]) -> int:
        """Make the set of what may be opened: the job's paths, and the files that the child is given."""
        handled = sum(rights for since, rights in _ALL if since <= self._abi)
        attributes = struct.pack("=QQQ", handled, _NETWORK if self._abi >= 4 else 0, _SCOPES if self._abi >= 6 else 0)
        size = 24 if self._abi >= 6 else 16 if self._abi >= 4 else 8
        ruleset = int(libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(size), ctypes.c_uint(0)))
        if ruleset < 0:
            raise OSError(ctypes.get_errno(), "no ruleset")
        for rights, path in job.paths:
            descriptor, possible = self._place(path)
            _allow(ruleset, descriptor, rights & possible & handled)
        if job.scratch:
            descriptor = os.open(job.scratch, os.O_PATH | os.O_CLOEXEC)
            _allow(ruleset, descriptor, handled & ~(EXECUTE | IOCTL_DEV))
            os.close(descriptor)
        for descriptor in given:
            kind = os.fstat(descriptor).st_mode & 0o170000
            if kind == 0o100000:
                _allow(ruleset, descriptor, _ACCESS[fcntl.fcntl(descriptor, fcntl.F_GETFL) & 3] & handled)
            elif kind == 0o040000:  # a folder that was made for what it writes
                _allow(ruleset, descriptor, handled & ~(EXECUTE | IOCTL_DEV))
        return ruleset

    def _place(self, path: bytes) -> tuple[int, int]:
        """Give a descriptor of a place that many children may look at, and the rights that it can carry.

        It is opened anew where an upgrade has put something else there.
        """
        known = self._places.get(path)
        try:
            facts = os.stat(path)  # noqa: PTH116 - pathlib takes long to import
            if known is None or known[2] != (facts.st_dev, facts.st_ino):
                descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
                if known is not None:
                    os.close(known[0])
                rights = -1 if facts.st_mode & 0o170000 == 0o040000 else _OF_FILES
                known = self._places[path] = descriptor, rights, (facts.st_dev, facts.st_ino)
        except OSError:
            return -1, 0
        return known[:2]

    # Ending

    def _heard(self, child: Child) -> None:
        line = child.line
        if line is None:
            return
        try:
            data = line.recv(16, socket.MSG_DONTWAIT)
        except BlockingIOError:  # meant for one that had this number before
            return
        except OSError:
            data = b""
        running = child.pidfd in self._by_pidfd
        if data and running:
            child.signal_group(data[0])
        elif not data:  # the parent has lost interest
            del self._by_line[line.fileno()]
            self._poll.unregister(line.fileno())
            child.close()
            if running:
                child.signal_group(signal.SIGKILL)

    def _ended(self, child: Child) -> None:
        if not os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return
        child.signal_group(signal.SIGKILL)  # what is left of its group, while the id is still its own
        _, status, used = os.wait4(child.pid, 0)
        del self._by_pidfd[child.pidfd]
        self._poll.unregister(child.pidfd)
        os.close(child.pidfd)
        child.tell(b"X", status, used.ru_utime + used.ru_stime)
        self._end_orphans()

    def _orphans(self) -> list[int]:
        """List what children have started and left behind: it is ours now."""
        known = {child.pid for child in self._by_pidfd.values()}
        return [pid for pid in _children() if pid not in known]

    def _end_orphans(self) -> None:
        for pid in self._orphans():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def _reap_orphans(self) -> None:
        for pid in self._orphans():
            with contextlib.suppress(OSError):
                os.waitpid(pid, os.WNOHANG)

    def _end_all(self) -> None:
        for child in self._by_pidfd.values():
            child.signal_group(signal.SIGKILL)
        for child in self._by_pidfd.values():
            with contextlib.suppress(OSError):
                os.waitpid(child.pid, 0)
        self._by_pidfd.clear()
        for _ in range(100):  # each may leave others behind
            self._end_orphans()
            if not _children():
                break
            with contextlib.suppress(OSError):
                os.waitpid(-1, 0)

    def _note(self, *paths: str) -> None:
        """Remember what is to be put away if the parent dies."""
        if len(self._leavings) > _MOST:
            self._leavings = {known for known in self._leavings if os.path.lexists(known)}
        self._leavings.update(path for path in paths if path)

    def _put_away(self) -> None:
        """Remove what the parent would have, had it not died."""
        left = [path for path in self._leavings if os.path.lexists(path)]
        parent = select.poll()
        parent.register(self._parent_fd, select.POLLIN)
        if left and parent.poll(_LAST):
            _remove(left)


def _remove(paths: list[str]) -> None:
    import shutil  # takes long to import

    for path in paths:
        with contextlib.suppress(OSError):
            os.unlink(path)  # noqa: PTH108 - pathlib takes long to import
        shutil.rmtree(path, ignore_errors=True)


def sweep(temporary: str) -> None:
    """Remove the private folders of dead processes, which nobody holds locked."""
    found = []
    with contextlib.suppress(OSError):
        for name in os.listdir(temporary):  # noqa: PTH208 - as above
            owner = name.split("-")[1] if name.startswith(FOLDER) else ""
            if owner.isdigit() and not os.path.exists(f"/proc/{owner}"):  # noqa: PTH110 - as above
                found.append(f"{temporary}/{name}")
    _remove([folder for folder in found if _unlocked(folder)])


def _unlocked(folder: str) -> bool:
    """Tell whether a folder is ours, and no process, also in another container, holds it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(descriptor).st_uid == os.geteuid()
    except OSError:
        return False
    finally:
        os.close(descriptor)


class _Over(Exception):
    """The parent has gone, or has no more use for us, which it says."""


_ACCESS = {
    os.O_RDONLY: READ_FILE,
    os.O_WRONLY: WRITE_FILE | TRUNCATE,
    os.O_RDWR: READ_FILE | WRITE_FILE | TRUNCATE,
}


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", "rb") as file:  # noqa: PTH123 - pathlib takes long to import
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def _allow(ruleset: int, descriptor: int, rights: int) -> None:
    """Add a rule; what has no place in the file system, as memory has not, needs none."""
    if descriptor >= 0 and rights:
        rule = struct.pack("=Qi", rights, descriptor)
        libc.syscall(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(1), rule, ctypes.c_uint(0))


def _content(descriptor: int) -> bytes:
    try:
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    finally:
        os.close(descriptor)


def _received(control: socket.socket) -> tuple[bytes, list[int]]:
    """Take a message: the job or what stands for it, and its descriptors."""
    try:
        flags = socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT
        data, ancillary, _, _ = control.recvmsg(2 * SHORT, socket.CMSG_SPACE(4 * _MOST), flags)
    except BlockingIOError:
        return b"", []
    if not data:
        raise _Over
    if data == QUIT:
        raise _Over(data)
    descriptors: list[int] = []
    for level, kind, raw in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors += struct.unpack(f"={len(raw) // 4}i", raw)
    return data, descriptors


def _become(job: Job, given: list[int], ruleset: int, tell: int) -> None:
    """Turn into the child: in the new process, which nothing comes back from."""
    try:
        os.setsid()
        spawner = os.getppid()
        _check(libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
        if os.getppid() != spawner:
            os._exit(127)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        base = max(job.targets) + 1  # out of the way of what the child wants
        tell = fcntl.fcntl(tell, fcntl.F_DUPFD_CLOEXEC, base)
        ruleset = fcntl.fcntl(ruleset, fcntl.F_DUPFD_CLOEXEC, base) if ruleset >= 0 else -1
        moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, base) for descriptor in given]
        for descriptor, target in zip(moved, job.targets, strict=True):
            os.dup2(descriptor, target)
        os.umask(0o077)
        os.chdir(job.folder)
        for what, *wanted in job.limits:
            most = resource.getrlimit(what)[1]
            soft, hard = wanted if most == resource.RLIM_INFINITY else (min(number, most) for number in wanted)
            resource.setrlimit(what, (soft, hard))
        if job.boxed:
            _box(job, ruleset)
        os.execve(job.argv[0], job.argv, dict(entry.split(b"=", 1) for entry in job.environment))  # noqa: S606 - no shell
    except OSError as error:
        os.write(tell, (error.errno or 1).to_bytes(8, sys.byteorder))
    finally:
        os._exit(127)


def _box(job: Job, ruleset: int) -> None:
    """Give up what a decoder has no use for. The order matters: the filter refuses what comes before it."""
    _check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    if ruleset >= 0:
        _check(libc.syscall(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0)))
    if job.filter:
        program = bytes.fromhex(job.filter.decode())
        buffer = ctypes.create_string_buffer(program)
        # struct sock_fprog: a count and, aligned, a pointer
        head = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
        _check(libc.prctl(_PR_SET_SECCOMP, _FILTER, head, 0, 0))


def _check(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def main() -> None:
    """Serve the socket that is descriptor 0 until the parent ends. Called when this file is run."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with contextlib.suppress(ValueError, OSError):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    control = socket.socket(fileno=fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 3))
    gc.disable()  # nothing here is a cycle, and each fork would touch everything
    Spawner(control).run(sys.argv[1])


if __name__ == "__main__":
    main()
