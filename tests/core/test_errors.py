"""The error tree: each error is the builtin that it means, and crosses processes whole."""

from __future__ import annotations

import builtins
import copy
import pickle
import re

import pytest

from bridge import errors
from bridge.process.child import Exit

_WARNING = "DamageWarning"  # is no error
_ALL = [getattr(errors, name) for name in errors.__all__ if name != _WARNING]
_TREE = re.findall(r"^[│ ]*[├└]── (\w+) \((\w+)\)", errors.__doc__ or "", re.MULTILINE)


def _through_a_pickle(error: errors.BridgeError) -> errors.BridgeError:
    again: errors.BridgeError = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    return again


def test_the_list_is_whole_and_sorted() -> None:
    defined = {name for name, thing in vars(errors).items() if isinstance(thing, type) and issubclass(thing, Exception)}
    assert set(errors.__all__) == defined
    assert errors.__all__ == sorted(errors.__all__)


def test_the_tree_that_is_drawn_is_the_tree_that_is_there() -> None:
    assert {name for name, _ in _TREE} == set(errors.__all__) - {"BridgeError", _WARNING}


@pytest.mark.parametrize(("name", "builtin"), _TREE)
def test_each_is_the_builtin_that_it_means(name: str, builtin: str) -> None:
    cls = getattr(errors, name)
    assert issubclass(cls, errors.BridgeError)
    assert issubclass(cls, getattr(builtins, builtin))
    assert cls.__doc__


@pytest.mark.parametrize("cls", _ALL)
@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, _through_a_pickle],
    ids=["copy", "deepcopy", "pickle"],
)
def test_each_crosses_processes_whole(cls: type[errors.BridgeError], again: type) -> None:
    end = Exit(code=1, signal=None, seconds=0.5, stderr="bad")
    error = cls("a.mp4: it broke", command=("/bin/x", "-i"), exit=end, last_words="bad", got=7)
    made = again(error)
    assert type(made) is cls
    assert str(made) == made.message == "a.mp4: it broke"
    assert (made.command, made.exit, made.last_words, made.got) == (("/bin/x", "-i"), end, "bad", 7)


@pytest.mark.parametrize("cls", _ALL)
def test_a_message_is_all_that_is_needed_and_all_that_is_shown(cls: type[errors.BridgeError]) -> None:
    error = cls("it broke")
    assert str(error) == "it broke"
    assert (error.command, error.exit, error.last_words, error.got) == ((), None, "", None)
    assert _through_a_pickle(error).args == error.args


def test_a_note_goes_along() -> None:
    error = errors.CorruptMedia("it broke")
    error.add_note("frame 3")
    assert _through_a_pickle(error).__notes__ == ["frame 3"]
