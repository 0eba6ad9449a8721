"""Pascal VOC annotations: one XML file per image, splits as lists of image names.

VOC counts pixels from 1 and includes the last one, so x0 = xmin − 1, y0 = ymin − 1, x1 = xmax,
y1 = ymax. Source: Everingham & Winn, The PASCAL VOC2012 Development Kit, section 8.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from boxray.data.annotated import (
    NOTHING,
    Annotated,
    Conventions,
    Found,
    Reading,
    frame_of,
    plain_number,
    settle,
    without_repeats,
)
from boxray.data.classes import has_control_characters
from boxray.data.partition import DERIVED, Divider, in_order
from boxray.data.parts import UNLABELLED, WHOLE, Part, written_number
from boxray.data.pictures import by_stem, without_suffix
from boxray.data.plain_xml import read_xml
from boxray.data.report import REFUSED, REPAIRED, SKIPPED, Cause, Fault, Ledger, cause_of
from boxray.errors import BoxrayError, FormatError
from boxray.records import Sample

PICTURES = "JPEGImages"
_FLAGS = ("difficult", "truncated", "occluded")
SAYS = frozenset({*_FLAGS, UNLABELLED})


@dataclass(frozen=True)
class Layout:
    """Where a VOC data set keeps its parts.

    lists: plain split name → the file that lists its images, `trainval` among them. only: the one
    annotation that is all there is, of those in the folder; None for all of them.
    """

    root: Path
    annotations: Path
    pictures: tuple[Path, ...]
    lists: dict[str, Path]
    only: Path | None = None

    @property
    def files(self) -> list[Path]:
        """Its annotations."""
        return sorted(self.annotations.glob("*.xml"), key=str) if self.only is None else [self.only]

    @property
    def splits(self) -> tuple[str, ...]:
        """The real splits; `trainval` is a union of two and none of its own."""
        names = set(self.lists) - {"trainval"}
        if "trainval" in self.lists and not names & {"train", "val"}:
            names |= set(DERIVED)
        return in_order(names)

    def read(
        self, split: str | None, ledger: Ledger, conventions: Conventions, divider: Divider
    ) -> Reading:
        """Every image of the split, or of all; class names are those of the whole data set."""
        return _read(self, split, ledger, conventions.zero_based, divider)


def _read(
    layout: Layout, split: str | None, ledger: Ledger, zero_based: bool, divider: Divider
) -> Reading:
    pictures = by_stem(layout.pictures)
    annotations = {path.stem: path for path in layout.files}
    own = [s for s, path in pictures.items() if ".." not in path.relative_to(layout.root).parts]
    own = own if layout.only is None else []
    classes: set[str] = set()
    images = []
    known = {stem: pictures.get(stem) for stem in (*annotations, *own)}
    for stem in _stems(layout, split, ledger, known, divider):
        annotation = annotations.pop(stem, None)
        reader = _Image(stem, annotation, pictures.get(stem), ledger, zero_based)
        images += [image] if (image := reader.read()) else []
        classes |= reader.names
    classes |= _names_in(annotations.values())  # of the other splits: all have the same labels
    return Reading(tuple(sorted(classes)), tuple(images))


def _names_in(paths: Iterable[Path]) -> set[str]:
    names: set[str] = set()
    for path in paths:
        with contextlib.suppress(FormatError):  # told when its image is read
            names |= _names(read_xml(path, "annotation"))
    return names


def _names(root: Element) -> set[str]:
    """The class names in one annotation that can be one."""
    names = {(found.findtext("name") or "").strip() for found in root.findall("object")}
    return {name for name in names if name and not has_control_characters(name)}


def class_names(layout: Layout) -> tuple[str, ...]:
    """The class names in all of its annotations."""
    return tuple(sorted(_names_in(layout.files)))


def lines_of(path: Path) -> list[str]:
    """The lines of a split's list that are not blank. Raises FormatError where it is not UTF-8."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(
            f"cannot read the split list {path}: {error}. Save it as UTF-8."
        ) from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def _stems(
    layout: Layout,
    split: str | None,
    ledger: Ledger,
    known: Mapping[str, Path | None],
    divider: Divider,
) -> list[str]:
    """The image names of a split in the order of its list, each once; known: their pictures."""
    if divider.listed is not None:
        return sorted(divider.part(known, str(split), layout.root, ledger))
    if split in DERIVED and split not in layout.lists:
        place = layout.lists.get("trainval", layout.root)
        stems = _listed(layout, ["trainval"], ledger) if layout.lists else sorted(known)
        part = divider.part({stem: known.get(stem) for stem in stems}, split, place, ledger)
        return [stem for stem in stems if stem in part]
    if not layout.lists:
        return sorted(known)
    wanted = [name for name in in_order(layout.lists) if split is None or name in DERIVED]
    return _listed(layout, [split] if split in layout.lists else wanted, ledger)


