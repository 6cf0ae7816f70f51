"""framebridge-worker: says which workers this version has."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> int:
    """Tell that there is no worker yet; the exit status says so too."""
    print("framebridge-worker: this version has no workers yet", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
