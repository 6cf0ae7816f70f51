"""Job: what is to be made of which film, as a value with a JSON form; its id comes from its content. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from fractions import Fraction
from typing import Any, Self

from bridge.errors import BadJob
from bridge.ffmpeg.argv import rate
from bridge.ffmpeg.free import bit_rate, plain_name
from bridge.jobs.filters import checked
from bridge.limits import TRUST
from bridge.media.portion import read_size

__all__ = ["VERSION", "Audio", "Job", "Keep", "Ladder", "Picture", "Rung", "Trim", "Video"]

VERSION = 1
_CHECKS = ("", "ssim", "psnr", "vmaf")
_DAMAGE = ("raise", "warn", "ignore")
_PICTURES = ("thumbnails", "sheet", "preview")


class _Value:
    """What all values here have in common: a plain form without what is left at its default."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values that `json` takes."""
        return {
            entry.name: _plain(getattr(self, entry.name))
            for entry in fields(self)  # type: ignore[arg-type] # every subclass is a dataclass
            if getattr(self, entry.name) != _default(entry)
        }

    @classmethod
    def from_dict(cls, plain: Any) -> Self:
        """Make it of its plain form.

        Raises
        ------
        BadJob
            If that has what is not known, or values that make no sense.
        """
        names = {entry.name for entry in fields(cls)}  # type: ignore[arg-type] # as above
        if not isinstance(plain, dict) or not plain.keys() <= names:
            strange = sorted(set(plain) - names) if isinstance(plain, dict) else plain
            raise BadJob(f"a job's {cls.__name__.lower()} does not have {strange!r}; it has {', '.join(sorted(names))}")
        made = {name: _PARTS[name](value) if name in _PARTS and value is not None else value
                for name, value in plain.items()}  # fmt: skip
        try:
            return cls(**made)
        except TypeError as error:
            raise BadJob(f"a job's {cls.__name__.lower()} cannot be made of {plain!r}: {error}") from None