def _listed(layout: Layout, wanted: Iterable[str], ledger: Ledger) -> list[str]:
    stems: dict[str, None] = {}
    for path in (layout.lists[name] for name in wanted):
        seen = set()
        for number, line in enumerate(lines_of(path), 1):
            stem = without_suffix(line) or line
            if stem in seen:
                ledger.remark(REPAIRED, path, f"'{stem}' is listed twice: one kept", number)
            seen.add(stem)
            stems.setdefault(stem)
    return list(stems)


class _Image:
    """One image while it is read. names: the class names that its annotation uses."""

    def __init__(
        self,
        stem: str,
        annotation: Path | None,
        picture: Path | None,
        ledger: Ledger,
        zero_based: bool,
    ) -> None:
        self.stem, self.annotation, self.picture = stem, annotation, picture
        self.ledger, self.zero_based = ledger, zero_based
        self.names: set[str] = set()

    def read(self) -> Annotated | None:
        """The image with its objects, or None where it had to be skipped."""
        self.ledger.images["read"] += 1
        place = self.annotation or self.picture or Path(self.stem)
        if "/" in self.stem or "\\" in self.stem:
            reason = "an image name must not be a path"
            self.ledger.image(REFUSED, place, reason, cause=Cause.UNSAFE_PATH)
            return None
        try:
            if self.picture is None:
                raise Fault(f"there is no picture '{self.stem}'", Cause.NO_PICTURE)
            if self.annotation is None:
                return Annotated(
                    self.picture, frame_of(self.picture, None), NOTHING, place, labelled=False
                )
            return self._annotated(self.picture, self.annotation)
        except (BoxrayError, OSError) as error:
            cause = cause_of(error, Cause.BAD_FILE)
            self.ledger.image(SKIPPED, place, str(error), cause=cause, picture=self.picture)
            return None

    def _annotated(self, picture: Path, source: Path) -> Annotated:
        root = read_xml(source, "annotation")
        self.names = _names(root)
        objects = root.findall("object")
        self.ledger.boxes["read"] += len(objects)
        try:
            declared_hw = _declared_hw(root)
            frame = frame_of(picture, declared_hw)
        except (BoxrayError, OSError):
            self.ledger.boxes[SKIPPED] += len(objects)
            raise
        reasons = _untrue(root, self.stem, declared_hw)
        if reasons:
            self.ledger.image(REPAIRED, source, "; ".join(reasons))
        found = _objects(objects, source, self.ledger, self.zero_based)
        found = without_repeats(found, source, self.ledger)
        settled = settle(found, frame, source, self.ledger, picture=picture)
        return Annotated(picture, frame, settled, source)


def _declared_hw(root: Element) -> tuple[int, int] | None:
    """The size the annotation states, or None where it states none."""
    values = [_number(root.findtext(f"size/{side}")) for side in ("height", "width")]
    if not all(math.isfinite(value) and value > 0 for value in values):
        return None
    return int(values[0]), int(values[1])


def _untrue(root: Element, stem: str, declared_hw: tuple[int, int] | None) -> list[str]:
    """What the file does not say, or wrongly, about its image."""
    reasons = [] if declared_hw else ["it states no size: taken from the picture"]
    name = (root.findtext("filename") or "").strip()
    if (name and stem not in {name, PurePosixPath(name).stem}) or "/" in name or "\\" in name:
        reasons.append(f"its <filename> is '{name[:80]}': the XML file's own name is used")
    return reasons


