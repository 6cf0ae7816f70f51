"""parse: what a uri means, by its type and form alone."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.uri import Device, FileObject, FilePath, RawBytes, Resource, ReturnBytes, Url, parse
from bridge.errors import UriError

_names = st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("uri", "resource"),
    [
        ("/a/b.png", FilePath(path=Path("/a/b.png"))),
        (Path("/a/b.png"), FilePath(path=Path("/a/b.png"))),
        ("/a/../b.png", FilePath(path=Path("/b.png"))),
        ("//a//b", FilePath(path=Path("//a/b"))),
        ("file:///a/b%20c.png", FilePath(path=Path("/a/b c.png"))),
        ("FILE:///a/%C3%BC.png", FilePath(path=Path("/a/ü.png"))),
        ("file:///a/100%25.png", FilePath(path=Path("/a/100%.png"))),
        ("/a/100%25.png", FilePath(path=Path("/a/100%25.png"))),
        ("<bytes>", ReturnBytes()),
        ("<screen>", Device(name="screen")),
        ("<clipboard>", Device(name="clipboard")),
        ("<video0>", Device(name="video0")),
        ("<video12>", Device(name="video12")),
        ("http://a/b.png", Url(address="http://a/b.png")),
        ("https://a/b.png?c=d", Url(address="https://a/b.png?c=d")),
        ("s3://bucket/key", Url(address="s3://bucket/key")),
        (b"\x89PNG", RawBytes(data=b"\x89PNG")),
        (bytearray(b"ab"), RawBytes(data=b"ab")),
        pytest.param(memoryview(b"ab"), RawBytes(data=b"ab"), id="memoryview"),
        (b"", RawBytes(data=b"")),
    ],
    ids=repr,
)
def test_the_closed_set_of_cases(uri: Any, resource: Resource) -> None:
    assert parse(uri) == resource


def test_a_file_object_is_kept() -> None:
    file = io.BytesIO()
    assert parse(file) == FileObject(file=file)
    assert "BytesIO" in str(parse(file))


@pytest.mark.parametrize(
    "uri",
    [
        "a.png",
        "-i",
        "<video>",
        "<Screen>",
        "< screen>",
        "<video0>x",
        "concat:a|b",
        "data:,x",
        "pipe:0",
        "a%03d.png",
        "*.png",
        "c://",
        "x:y.png",
    ],
)
def test_everything_else_is_a_file_name_of_this_folder(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if uri == "c://":
        assert parse(uri) in (Url(address=uri), FilePath(path=tmp_path / "c:"))
    else:
        assert parse(uri) == FilePath(path=tmp_path / uri)


def test_what_looks_like_a_device_is_a_file_with_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse("./<screen>") == FilePath(path=tmp_path / "<screen>")
    assert parse("./http:/a") == FilePath(path=tmp_path / "http:" / "a")
    assert parse(Path("<screen>")) == FilePath(path=tmp_path / "<screen>")


def test_the_users_folder_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert parse("~/a.png") == FilePath(path=Path("/home/somebody/a.png"))
    assert parse("a~") == FilePath(path=Path.cwd() / "a~")
    assert parse("~nobody-of-that-name/a") == FilePath(path=Path.cwd() / "~nobody-of-that-name/a")


def test_a_home_is_only_meant_in_what_a_person_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert parse("file:///~/a.png") == FilePath(path=Path("/~/a.png"))


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    assert parse(tmp_path / "link") == FilePath(path=tmp_path / "link")


@pytest.mark.parametrize("uri", ["", "a\0b", "file:///a%00b", Path("a\0b"), "\0"], ids=repr)
def test_what_is_no_file_name_is_refused(uri: Any) -> None:
    with pytest.raises(UriError):
        parse(uri)


@pytest.mark.parametrize("uri", [None, 1, 1.5, ["a.png"], pytest.param(object(), id="object"), {"a": 1}], ids=repr)
def test_what_is_no_uri_is_refused(uri: Any) -> None:
    with pytest.raises(UriError, match=type(uri).__name__):
        parse(uri)
    with pytest.raises(ValueError, match="a uri is"):  # the builtin that it means
        parse(uri)


def test_a_path_of_bytes_is_a_path() -> None:
    class Ours:
        def __fspath__(self) -> bytes:
            return b"/a/\xff.png"

    assert parse(Ours()) == FilePath(path=Path(os.fsdecode(b"/a/\xff.png")))


@given(_names)
def test_a_file_uri_is_the_path_that_it_was_made_of(name: str) -> None:
    path = Path("/folder", name)
    assert parse("file://" + quote(str(path))) == parse(path) == parse(str(path))


@given(st.text(max_size=30))
def test_every_text_is_something_or_a_typed_error(text: str) -> None:
    try:
        resource = parse(text)
    except UriError:
        return
    assert isinstance(str(resource), str)
    if isinstance(resource, FilePath):
        assert resource.path.is_absolute()
