"""A script written to the text: nothing is changed in it but its import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import bridge
from tests.contract.text import says

if TYPE_CHECKING:
    from tests.contract.conftest import Files

SCRIPT = """
import io
import sys
import numpy as np
import bridge as imageio

film, picture = sys.argv[1:]

# Read
im = imageio.imread(picture)
print(im.shape, im.dtype, type(im.meta).__name__)
imageio.imwrite("copy.png", im)
imageio.imsave("gray.jpg", im[:, :, 0])

# Bytes
content = imageio.imwrite(imageio.RETURN_BYTES, im, format="png")
assert isinstance(content, bytes) and imageio.imwrite("<bytes>", im, "png")
assert (imageio.imread(content) == im).all()
with open("copy.png", "rb") as f:
    assert (imageio.imread(f) == im).all()
buffer = io.BytesIO()
imageio.imwrite(buffer, im, format="png")
assert buffer.getvalue()[1:4] == b"PNG"

# Archives
imageio.imwrite("pictures.zip/eggs.png", im)
assert (imageio.imread("pictures.zip/eggs.png") == im).all()

# Films, frame by frame
reader = imageio.get_reader(film)
fps = reader.get_meta_data()["fps"]
writer = imageio.get_writer("copy.mp4", fps=fps)
for i, frame in enumerate(reader):
    writer.append_data(frame)
writer.close()
reader.close()
print(i + 1, fps, reader.closed, writer.closed)
reader = imageio.read("copy.mp4", "mp4")
print(len(reader), reader.get_data(3).shape, reader.get_next_data().meta["index"])
reader.close()

# A series
ims = imageio.mimread("copy.mp4")
imageio.mimsave("moving.gif", ims, fps=10)
imageio.mimwrite("moving2.gif", ims, fps=5)
print(len(ims), len(imageio.mimread("moving.gif", memtest=False)))

# Volumes
vol = np.arange(60, dtype="uint16").reshape(3, 4, 5)
imageio.volwrite("volume.tif", vol)
imageio.volsave("volume.npz", vol)
assert (imageio.volread("volume.tif") == vol).all()
imageio.mvolwrite("volumes.npz", [vol, vol + 1])
imageio.mvolsave("volumes2.npz", [vol])
print(len(imageio.mvolread("volumes.npz")))

# More control
with imageio.get_reader("moving.gif", mode="I") as r:
    assert isinstance(r, imageio.core.format.Reader)
    print(r.get_length(), r.format.name.startswith("GIF"), r.request is not None)
    for im in r.iter_data():
        im.meta
with imageio.get_writer("more.tif", mode="I") as w:
    assert isinstance(w, imageio.core.format.Writer)
    w.set_meta_data({"description": "pages"})
    for index in range(3):
        w.append_data(vol[index], {"index": index})

imageio.help()
imageio.help("png")
imageio.help("clip.mp4")
imageio.show_formats()
for format in imageio.formats:
    format.name, format.description, format.extensions, format.modes, format.doc
print("the end")
"""


@says(
    "These functions represent imageio's main interface for the user.",
    "They provide a common API to read and write image data for a large variety of formats.",
)
@pytest.mark.program
@pytest.mark.needs("ffmpeg", "magick")
def test_a_script_that_only_changed_its_import(files: Files, tmp_path: Path) -> None:
    paths = [str(Path(bridge.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, files("MP4"), files("PNG")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "(32, 48, 3) uint8 dict"
    assert lines[1] == "6 25.0 True True" or lines[1] == "6 25 True True"
    assert lines[2] == "6 (48, 64, 3) 4"
    assert lines[3] == "6 6"
    assert lines[4] == "2"
    assert lines[5] == "6 True True"
    assert lines[-1] == "the end"
    assert not done.stderr


@pytest.mark.parametrize("format", list(bridge.formats), ids=lambda format: format.name)
def test_help_for_every_format(format: bridge.core.format.Format, capsys: pytest.CaptureFixture[str]) -> None:
    bridge.help(format.name)
    printed = capsys.readouterr().out
    assert format.name in printed
    assert format.description in printed
    for extension in format.extensions:
        for name in (extension, "c:\\foo\\bar" + extension):
            bridge.help(name)
            first = capsys.readouterr().out.split()[0]
            assert extension in bridge.formats[first].extensions
