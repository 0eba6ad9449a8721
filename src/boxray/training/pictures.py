"""Training pictures: decoded once where memory allows, augmented anew each time."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from types import FrameType

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from boxray import images
from boxray.assignment import Targets
from boxray.augmentation import GREY, Augmentation, Picture, augment, letterbox
from boxray.data import Dataset
from boxray.errors import ImageError
from boxray.records import Sample
from boxray.training.schedule import Order

CACHE_SHARE = 0.4  # of the memory that is free at the start
GRACE_S = 15.0  # that a worker lives on after it was told to end, for the training to end well
LARGER_THAN_CANVAS = 1.25  # how much finer than the canvas pictures are kept, for zooming in

# Boxes, labels, ignored boxes. Arrays, since each tensor takes its own socket between processes.
TruthArrays = tuple[Float[np.ndarray, "_ 4"], Int[np.ndarray, "_"], Float[np.ndarray, "_ 4"]]
Item = tuple[Picture, list[str]]  # what the network sees, and what was wrong with pictures
Batch = tuple[UInt8[Tensor, "n 3 h w"], list[TruthArrays], list[str]]


@dataclass
class TrainingPictures(TorchDataset[Item]):
    """Canvas and truths for an order of the schedule.

    A picture that cannot be decoded is grey and its truths are not taught; what was wrong with it
    comes with the first canvas that would have shown it.
    """

    samples: Sequence[Sample]
    canvas_hw: tuple[int, int]
    augmentation: Augmentation
    cache_bytes: int
    _cache: dict[int, Picture] = field(default_factory=dict, repr=False)

    def __getitem__(self, order: Order) -> Item:
        """What the network sees, and what was wrong with pictures."""
        random = np.random.default_rng((*order.seed, 2))
        complaints: list[str] = []
        pictures = [self.picture(index, complaints) for index in order.pictures]
        return augment(pictures, order.size_hw, self.augmentation, random), complaints

    def picture(self, index: int, complaints: list[str]) -> Picture:
        """The picture of that number, decoded; what is wrong with it joins the complaints."""
        if index in self._cache:
            return self._cache[index]
        picture, complaint = readable_picture(self.samples[index], self.canvas_hw)
        if complaint is not None:
            complaints.append(complaint)
        if complaint is not None or self.cache_bytes >= picture.image.nbytes:
            self.cache_bytes -= picture.image.nbytes
            self._cache[index] = picture
        return picture


def read_picture(sample: Sample, canvas_hw: tuple[int, int]) -> Picture:
    """A sample decoded and shrunk to little more than the canvas, with its truths."""
    image = images.load(sample.path)
    truths = sample.truths
    roomy = tuple(round(side * LARGER_THAN_CANVAS) for side in canvas_hw)
    placement = images.place(image.shape[:2], (roomy[0], roomy[1]))
    boxes = truths.boxes
    if placement.resized_hw[0] < image.shape[0]:
        image = images.resize(image, placement.resized_hw)
        scale_y, scale_x = placement.scale_yx
        boxes = boxes * np.array([scale_x, scale_y, scale_x, scale_y])
    return Picture(image, boxes.astype(np.float32), truths.labels, ~truths.taught)


def readable_picture(sample: Sample, canvas_hw: tuple[int, int]) -> tuple[Picture, str | None]:
    """`read_picture`, or a grey picture that teaches nothing and what was wrong with the file."""
    try:
        return read_picture(sample, canvas_hw), None
    except ImageError as error:
        grey = np.full((*canvas_hw, 3), GREY, np.uint8)
        nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, bool)
        return Picture(grey, *nothing), f"{error} It is shown as grey, without its truths."


def letterboxed(pictures: Sequence[Picture], size_hw: tuple[int, int]) -> Batch:
    """Pictures as one batch, as the detector sees them: not augmented."""
    return collate([(letterbox(picture, size_hw)[0], []) for picture in pictures])


def collate(items: Sequence[Item]) -> Batch:
    """Canvases of one size as one tensor, its colours innermost in memory; truths stay a list."""
    canvases = torch.from_numpy(np.stack([seen.image for seen, _ in items]))
    return (
        canvases.permute(0, 3, 1, 2),
        [truths_of(seen) for seen, _ in items],
        [complaint for _, complaints in items for complaint in complaints],
    )


def truths_of(seen: Picture) -> TruthArrays:
    """What is taught of a picture as the network sees it, as the loader hands it on."""
    taught = ~seen.ignored
    return seen.boxes[taught], seen.labels[taught], seen.boxes[seen.ignored]


def targets_of(truths: TruthArrays, device: torch.device) -> Targets:
    """The loader's plain arrays as the record that assignment takes."""
    boxes, labels, ignored = (torch.from_numpy(part).to(device) for part in truths)
    return Targets(boxes=boxes.float(), labels=labels, ignored=ignored.float())


def free_memory_bytes() -> int:
    """Memory that new data can take without swapping, as the system estimates it."""
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def box_sizes(dataset: Dataset, canvas_hw: tuple[int, int]) -> Float[np.ndarray, "n 2"]:
    """Width and height in canvas pixels of every truth that is taught."""
    sizes = [np.zeros((0, 2))]
    for sample in dataset.samples:
        truths = sample.truths
        placed = images.place(sample.size_hw, canvas_hw).to_canvas(truths.boxes)
        sizes.append((placed[:, 2:] - placed[:, :2])[truths.taught])
    return np.concatenate(sizes)


def end_with_the_training(_worker: int) -> None:
    """Let this worker end when the training's process does, however that dies, and not before.

    A signal to a whole group of processes, as Ctrl-C, `timeout` and service managers send it, is
    the training's to answer: it finishes a step, for which it may need this worker's pictures.
    torch's own watch is on the process that forked this one. With `forkserver`, Python 3.14's way,
    that one lives on: both would wait for ever, and keep the training's output open.
    """
    trainer = multiprocessing.parent_process()
    assert trainer is not None  # a worker has one

    def watch() -> None:
        wait([trainer.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

    def leave_later(_number: int, _frame: FrameType | None) -> None:
        timer = threading.Timer(GRACE_S, os._exit, (0,))
        timer.daemon = True
        timer.start()

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for ending in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, ending):  # Windows has no SIGHUP
            signal.signal(getattr(signal, ending), leave_later)
