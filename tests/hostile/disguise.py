"""Inputs 1 to 20: documents that run, under the names of pictures."""

from __future__ import annotations

import io
import os
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

import bridge
from tests.hostile.case import ANY, CANARY_TEXT, REFUSE, Case, either, file, same, shape
from tests.hostile.forms import PICTURE, png, text_chunk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bridge.limits import Limits
    from tests.hostile.case import Place

__all__ = ["CASES"]

_SVG = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="64" height="48">'


def _svg(place: Place, link: str) -> Path:
    image = f'<image x="0" y="0" width="64" height="48" href="{link}" xlink:href="{link}"/>'
    return place.write("x.png", f'<?xml version="1.0"?>\n{_SVG}{image}</svg>\n')


def _svg_local(place: Place) -> Path:
    return _svg(place, str(place.canary("secret.png")))


def _svg_entity(place: Place) -> Path:
    secret = place.canary("secret.txt", CANARY_TEXT.encode())
    kind = f'<!DOCTYPE svg [<!ENTITY x SYSTEM "file://{secret}">]>'
    return place.write("x.png", f'<?xml version="1.0"?>\n{kind}\n{_SVG}<text y="20">&x;</text></svg>\n')


def _svg_bomb(place: Place) -> Path:
    entities = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9))
    kind = f'<!DOCTYPE svg [<!ENTITY e0 "ha">{entities}]>'
    return place.write("x.png", f'<?xml version="1.0"?>\n{kind}\n{_SVG}<text y="20">&e9;</text></svg>\n')


def _mvg(place: Place) -> Path:
    secret = place.canary("secret.png")
    return place.write(
        "x.png", f"push graphic-context\nviewbox 0 0 64 48\nimage over 0,0 64,48 '{secret}'\npop graphic-context\n"
    )


def _msl(place: Place) -> Path:
    secret = place.canary("secret.png")
    target = place.elsewhere / "written.png"
    return place.write(
        "x.msl", f'<?xml version="1.0"?>\n<image><read filename="{secret}"/><write filename="{target}"/></image>\n'
    )


def _pdf(place: Place, name: str, front: bytes = b"") -> Path:
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 64 48]>>",
    ]
    data, starts = front + b"%PDF-1.4\n", []
    for number, text in enumerate(objects, 1):
        starts.append(len(data))
        data += b"%d 0 obj%s endobj\n" % (number, text)
    table = b"".join(b"%010d 00000 n \n" % at for at in starts)
    data += b"xref\n0 4\n0000000000 65535 f \n" + table
    data += b"trailer<</Root 1 0 R/Size 4>>\nstartxref\n%d\n%%%%EOF\n" % data.rindex(b"xref")
    return place.write(name, data)


def _script(name: str, program: str, front: str = "% a comment\n") -> Callable[[Place], Path]:
    """Make the maker of a PostScript file whose first line is not its signature."""
    return file(name, f"{front}%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n{program}\nshowpage\n")


def _script_that_reads(place: Place) -> Path:
    secret = place.canary("secret.txt", CANARY_TEXT.encode())
    program = f"/f ({secret}) (r) file def f 99 string readstring pop show"
    return _script("x.epi", program)(place)


def _script_that_writes(place: Place) -> Path:
    return _script("x.epi", "/f (%temp%written-by-ghostscript) (w) file def f (here) writestring f closefile")(place)


def _script_that_lists(place: Place) -> Path:
    place.canary("listed.txt", CANARY_TEXT.encode())
    return _script("x.epi", f"({place.elsewhere}/*) {{ show }} 256 string filenameforall")(place)


def _dos_header(place: Place) -> Path:
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\nshowpage\n"
    head = (
        b"\xc5\xd0\xd3\xc6" + (30).to_bytes(4, "little") + len(script).to_bytes(4, "little") + bytes(16) + b"\xff\xff"
    )
    return place.write("x.png", head + script)


