"""Checkpoints: whole or refused, and the previous one is there when the newest is not."""

import errno
import os

import numpy as np
import pytest
import torch
from torch import nn

from boxray.errors import ModelError, OutputError
from boxray.training import checkpoints
from boxray.training.checkpoints import BEST, LAST, NEXT, PREVIOUS, Checkpoint


def parts(seed: int = 0, width: int = 5):
    """A small network with batch norm, its average, and an optimiser that has made steps."""
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Linear(width, 2))
    average = nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Linear(width, 2))
    groups = [{"params": network[0].parameters(), "peak": 1.0}, {"params": network[2].parameters()}]
    optimizer = torch.optim.AdamW(groups, lr=0.1)
    for _ in range(3):
        network(torch.randn(8, 3)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return network, average, optimizer


def state(step: int) -> dict:
    return {"step": step, "elapsed_s": 1.25, "losses": {"box": 0.1 + 0.2}, "best": None}


def checkpoint(step: int = 3, seed: int = 0) -> Checkpoint:
    return checkpoints.pack(*parts(seed), state(step))


@pytest.fixture
def content(tmp_path) -> bytes:
    path = tmp_path / "whole"
    checkpoints.write(path, checkpoint())
    return path.read_bytes()


def test_what_is_read_is_what_was_written_bit_for_bit(tmp_path):
    before = checkpoint()
    checkpoints.write(tmp_path / LAST, before)
    after = checkpoints.read(tmp_path / LAST)
    assert before.state == after.state
    assert before.tensors.keys() == after.tensors.keys()
    for name, tensor in before.tensors.items():
        assert tensor.dtype == after.tensors[name].dtype
        assert tensor.numpy().tobytes() == after.tensors[name].numpy().tobytes()


def test_a_training_goes_on_from_a_checkpoint_as_if_nothing_had_happened(tmp_path):
    network, average, optimizer = parts()
    checkpoints.write(tmp_path / LAST, checkpoints.pack(network, average, optimizer, state(3)))
    others = parts(seed=1)
    checkpoints.unpack(checkpoints.read(tmp_path / LAST), *others)
    for one, step in ((network, optimizer), (others[0], others[2])):
        torch.manual_seed(5)
        for _ in range(2):
            one(torch.randn(8, 3)).square().sum().backward()
            step.step()
            step.zero_grad()
    for ours, theirs in zip(network.parameters(), others[0].parameters(), strict=True):
        assert torch.equal(ours, theirs)
    for ours, theirs in zip(average.parameters(), others[1].parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert 1.0 == others[2].param_groups[0]["peak"]


def test_the_same_state_is_the_same_file(tmp_path):
    for name in ("a", "b"):
        checkpoints.write(tmp_path / name, checkpoint())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_weights_laid_out_for_speed_are_kept(tmp_path):
    weight = torch.randn(4, 3, 5, 5).to(memory_format=torch.channels_last)
    checkpoints.write(tmp_path / LAST, Checkpoint({"network.w": weight}, state(0)))
    assert torch.equal(weight, checkpoints.read(tmp_path / LAST).tensors["network.w"])


def test_a_fused_optimiser_goes_on_with_weights_laid_out_for_speed(tmp_path):
    def stepped(network: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
        for number in range(steps):
            torch.manual_seed(number)
            network(torch.randn(2, 3, 8, 8)).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()

    def begun() -> tuple[nn.Module, nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        network = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        return network, nn.Conv2d(3, 4, 3), torch.optim.AdamW(network.parameters(), fused=True)

    whole, average, optimizer = begun()
    stepped(whole, optimizer, 3)
    checkpoints.write(tmp_path / LAST, checkpoints.pack(whole, average, optimizer, state(3)))
    resumed, other, again = begun()
    checkpoints.unpack(checkpoints.read(tmp_path / LAST), resumed, other, again)
    for network, moments in ((whole, optimizer), (resumed, again)):
        stepped(network, moments, 2)
    assert torch.equal(whole.weight, resumed.weight)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    with pytest.raises(ModelError, match="does not fit this network"):
        checkpoints.unpack(checkpoint(), *parts(width=6))


def test_moments_of_weights_in_another_order_are_refused():
    network, average, _ = parts()
    turned = torch.optim.AdamW(list(network.parameters())[::-1])
    with pytest.raises(ModelError, match="another version"):
        checkpoints.unpack(checkpoint(), network, average, turned)
    fewer = torch.optim.AdamW(list(network[0].parameters()))
    with pytest.raises(ModelError, match="another version"):
        checkpoints.unpack(checkpoint(), network, average, fewer)


class TestDamage:
    def test_truncated_anywhere(self, tmp_path, content):
        path = tmp_path / LAST
        for length in np.linspace(0, len(content) - 1, 20).astype(int):
            path.write_bytes(content[:length])
            with pytest.raises(ModelError):
                checkpoints.read(path)

    def test_a_bit_flipped_anywhere(self, tmp_path, content):
        path = tmp_path / LAST
        random = np.random.default_rng(0)
        for place in random.integers(0, len(content), 50):
            damaged = bytearray(content)
            damaged[place] ^= 1 << int(random.integers(8))
            path.write_bytes(bytes(damaged))
            with pytest.raises(ModelError):
                checkpoints.read(path)

    def test_bytes_added_at_the_end(self, tmp_path, content):
        (tmp_path / LAST).write_bytes(content + b"\0")
        with pytest.raises(ModelError, match="damaged"):
            checkpoints.read(tmp_path / LAST)

    def test_a_missing_file_and_a_folder(self, tmp_path):
        for path in (tmp_path / LAST, tmp_path):
            with pytest.raises(ModelError, match="cannot read"):
                checkpoints.read(path)


class TestNewest:
    def test_there_may_be_none(self, tmp_path):
        assert (None, []) == checkpoints.newest(tmp_path)

    def test_the_last_one_is_taken_and_the_one_before_is_kept(self, tmp_path):
        for step in (1, 2, 3):
            checkpoints.write_last(tmp_path, checkpoint(step))
        found, complaints = checkpoints.newest(tmp_path)
        assert (3, []) == (found.state["step"], complaints)
        assert 2 == checkpoints.read(tmp_path / PREVIOUS).state["step"]
        assert {LAST, PREVIOUS} == {path.name for path in tmp_path.iterdir()}

    def test_a_damaged_one_falls_back_to_the_previous_and_says_so(self, tmp_path):
        for step in (1, 2):
            checkpoints.write_last(tmp_path, checkpoint(step))
        with (tmp_path / LAST).open("r+b") as file:
            file.truncate(1000)
        found, complaints = checkpoints.newest(tmp_path)
        assert 1 == found.state["step"]
        assert 1 == len(complaints)
        assert LAST in complaints[0]

    def test_with_all_damaged_there_is_none_and_each_is_named(self, tmp_path):
        for name in (LAST, PREVIOUS):
            (tmp_path / name).write_bytes(b"nothing")
        found, complaints = checkpoints.newest(tmp_path)
        assert found is None
        assert 2 == len(complaints)

    def test_a_damaged_last_one_does_not_replace_a_good_one_before_the_new_one_is_whole(
        self, tmp_path, monkeypatch
    ):
        for step in (1, 2):
            checkpoints.write_last(tmp_path, checkpoint(step))
        (tmp_path / LAST).write_bytes(b"damaged")
        fill_the_disk(monkeypatch)
        with pytest.raises(OutputError):
            checkpoints.write_last(tmp_path, checkpoint(3))
        assert 1 == checkpoints.newest(tmp_path)[0].state["step"]

    @pytest.mark.parametrize("renames", [0, 1])
    def test_killed_between_two_renames_the_newest_is_still_found(
        self, tmp_path, monkeypatch, renames
    ):
        for step in (1, 2):
            checkpoints.write_last(tmp_path, checkpoint(step))
        checkpoints.write(tmp_path / NEXT, checkpoint(3))
        if renames:
            (tmp_path / LAST).replace(tmp_path / PREVIOUS)
        assert 3 == checkpoints.newest(tmp_path)[0].state["step"]
        assert 3 == checkpoints.read(tmp_path / LAST).state["step"]  # it has its name now
        assert 2 == checkpoints.read(tmp_path / PREVIOUS).state["step"]
        checkpoints.write_last(tmp_path, checkpoint(4))
        assert 4 == checkpoints.newest(tmp_path)[0].state["step"]


def fill_the_disk(monkeypatch) -> None:
    def no_space(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)


def test_a_full_disk_is_an_output_error_and_leaves_every_older_checkpoint(tmp_path, monkeypatch):
    for step in (1, 2):
        checkpoints.write_last(tmp_path, checkpoint(step))
    checkpoints.write(tmp_path / BEST, checkpoint(2))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    fill_the_disk(monkeypatch)
    with pytest.raises(OutputError, match="No space left on device"):
        checkpoints.write_last(tmp_path, checkpoint(3))
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
