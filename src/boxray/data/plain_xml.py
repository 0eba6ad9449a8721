"""XML with nothing in it but elements: small, shallow, and without a DOCTYPE."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, fromstring

from boxray.errors import FormatError

MAX_DEPTH = 64
MAX_BYTES = 4 << 20  # some 8,000 objects


def read_xml(path: Path, outermost: str) -> Element:
    """The root of a small, plain XML file. Raises FormatError saying what is wrong with it.

    A DOCTYPE is refused before anything is parsed, so nothing can be expanded or fetched.
    """
    try:
        data = path.read_bytes() if path.stat().st_size <= MAX_BYTES else None
        if data is None:
            raise FormatError(f"it is larger than {MAX_BYTES >> 20} MB")
        if b"<!DOCTYPE" in data.replace(b"\0", b""):  # UTF-16 puts zeros between the letters
            raise FormatError("it has a DOCTYPE, which annotations do not need: refused")
        root = fromstring(data)  # noqa: S314  harmless without a DOCTYPE
    except ParseError as error:
        raise FormatError(f"it is not XML: {error}") from error
    except (OSError, ValueError, LookupError) as error:
        raise FormatError(str(error)) from error
    if root.tag != outermost:
        raise FormatError(f"its outermost element is <{root.tag[:40]}>, expected <{outermost}>")
    level, depth = [root], 0
    while level := [child for element in level for child in element]:
        depth += 1
        if depth > MAX_DEPTH:
            raise FormatError(f"its elements are nested more than {MAX_DEPTH} deep")
    return root
