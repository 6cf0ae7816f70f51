"""SVG, PDF and PostScript: drawn where they are trusted, as large as is asked for, whole or not at all."""

from __future__ import annotations

import shutil
import struct
import subprocess
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import bridge
from bridge import errors
from bridge.magick import ghostscript
from bridge.process.child import Child
from bridge.process.tools import toolbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Pixels = np.ndarray[Any, Any]

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)

SVG = b"""<?xml version="1.0"?>
<svg xmlns="http://www.w3.org/2000/svg" width="60" height="40" viewBox="0 0 60 40">
<rect x="0" y="0" width="20" height="40" fill="#ff0000" stroke="none"/>
<rect x="20" y="0" width="20" height="40" fill="rgba(0,0,255,0.5)" stroke="none"/>
</svg>"""


def pdf(*pages: tuple[str, bytes], more: bytes = b"") -> bytes:
    """Make a PDF of pages, each of what describes it and what draws it."""
    kids = " ".join(f"{3 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>".encode()]
    for facts, content in pages:
        objects.append(f"<</Type/Page/Parent 2 0 R/Contents {len(objects) + 2} 0 R{facts}>>".encode())
        objects.append(b"<</Length %d>>stream\n%s\nendstream" % (len(content), content))
    out, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    end = b"trailer<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, more, len(out))
    return out + head + table + end


WIDE = ("/MediaBox[0 0 100 50]", b"1 0 0 rg 10 10 30 20 re f")
TALL = ("/MediaBox[0 0 60 80]", b"0 0 1 rg 0 0 30 40 re f")
SICK = ("/MediaBox[0 0 60 80]", b"0 0 1 rg 0 0 30 40 re f /Missing Do 0 1 0 rg 0 0 60 80 re f")
TWO = pdf(WIDE, TALL)