def _default(entry: Any) -> Any:
    if entry.default_factory is not MISSING:
        return entry.default_factory()
    return entry.default


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return value.to_dict()  # type: ignore[union-attr] # it is one of ours
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Fraction) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Video(_Value):
    """How the picture is coded.

    Attributes
    ----------
    codec : str or None
        ``"copy"``, a family (``"h264"``, ``"hevc"``, ``"av1"``, …) or one of FFmpeg's encoders; None is the
        container's usual one.
    crf : float or None
        Quality on the encoder's own scale.
    target_vmaf, target_ssim : float or None
        The quality for which the crf is looked for on probes of the film.
    bitrate : str or None
        Bits per second in the place of a quality.
    two_pass : bool
        Look at the whole film first, to spend `bitrate` where it is needed.
    size : tuple of int or None
        Width and height; one of them may be 0, and follows from the other.
    fps : fractions.Fraction or None
        A constant rate; None keeps the times of all frames.
    pixel_format, speed : str or None
        FFmpeg's name of the pixel format, and the encoder's of its preset.
    filters : tuple of str
        Of those in `bridge.jobs.filters`.
    free_filters : str
        A chain of FFmpeg's filters of one's own, for trusted calls.
    options : tuple of str
        Further options of the output, checked as ``output_params=`` of writers are.
    """

    codec: str | None = None
    crf: float | None = None
    target_vmaf: float | None = None
    target_ssim: float | None = None
    bitrate: str | None = None
    two_pass: bool = False
    size: tuple[int, int] | None = None
    fps: Fraction | None = None
    pixel_format: str | None = None
    speed: str | None = None
    filters: tuple[str, ...] = ()
    free_filters: str = ""
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Bring values to one form, and refuse those that make no sense."""
        put = object.__setattr__
        for name in ("codec", "pixel_format", "speed"):
            if getattr(self, name) is not None:
                _asked(plain_name, getattr(self, name), name)
        put(self, "bitrate", None if self.bitrate is None else _asked(bit_rate, self.bitrate))
        put(self, "fps", None if self.fps is None else _asked(_rate, self.fps))
        put(self, "size", None if self.size is None else _size(self.size))
        put(self, "filters", tuple(map(checked, _row(self.filters, "filters"))))
        put(self, "options", tuple(map(str, _row(self.options, "options"))))
        _within("crf", self.crf, -12, 255)
        _within("target_vmaf", self.target_vmaf, 1, 100)
        _within("target_ssim", self.target_ssim, 0.1, 1)
        self._check_together()

    def _check_together(self) -> None:
        ways = [n for n in ("crf", "target_vmaf", "target_ssim", "bitrate") if getattr(self, n) is not None]
        if len(ways) > 1:
            raise BadJob(f"{' and '.join(ways)} are ways to say the same; give one")
        if self.two_pass and self.bitrate is None:
            raise BadJob("two_pass=True spends a bitrate well: give bitrate=, or leave it out for a constant quality")
        changed = [n for n in ("size", "fps", "pixel_format", "filters", "free_filters") if getattr(self, n)]
        if self.codec == "copy" and (ways or changed):
            raise BadJob(f"codec='copy' takes the picture as it is, and goes without {', '.join([*ways, *changed])}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio(_Value):
    """How the sound is coded.

    Attributes
    ----------
    codec : str or None
        ``"copy"``, ``"none"``, or one of FFmpeg's encoders; None copies what the container can hold.
    bitrate : str or None
        Bits per second.
    rate, channels : int or None
        Of the result, where they shall differ.
    loudness : float or None
        LUFS to which the whole is brought (EBU R128), measured first.
    """

    codec: str | None = None
    bitrate: str | None = None
    rate: int | None = None
    channels: int | None = None
    loudness: float | None = None

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if self.codec is not None:
            _asked(plain_name, self.codec, "audio codec")
        object.__setattr__(self, "bitrate", None if self.bitrate is None else _asked(bit_rate, self.bitrate))
        _within("loudness", self.loudness, -70, -5)
        _within("rate", self.rate, 1000, 768_000)
        _within("channels", self.channels, 1, 64)
        changed = [n for n in ("bitrate", "rate", "channels", "loudness") if getattr(self, n) is not None]
        if self.codec in ("copy", "none") and changed:
            raise BadJob(f"audio codec {self.codec!r} goes without {', '.join(changed)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep(_Value):
    """What goes along as it is, where the container can hold it."""

    subtitles: bool = True
    chapters: bool = True
    metadata: bool = True
    attachments: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Trim(_Value):
    """The part that is taken.

    Attributes
    ----------
    start, end : fractions.Fraction or None
        Seconds from the first frame; of the frames, those shown from `start` on and before `end`.
    first, stop : int or None
        The same by numbers of frames.
    """

    start: Fraction | None = None
    end: Fraction | None = None
    first: int | None = None
    stop: int | None = None

    def __post_init__(self) -> None:
        """Refuse what is empty from the beginning."""
        for name in ("start", "end"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _seconds(name, getattr(self, name)))
        _within("first", self.first, 0, 1 << 40)
        _within("stop", self.stop, 0, 1 << 40)
        for begin, end in ((self.start, self.end), (self.first, self.stop)):
            if end is not None and end <= (begin or 0):
                raise BadJob(f"the part from {begin or 0} to {end} is empty: its end must come after its beginning")
        if (self.start, self.end) != (None, None) and (self.first, self.stop) != (None, None):
            raise BadJob("a part is given by seconds or by frames, not by both")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung(_Value):
    """One of the qualities of a ladder: pixels in height, bits per second."""

    height: int
    bitrate: str

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        _within("height", self.height, 16, 16384)
        object.__setattr__(self, "bitrate", _asked(bit_rate, self.bitrate))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder(_Value):
    """Several qualities for players that choose among them: HLS where the target is ``.m3u8``, DASH where ``.mpd``.

    Attributes
    ----------
    rungs : tuple of Rung
        The qualities; none is larger than the film.
    segment : float
        Seconds from one place to the next where players may change: all qualities have key frames there.
    """

    rungs: tuple[Rung, ...] = field(default_factory=lambda: _RUNGS)
    segment: float = 6.0

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if not self.rungs:
            raise BadJob("a ladder has at least one rung")
        _within("segment", self.segment, 0.5, 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture(_Value):
    """Pictures of the film, beside it.

    Attributes
    ----------
    kind : {"thumbnails", "sheet", "preview"}
        Single pictures, one that shows many, or a short animation.
    target : str
        Where; thumbnails are numbered, as in ``thumb%02d.jpg``.
    count : int
        How many, evenly spaced.
    columns, width : int
        Of a sheet; width of one picture in pixels.
    """

    kind: str
    target: str
    count: int = 9
    columns: int = 3
    width: int = 320

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if self.kind not in _PICTURES:
            raise BadJob(f"pictures are one of {', '.join(map(repr, _PICTURES))}, not {self.kind!r}")
        _within("count", self.count, 1, 1000)
        _within("columns", self.columns, 1, 100)
        _within("width", self.width, 16, 8192)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(_Value):
    """What is to be made of which film.

    Attributes
    ----------
    sources : tuple of str
        Names of the films, one after the other in the result.
    target : str
        Name of the result; its extension says the container.
    container : str or None
        A name of `bridge.ffmpeg.containers`, where the extension does not say it.
    video : Video or None
        None leaves the picture out.
    audio, keep, trim, ladder, pictures
        Their values.
    check : {"", "ssim", "psnr", "vmaf"}
        How the pictures of the result are compared with those of the source.
    at_least : float or None
        The least that this must give.
    on_damage : {"raise", "warn", "ignore"}
        What is done about a damaged source.
    trust : str
        As of `bridge.Limits`.
    labels : dict
        Words of the caller's own, which change nothing, not even the id.

    Examples
    --------
    >>> job = Job(sources=("a.mov",), target="a.mp4", video=Video(codec="h264", crf=23))
    >>> Job.from_json(job.to_json()) == job
    True
    """

    sources: tuple[str, ...]
    target: str
    container: str | None = None
    video: Video | None = field(default_factory=Video)
    audio: Audio = field(default_factory=Audio)
    keep: Keep = field(default_factory=Keep)
    trim: Trim = field(default_factory=Trim)
    ladder: Ladder | None = None
    pictures: tuple[Picture, ...] = ()
    check: str = ""
    at_least: float | None = None
    on_damage: str = "raise"
    trust: str = "normal"
    labels: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if not self.sources or not all(map(_is_name, self.sources)):
            raise BadJob(f"a job's sources are names of films, not {self.sources!r}")
        if not _is_name(self.target):
            raise BadJob(f"a job's target is the name of a film, not {self.target!r}")
        for name, value, taken in (
            ("check", self.check, _CHECKS), ("on_damage", self.on_damage, _DAMAGE), ("trust", self.trust, TRUST),
        ):  # fmt: skip
            if value not in taken:
                raise BadJob(f"{name} is one of {', '.join(map(repr, taken))}, not {value!r}")
        if self.video is not None and self.video.free_filters and self.trust != "trusted":
            raise BadJob("free_filters= may read any file: they are taken with trust='trusted' only")

    @property
    def id(self) -> str:
        """32 hexadecimal digits that follow from all that the job says, but for its labels."""
        said = self.to_dict()
        said.pop("labels", None)
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]

    def to_json(self) -> str:
        """Give its JSON form, with the version of that."""
        return json.dumps({"version": VERSION, **self.to_dict()}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Make it of its JSON form.

        Raises
        ------
        BadJob
            If it is no job, or one of another version.
        """
        try:
            plain = json.loads(text)
        except ValueError as error:
            raise BadJob(f"this is no job in JSON: {error}") from None
        if not isinstance(plain, dict) or plain.get("version") != VERSION:
            found = plain.get("version") if isinstance(plain, dict) else plain
            raise BadJob(f"this is no job of version {VERSION}, which is the one known here: {found!r}")
        return cls.from_dict({name: value for name, value in plain.items() if name != "version"})


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _all(kind: type[_Value]) -> Any:
    return lambda row: tuple(kind.from_dict(item) for item in _row(row, kind.__name__))


