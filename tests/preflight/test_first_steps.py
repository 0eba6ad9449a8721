"""What a loss is expected to be at first, and a few pictures by heart."""

import math

import numpy as np
import pytest
import torch

from boxray.assignment import Targets
from boxray.boxes import centre_size
from boxray.coders.yolo_grid import YoloGrid
from boxray.data.synthetic import make
from boxray.preflight import Subject, first_steps
from boxray.preflight.answers import Silent, answering_rows, perfect
from boxray.recipes.recipe import blueprint
from boxray.training.objective import losses
from boxray.training.preparation import prepare
from boxray.training.settings import TrainSettings

SIZE_HW = (64, 64)
SIZES = np.array([[12.0, 12.0], [20.0, 16.0], [16.0, 24.0], [40.0, 40.0]] * 3)
NONE = torch.zeros(0, 4)
SMALL_RECIPES = ("grid-lite0", "yolov3-lite0", "retinanet-lite0", "faster-rcnn-lite0")


def small(name: str):
    chosen = blueprint(name)
    return chosen.build(3, chosen.priors(SIZES), SIZE_HW, pretrained=False)


def test_an_untaught_retina_head_costs_what_the_focal_loss_says():
    recipe = small("retinanet-lite0")
    empty = Targets(NONE, torch.zeros(0, dtype=torch.int64), NONE)
    said = losses(recipe, Silent(recipe), torch.zeros(1, 3, *SIZE_HW), [empty])
    # (8² + 4² + 2² + 1 + 1) cells · 9 anchors · 3 classes, each -(1 - α)·p^γ·ln(1 - p)
    each = -0.75 * 0.01**2 * math.log(0.99)
    assert (64 + 16 + 4 + 1 + 1) * 9 * 3 * each == pytest.approx(said["class"].item(), rel=1e-4)
    assert said["box"] == 0


def test_an_untaught_grid_costs_what_cross_entropy_says():
    recipe = small("yolov3-lite0")
    empty = Targets(NONE, torch.zeros(0, dtype=torch.int64), NONE)
    said = losses(recipe, Silent(recipe), torch.zeros(1, 3, *SIZE_HW), [empty])
    # (8² + 4² + 2²) cells · 3 priors, each -ln(1 - 0.01)
    expected = (64 + 16 + 4) * 3 * -math.log(0.99)
    assert expected == pytest.approx(said["objectness"].item(), rel=1e-4)


@pytest.mark.parametrize("name", SMALL_RECIPES)
def test_a_fresh_network_begins_where_it_is_expected_to(name):
    torch.manual_seed(0)
    recipe = small(name)
    image = torch.rand(2, 3, *SIZE_HW)
    truth = Targets(torch.tensor([[14.0, 18.0, 33.0, 35.0]]), torch.tensor([1]), NONE)
    terms = []
    for network in (recipe.network.train(), Silent(recipe)):
        torch.manual_seed(0)
        with torch.no_grad():
            terms.append(losses(recipe, network, image, [truth, truth], seen=0))
    observed, expected = terms
    assert observed.keys() == expected.keys()
    for term, usual in expected.items():
        assert usual / first_steps.AGREES < observed[term] < usual * first_steps.AGREES, term


def test_the_row_that_answers_is_of_the_cell_that_the_centre_is_in():
    coder = YoloGrid(2, (8, 16), (((8.0, 8.0), (64.0, 64.0)), ((30.0, 30.0), (64.0, 30.0))))
    boxes = np.array([[40.0, 20.0, 46.0, 26.0], [17.0, 19.0, 45.0, 47.0]], np.float32)
    starts = coder.starts(SIZE_HW)[answering_rows(coder, boxes, SIZE_HW)]
    # centre 43, 23 in the cell from 40, 16 of stride 8; centre 31, 33 in the one from 16, 32 of 16
    assert [[44, 20, 8, 8], [24, 40, 30, 30]] == centre_size(starts).tolist()


def test_the_row_of_a_tiny_object_is_in_its_cell_wherever_that_is():
    # at 640 a single-precision edge is rounded by 0.00003, of a side of 3.56 that is 0.00001
    coder = YoloGrid(1, (8,), (((3.5567, 3.4706), (7.1, 7.5), (14.2, 13.5)),))
    centres = np.random.default_rng(0).uniform(4, 636, (200, 2))
    boxes = np.concatenate([centres - 1.7, centres + 1.7], 1).astype(np.float32)
    starts = centre_size(coder.starts((640, 640))[answering_rows(coder, boxes, (640, 640))])
    assert (np.abs(starts[:, :2] - centres) < 4.001).all()


def test_perfect_output_means_the_boxes_it_was_made_from():
    recipe = small("retinanet-lite0")
    boxes = np.array([[3.0, 5.0, 21.0, 30.0], [30.0, 8.0, 61.0, 44.0]], np.float32)
    raw = perfect(recipe.coder, boxes, np.array([2, 0]), SIZE_HW)
    found = recipe.coder.decode(raw, 0.5)
    order = np.argsort(found.boxes[:, 0])
    np.testing.assert_allclose(found.boxes[order], boxes, atol=1e-3)
    assert [2, 0] == found.labels[order].tolist()


class TestByHeart:
    @pytest.fixture
    def subject(self, tmp_path) -> Subject:
        pictures = make(tmp_path / "shapes", images=5, seed=0)
        settings = TrainSettings(
            data=(pictures,),
            output=tmp_path / "run",
            size=96,
            start="imagenet",
            threads=1,
            workers=0,
            cache=tmp_path / "cache",
        )
        return Subject(prepare(settings), limit_s=300.0)

    def test_a_few_easy_pictures_are_learned(self, subject):
        said = first_steps.overfit(subject)
        assert ((), True) == (said.findings, said.finished), said.measured

    def test_a_network_that_does_not_learn_is_an_error(self, subject, monkeypatch):
        monkeypatch.setattr(first_steps, "MOST_STEPS", 2)
        (finding,) = first_steps.overfit(subject).findings
        assert "after 2 steps: a network that cannot learn these by heart" in finding.reason

    def test_a_limit_that_was_too_short_is_no_finding(self, subject):
        short = Subject(subject.prepared, limit_s=0.0)
        said = first_steps.overfit(short)
        assert ((), False) == (said.findings, said.finished)
