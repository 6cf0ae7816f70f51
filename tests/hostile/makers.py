"""All 104 inputs of the catalogue, each with what is right at each level of trust."""

from __future__ import annotations

from tests.hostile import bombs, damage, disguise, names, oddities, references

__all__ = ["CASES"]

CASES = (*disguise.CASES, *references.CASES, *names.CASES, *bombs.CASES, *damage.CASES, *oddities.CASES)