# Name of a field -> what makes its value of the plain form.
_PARTS: dict[str, Any] = {
    "video": Video.from_dict, "audio": Audio.from_dict, "keep": Keep.from_dict, "trim": Trim.from_dict,
    "ladder": Ladder.from_dict, "pictures": _all(Picture), "rungs": _all(Rung),
    "sources": tuple, "size": tuple, "filters": tuple, "options": tuple,
    "fps": lambda value: _fraction("fps", value), "start": lambda value: _fraction("start", value),
    "end": lambda value: _fraction("end", value),
}  # fmt: skip


def _fraction(name: str, value: Any) -> Fraction:
    try:
        return Fraction(value)
    except (TypeError, ValueError, ZeroDivisionError):
        raise BadJob(f"{name} is a number, not {value!r}") from None


def _rate(value: Any) -> Fraction:
    return rate(Fraction(value) if isinstance(value, str) else value)


def _seconds(name: str, value: Any) -> Fraction:
    seconds = _fraction(name, value)
    if not 0 <= seconds < 1 << 32:
        raise BadJob(f"{name} is a number of seconds of at least 0, not {value!r}")
    return seconds.limit_denominator(1_000_000_000)


def _size(value: Any) -> tuple[int, int]:
    """Read width and height, of which one may be 0."""
    if isinstance(value, tuple | list) and len(value) == 2 and 0 in value and all(isinstance(n, int) for n in value):
        width, height = value
        if width + height > 0:
            return width, height
    found: Any = _asked(read_size, value)
    return (int(found[0]), int(found[1]))


def _row(value: Any, name: str) -> tuple[Any, ...]:
    if isinstance(value, str) or not isinstance(value, tuple | list):
        raise BadJob(f"{name} are given as a list, not as {value!r}")
    return tuple(value)


def _within(name: str, value: Any, least: float, most: float) -> None:
    if value is not None and (
        isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most
    ):
        raise BadJob(f"{name} is a number from {least} to {most}, not {value!r}")


def _asked(reads: Any, *values: Any) -> Any:
    """Read a value as the rest of the library does; what that refuses makes a bad job."""
    try:
        return reads(*values)
    except (ValueError, TypeError, ZeroDivisionError) as error:
        raise BadJob(str(error)) from None


_USUAL = ((1080, "5M"), (720, "2800k"), (480, "1200k"), (360, "700k"))
_RUNGS: tuple[Rung, ...] = tuple(Rung(height=height, bitrate=bitrate) for height, bitrate in _USUAL)
