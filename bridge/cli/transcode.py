"""``framebridge transcode``: film to film by jobs, one or many, with bars, and at the end what failed and why."""

from __future__ import annotations

import shlex
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.debug import debug_option, tell_all, wanted
from bridge.cli.progress import Progress, Task
from bridge.cli.terminal import byte_count, clean, seconds
from bridge.errors import BadJob, BridgeError
from bridge.jobs.batch import Ended, check_targets, run_all
from bridge.jobs.bench import Order
from bridge.jobs.presets import EXTENSIONS, PRESETS
from bridge.jobs.runner import Stop
from bridge.jobs.targets import is_written
from bridge.jobs.transcoding import job_of
from bridge.jobs.work import preview
from bridge.limits import TRUST, of_call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.jobs.step import Progress as Far

__all__ = ["command"]


def _rate(_ctx: click.Context, _option: click.Parameter, value: str | None) -> Fraction | None:
    """Read frames per second. Called by click."""
    from bridge.ffmpeg.argv import rate

    try:
        return None if value is None else rate(Fraction(value) if "/" in value else float(value))
    except (ValueError, ZeroDivisionError):
        message = f"{clean(value)!r} is no number of frames per second; write 25, 29.97 or 30000/1001"
        raise click.BadParameter(message) from None


def _time(_ctx: click.Context, _option: click.Parameter, value: str | None) -> Fraction | None:
    """Read a time: ``90``, ``1:30.5``, ``0:01:30``. Called by click."""
    try:
        parts = [] if value is None else [Fraction(part) for part in value.split(":")]
    except (ValueError, ZeroDivisionError):
        parts = [Fraction(-1)]
    if len(parts) > 3 or any(part < 0 for part in parts):
        raise click.BadParameter(f"{clean(value)!r} is no time; write seconds, 1:30.5 or 0:01:30")
    return sum((part * 60**place for place, part in enumerate(reversed(parts))), Fraction(0)) if parts else None


