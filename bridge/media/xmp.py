"""An XMP packet -> flat names, such as ``dc:title``; a document type or an entity in it is refused.

Names are the paths of the XMP specification: ``exif:Flash/exif:Fired``, ``xmpMM:History[1]/stEvt:action``.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterator

    Value = str | list[str]

__all__ = ["DAMAGE", "MOST_BYTES", "MOST_ELEMENTS", "MOST_NAME", "PREFIXES", "read_xmp"]

# What is raised for a packet that is none; the ParseError of XML is a SyntaxError.
DAMAGE = (ValueError, LookupError, SyntaxError)

MOST_BYTES = 1 << 20
MOST_ELEMENTS = 20_000
_MOST_DEPTH = 48
MOST_NAME = 256

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_XML = "{http://www.w3.org/XML/1998/namespace}"
_ARRAYS = (_RDF + "Seq", _RDF + "Bag", _RDF + "Alt")
_ADOBE = "http://ns.adobe.com/"
PREFIXES = {
    "http://purl.org/dc/elements/1.1/": "dc",
    _ADOBE + "xap/1.0/": "xmp",
    _ADOBE + "xap/1.0/mm/": "xmpMM",
    _ADOBE + "xap/1.0/rights/": "xmpRights",
    _ADOBE + "xap/1.0/bj/": "xmpBJ",
    _ADOBE + "xap/1.0/t/pg/": "xmpTPg",
    _ADOBE + "xap/1.0/sType/ResourceRef#": "stRef",
    _ADOBE + "xap/1.0/sType/ResourceEvent#": "stEvt",
    _ADOBE + "xap/1.0/sType/Dimensions#": "stDim",
    _ADOBE + "xap/1.0/sType/Job#": "stJob",
    _ADOBE + "xap/1.0/sType/Version#": "stVer",
    _ADOBE + "xap/1.0/sType/Font#": "stFnt",
    _ADOBE + "xmp/sType/Area#": "stArea",
    _ADOBE + "xmp/Identifier/qual/1.0/": "xmpidq",
    _ADOBE + "xap/1.0/g/": "xmpG",
    _ADOBE + "xap/1.0/g/img/": "xmpGImg",
    _ADOBE + "xmp/1.0/DynamicMedia/": "xmpDM",
    _ADOBE + "xmp/note/": "xmpNote",
    _ADOBE + "tiff/1.0/": "tiff",
    _ADOBE + "exif/1.0/": "exif",
    _ADOBE + "exif/1.0/aux/": "aux",
    _ADOBE + "photoshop/1.0/": "photoshop",
    _ADOBE + "camera-raw-settings/1.0/": "crs",
    _ADOBE + "lightroom/1.0/": "lr",
    _ADOBE + "pdf/1.3/": "pdf",
    "http://cipa.jp/exif/1.0/": "exifEX",
    "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/": "Iptc4xmpCore",
    "http://iptc.org/std/Iptc4xmpExt/2008-02-29/": "Iptc4xmpExt",
    "http://ns.useplus.org/ldf/xmp/1.0/": "plus",
    "http://ns.google.com/photos/1.0/panorama/": "GPano",
    "http://ns.google.com/photos/1.0/camera/": "GCamera",
    "http://ns.microsoft.com/photo/1.0/": "MicrosoftPhoto",
    "http://www.metadataworkinggroup.com/schemas/regions/": "mwg-rs",
    "http://www.digikam.org/ns/1.0/": "digiKam",
    "http://www.dji.com/drone-dji/1.0/": "drone-dji",
    "http://darktable.sf.net/": "darktable",
    "http://creativecommons.org/ns#": "cc",
}


def read_xmp(packet: bytes) -> Iterator[tuple[str, Value]]:
    """Give the properties of a packet, by name.

    Parameters
    ----------
    packet : bytes
        Of at most `MOST_BYTES`, with or without its wrapper, in any encoding of Unicode.

    Yields
    ------
    name : str
        The path, with the usual prefix of each namespace, else that of the packet.
    value : str or list of str
        A list for ``rdf:Seq``, ``rdf:Bag`` and ``rdf:Alt``. Of texts in several languages the default one;
        the others are named like ``dc:title[de]``.

    Raises
    ------
    ValueError, xml.etree.ElementTree.ParseError
        If it is not such a packet, or too large, too deep, or with a document type.
    """
    tree = _Tree()
    parser = ET.XMLParser(target=tree)  # noqa: S314 - of text without `<!DOCTYPE`
    parser.feed(_unwrapped(packet))
    root = parser.close()
    walk = _Walk(tree.prefixes)
    for rdf in root.iter(_RDF + "RDF"):
        for description in rdf:
            yield from walk.fields("", description)


def _unwrapped(packet: bytes) -> str:
    """Decode a packet and cut off what stands behind it."""
    if len(packet) > MOST_BYTES:
        raise ValueError("the XMP packet is too large")
    marks = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF16_LE: "utf-16",
             codecs.BOM_UTF16_BE: "utf-16", b"<\0\0\0": "utf-32-le", b"\0\0\0<": "utf-32-be", b"<\0": "utf-16-le",
             b"\0<": "utf-16-be"}  # fmt: skip
    encoding = next((marks[mark] for mark in marks if packet.startswith(mark)), "utf-8-sig")
    text = packet.decode(encoding, "replace")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("the XMP packet has a document type")
    end = text.rfind("<?xpacket end")
    return (text[:end] if end > 0 else text).strip("\0\ufeff \t\r\n")


class _Tree(ET.TreeBuilder):
    """A tree that does not grow beyond bounds, and remembers the prefixes of namespaces."""

    def __init__(self) -> None:
        super().__init__()
        self.prefixes = dict(PREFIXES)
        self._depth = self._elements = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> ET.Element:
        self._depth += 1
        self._elements += 1 + len(attrs)
        if self._depth > _MOST_DEPTH or self._elements > MOST_ELEMENTS:
            raise ValueError("the XMP packet is too deep or has too much in it")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> ET.Element:
        self._depth -= 1
        return super().end(tag)

    def start_ns(self, prefix: str | None, uri: str | None) -> None:
        """Take a prefix, unless by custom it means something else."""
        taken = prefix in PREFIXES.values()
        self.prefixes.setdefault(uri or "", f"{prefix or 'ns'}{'_' if taken else ''}")


class _Walk:
    """Gives the properties under an element of RDF."""

    def __init__(self, prefixes: dict[str, str]) -> None:
        self._prefixes = prefixes

    def _name(self, path: str, tag: str) -> str:
        uri, _, local = tag.removeprefix("{").rpartition("}")
        name = f"{self._prefixes.get(uri, 'ns')}:{local}"
        return f"{path}/{name}" if path else name

    def fields(self, path: str, node: ET.Element) -> Iterator[tuple[str, Value]]:
        """Give the fields of a structure: attributes and children alike."""
        for tag, text in node.items():
            if not tag.startswith((_RDF, _XML)):
                yield self._name(path, tag), text
        for child in node:
            if child.tag == _RDF + "value":  # the value itself; its neighbours only qualify it
                yield path, child.text or ""
            else:
                yield from self._property(self._name(path, child.tag), child)

    def _property(self, path: str, node: ET.Element) -> Iterator[tuple[str, Value]]:
        only = node[0] if len(node) else None
        if len(path) > MOST_NAME:
            return
        if only is None and _RDF + "resource" in node.keys():  # noqa: SIM118 - not a dict
            yield path, node.get(_RDF + "resource", "")
        elif only is not None and only.tag in _ARRAYS:
            yield from self._array(path, only)
        elif only is not None and only.tag == _RDF + "Description":
            yield from self.fields(path, only)
        elif only is not None or _is_structure(node):
            yield from self.fields(path, node)
        else:
            yield path, node.text or ""

    def _array(self, path: str, node: ET.Element) -> Iterator[tuple[str, Value]]:
        if node.tag == _RDF + "Alt" and len(node) and all(_XML + "lang" in item.keys() for item in node):  # noqa: SIM118 - no dict
            yield from self._languages(path, node)
            return
        texts = []
        for number, item in enumerate(node, 1):
            if len(item) or _is_structure(item):
                yield from self._property(f"{path}[{number}]", item)
            else:
                texts.append(item.get(_RDF + "resource", item.text or ""))
        if texts or not len(node):
            yield path, texts

    @staticmethod
    def _languages(path: str, node: ET.Element) -> Iterator[tuple[str, Value]]:
        texts = {item.get(_XML + "lang", ""): item.text or "" for item in node}
        default = "x-default" if "x-default" in texts else next(iter(texts))
        yield path, texts.pop(default)
        for language, text in texts.items():
            yield f"{path}[{language}]", text


def _is_structure(node: ET.Element) -> bool:
    """Tell fields that are written as attributes."""
    return any(not tag.startswith((_RDF, _XML)) for tag in node.keys())  # noqa: SIM118 - not a dict
