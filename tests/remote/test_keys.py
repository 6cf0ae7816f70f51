"""Keys for connections between machines: how they are made and found, and what is refused without."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
import zmq

from bridge import errors
from bridge.remote.keys import WorkerKeys, is_loopback, make_keys, reader_keys, refuse_open
from bridge_workers.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path

AWAY = "tcp://camera.lan:5555"


@pytest.fixture(autouse=True)
def _no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRAMEBRIDGE_KEYS", raising=False)


def test_keygen_makes_files_and_secrets_are_their_owners_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new" / "keys"
    assert main(["keygen", str(folder)]) == 0
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == {"worker.public", "worker.secret", "reader.secret", "readers/reader.public"}
    assert {line.rpartition("/")[2] for line in capsys.readouterr().out.split()} == {
        name.rpartition("/")[2] for name in names
    }
    for path in folder.rglob("*.secret"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    secret = (folder / "reader.secret").read_bytes().strip()
    assert zmq.curve_public(secret) == (folder / "readers/reader.public").read_bytes().strip()


def test_keygen_adds_readers_and_never_writes_over_a_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_keys(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    assert main(["keygen", str(tmp_path), "anna", "ben"]) == 0
    assert (tmp_path / "readers" / "anna.public").exists()
    assert main(["keygen", str(tmp_path)]) == 1
    assert "reader.secret is there already" in capsys.readouterr().err
    for name in ("worker", "../x", ""):
        with pytest.raises(errors.UriError):
            make_keys(tmp_path, [name])
    assert {path: path.read_bytes() for path in before} == before


def test_which_keys_are_let_in_is_looked_up_each_time(tmp_path: Path) -> None:
    make_keys(tmp_path)
    keys = WorkerKeys.of(tmp_path)
    public = tmp_path / "readers" / "reader.public"
    key = public.read_bytes().strip()
    assert keys.lets_in(key)
    assert not keys.lets_in((tmp_path / "worker.public").read_bytes().strip())
    public.unlink()
    assert not keys.lets_in(key)
    assert not keys.lets_in(b"")


@pytest.mark.parametrize("address", ["tcp://*:5555", "tcp://0.0.0.0:5555", "tcp://[::]:1", "tcp://eth0:1", AWAY])
def test_without_keys_nothing_is_open_to_other_machines(address: str) -> None:
    assert not is_loopback(address)
    with pytest.raises(errors.ForbiddenUri, match=r"framebridge-worker keygen"):
        refuse_open(address, None)
    with pytest.raises(errors.ForbiddenUri, match=r"framebridge-worker keygen"):
        reader_keys(address, None, None)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "[::1]", "localhost"])
def test_on_this_machine_none_are_needed(host: str) -> None:
    refuse_open(f"tcp://{host}:1", None)
    assert reader_keys(f"tcp://{host}:1", None, None) is None


def test_a_reader_finds_its_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_keys(tmp_path, ["anna"])
    public = (tmp_path / "worker.public").read_text().strip()
    found = reader_keys(AWAY, None, tmp_path)
    assert found is not None
    assert found.worker == public.encode()
    for named in (public, tmp_path / "worker.public"):
        assert reader_keys(AWAY, named, tmp_path / "anna.secret") == found
    monkeypatch.setenv("FRAMEBRIDGE_KEYS", str(tmp_path))
    assert reader_keys(AWAY, None, None) == found
    monkeypatch.delenv("FRAMEBRIDGE_KEYS")
    with pytest.raises(errors.ForbiddenUri, match="needs keys="):
        reader_keys(AWAY, public, None)


def test_what_are_no_good_keys(tmp_path: Path) -> None:
    make_keys(tmp_path, ["anna", "ben"])
    with pytest.raises(errors.UriError, match=r"anna\.secret, ben\.secret"):
        reader_keys(AWAY, None, tmp_path)
    (tmp_path / "ben.secret").unlink()
    (tmp_path / "anna.secret").chmod(0o640)
    with pytest.raises(errors.ForbiddenUri, match="chmod 600"):
        reader_keys(AWAY, None, tmp_path)
    (tmp_path / "anna.secret").chmod(0o600)
    (tmp_path / "anna.secret").write_text("nothing")
    with pytest.raises(errors.UriError, match="has no key in it"):
        reader_keys(AWAY, None, tmp_path)
    with pytest.raises(errors.UriNotFound, match="keygen"):
        reader_keys(AWAY, None, tmp_path / "none")
    (tmp_path / "worker.secret").chmod(0o644)
    with pytest.raises(errors.ForbiddenUri, match="chmod 600"):
        WorkerKeys.of(tmp_path)
