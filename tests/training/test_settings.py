"""Settings: what was asked, what was made of it, and what is refused before any work."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from boxray.errors import FormatError, SettingError
from boxray.ledger import read_resolved
from boxray.training.settings import (
    TrainSettings,
    default_batch,
    default_epochs,
    request_of,
    resolve,
)

REQUEST = TrainSettings(data=(Path("photos"),), output=Path("run"))
DERIVED = {
    "split": "train",
    "val_split": "val+test",
    "size": 320,
    "batch": 8,
    "threads": 2,
    "workers": 1,
    "learning_rate": 1e-3,
    "validations": 4,
    "epochs": 12.5,
    "fingerprint": "abc",
}


def saved(folder: Path, request: TrainSettings, derived=DERIVED) -> Path:
    path = folder / "settings.json"
    path.write_text(resolve(request, derived).to_json())
    return path


def test_every_value_says_where_it_came_from():
    resolved = resolve(replace(REQUEST, size=64, seed=3), DERIVED)
    assert (64, "user") == (resolved.values["size"], resolved.origins["size"])
    assert (3, "user") == (resolved.values["seed"], resolved.origins["seed"])
    assert (8, "derived") == (resolved.values["batch"], resolved.origins["batch"])
    assert (60.0, "default") == (resolved.values["checkpoint_s"], resolved.origins["checkpoint_s"])
    assert ("abc", "derived") == (resolved.values["fingerprint"], resolved.origins["fingerprint"])
    assert {"default", "user", "derived"} == set(resolved.origins.values())
    assert resolved.values.keys() == resolved.origins.keys()


def test_the_record_survives_a_file_and_leads_to_the_same_values_again(tmp_path):
    for request in (REQUEST, replace(REQUEST, epochs=2.0), replace(REQUEST, minutes=5.0)):
        derived = {**DERIVED} if request.minutes is None else {**DERIVED, "epochs": None}
        read = read_resolved(saved(tmp_path, request, derived))
        again = resolve(request_of(read, Path("run")), derived)
        assert read.values == json.loads(json.dumps(again.values))


def test_data_folders_are_recorded_so_that_a_resume_from_elsewhere_finds_them():
    assert [str(Path("photos").absolute())] == resolve(REQUEST, DERIVED).values["data"]


def test_a_moved_run_is_resumed_where_it_is_now(tmp_path):
    read = read_resolved(saved(tmp_path, REQUEST))
    assert tmp_path == request_of(read, tmp_path).output


def test_splits_that_were_found_are_found_again_and_those_asked_for_are_kept(tmp_path):
    # "val+test" names what two folders gave; none of them has a split of that name
    assert request_of(read_resolved(saved(tmp_path, REQUEST)), tmp_path).val_split is None
    asked = replace(REQUEST, val_split="test")
    assert "test" == request_of(read_resolved(saved(tmp_path, asked)), tmp_path).val_split


@pytest.mark.parametrize(
    "change, message",
    [
        ({"data": ()}, "at least one data folder"),
        ({"epochs": 1.0, "minutes": 1.0}, "exclude each other"),
        ({"epochs": 0.0}, "epochs is 0.0; expected 0.001 to 10000"),
        ({"epochs": math.nan}, "epochs is nan"),
        ({"minutes": math.inf}, "minutes is inf"),
        ({"minutes": 0.01}, "minutes is 0.01"),
        ({"batch": 0}, "batch is 0"),
        ({"size": 32}, "size is 32; expected 64 to 2048"),
        ({"size": 100}, "multiple of 32"),
        ({"learning_rate": -1.0}, "learning_rate is -1.0"),
        ({"validations": -1}, "validations is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"threads": 0}, "threads is 0"),
        ({"workers": 1000}, "workers is 1000; expected 0 to 64"),
        ({"checkpoint_s": math.nan}, "checkpoint_s is nan"),
        ({"device": "tpu"}, "device is 'tpu'; expected cpu or cuda"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(change, message):
    with pytest.raises(SettingError, match=message):
        replace(REQUEST, **change)


def test_small_sets_are_shown_more_often_in_smaller_batches():
    counts = [1, 20, 200, 1000, 5000, 50_000]
    epochs = [default_epochs(count) for count in counts]
    assert epochs == sorted(epochs, reverse=True)
    assert epochs[0] == epochs[1]  # fewer than twenty change nothing
    batches = [default_batch(count) for count in counts]
    assert batches == sorted(batches)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"settings": {"seed": 1}}', '{"settings": []}'])
def test_a_record_that_is_none_is_refused(tmp_path, text):
    path = tmp_path / "settings.json"
    path.write_text(text)
    with pytest.raises(FormatError, match="not a run's settings"):
        read_resolved(path)


def test_a_folder_without_a_record_has_nothing_to_resume(tmp_path):
    with pytest.raises(FormatError, match="nothing to resume"):
        read_resolved(tmp_path / "settings.json")
