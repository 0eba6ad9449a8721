"""Detectors that are made of a classifier, without any box labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from boxray.classification import alignment
from boxray.classification.classifier import Classifier
from boxray.coders.windows import Meanings, WindowCoder
from boxray.detectors import OneStage, TwoStage
from boxray.engines.crops import Crops
from boxray.engines.windows import DenseWindows, ExactWindows
from boxray.errors import SettingError
from boxray.regions import Regions, rcnn
from boxray.selection import Thresholds

CLASSIFIER = "lite0-imagenet"  # the shipped one that these are made of
CANVAS_SIDE = 448  # pixels; VOC's pictures have 500 on their longer side
# Of the windows, in pixels of the canvas: half the canvas and less, a quarter at least. Half as
# wide or as high as each other, because few objects are square.
WINDOWS_HW = (
    (112, 112),
    (112, 224),
    (224, 112),
    (168, 168),
    (168, 336),
    (336, 168),
    (224, 224),
    (224, 448),
    (448, 224),
    (336, 336),
    (448, 448),
)
CELLS = 7  # of Lite0's map across a window: from one place of it to the next is a seventh
STEP = 2  # cells from one window to the next
# Windows overlap by design, and a part of a thing is often taken for it: neighbours are suppressed
# early. What a score must reach is what separates a thing from background, which has no class.
THRESHOLDS = Thresholds(score_threshold=0.3, iou_threshold=0.3)


def sliding_window(
    classifier: Classifier,
    classes: str | Sequence[str] = "voc",
    *,
    dense: bool = False,
    size_hw: tuple[int, int] = (CANVAS_SIDE, CANVAS_SIDE),
    step: int = STEP,
    thresholds: Thresholds = THRESHOLDS,
) -> OneStage:
    """A detector that asks a classifier what every window of a picture shows.

    classes: "voc", "coco" or "open-images", those of them that ImageNet's classes mean, or names of
    your own. A window's score for a class is the probability of all of the classifier's classes
    that mean it; what is left is background, and rejected by the score threshold alone.
    dense: one pass over the whole picture for each size of window instead of one for each window;
    quicker and not quite the same, see `DenseWindows`. size_hw: of the canvas in pixels. step: from
    one window to the next, in sevenths of a window.
    Raises SettingError for classes that the classifier does not know, a canvas that no window fits
    in, or a classifier that cannot be slid densely.
    """
    names = alignment.names(classes) if isinstance(classes, str) else tuple(classes)
    sizes = tuple(size for size in WINDOWS_HW if size[0] <= size_hw[0] and size[1] <= size_hw[1])
    if not sizes or step < 1:
        raise SettingError(
            f"a canvas of {size_hw[1]}x{size_hw[0]} pixels and steps of {step} sevenths: expected "
            f"at least {WINDOWS_HW[0][1]}x{WINDOWS_HW[0][0]} pixels and steps of at least 1."
        )
    found = alignment.meanings(names, classifier.classes, classifier.wnids)
    coder = WindowCoder(
        Meanings(len(names), found),
        sizes=sizes,
        steps=tuple((step * height // CELLS, step * width // CELLS) for height, width in sizes),
    )
    whole = classifier.of_whole()
    return OneStage(
        engine=DenseWindows(whole, coder) if dense else ExactWindows(Crops(whole), coder),
        coder=coder,
        classes=names,
        canvas_hw=size_hw,
        thresholds=thresholds,
        name="windows-dense" if dense else "windows",
    )


def _windows(classifier: Classifier, size_hw: tuple[int, int] | None) -> OneStage:
    return sliding_window(classifier, size_hw=size_hw or (CANVAS_SIDE, CANVAS_SIDE))


def _windows_dense(classifier: Classifier, size_hw: tuple[int, int] | None) -> OneStage:
    return sliding_window(classifier, dense=True, size_hw=size_hw or (CANVAS_SIDE, CANVAS_SIDE))


def _rcnn(classifier: Classifier, size_hw: tuple[int, int] | None) -> TwoStage:
    regions = Regions() if size_hw is None else Regions(canvas_hw=size_hw)
    return rcnn(classifier, regions=regions)


# the detectors that have a name: made of a classifier, on a canvas of this size or their own
NAMES: Mapping[str, Callable[[Classifier, tuple[int, int] | None], OneStage | TwoStage]] = {
    "windows": _windows,
    "windows-dense": _windows_dense,
    "rcnn": _rcnn,
}