def _package(inner: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr(inner, "<FixedPage/>")
    return made.getvalue()


def _film_named_png(place: Place) -> Path:
    made = place.world.film("seed.mp4", "testsrc2=s=64x48:d=1:r=10", "-pix_fmt", "yuv420p", "-c:v", "mpeg4")
    return place.write("x.png", made.read_bytes())


def _profile_chunk(place: Place) -> Path:
    secret = place.canary("secret.txt", CANARY_TEXT.encode())
    return place.write("x.png", png(PICTURE, text_chunk("profile", os.fsencode(secret))))


def _read_and_write_again(uri: Path, limits: Limits) -> Any:
    """Read, write what was read, and look for the canary in that, too; then there is nothing left to find."""
    picture = bridge.imread(uri, limits=limits)
    for format in (".png", ".jpg"):
        data = bridge.imwrite("<bytes>", picture, format, limits=limits) or b""
        assert CANARY_TEXT.encode() not in data
    return picture


class _Opens:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self._path, "w")


def _pickle(place: Place) -> Path:
    array = np.empty(1, object)
    array[0] = _Opens(place.elsewhere / "unpickled")
    np.savez(place.folder / "x.npz", array, allow_pickle=True)
    return place.folder / "x.npz"


_QUICK = {"still": 3.0, "first_frame": 3.0, "stall": 3.0}  # where a program of one's own may run without end
_LINES = "one line of plain text\n" * 40

CASES = (
    Case(1, "svg-as-png-localimage", _svg_local),
    Case(2, "svg-href-http", lambda place: _svg(place, f"http://{place.private}/x.png")),
    Case(3, "svg-href-ftp", lambda place: _svg(place, f"ftp://{place.private}/x.png")),
    Case(4, "svg-external-entity", _svg_entity),
    Case(5, "svg-entity-bomb", _svg_bomb, limits=_QUICK),
    Case(6, "svg-huge-canvas", file("x.svg", _SVG.replace('"64"', '"1000000000"') + "</svg>"), limits=_QUICK),
    Case(7, "mvg-image-ref", _mvg),
    Case(8, "msl-read-write", _msl, trusted=REFUSE),
    Case(9, "epi-comment-ps", _script("x.epi", "")),
    Case(9, "ps-behind-a-comment-as-png", _script("x.png", "")),
    Case(10, "ai-junk-pdf", lambda place: _pdf(place, "x.ai", b"junk\n")),
    Case(10, "pdfa-junk-pdf", lambda place: _pdf(place, "x.pdfa", b"junk\n")),
    Case(10, "epdf-junk-pdf", lambda place: _pdf(place, "x.epdf", b"junk\n")),
    Case(11, "ps-plain", _script("x.png", "", front="")),
    Case(11, "eps-plain", _script("x.eps", "", front="")),
    Case(12, "eps-dos-header", _dos_header),
    Case(13, "pdf-as-png", lambda place: _pdf(place, "x.png")),
    Case(14, "ps-infinite-loop", _script("x.epi", "{1 pop} loop"), limits=_QUICK),
    Case(15, "ps-tmp-read", _script_that_reads),
    Case(15, "ps-tmp-write", _script_that_writes, levels=("normal", "untrusted")),
    Case(15, "ps-tmp-list", _script_that_lists),
    Case(16, "xps", file("x.png", _package("FixedDocSeq.fdseq"))),
    Case(16, "docx", file("x.png", _package("word/document.xml"))),
    Case(16, "pcl", file("x.png", b"\x1bE\x1b&l0O\x1b*p100x100Yhello\x1bE")),
    Case(16, "dot", file("x.png", "digraph G { a -> b; }\n")),
    Case(16, "html", file("x.png", "<html><body>hello</body></html>\n")),
    Case(16, "dot-by-its-name", file("x.dot", "digraph G { a -> b; }\n")),
    Case(16, "html-by-its-name", file("x.html", "<html><body>hello</body></html>\n")),
    Case(16, "docx-by-its-name", file("x.docx", _package("word/document.xml"))),
    Case(17, "video-in-imread", _film_named_png, either(shape(48, 64, 3)), trusted=either(shape(48, 64, 3))),
    Case(18, "png-profile-chunk", _profile_chunk, either(same()), read=_read_and_write_again, trusted=either(same())),
    Case(19, "text-as-png", file("x.png", _LINES), trusted=REFUSE),
    Case(19, "text-as-mp4", file("x.mp4", _LINES), trusted=REFUSE),
    Case(19, "text-as-txt", file("x.txt", _LINES), trusted=ANY),
    Case(20, "pickle-as-npz", _pickle, trusted=REFUSE),
)
