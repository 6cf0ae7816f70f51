"""Every sentence of the seed's text is proved by some test, and every Format has a file to prove it with."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

import bridge
from tests.contract.samples import SAMPLES, UNSAMPLED
from tests.contract.text import plain, says, sentences

# Sentences that promise nothing by themselves.
SAID_ELSEWHERE = {
    "See also the formats page.",
    "PIL returns).",  # the end of a sentence that has an "e.g." in it
}


@functools.cache
def quoted() -> list[str]:
    """What the tests of this folder say that they prove."""
    words = []
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "says":
                words += [plain(ast.literal_eval(argument)) for argument in node.args]
    return words


@pytest.mark.parametrize("sentence", [sentence for sentence in sentences() if sentence not in SAID_ELSEWHERE])
def test_every_sentence_has_its_test(sentence: str) -> None:
    assert any(sentence in words for words in quoted())


@says("They provide a common API to read and write image data for a large variety of formats.")
def test_every_format_that_reads_has_a_file_here() -> None:
    readers = {format.name for format in bridge.formats if format.reader}
    assert readers - set(UNSAMPLED) == {sample.format for sample in SAMPLES}
    assert len(readers) > 40