PS = b"""%!PS-Adobe-3.0
<</PageSize [100 50]>> setpagedevice 1 0 0 setrgbcolor 10 10 30 20 rectfill (page 1 1 9 9) = showpage
<</PageSize [60 80]>> setpagedevice 0 0 1 setrgbcolor 0 0 30 40 rectfill showpage
"""
QUIET_PS = PS.replace(b"(page 1 1 9 9) = ", b"(drawn) = ")
EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 10 20 50 40
%%EndComments
1 0 0 setrgbcolor 10 20 20 20 rectfill 0 1 0 setrgbcolor 30 20 20 20 rectfill showpage
%%EOF
"""
BINARY_EPS = struct.pack("<IIIIIIIH", 0xC6D3D0C5, 30, len(EPS), 0, 0, 0, 0, 0xFFFF) + EPS


def read(data: Any, **keywords: Any) -> Pixels:
    return np.asarray(bridge.imread(data, **{"trust": "trusted", **keywords}))


def wide(scale: int = 1) -> Pixels:
    """What `WIDE` looks like."""
    page = np.full((50 * scale, 100 * scale, 3), 255, np.uint8)
    page[20 * scale : 40 * scale, 10 * scale : 40 * scale] = RED
    return page


def tall(scale: int = 1) -> Pixels:
    page = np.full((80 * scale, 60 * scale, 3), 255, np.uint8)
    page[40 * scale :, : 30 * scale] = BLUE
    return page


def forbidden(*_: Any, **__: Any) -> Any:
    pytest.fail("a program was started")


# Trust


@pytest.mark.parametrize("trust", ["normal", "untrusted"])
@pytest.mark.parametrize("data", [SVG, TWO, PS, EPS, BINARY_EPS], ids=["svg", "pdf", "ps", "eps", "binary eps"])
@pytest.mark.parametrize("call", [bridge.imread, bridge.probe, bridge.get_reader])
def test_documents_are_refused_unless_they_are_trusted(
    call: Callable[..., Any], data: bytes, trust: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Child, "__init__", forbidden)
    with pytest.raises(errors.ForbiddenFormat, match="trust='trusted'"):
        call(data, trust=trust)


def test_a_name_does_not_help(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(TWO)
    with pytest.raises(errors.ForbiddenFormat, match="PDF document"):
        bridge.imread(tmp_path / "picture.png")
    for name in ("PDF", "PS", "SVG"):
        with pytest.raises(errors.ForbiddenFormat):
            bridge.imread(TWO, format=name)


# SVG


def drawn_here() -> bool:
    """Tell whether this ImageMagick draws SVG; where not, that is said."""
    if bridge.formats["SVG"].missing():
        with pytest.raises(errors.MissingCodec, match="SVG"):
            read(SVG)
        return False
    return True


@pytest.mark.program
@pytest.mark.needs("magick")
def test_svg_has_its_size_its_colours_and_its_transparency() -> None:
    if not drawn_here():
        return
    image = read(SVG)
    assert (image.shape, image.dtype) == ((40, 60, 4), np.uint8)
    assert tuple(image[20, 10]) == (*RED, 255)
    assert tuple(image[20, 50])[3] == 0
    assert tuple(image[20, 30])[:3] == BLUE
    assert abs(int(image[20, 30, 3]) - 128) <= 1


@pytest.mark.program
@pytest.mark.needs("magick")
def test_it_is_told_where_imagemagick_draws_svg_itself() -> None:
    if drawn_here():
        told = "changes" in bridge.imread(SVG, trust="trusted").meta["FILE"]
        assert told == ("rsvg" not in toolbox().abilities("magick").delegates)


@pytest.mark.program
@pytest.mark.needs("magick")
def test_svg_is_drawn_at_the_resolution_that_is_asked_for() -> None:
    if not drawn_here():
        return
    image = read(SVG, dpi=192)
    assert image.shape == (80, 120, 4)
    assert (image[:, :39] == (*RED, 255)).all()  # an enlarged picture would be blurred there
    assert read(SVG, dpi=192, crop=(0, 0, 10, 20)).shape == (20, 10, 4)
    assert read(SVG, size=(30, 20)).shape == (20, 30, 4)
    assert bridge.probe(SVG, trust="trusted").pages[0].shape == (40, 60, 4)
    with pytest.raises(errors.LimitExceeded):
        bridge.imread(SVG, dpi=192, limits=bridge.Limits(trust="trusted", pixels=9000))


@pytest.mark.program
@pytest.mark.needs("magick")
def test_a_damaged_svg_raises() -> None:
    if drawn_here():
        with pytest.raises((errors.CorruptMedia, errors.TruncatedMedia)):
            read(SVG[:100])


# Pages


@pytest.mark.parametrize("dpi", [0, -1, 4801, "many", True, float("nan"), [72]])
@pytest.mark.parametrize("data", [SVG, TWO], ids=["svg", "pdf"])
def test_what_is_no_resolution(data: bytes, dpi: Any) -> None:
    with pytest.raises(ValueError, match="dpi must be a number from 1 to 4800"):
        read(data, dpi=dpi)


@pytest.mark.program
@pytest.mark.needs("gs")
@pytest.mark.parametrize("data", [TWO, QUIET_PS], ids=["pdf", "ps"])
def test_pages_come_with_their_own_sizes(data: bytes) -> None:
    pages = bridge.mimread(data, trust="trusted")
    assert [np.array_equal(*pair) for pair in zip(pages, (wide(), tall()), strict=True)] == [True, True]
    assert [page.shape for page in bridge.probe(data, trust="trusted").pages] == [(50, 100, 3), (80, 60, 3)]
    assert np.array_equal(read(data, dpi=144), wide(2))


@pytest.mark.program
@pytest.mark.needs("gs")
@pytest.mark.parametrize("data", [TWO, QUIET_PS], ids=["pdf", "ps"])
@pytest.mark.parametrize("mode", ["?", "i", "I"])
def test_pages_are_read_in_any_order(data: bytes, mode: str) -> None:
    with bridge.get_reader(data, mode=mode, trust="trusted", dpi=36) as reader:
        assert reader[1].shape == (40, 30, 3)
        assert reader[0].shape == (25, 50, 3)
        assert len(reader) == 2
        assert reader[-1].meta["index"] == 1
        assert [page.shape for page in reader] == [(25, 50, 3), (40, 30, 3)]
        assert reader.get_meta_data()["FILE"]["nframes"] == 2
        with pytest.raises(errors.NoSuchFrame, match="2 image"):
            reader.get_data(2)


@pytest.mark.program
@pytest.mark.needs("gs")
def test_the_metadata_of_a_page() -> None:
    meta = bridge.imread(TWO, trust="trusted", dpi=144).meta
    assert (meta["FILE"]["format"], meta["FILE"]["size"], meta["FILE"]["dpi"]) == ("PDF", (200, 100), 144)
    assert meta["FILE"]["source"].startswith("Ghostscript ")


@pytest.mark.program
@pytest.mark.needs("gs")
@pytest.mark.parametrize("dpi", [2, 33.3, 100, 333])
def test_sizes_are_those_of_the_program_itself(dpi: float, tmp_path: Path) -> None:
    data = pdf(("/MediaBox[0 0 100.3 50.7]", WIDE[1]), ("/MediaBox[10 10 70.5 90]/Rotate 90", TALL[1]))
    (tmp_path / "a.pdf").write_bytes(data)
    argv = ["gs", "-q", "-dBATCH", "-dNOPAUSE", "-sDEVICE=pnggray", f"-r{dpi}", f"-sOutputFile={tmp_path}/%d.png"]
    subprocess.run([*argv, f"{tmp_path}/a.pdf"], check=True, timeout=60)
    pages = bridge.mimread(data, trust="trusted", dpi=dpi)
    for number, page in enumerate(pages, 1):
        with Image.open(tmp_path / f"{number}.png") as wanted:
            assert page.shape[1::-1] == wanted.size
    with bridge.get_reader(data, trust="trusted", dpi=dpi) as reader:
        assert [page.shape for page in reader.info.pages] == [page.shape for page in pages]


@pytest.mark.program
@pytest.mark.needs("gs")
def test_what_a_viewer_shows_of_a_page() -> None:
    page = ("/MediaBox[0 0 100 50]/CropBox[10 10 60 40]/Rotate 90", b"1 0 0 rg 10 10 25 30 re f")
    image = read(pdf(page))
    assert image.shape == (50, 30, 3)
    assert (image[:25] == RED).all()
    assert (image[25:] == WHITE).all()


@pytest.mark.program
@pytest.mark.needs("gs")
@pytest.mark.parametrize("data", [EPS, BINARY_EPS, EPS.replace(b"showpage", b"")], ids=["eps", "binary", "unshown"])
def test_eps_is_its_bounding_box(data: bytes) -> None:
    image = read(data, dpi=144)
    assert image.shape == (40, 80, 3)
    assert (image[:, :40] == RED).all()
    assert (image[:, 40:] == GREEN).all()


@pytest.mark.program
@pytest.mark.needs("gs")
def test_edges_are_smoothed() -> None:
    image = read(pdf(("/MediaBox[0 0 20 20]", b"0 0 m 20 20 l 20 0 l f")))
    assert len(np.unique(image)) > 2


@pytest.mark.program
@pytest.mark.needs("gs")
def test_parts_and_sizes() -> None:
    assert np.array_equal(read(TWO, crop=(10, 15, 40, 20)), wide()[15:35, 10:50])
    assert np.array_equal(read(TWO, region=(20, 30, 80, 40), dpi=144), wide(2)[30:70, 20:100])
    assert np.array_equal(read(TWO, size=(300, 150)), wide(3))  # drawn so, not scaled
    assert np.array_equal(read(TWO, size="300x150", dpi=10), wide(3))
    assert np.array_equal(read(TWO, crop=(10, 15, 40, 20), size=(80, 40)), wide(2)[30:70, 20:100])
    assert read(TWO, size=(2, 1)).shape == (1, 2, 3)
    assert read(TWO, dpi=1).shape == (1, 1, 3)
    assert [page.shape for page in bridge.mimread(TWO, trust="trusted", size=(33, 44))] == [(44, 33, 3)] * 2
    assert bridge.imread(TWO, trust="trusted", crop=(10, 15, 40, 20)).meta["FILE"]["source_size"] == (100, 50)
    with pytest.raises(errors.UnsupportedPixels, match="does not lie inside"):
        read(TWO, crop=(90, 0, 20, 20))
    with pytest.raises(ValueError, match="size is"):
        read(TWO, size="large")
    with pytest.raises(TypeError, match="colorspace"):
        read(TWO, colorspace="srgb")


@pytest.mark.program
@pytest.mark.needs("gs")
def test_the_edge_of_the_paper_is_white_when_a_part_is_enlarged() -> None:
    odd = pdf(("/MediaBox[0 0 10.5 10.5]", b"1 0 0 rg 0 0 20 20 re f"))
    image = read(odd, crop=(8, 8, 3, 3), size=(60, 60))
    assert image.shape == (60, 60, 3)
    assert tuple(image[0, 0]) == tuple(image[-1, 0]) == RED or tuple(image[0, -1]) == WHITE


@pytest.mark.program
@pytest.mark.needs("gs")
@pytest.mark.parametrize("keywords", [{}, {"dpi": 300}, {"size": (2000, 1000)}])
def test_pages_that_are_too_large_are_not_drawn(keywords: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ghostscript, "draw", forbidden)
    for name, limits in (
        ("pixels", bridge.Limits(trust="trusted", pixels=4999)),
        ("side", bridge.Limits(trust="trusted", side=99)),
    ):
        with pytest.raises(errors.LimitExceeded, match=f"limit {name}"):
            bridge.imread(TWO, limits=limits, **keywords)


@pytest.mark.program
@pytest.mark.needs("gs")
def test_a_later_page_that_is_too_large_is_not_drawn_on_the_way() -> None:
    huge = ("/MediaBox[0 0 14000 14000]", b"1 0 0 rg 0 0 9999 9999 re f")
    limits = bridge.Limits(trust="trusted", pixels=10_000)
    with bridge.get_reader(pdf(WIDE, TALL, huge, TALL), limits=limits) as reader:
        assert reader[0].shape == (50, 100, 3)
        assert reader[1].shape == (80, 60, 3)
        with pytest.raises(errors.LimitExceeded, match="14000x14000"):
            reader.get_data(2)
        assert reader[3].shape == (80, 60, 3)


# Damage


@pytest.mark.program
@pytest.mark.needs("gs")
@pytest.mark.parametrize("left", [20, 120])
def test_a_pdf_that_is_cut_short(left: int) -> None:
    for call in (bridge.imread, bridge.mimread, bridge.probe):
        with pytest.raises((errors.CorruptMedia, errors.TruncatedMedia), match=r"Ghostscript .*: \S"):
            call(TWO[:left], trust="trusted")


@pytest.mark.program
@pytest.mark.needs("gs")
def test_a_half_drawn_page_is_never_given() -> None:
    with pytest.raises(errors.CorruptMedia):
        read(pdf(SICK))
    shapes = []
    with bridge.get_reader(pdf(WIDE, SICK, TALL), trust="trusted") as reader, pytest.raises(errors.TruncatedMedia):
        for page in reader:
            shapes.append(page.shape)  # noqa: PERF401 - what came before the error
    assert shapes == [(50, 100, 3)]
    with pytest.raises(errors.TruncatedMedia, match="on_damage='warn'"):
        bridge.mimread(pdf(WIDE, SICK, TALL), trust="trusted")
    assert np.array_equal(read(pdf(WIDE, SICK, TALL)), wide())  # the first page is whole


@pytest.mark.program
@pytest.mark.needs("gs")
def test_what_can_be_drawn_of_a_damaged_pdf() -> None:
    with pytest.warns(bridge.errors.DamageWarning):
        pages = bridge.mimread(pdf(WIDE, SICK, TALL), trust="trusted", on_damage="warn")
    assert [page.shape for page in pages] == [(50, 100, 3), (80, 60, 3), (80, 60, 3)]
    assert len(bridge.mimread(pdf(WIDE, SICK, TALL), trust="trusted", on_damage="ignore")) == 3


@pytest.mark.program
@pytest.mark.needs("gs")
def test_a_password_is_asked_for_in_its_own_words() -> None:
    locked = b"/Encrypt<</Filter/Standard/V 1/R 2/P -4/O<" + b"11" * 32 + b">/U<" + b"22" * 32 + b">>>/ID[<00><00>]"
    with pytest.raises(errors.CorruptMedia, match=r"(?i)password"):
        read(pdf(WIDE, more=locked))


@pytest.mark.program
@pytest.mark.needs("gs")
def test_an_error_in_postscript() -> None:
    broken = QUIET_PS + b"0 0 9 9 rectfill nonsense showpage\n"
    with pytest.raises(errors.TruncatedMedia, match="undefined in nonsense") as caught:
        bridge.mimread(broken, trust="trusted")
    assert "Operand stack" not in str(caught.value)
    assert np.array_equal(read(broken), wide())  # the first page is whole
    with pytest.raises(errors.CorruptMedia, match="undefined in nonsense"):
        read(b"%!PS\nnonsense showpage\n")


@pytest.mark.program
@pytest.mark.needs("gs")
@pytest.mark.parametrize(
    "data",
    [
        b"%!PS\n",
        b"%!PS\n0 0 9 9 rectfill\n",
        PS,  # it says itself what the survey would say of a page
        b"%!PS\n<</EndPage{pop pop true}>>setpagedevice 0 0 9 9 rectfill showpage\n",
        b"%!PS\n<</EndPage{pop pop true}>>setpagedevice 0 0 9 9 rectfill showpage quit\n",
        pdf(),
    ],
)
def test_documents_without_pages_and_such_that_hide_them(data: bytes) -> None:
    with pytest.raises((errors.CorruptMedia, errors.TruncatedMedia)):
        bridge.mimread(data, trust="trusted")


@pytest.mark.program
@pytest.mark.needs("gs")
def test_a_document_that_draws_otherwise_the_second_time() -> None:
    changing = b"%!PS\ncurrentpagedevice /OutputDevice get (ppmraw) eq {2} {1} ifelse {showpage} repeat\n"
    with pytest.raises(errors.CorruptMedia, match="same pages"):
        bridge.mimread(changing, trust="trusted")
    growing = changing.replace(b"{2} {1} ifelse {showpage} repeat", b"{<</PageSize[9 9]>>setpagedevice} if showpage")
    with pytest.raises(errors.CorruptMedia, match="same pages"):
        read(growing)


@pytest.mark.program
@pytest.mark.needs("gs")
@pytest.mark.parametrize(
    "body", [b"{} loop", b"showpage {} loop", b"{showpage} loop", b"{(x) print flush} loop"],
    ids=["silent", "after a page", "pages", "words"],
)  # fmt: skip
def test_a_program_without_an_end_is_ended(body: bytes) -> None:
    with pytest.raises((errors.ToolTimeout, errors.LimitExceeded)):
        bridge.imread(b"%!PS\n" + body, limits=bridge.Limits(trust="trusted", still=0.8))


@pytest.mark.program
@pytest.mark.needs("gs")
def test_a_loop_while_drawing_is_ended() -> None:
    later = b"%!PS\ncurrentpagedevice /OutputDevice get (ppmraw) eq {{} loop} if showpage\n"
    with pytest.raises(errors.ToolTimeout):
        bridge.imread(later, limits=bridge.Limits(trust="trusted", still=0.8))


@pytest.mark.program
@pytest.mark.needs("gs")
def test_a_document_cannot_open_files(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    for action in ("(r) file", "(w) file", "deletefile"):
        with pytest.raises(errors.CorruptMedia, match=r"invalidfileaccess|ioerror"):
            read(f"%!PS\n({tmp_path}/secret) {action} pop showpage\n".encode())
    assert (tmp_path / "secret").read_text() == "secret"


@pytest.mark.program
@pytest.mark.needs("gs")
def test_it_can_be_boxed_as_well() -> None:
    letters = b"%!PS\n/Helvetica findfont 40 scalefont setfont 50 50 moveto (abc) show showpage\n"
    boxed = bridge.imread(letters, limits=bridge.Limits(trust="trusted", sandbox="best-effort"))
    assert np.array_equal(boxed, read(letters))
    assert boxed.shape == (842, 595, 3)
    assert boxed.min() == 0


# Without the program


@pytest.mark.parametrize("data", [TWO, PS], ids=["pdf", "ps"])
def test_what_is_missing_is_told(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMEBRIDGE_GS", "none")
    with pytest.raises(errors.ToolMissing, match=r"Ghostscript was not found.*install .*[gG]host[sS]cript"):
        read(data)
    assert "Ghostscript is not installed" in bridge.formats["PDF"].missing()


def test_nobody_writes_them(tmp_path: Path) -> None:
    for name in ("a.pdf", "a.ps", "a.eps", "a.svg"):
        with pytest.raises(errors.UnknownFormat):
            bridge.imwrite(tmp_path / name, wide())


# The command lines


def test_the_command_lines() -> None:
    argv = ghostscript.draw("/gs", "pdf", dpi=(72, 36.5), begin=2, end=5)
    assert argv[0] == "/gs"
    assert argv[-1] == "-"
    assert {"-dSAFER", "-r72x36.5", "-dFirstPage=3", "-dLastPage=5", "-dUseCropBox", "-dPDFSTOPONERROR"} <= {*argv}
    assert "-dEPSCrop" in ghostscript.draw("/gs", "postscript", dpi=(72, 72), begin=0, end=1)
    assert "-dPDFSTOPONERROR" not in ghostscript.survey("/gs", "pdf", dpi=72, strict=False)
    assert "-dLastPage=3" in ghostscript.survey("/gs", "pdf", dpi=72, only=2)


def test_what_the_program_says_is_read() -> None:
    found, counted = ghostscript.pages("hello\npage 100.5 50 201 100\npages 1\npage\n")
    assert (found, counted) == ([ghostscript.Page(wide=100.5, high=50, width=201, height=100)], 1)
    assert ghostscript.pages("page a b c d\n") == ([], None)
    said = (
        "page 1 1 1 1\nBad\nError: /undefined in foo\nOperand stack:\n  1\nGPL Ghostscript 9.1: Unrecoverable error\n"
    )
    assert ghostscript.complaint(said).split("\n")[-2:] == ["Bad", "Error: /undefined in foo"]
    assert ghostscript.complaint("x\n   **** Error: broken\n") == "Error: broken"


@pytest.mark.program
@pytest.mark.needs("gs")
def test_the_program_that_is_found() -> None:
    tool = toolbox().find("gs")
    assert tool.release >= (9, 50)
    assert str(tool) == f"Ghostscript {tool.version}"
    assert shutil.which(tool.path) == tool.path
