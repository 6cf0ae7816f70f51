"""What users may give for a keyword of a reader."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["switch"]


def switch(name: str, value: Any) -> bool:
    """Read a keyword that is True or False, and nothing that only counts as such.

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> switch("rotate", np.True_)
    True
    """
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise ValueError(f"{name} is True or False, not {value!r}")
