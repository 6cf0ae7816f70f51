"""Prints what comes of each hostile input at each level of trust, as a table in Markdown."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from lib.ground import ground

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from pathlib import Path

    from tests.hostile.case import Case, World

LEVELS = ("trusted", "normal", "untrusted")


def rows(world: World, folder: Path, levels: list[str], *, everything: bool) -> Iterator[tuple[str, ...]]:
    """Run the catalogue; give the cells of each row."""
    import bridge
    from tests.hostile.forms import png
    from tests.hostile.runner import run
    from tests.hostile.watch import Stands

    stands = Stands(folder / "stands")
    bridge.imread(png())  # whatever lasts, once started, has been started
    for number, (case, level) in enumerate((case, level) for case in cases(everything=everything) for level in levels):
        if level in case.levels:
            outcome = run(case, level, world.place(folder / f"{number}"), stands)
            wrong = "; ".join(outcome.faults)
            result = f"{outcome.result} **{wrong}**" if wrong else outcome.result
            yield str(case.number), case.name, level, plain(result), f"{outcome.seconds:.2f}", "no" if wrong else "yes"


def cases(*, everything: bool) -> Iterator[Case]:
    """Give the catalogue, or with a cut at every hundredth of every format, too."""
    from tests.hostile.case import Case, decode
    from tests.hostile.damage import SEEDS, compare, cuts
    from tests.hostile.makers import CASES

    yield from CASES
    for name in SEEDS if everything else ():

        def hundred(_: random.Random) -> list[int]:
            return [*range(1, 100)]

        right = decode(lambda told: not told)
        yield Case(85, f"cut-everywhere-{name}", cuts(name, hundred), right, trusted=right, read=compare, seconds=300)


def plain(text: str) -> str:
    """Make a text fit into a cell."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(text.split()))
    return shown.replace("|", "\\|")[:240]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["hostile"])
    parser.add_argument("levels", nargs="*", default=[], metavar="LEVEL", help=", ".join(LEVELS))
    parser.add_argument("--all", action="store_true", help="cut every format at every hundredth, which takes minutes")
    given = parser.parse_args()
    if unknown := {*given.levels} - {*LEVELS}:
        parser.error(f"no such level: {', '.join(sorted(unknown))}")
    from tests.hostile.case import World

    count = wrong = 0
    print("| number | name | level | result | seconds | as promised |\n|---|---|---|---|---|---|")
    with ground() as folder, World(folder) as world:
        for cells in rows(world, folder, given.levels or [*LEVELS], everything=given.all):
            print("|", " | ".join(map(plain, cells[:3])), "|", " | ".join(cells[3:]), "|", flush=True)
            count += 1
            wrong += cells[-1] == "no"
    print(f"\n{count} rows, {wrong} not as promised")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