def _size(_ctx: click.Context, _option: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """Read a size: ``1280x720``, ``1280x`` or ``x720``. Called by click."""
    if value is None:
        return None
    width, is_size, height = value.lower().partition("x")
    if not is_size or not (width + height).isdigit() or not (width + height).isascii():
        raise click.BadParameter(f"{clean(value)!r} is no size; write 1280x720, 1280x or x720")
    return int(width or 0), int(height or 0)


def _workers(_ctx: click.Context, _option: click.Parameter, value: str) -> int | str:
    """Read how many chunks are encoded at a time. Called by click."""
    if value == "auto" or (value.isdigit() and value.isascii() and int(value)):
        return value if value == "auto" else int(value)
    raise click.BadParameter(f"{clean(value)!r} is no number of at least 1, nor auto")


@click.command("transcode")
@click.argument("names", metavar="SRC... [DST]", nargs=-1, required=True)
@click.option("--to", "folder", metavar="FOLDER", help="Put one result for each SRC there; then there is no DST.")
@click.option("--preset", type=click.Choice(list(PRESETS)), help="Settings that go together.")
@click.option("--ext", help="With --to: what the names of results end with, as .mkv.")
@click.option("--codec", "video_codec", help="copy, h264, hevc, av1, vp9, ffv1, ..., or one of ffmpeg's encoders.")
@click.option("--crf", type=float, help="Constant quality on the encoder's own scale.")
@click.option("--target-vmaf", type=float, help="Find the crf that gives this VMAF.")
@click.option("--target-ssim", type=float, help="Find the crf that gives this SSIM.")
@click.option("--bitrate", help="Bits per second, as 2M.")
@click.option("--two-pass", is_flag=True, default=None, help="Spend the bitrate after a look at the whole film.")
@click.option("--size", callback=_size, help="1280x720, 1280x or x720.")
@click.option("--fps", callback=_rate, help="A constant rate.")
@click.option("--pixel-format", help="As yuv420p10le.")
@click.option("--speed", help="The encoder's preset, as fast.")
@click.option("--filter", "filters", multiple=True, help="As crop=640:360:0:0; may be given again.")
@click.option("--no-video", is_flag=True, help="Leave the picture out.")
@click.option("--audio", "audio_codec", help="copy, none, or one of ffmpeg's encoders.")
@click.option("--audio-bitrate", help="As 160k.")
@click.option("--loudness", type=float, help="Bring the sound to so many LUFS, as -23.")
@click.option("--start", callback=_time, help="Begin there: seconds, 1:30.5 or 0:01:30.")
@click.option("--end", callback=_time, help="End there.")
@click.option("--check", type=click.Choice(["ssim", "psnr", "vmaf"]), help="Compare the result with SRC.")
@click.option("--on-damage", type=click.Choice(["raise", "warn", "ignore"]), default="raise", help="For a damaged SRC.")
@click.option("--trust", type=click.Choice(TRUST), default="normal", help="How far SRC is trusted.")
@click.option("--join", is_flag=True, help="Make one DST of all SRC, one after the other.")
@click.option("-j", "--jobs", type=click.IntRange(min=1), default=1, help="How many at a time.")
@click.option("--workers", callback=_workers, default="1", help="Chunks of each at a time; auto: where that pays.")
@click.option("--dask", metavar="ADDRESS", help="Encode chunks on that Dask cluster, as tcp://scheduler:8786.")
@click.option("--attempts", type=click.IntRange(min=1), default=1, help="Tries where another may help.")
@click.option("--deadline", type=float, help="Seconds that one may take.")
@click.option("--sidecar", is_flag=True, help="Lay NAME.job.json beside each result.")
@click.option("-n", "--dry-run", is_flag=True, help="Show the commands that would run, and run none.")
@click.option("-f", "--force", is_flag=True, help="Replace what is there already.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@debug_option
@click.pass_context
def command(ctx: click.Context, /, names: tuple[str, ...], **given: Any) -> int:
    """Transcode the film SRC to DST, or each SRC into a folder.

    What is not named stays as it is, as far as DST can hold it; what does not is told. A result appears when it is
    complete and checked. The same command again makes only what is not there yet.
    """
    how = {name: given.pop(name) for name in _HOW}
    try:
        orders = _orders(names, how, given)
        if how["dry_run"]:
            return _show(orders)
        return _run(ctx, orders, how)
    except BadJob as error:
        raise click.UsageError(clean(error)) from error


_HOW = ("folder", "ext", "join", "jobs", "attempts", "deadline", "sidecar", "dry_run", "force", "quiet", "trust",
        "workers", "dask")  # fmt: skip


def _orders(names: Sequence[str], how: dict[str, Any], given: dict[str, Any]) -> list[Order]:
    """Make the jobs."""
    wishes = {name: value for name, value in given.items() if value not in (None, ())}
    if wishes.pop("no_video"):
        wishes["video"] = False
    limits, stop = of_call(None, how["trust"]), Stop()
    orders = [
        Order(
            job=job_of(source, target, trust=limits.trust, **wishes),
            sources=source if isinstance(source, tuple) else (source,),
            target=target,
            limits=limits,
            deadline=how["deadline"],
            sidecar=how["sidecar"],
            again=how["force"],
            replace=how["force"],
            workers=how["workers"],
            executor=how["dask"],
            stop=stop,
        )
        for source, target in _pairs(names, how, given["preset"])
    ]
    check_targets([order.target for order in orders])
    return orders


def _pairs(names: Sequence[str], how: dict[str, Any], preset: str | None) -> list[tuple[Any, str]]:
    """Give each source with its target."""
    if how["folder"] is None:
        if len(names) < 2:
            raise click.UsageError("give SRC and DST, or --to FOLDER")
        *sources, target = names
        if len(sources) > 1 and not how["join"]:
            raise click.UsageError("several SRC go into --to FOLDER, or with --join into one DST")
        return [(tuple(sources) if how["join"] else sources[0], target)]
    if how["join"]:
        raise click.UsageError("--join makes one DST, and goes without --to")
    folder = Path(how["folder"])
    if not how["dry_run"]:
        folder.mkdir(parents=True, exist_ok=True)
    return [(name, str(folder / _named(name, how["ext"], preset))) for name in names]


def _named(source: str, ext: str | None, preset: str | None) -> str:
    """Name a result: by the extension that is given, the preset's, the source's own, or MP4."""
    path = Path(source)
    ending = ext or EXTENSIONS.get(preset or "") or (path.suffix if is_written(path.suffix) else ".mp4")
    return path.stem + (ending if ending.startswith(".") else f".{ending}")


def _show(orders: Sequence[Order]) -> int:
    """Show the commands that would run."""
    failed = 0
    for order in orders:
        try:
            shown = preview(order)
        except BridgeError as error:
            failed += 1
            click.echo(f"framebridge: {clean(error)}", err=True)
            continue
        for words in shown.commands:
            click.echo(clean(shlex.join(words)))
        for change in shown.changes:
            click.echo(f"note: {clean(order.target)}: {clean(change)}", err=True)
    return int(bool(failed))


class _Screen:
    """The bars, one for each job that is at work."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[int, Task] = {}

    def __call__(self, order: Order, what: Far | Ended) -> None:
        """Show how far a job is. Called from the thread that does it."""
        task = self._tasks.get(id(order))
        if task is None:
            task = self._tasks[id(order)] = self._progress.add(Path(str(order.target)).name)
        if isinstance(what, Ended):
            task.finish()
        else:
            task.reach(what.frames, what.total_frames, what.stage)


def _run(ctx: click.Context, orders: Sequence[Order], how: dict[str, Any]) -> int:
    """Run the jobs, and say how they ended."""
    ended: list[Ended] = []
    with Progress(quiet=how["quiet"]) as progress:
        going = run_all(
            orders, jobs=how["jobs"], stop=orders[0].stop, attempts=how["attempts"], report=_Screen(progress)
        )
        with closing(going):  # type: ignore[type-var] # a generator
            ended.extend(going)
    ended.sort(key=lambda one: orders.index(one.order))
    if not how["quiet"]:
        _tell(ended)
    failed = [one for one in ended if one.error is not None]
    for one in failed:
        if wanted(ctx) and one.error is not None:
            tell_all(one.error)
        click.echo(f"framebridge: {clean(_said(one))}", err=True)
    if len(ended) > 1 and not how["quiet"]:
        there = sum(one.result is not None and one.result.reused for one in ended)
        click.echo(f"{len(ended) - len(failed) - there} made, {there} there already, {len(failed)} failed")
    return int(bool(failed))


def _said(one: Ended) -> str:
    error = one.error
    said = str(error) if isinstance(error, BridgeError | OSError) else f"{type(error).__name__}: {error}"
    return f"{one.order.target}: {said}"


def _tell(ended: Sequence[Ended]) -> None:
    """Say what was made, and what has changed."""
    for one in ended:
        result = one.result
        if result is None:
            continue
        facts = [f"{result.frames} frames"] if result.frames else []
        facts += [seconds(result.seconds)] if result.seconds else []
        facts += [byte_count(result.size)]
        facts += [f"{name} {value:.4g}" for name, value in (result.found | result.checks).items()]
        there = "there already: " if result.reused else ""
        click.echo(clean(f"{one.order.target}: {there}{', '.join(filter(None, facts))}"))
        for change in result.changes if not result.reused else ():
            click.echo(f"note: {clean(one.order.target)}: {clean(change)}", err=True)
