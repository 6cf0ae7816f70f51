"""Flat names, such as ``dc:title``, and their values -> an XMP packet; what `read_xmp` gives, the other way round."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bridge.media.xmp import DAMAGE, MOST_BYTES, MOST_ELEMENTS, MOST_NAME, PREFIXES, read_xmp

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["write_xmp"]

_NAMESPACES = {prefix: uri for uri, prefix in PREFIXES.items()}
_STEP = re.compile(r"([\w-]+):([A-Za-z_][\w.-]*)((?:\[[\w-]+\])*)", re.ASCII)
_KEY = re.compile(r"\[([\w-]+)\]", re.ASCII)
_MOST_ITEMS = 1_000  # of a list with structures in it
_MOST_STEPS = 10

# What XML cannot hold, however it is written.
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})

# Texts that may come in several languages, and lists whose order counts, by the XMP specification.
_LANGUAGE_TABLE = """
dc:title dc:description dc:rights xmpRights:UsageTerms exif:UserComment tiff:ImageDescription tiff:Copyright
Iptc4xmpExt:AOTitle Iptc4xmpCore:AltTextAccessibility Iptc4xmpCore:ExtDescrAccessibility
"""
_ORDERED_TABLE = """
dc:creator dc:date xmpMM:History xmpMM:Versions exif:ISOSpeedRatings exif:ComponentsConfiguration exif:SubjectArea
exif:SubjectLocation exifEX:PhotographicSensitivity exifEX:LensSpecification tiff:BitsPerSample tiff:YCbCrSubSampling
tiff:TransferFunction tiff:WhitePoint tiff:PrimaryChromaticities tiff:YCbCrCoefficients tiff:ReferenceBlackWhite
photoshop:DocumentAncestors crs:ToneCurve
"""
_LANGUAGES, _ORDERED = frozenset(_LANGUAGE_TABLE.split()), frozenset(_ORDERED_TABLE.split())


@dataclass(slots=True)
class _Node:
    """One property: a text or list of texts, and what hangs on its path."""

    value: str | list[str] | None = None
    fields: dict[str, _Node] = field(default_factory=dict)
    items: dict[int, _Node] = field(default_factory=dict)
    languages: dict[str, str] = field(default_factory=dict)


def write_xmp(values: Mapping[str, Any]) -> tuple[bytes, list[tuple[str, str]]]:
    """Write a packet.

    Parameters
    ----------
    values : mapping
        Path -> str or list of str, as the group ``XMP`` has them; whole numbers are written as texts.

    Returns
    -------
    bytes
        Empty if there is nothing to write.
    list of tuple
        Name and reason for what is left out: unknown prefixes, what XML cannot hold, what is too much.
    """
    root, left_out, left = _Node(), list[tuple[str, str]](), MOST_BYTES
    for number, (name, value) in enumerate(values.items()):
        try:
            texts = _texts(value)
            cost = 5 * len(str(name)) + sum(len(_escaped(text).encode()) + 50 for text in _listed(texts))
            if cost > left or number > MOST_ELEMENTS:
                raise ValueError("there is too much of it")  # noqa: TRY301 - one way out for all
            _put(root, str(name), texts)
            left -= cost
        except (ValueError, TypeError) as error:
            left_out.append((str(name), str(error)))
    if not root.fields:
        return b"", left_out
    packet = _packet(root)
    told = {name for name, _ in left_out}
    try:
        made = dict(read_xmp(packet))
    except DAMAGE:
        return b"", left_out + [(str(name), "the packet is too large") for name in values if str(name) not in told]
    lost = [name for name, value in values.items() if name not in told and made.get(name) != _texts(value)]
    return packet, left_out + [(name, "it does not go with the others of its path") for name in lost]


def _texts(value: Any) -> str | list[str]:
    value = str(value) if isinstance(value, int) else value
    texts = value if isinstance(value, list | tuple) else [value]
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"a {type(text).__name__} is no value of it")
        if _FORBIDDEN.search(text):
            raise ValueError("XML cannot hold a character of it")
    return value if isinstance(value, str) else [*texts]


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _put(root: _Node, name: str, value: str | list[str]) -> None:
    """Find the place of a path and put its value there; nothing is changed if there is no such place."""
    steps = [*_steps(name)]
    *_, (_, last) = steps
    language = last.pop() if last and not last[-1].isdigit() else ""
    if language and not isinstance(value, str):
        raise TypeError("a list is no value of it")
    keys = [key for _, each in steps for key in each]
    if not all(key.isdigit() and 1 <= int(key) <= _MOST_ITEMS for key in keys):
        raise ValueError("it is too far down its list, or in none")
    node = root
    for field_name, each in steps:
        node = node.fields.setdefault(field_name, _Node())
        for key in each:
            node = node.items.setdefault(int(key), _Node())
    if language:
        node.languages[language] = str(value)
    else:
        node.value = value


def _steps(path: str) -> Iterator[tuple[str, list[str]]]:
    """Take a path apart: names of fields, and what stands in brackets behind each."""
    if len(path) > MOST_NAME or path.count("/") > _MOST_STEPS:
        raise ValueError("its name is too long")
    for step in path.split("/"):
        found = _STEP.fullmatch(step)
        if found is None:
            raise ValueError("it is no name of a property")
        if found[1] not in _NAMESPACES:
            raise ValueError(f"the namespace of {found[1]!r} is not known")
        yield f"{found[1]}:{found[2]}", _KEY.findall(found[3])


def _packet(root: _Node) -> bytes:
    inside = "".join(_field(name, node) for name, node in root.fields.items())
    used = {name.partition(":")[0] for name in _names(root)}
    spaces = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in _NAMESPACES.items() if prefix in used)
    text = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
        f'<rdf:Description rdf:about=""{spaces}>\n{inside}</rdf:Description>\n</rdf:RDF></x:xmpmeta>\n'
        '<?xpacket end="w"?>'
    )
    return text.encode()


def _names(node: _Node) -> Iterator[str]:
    for name, child in node.fields.items():
        yield name
        yield from _names(child)
    for child in node.items.values():
        yield from _names(child)


def _field(name: str, node: _Node) -> str:
    return f"<{name}>{_content(name, node)}</{name}>\n"


def _content(name: str, node: _Node) -> str:
    """Write what stands in a property: a structure, a list, languages, or a text."""
    if node.fields:
        own = "" if node.value is None else f"<rdf:value>{_escaped(node.value)}</rdf:value>"
        inside = "".join(_field(each, child) for each, child in node.fields.items())
        return f"<rdf:Description>{own}{inside}</rdf:Description>"
    if node.items or isinstance(node.value, list):
        kind = "Seq" if name in _ORDERED or node.items else "Bag"
        return f"<rdf:{kind}>{''.join(_items(name, node))}</rdf:{kind}>"
    if node.languages or (name in _LANGUAGES and node.value is not None):
        texts = ({} if node.value is None else {"x-default": str(node.value)}) | node.languages
        items = (f'<rdf:li xml:lang="{key}">{_escaped(text)}</rdf:li>' for key, text in texts.items())
        return f"<rdf:Alt>{''.join(items)}</rdf:Alt>"
    return _escaped(node.value or "")


def _items(name: str, node: _Node) -> Iterator[str]:
    """Write structures where they stood in the list, and the texts between and behind them."""
    texts = list(node.value) if isinstance(node.value, list) else [] if node.value is None else [node.value]
    number = 1
    while texts or any(at >= number for at in node.items):
        if number in node.items:
            yield f"<rdf:li>{_content(name, node.items[number])}</rdf:li>"
        elif texts:
            yield f"<rdf:li>{_escaped(texts.pop(0))}</rdf:li>"
        else:
            yield "<rdf:li><rdf:Description/></rdf:li>"
        number += 1


def _escaped(value: str | list[str]) -> str:
    return " ".join(_listed(value)).translate(_ESCAPES)