def _objects(
    objects: Sequence[Element], source: Path, ledger: Ledger, zero_based: bool
) -> list[Found]:
    """The objects that can be read. Their parts (head, hand, foot) are no objects."""
    offset = 0.0 if zero_based else 1.0
    found = []
    for position, element in enumerate(objects, 1):
        raw_name = element.findtext("name") or ""
        try:
            name, flags, (xmin, ymin, xmax, ymax) = (
                _name(raw_name),
                _flags(element),
                _corners(element),
            )
        except FormatError as error:
            ledger.box(SKIPPED, source, position, str(error), cause=Cause.BAD_ROW)
            continue
        repairs = [f"spaces around the name '{name}'"] if name != raw_name else []
        repairs += ["no <difficult>: 0 is meant"] if element.find("difficult") is None else []
        box = (xmin - offset, ymin - offset, xmax, ymax)
        found.append(Found(name, box, position, None, flags, tuple(repairs)))
    return found


def _name(raw: str) -> str:
    name = raw.strip()
    if not name:
        raise FormatError("the object has no <name>")
    if has_control_characters(name):
        raise FormatError(f"the class name {name!r} holds control characters")
    return name


def _flags(element: Element) -> frozenset[str]:
    difficult = (element.findtext("difficult") or "0").strip()
    if difficult not in {"0", "1"}:
        raise FormatError(f"<difficult> is '{difficult[:20]}', expected 0 or 1")
    others = ("truncated", "occluded")  # -1 and 'Unspecified' occur and mean: not known to be
    set_ones = {name for name in others if (element.findtext(name) or "").strip() == "1"}
    return frozenset(set_ones | ({"difficult"} if difficult == "1" else set()))


def _corners(element: Element) -> tuple[float, float, float, float]:
    boxes = element.findall("bndbox")
    if len(boxes) != 1:
        raise FormatError(f"the object has {len(boxes)} <bndbox>, expected one")
    texts = [boxes[0].findtext(side) for side in ("xmin", "ymin", "xmax", "ymax")]
    numbers = [_number(text) for text in texts]
    if not all(math.isfinite(number) for number in numbers):
        raise FormatError(f"the corners {texts} are not four finite numbers with a decimal point")
    return numbers[0], numbers[1], numbers[2], numbers[3]


def _number(text: str | None) -> float:
    """The number in an element, spaces around it apart, or NaN."""
    return plain_number((text or "").strip())


def write(parts: Sequence[Part], classes: tuple[str, ...], folder: Path) -> None:
    """An XML file per labelled picture, and the list of each split."""
    for name in ("Annotations", "ImageSets/Main"):
        (folder / name).mkdir(parents=True)
    for part in parts:
        for sample, name in zip(part.samples, part.names, strict=True):
            if sample.labelled:
                path = folder / "Annotations" / f"{without_suffix(name)}.xml"
                path.write_text(_annotation(sample, name, classes), "utf-8")
        if part.split != WHOLE:
            stems = "".join(f"{without_suffix(name)}\n" for name in part.names)
            (folder / "ImageSets" / "Main" / f"{part.split}.txt").write_text(stems, "utf-8")


def _annotation(sample: Sample, name: str, classes: tuple[str, ...]) -> str:
    """The XML of one image; the first pixel is 1, and the last one is included."""
    truths, (height, width) = sample.truths, sample.size_hw
    rows = []
    for i, (x0, y0, x1, y1) in enumerate(truths.boxes.tolist()):
        corners = {"xmin": x0 + 1, "ymin": y0 + 1, "xmax": x1, "ymax": y1}
        box = "".join(f"<{side}>{written_number(at)}</{side}>" for side, at in corners.items())
        flags = {flag: int(getattr(truths, flag)[i]) for flag in _FLAGS}
        rows.append(
            f"<object><name>{escape(classes[truths.labels[i]])}</name>"
            + "".join(f"<{flag}>{value}</{flag}>" for flag, value in flags.items())
            + f"<bndbox>{box}</bndbox></object>\n"
        )
    return (
        f"<annotation>\n<filename>{escape(name)}</filename>\n"
        f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>\n"
        f"{''.join(rows)}</annotation>\n"
    )
