"""Changes small files at random and reads what comes of it; keeps each that broke a promise in tests/hostile/corpus."""

from __future__ import annotations

import argparse
import secrets
import sys

from lib.ground import ROOT, ground

CORPUS = ROOT / "tests" / "hostile" / "corpus"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="does the same again")
    given = parser.parse_args()

    import bridge
    from tests.hostile.case import World
    from tests.hostile.forms import png
    from tests.hostile.fuzz import fuzz

    print(f"seed {given.seed}", flush=True)
    with ground() as folder, World(folder) as world:
        bridge.imread(png())  # whatever lasts, once started, has been started
        count, findings = fuzz(world.place(folder), given.seconds, given.seed)
    for finding in findings:
        (CORPUS / finding.name).write_bytes(finding.data)
        print(f"{CORPUS / finding.name} at {finding.level}: {finding.fault}")
    print(f"{count} inputs in {given.seconds:g} s, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
