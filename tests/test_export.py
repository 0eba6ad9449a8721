"""Export: one sealed file that says all about itself and detects what torch detects."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import boxray
from boxray import bundle, export, images
from boxray.boxes import iou
from boxray.detectors import OneStage
from boxray.engines.pytorch import TorchEngine
from boxray.errors import ModelError
from boxray.files import verify_seal
from boxray.recipes.grid_lite0 import grid_lite0
from boxray.recipes.recipe import Recipe
from boxray.selection import Thresholds

CLASSES = ("ant", "bee", "cat")
PRIORS = (
    ((8.0, 10.0), (14.0, 12.0), (16.0, 24.0)),
    ((26.0, 20.0), (30.0, 44.0), (50.0, 34.0)),
    ((60.0, 70.0), (100.0, 60.0), (90.0, 90.0)),
)
CANVAS_HW = (96, 128)
THRESHOLDS = Thresholds(score_threshold=0.45, iou_threshold=0.5)
SETTINGS = {
    "data": ["secret place/photos"],
    "output": "secret place/runs/x",
    "classes": None,
    "classes_found": list(CLASSES),
    "priors": PRIORS,
    "recipe": "grid_lite0",
    "epochs": 3.0,
    "seed": 0,
}


def photos(count: int, seed: int = 0) -> list[np.ndarray]:
    """Soft random pictures of odd sizes."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        height, width = (int(side) for side in random.integers(17, 260, 2) | 1)
        coarse = Image.fromarray(random.integers(0, 256, (7, 9, 3)).astype(np.uint8))
        found.append(np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)))
    return found


@torch.no_grad()
def as_if_trained(recipe: Recipe) -> None:
    """Give the head's numbers the spread that training gives them, and every bias a value.

    Box numbers vary by 0.3 about 0, logits by 1.5 about 0, so that hundreds of boxes are told.
    """
    network = recipe.network.eval()
    generator = torch.Generator().manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.2, generator=generator)
            layer.running_var.uniform_(0.5, 2, generator=generator)
            layer.bias.normal_(0, 0.3, generator=generator)
    pixels = np.stack([images.fit(photo, CANVAS_HW)[0] for photo in photos(4, seed=9)])
    raw = TorchEngine(network, recipe.mean, recipe.std)(pixels)
    head, classes = network.head, recipe.coder.class_count
    for where, what, level in zip(head.where, head.what, raw, strict=True):
        maps = level.reshape(len(pixels), 3, recipe.coder.numbers, -1)
        for number in range(recipe.coder.numbers):
            output, place, each = (where, number, 5) if number < 5 else (what, number - 5, classes)
            rows = [prior * each + place for prior in range(3)]
            spread = float(maps[:, :, number].std()) + 1e-6
            mean = float(maps[:, :, number].mean()) - float(output.bias[rows].mean())
            factor = (0.3 if number < 4 else 1.5) / spread
            output.weight[rows] *= factor
            output.bias[rows] = -mean * factor + 0.05 * number


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    torch.manual_seed(0)
    recipe = grid_lite0(len(CLASSES), PRIORS, CANVAS_HW)
    as_if_trained(recipe)
    return recipe


