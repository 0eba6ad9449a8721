"""The shipped classifier names real photos; its preprocessing is timm's; probabilities add up."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import boxray
from boxray import images
from boxray.classification import imagenet
from boxray.classification.classifier import Classifier, softmax
from boxray.classification.preprocessing import Preprocessing
from boxray.errors import BoxError, ImageError, ModelError, SettingError

# what may be the best of a thousand classes
PHOTOS = {
    "coffee": {"espresso"},
    "chelsea": {"tabby", "tiger cat", "Egyptian cat"},
    "rocket": {"missile", "projectile"},
}


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return boxray.load_classifier("lite0-imagenet", threads=1)


def photo(name: str) -> np.ndarray:
    data = pytest.importorskip("skimage.data", reason="needs the extra 'demo'")
    return getattr(data, name)()


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("name", PHOTOS)
def test_the_shipped_classifier_names_real_photos(classifier, name):
    ((best, *_),) = classifier.classify(photo(name))
    assert best.name in PHOTOS[name]


def test_names_and_ids_belong_together(classifier):
    ((best, *_),) = classifier.classify(photo("coffee"))
    assert ("n07920052", "espresso") == (best.wnid, best.name)


def test_the_table_of_classes_is_that_of_the_shipped_file(classifier):
    assert imagenet.classes() == (classifier.classes, classifier.wnids)
    assert 1000 == len(set(classifier.classes)) == len(set(classifier.wnids))
    assert sorted(classifier.wnids) == list(classifier.wnids)  # the order of networks' outputs


def test_a_patch_is_classified_as_if_it_were_cut_out_by_hand(classifier):
    image = photo("chelsea")
    boxes = np.array([[100.0, 20.0, 300.0, 260.0], [0.0, 0.0, 90.4, 80.6]])
    by_hand = classifier.of_whole().probabilities([image[20:260, 100:300], image[0:81, 0:90]])
    assert classifier.guesses(by_hand, 5) == classifier.classify(image, boxes)


def test_more_patches_than_a_batch_say_the_same_as_one_by_one():
    patches = [noise(8 + number, 9) for number in range(35)]
    said = averaging().probabilities(patches)
    one_by_one = [averaging().probabilities([patch])[0] for patch in patches]
    np.testing.assert_array_equal(one_by_one, said)


def test_no_patches_have_no_probabilities():
    assert (0, 3) == averaging().probabilities([]).shape


def averaging(outputs: int = 3) -> Classifier:
    """Logits that are the mean red, green, blue …, in tens of grey levels."""

    def engine(canvases):
        means = canvases.mean((1, 2), np.float32) / 10
        return (np.tile(means, 2)[:, :outputs],)

    plain = Preprocessing((4, 4), (0.0,) * 3, (1.0,) * 3)
    return Classifier(engine, ("red", "green", "blue"), plain, name="averaging")


def test_the_brightest_colour_is_the_most_probable_class():
    patch = np.full((6, 5, 3), (10, 30, 20), np.uint8)
    (guesses,) = averaging().guesses(averaging().probabilities([patch]), 3)
    # logits 1, 3, 2: e^3 / (e^1 + e^3 + e^2) = 20.086 / 30.193
    assert ["green", "blue", "red"] == [guess.name for guess in guesses]
    assert 0.66524 == pytest.approx(guesses[0].probability, abs=1e-5)
    assert guesses[0].wnid is None


def test_equal_probabilities_stay_in_the_order_of_classes():
    (guesses,) = averaging().guesses(np.full((1, 3), 1 / 3), 2)
    assert ["red", "green"] == [guess.name for guess in guesses]


def test_of_1001_outputs_the_first_is_something_else_and_its_share_is_left_out():
    patch = np.full((6, 5, 3), (10, 30, 20), np.uint8)
    # outputs: none of them 1, red 3, green 2, blue 1 (the first colours again)
    (row,) = averaging(outputs=4).probabilities([patch])
    np.testing.assert_allclose(np.exp([3, 2, 1]) / np.exp([1, 3, 2, 1]).sum(), row, rtol=1e-6)


def test_an_engine_of_other_classes_is_refused():
    with pytest.raises(ModelError, match=r"3 classes and says \(5,\) numbers"):
        averaging(outputs=5).probabilities([noise(4, 4)])


def test_large_logits_do_not_overflow():
    np.testing.assert_allclose([[1, 0]], softmax(np.array([[1000.0, -1000.0]], np.float32)))


@pytest.mark.parametrize("box", [[40, 40, 50, 50], [5, 5, 5, 9], [9, 3, 4, 8], [0, 0, 0.3, 9]])
def test_a_patch_without_pixels_is_refused(box):
    with pytest.raises(BoxError, match="holds no pixel of an image of 40x30"):
        averaging().classify(noise(30, 40), np.array([box], float))


def test_a_patch_that_reaches_out_is_cut_at_the_edge():
    image = noise(30, 40)
    np.testing.assert_array_equal(image[20:, 30:], images.crop(image, np.array([30.0, 20, 99, 99])))


def test_what_is_no_picture_and_no_top_are_refused(tmp_path):
    with pytest.raises(ImageError):
        averaging().classify(tmp_path / "absent.jpg")
    with pytest.raises(SettingError, match="top is 0"):
        averaging().classify(noise(4, 4), top=0)


@pytest.mark.parametrize("size_hw", [(300, 400), (400, 301), (224, 224), (50, 1000), (7, 5)])
@pytest.mark.parametrize(
    "name", ["tf_efficientnet_lite0", "inception_v3.tf_in1k", "inception_resnet_v2.tf_in1k"]
)
def test_preprocessing_is_timms_to_the_pixel(name, size_hw):
    timm = pytest.importorskip("timm", reason="needs the extra 'train'")
    from timm.data import create_transform, resolve_data_config

    config = resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(name).to_dict())
    ours = Preprocessing(
        size_hw=config["input_size"][1:],
        mean=tuple(255 * value for value in config["mean"]),
        std=tuple(255 * value for value in config["std"]),
        interpolation=config["interpolation"],
        crop_share=config["crop_pct"],
    )
    image = noise(*size_hw)
    theirs = create_transform(**config)(Image.fromarray(image)).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(theirs, ours.values(ours.pixels(image)), atol=2e-6)


def test_a_stretched_patch_is_seen_whole():
    halves = np.concatenate([np.zeros((10, 30, 3)), np.full((10, 30, 3), 255)], 1).astype(np.uint8)
    plain = Preprocessing((8, 8), (0.0,) * 3, (1.0,) * 3, crop_share=0.5)
    seen = plain.of_whole().pixels(halves)
    np.testing.assert_array_equal(0, seen[:, :3])
    np.testing.assert_array_equal(255, seen[:, 5:])


def test_a_classifier_made_anew_is_the_shipped_one():
    pytest.importorskip("torch", reason="needs the extra 'train'")
    from boxray import bundle
    from boxray.engines.pytorch import TorchEngine
    from boxray.export import as_stored
    from boxray.recipes.patches import lite0_imagenet

    content, _ = bundle.read("lite0-imagenet")
    model, network = lite0_imagenet()
    described = bundle.describe(content, "shipped")
    assert model == replace(described, sha256=model.sha256, versions={})
    shipped = boxray.load_classifier(threads=1)
    engine = TorchEngine(
        as_stored(network, content), described.preprocessing.mean, described.preprocessing.std
    )
    patches = [noise(300, 200), photo("chelsea")]
    np.testing.assert_allclose(
        replace(shipped, engine=engine).logits(patches), shipped.logits(patches), atol=1e-3
    )