@pytest.fixture(scope="module")
def path(recipe, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "my run"
    run.mkdir()
    return export.export_run(
        recipe, recipe.network, run, classes=CLASSES, settings=SETTINGS, metrics={"val AP50": 0.5}
    )


def detectors(path, recipe: Recipe, canvas_hw: tuple[int, int]) -> tuple[OneStage, OneStage]:
    """The same model twice: on onnxruntime from the file, and on torch with the file's weights."""
    ours = bundle.load(path, size=canvas_hw, threads=1)
    network = export.as_stored(recipe.network, path.read_bytes())
    engine = TorchEngine(network, recipe.mean, recipe.std)
    theirs = OneStage(engine, ours.coder, ours.classes, canvas_hw, THRESHOLDS)
    return OneStage(ours.engine, ours.coder, ours.classes, canvas_hw, THRESHOLDS), theirs


def told(detector: OneStage, photo: np.ndarray) -> dict[tuple[int, int], tuple[np.ndarray, float]]:
    """Box on the canvas and score of every detection, by its row and label."""
    found = detector.detect_array(photo)
    candidates = found.candidates.take(found.selection.kept)
    keys = zip(candidates.row.tolist(), candidates.labels.tolist(), strict=True)
    values = zip(candidates.boxes, candidates.scores.tolist(), strict=True)
    return dict(zip(keys, values, strict=True))


def is_a_close_call(box: np.ndarray, score: float, others: list[tuple[np.ndarray, float]]) -> bool:
    """Whether a last digit decides about a detection: at the threshold, or against a rival."""
    boxes = np.array([other for other, _ in others]).reshape(-1, 4)
    scores = np.array([other for _, other in others])
    overlap = iou(box[None], boxes)[0]
    rival = (overlap > THRESHOLDS.iou_threshold - 1e-4) & (np.abs(scores - score) < 1e-4)
    edge = np.abs(overlap - THRESHOLDS.iou_threshold) < 1e-4
    return bool(abs(score - THRESHOLDS.score_threshold) < 1e-4 or rival.any() or edge.any())


def test_torch_and_onnx_detect_the_same_on_fifty_pictures_of_odd_sizes(path, recipe):
    compared, close_calls = 0, 0
    for canvas_hw, seed in ((CANVAS_HW, 0), ((160, 64), 1)):
        onnx_detector, torch_detector = detectors(path, recipe, canvas_hw)
        for photo in photos(25, seed):
            ours, theirs = told(onnx_detector, photo), told(torch_detector, photo)
            for key in ours.keys() & theirs.keys():
                (box, score), (other_box, other_score) = ours[key], theirs[key]
                assert np.abs(box - other_box).max() <= 0.01
                assert abs(score - other_score) <= 1e-4
                compared += 1
            for key in ours.keys() ^ theirs.keys():
                mine, rivals = (ours, theirs) if key in ours else (theirs, ours)
                assert is_a_close_call(*mine[key], list(rivals.values()))
                close_calls += 1
    assert compared > 500  # not vacuous
    assert close_calls <= compared / 100


def test_the_engines_say_the_same_of_a_batch_and_of_each_of_its_pictures(path, recipe):
    ours, theirs = detectors(path, recipe, CANVAS_HW)
    canvases = np.stack([images.fit(photo, CANVAS_HW)[0] for photo in photos(3)])
    alone = ours.engine(canvases[1:2])
    for level, other, one in zip(
        ours.engine(canvases), theirs.engine(canvases), alone, strict=True
    ):
        np.testing.assert_allclose(level, other, atol=2e-4)
        np.testing.assert_allclose(level[1:2], one, atol=1e-4)


def test_half_precision_costs_little_and_saves_half(recipe, path):
    single = export.to_bytes(bundle.describe(path.read_bytes(), "it"), recipe.network, half=False)
    content = path.read_bytes()
    assert 0.5 == pytest.approx(len(content) / len(single), abs=0.03)
    assert len(content) < 12e6  # what the shipped model may weigh
    canvases = np.stack([images.fit(photo, CANVAS_HW)[0] for photo in photos(2)])
    halves = bundle.from_bytes(content, "it", threads=1).engine(canvases)
    singles = bundle.from_bytes(single, "it", threads=1).engine(canvases)
    for half_level, single_level in zip(halves, singles, strict=True):
        assert np.abs(half_level - single_level).max() < 0.05 * np.abs(single_level).max()


class TestTheFile:
    def test_it_is_sealed_and_any_change_is_noticed(self, path):
        content = path.read_bytes()
        assert 64 == len(verify_seal(content, "it"))
        for place in np.random.default_rng(0).integers(0, len(content), 5):
            damaged = bytearray(content)
            damaged[place] ^= 1
            with pytest.raises(ModelError):
                bundle.from_bytes(bytes(damaged), "it")

    def test_it_opens_by_its_run_folder(self, path):
        assert CLASSES == bundle.load(path.parent).classes

    def test_it_says_what_it_is(self, path, recipe):
        model = bundle.describe(path.read_bytes(), "it")
        assert "my run" == model.name
        assert CLASSES == model.classes
        assert recipe.coder == model.coder
        assert CANVAS_HW == model.canvas_hw
        assert (recipe.mean, recipe.std) == (model.mean, model.std)
        assert recipe.thresholds == model.thresholds
        assert {"val AP50": 0.5} == model.metrics
        assert {"recipe": "grid_lite0", "epochs": 3.0, "seed": 0} == model.recipe
        assert ("photos",) == model.training_data
        assert boxray.__version__ == model.versions["boxray"]

    def test_it_tells_no_folder_of_whoever_trained_it(self, path):
        content = path.read_bytes()
        for secret in (b"someone", b"secret place", str(path.parent.parent).encode()):
            assert secret not in content

    def test_a_run_folder_of_any_name_can_be_exported(self, recipe, tmp_path):
        run = tmp_path / "new\nline\x1b[31m"
        run.mkdir()
        path = export.export_run(
            recipe, recipe.network, run, classes=CLASSES, settings=SETTINGS, metrics={}
        )
        assert "new_line_[31m" == bundle.describe(path.read_bytes(), "it").name


class TestTheNetwork:
    def test_exporting_leaves_it_as_it_was(self, recipe, path):
        assert any(isinstance(layer, nn.BatchNorm2d) for layer in recipe.network.modules())
        assert all(p.dtype == torch.float32 for p in recipe.network.parameters())

    def test_folding_changes_the_output_by_rounding_only(self, recipe):
        pixels = np.stack([images.fit(photo, CANVAS_HW)[0] for photo in photos(2)])
        whole = TorchEngine(recipe.network, recipe.mean, recipe.std)(pixels)
        plain = export.folded(recipe.network)
        assert not [layer for layer in plain.modules() if isinstance(layer, nn.BatchNorm2d)]
        for one, other in zip(
            whole, TorchEngine(plain, recipe.mean, recipe.std)(pixels), strict=True
        ):
            np.testing.assert_allclose(one, other, atol=1e-4 * np.abs(one).max())

    def test_another_networks_file_is_refused(self, path):
        other = grid_lite0(7, PRIORS, CANVAS_HW, pretrained=False).network
        with pytest.raises(ModelError, match="another network"):
            export.as_stored(other, path.read_bytes())
