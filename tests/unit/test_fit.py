import io
import json
import math
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from torch import nn

from helpers import two_kinds
from imclust.core.errors import InputError
from imclust.core.reproducibility import isolated_seed
from imclust.data.augment import PRESETS
from imclust.data.loader import Preprocessing
from imclust.encoders.conv_ae import ConvAE, ConvAEConfig
from imclust.training import budget
from imclust.training import fit as fitting
from imclust.training.budget import BudgetClock
from imclust.training.fit import fit
from imclust.training.losses import mean_squared_error
from imclust.training.networks import parameter_count
from imclust.training.plan import Objective, TrainConfig
from imclust.training.state import SEAL, State
from imclust.training.step import batches
from imclust.training.weights_file import load_weights, save_weights

PLAN = TrainConfig(3, 16, 1e-3, 1e-5, "adamw", "one-cycle", "float32", checkpoints=(1, 2))


def small_network():
    with isolated_seed(0):
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1)
        )


class Killed(Exception):
    pass


class Copy(Objective):
    """Reproduce the image; its buffer counts the epochs, as a memory that a resume must keep."""

    def __init__(self, dies_after=None):
        super().__init__()
        self.register_buffer("epochs", torch.zeros((), dtype=torch.int64))
        self.dies_after, self.steps = dies_after, 0

    def begin_epoch(self, network, epoch, sweep):
        self.epochs += 1
        assert int(self.epochs) == epoch + 1

    def forward(self, network, x, rows):
        self.steps += 1
        if self.dies_after is not None and self.steps > self.dies_after:
            raise Killed
        return mean_squared_error(network(x), x)


def train(folder, network=None, plan=PLAN, seed=0, images=None, objective=None):
    network = network or small_network()
    images = two_kinds(50)[0] if images is None else images
    log = fit(
        network,
        objective or Copy(),
        images,
        Preprocessing(32),
        plan,
        seed=seed,
        device="cpu",
        folder=folder,
    )
    return network, log


@pytest.mark.parametrize("at", [1, 4, 7, 11])
def test_a_training_killed_at_any_step_ends_in_the_same_weights(tmp_path, monkeypatch, at):
    whole, whole_log = train(tmp_path)
    monkeypatch.setattr(fitting, "KEEP_EVERY", 0.0)
    monkeypatch.setattr(fitting, "LOG_EVERY", 2)
    folder = tmp_path / "broken"
    folder.mkdir()
    with pytest.raises(Killed):
        fit(
            small_network(),
            Copy(dies_after=at),
            two_kinds(50)[0],
            Preprocessing(32),
            PLAN,
            seed=0,
            device="cpu",
            folder=folder,
        )
    assert (folder / "resume.pt").exists() == (at >= 1)
    resumed, log = train(folder)
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)
    assert log[-1]["step"] == whole_log[-1]["step"] == 12


def test_the_log_of_a_training_killed_between_records_is_that_of_a_whole_one(tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "KEEP_EVERY", 0.0)
    monkeypatch.setattr(fitting, "LOG_EVERY", 5)
    _, whole_log = train(tmp_path)
    (tmp_path / "resume.pt").unlink()  # a stage clears it away after its training
    with pytest.raises(Killed):
        train(tmp_path, objective=Copy(dies_after=8))
    assert train(tmp_path)[1] == whole_log


def test_a_damaged_resume_point_is_said_and_the_training_starts_again(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "whole").mkdir()
    whole, _ = train(tmp_path / "whole")
    monkeypatch.setattr(fitting, "KEEP_EVERY", 0.0)
    with pytest.raises(Killed):
        train(tmp_path, objective=Copy(dies_after=8))
    content = bytearray((tmp_path / "resume.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "resume.pt").write_bytes(content)
    again, _ = train(tmp_path)
    assert "was damaged since it was written" in capsys.readouterr().out
    for a, b in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_step_log_has_one_record_a_step_and_no_gap_after_a_resume(tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "LOG_EVERY", 1)
    _, log = train(tmp_path)
    assert [r["step"] for r in log] == list(range(1, 13))
    written = [json.loads(s) for s in (tmp_path / "steps.jsonl").read_text().splitlines()]
    assert written == log


def test_seed_decides_and_repeats(tmp_path):
    a, b, c = (train(tmp_path, seed=s)[1][-1]["loss"] for s in (0, 0, 1))
    assert a == b != c


def test_loss_falls_on_images_and_diverging_is_refused(tmp_path):
    plan = TrainConfig(20, 16, 1e-2, 0, "adam", "constant", "float32")
    _, log = train(tmp_path, plan=plan)
    assert log[-1]["loss"] < 0.3 * log[0]["loss"]
    wild = TrainConfig(40, 16, 1e18, 0, "adam", "constant", "float32")
    with pytest.raises(InputError, match=r"finite; got .*lower the learning rate"):
        train(tmp_path, plan=wild)


def test_one_cycle_rises_then_falls_to_zero():
    rates = [PLAN.rate(s, 100) for s in range(100)]
    assert max(rates) == PLAN.lr == rates[9] == rates[10]
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.001 * PLAN.lr


def test_the_loss_is_the_formula_read_aloud(rng):
    a, b = rng.standard_normal((2, 2, 3, 4, 4))
    want = sum((p - q) ** 2 for p, q in zip(a.ravel(), b.ravel(), strict=True)) / a.size
    got = mean_squared_error(torch.tensor(a), torch.tensor(b))
    assert float(got) == pytest.approx(want, rel=1e-5)


def test_weights_round_trip_with_their_facts(tmp_path):
    network = small_network()
    save_weights(tmp_path / "w.safetensors", network, {"preprocessing": {"size": 32}})
    other = nn.Sequential(
        *[
            type(m)()
            if isinstance(m, nn.ReLU)
            else nn.Conv2d(m.in_channels, m.out_channels, 3, padding=1)
            for m in network
        ]
    )
    assert load_weights(tmp_path / "w.safetensors", other) == {"preprocessing": {"size": 32}}
    assert all(
        torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True)
    )


def test_wrong_weights_are_one_sentence(tmp_path):
    with pytest.raises(InputError, match="nothing there"):
        load_weights(tmp_path / "w.safetensors", small_network())
    save_weights(tmp_path / "w.safetensors", nn.Linear(2, 2), {})
    with pytest.raises(InputError, match=r"4 keys missing, first 0\.bias; 2 unknown, first bias"):
        load_weights(tmp_path / "w.safetensors", small_network())
    (tmp_path / "w.safetensors").write_text("<html>")
    with pytest.raises(InputError, match="weights of this network"):
        load_weights(tmp_path / "w.safetensors", small_network())


def test_the_homework_autoencoder_layer_by_layer():
    network = ConvAE(ConvAEConfig()).network()
    kinds = [
        (
            type(m).__name__,
            tuple(getattr(m, "kernel_size", ()) or ())
            if not isinstance(getattr(m, "kernel_size", None), int)
            else m.kernel_size,
        )
        for m in network.modules()
        if not list(m.children())
    ]
    block = [("Conv2d", (3, 3)), ("ReLU", ()), ("MaxPool2d", 2)]
    assert kinds == [
        *block, *block, *block,
        ("ConvTranspose2d", (5, 5)), ("ReLU", ()),
        ("ConvTranspose2d", (9, 9)), ("ReLU", ()),
        ("ConvTranspose2d", (17, 17)), ("Tanh", ()),
    ]  # fmt: skip
    convolutions = (3 * 64 + 64 * 128 + 128 * 256) * 9 + 64 + 128 + 256
    transposed = 256 * 128 * 25 + 128 * 64 * 81 + 64 * 3 * 289 + 128 + 64 + 3
    assert parameter_count(network) == convolutions + transposed == 1_909_251
    latent, back = network(torch.zeros(2, 3, 32, 32))
    assert latent.shape == (2, 256, 4, 4)
    assert back.shape == (2, 3, 32, 32)


def test_the_literal_recipe_is_the_homeworks():
    plan = ConvAE(ConvAEConfig(recipe="literal")).plan(8500)
    assert (plan.epochs, plan.batch, plan.lr, plan.weight_decay) == (100, 64, 1e-5, 1e-5)
    assert (plan.optimizer, plan.schedule, plan.precision) == ("adam", "constant", "float32")
    assert plan.checkpoints == tuple(range(10, 101, 10))


def test_literal_training_equals_a_loop_written_out(tmp_path):
    """The homework's loop, as anybody would write it, beside ours: the same weights."""
    images = two_kinds(20)[0]
    plan = TrainConfig(2, 8, 1e-3, 1e-2, "adam", "constant", "float32")
    ours, _ = train(tmp_path, plan=plan, images=images)
    theirs = small_network()
    optimizer = torch.optim.Adam(theirs.parameters(), lr=1e-3, weight_decay=1e-2)
    x = torch.from_numpy(images.astype(np.float32) / 255 * 2 - 1).permute(0, 3, 1, 2)
    for rows in islice(batches(20, 8, 0, 0), 2 * math.ceil(20 / 8)):
        optimizer.zero_grad()
        nn.functional.mse_loss(theirs(x[rows]), x[rows]).backward()
        optimizer.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_batches_cover_every_row_once_an_epoch():
    found = list(islice(batches(10, 4, seed=3, begin=0), 6))
    assert [len(b) for b in found] == [4, 4, 2, 4, 4, 2]
    for epoch in (found[:3], found[3:]):
        assert sorted(np.concatenate(epoch)) == list(range(10))
    assert not np.array_equal(np.concatenate(found[:3]), np.concatenate(found[3:]))
    late = list(islice(batches(10, 4, seed=3, begin=4), 2))
    assert all(np.array_equal(a, b) for a, b in zip(late, found[4:], strict=True))


class Clock:
    """Seconds that pass only where an objective says so; copies are the same clock."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def __deepcopy__(self, memo):
        return self


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in (fitting, budget):
        monkeypatch.setattr(module, "time", clock)
    return clock


class Slow(Copy):
    """Every step takes a while; after so many steps a longer one."""

    def __init__(self, clock, each, later=None, after=10, dies_after=None):
        super().__init__(dies_after)
        self.clock, self.each, self.later, self.after = clock, each, later or each, after

    def forward(self, network, x, rows):
        self.clock.now += self.each if self.steps < self.after else self.later
        return super().forward(network, x, rows)

    def begin_epoch(self, network, epoch, sweep):
        """No count: a measurement begins epochs of its own."""


def in_time(folder, objective, seconds, **more):
    began = objective.clock.now
    log = fit(
        small_network(), objective, two_kinds(64)[0], Preprocessing(32),
        replace(PLAN, epochs=1000, seconds=seconds, checkpoints=(), **more),
        seed=0, device="cpu", folder=folder,
    )  # fmt: skip
    return objective.clock.now - began, log


def test_a_budget_decides_the_number_of_steps_and_the_rate_still_falls_to_zero(
    tmp_path, clock, capsys
):
    taken, log = in_time(tmp_path, Slow(clock, 0.03), 3.0)
    assert 0.9 * 3 < taken <= 3
    assert log[-1]["step"] == 90  # 0.95 of 3 s, less the five steps that were timed
    assert log[-1]["lr"] < 0.01 * PLAN.lr
    assert "epochs planned for 3 s" in capsys.readouterr().out


def test_a_machine_that_slows_down_has_its_plan_cut(tmp_path, clock):
    taken, log = in_time(tmp_path, Slow(clock, 0.01, later=0.05, after=60), 3.0)
    assert 2.5 < taken < 3.1
    assert log[-1]["step"] < log[-1]["planned"]
    assert log[-1]["lr"] < 0.2 * PLAN.lr
    after, to = zip(*log[-1]["cuts"], strict=True)
    assert list(after) == sorted(after)
    assert list(to) == sorted(to, reverse=True)


@pytest.mark.parametrize("slow", [1, 10, 100, 500, 940])
@pytest.mark.parametrize("per_epoch", [1, 2, 40])
def test_one_slow_step_does_not_cost_the_rest(clock, per_epoch, slow):
    """A plan is never made longer again, so it is shortened by the speed of many steps."""
    network = small_network()
    optimizer = torch.optim.Adam(network.parameters())
    state = State(network, Slow(clock, 0.01), optimizer, 950, 950)
    timed = BudgetClock(state, replace(PLAN, seconds=10.0), per_epoch)
    timed.epoch_began()
    while state.step < state.steps:
        state.step += 1
        clock.now += 0.11 if state.step == slow else 0.01
        timed.cuts()
    assert (state.step, state.cuts) == (950, [])


def test_a_plan_that_was_cut_makes_the_same_weights_again(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(fitting, "LOG_EVERY", 1)
    networks = [small_network(), small_network()]
    images, prepared = two_kinds(64)[0], Preprocessing(32)
    timed = replace(PLAN, epochs=1000, seconds=3.0, checkpoints=())
    slow, there = Slow(clock, 0.01, later=0.05, after=60), {"seed": 0, "device": "cpu"}
    log = fit(networks[0], slow, images, prepared, timed, folder=tmp_path, **there)
    assert log[-1]["cuts"]
    (tmp_path / "again").mkdir()
    again = replace(PLAN, checkpoints=(), steps=log[-1]["planned"], cuts=log[-1]["cuts"])
    made = fit(networks[1], Copy(), images, prepared, again, folder=tmp_path / "again", **there)
    assert made == log
    for a, b in zip(*(network.parameters() for network in networks), strict=True):
        assert torch.equal(a, b)


def test_a_killed_budget_goes_on_with_the_time_that_is_left(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(fitting, "KEEP_EVERY", -1.0)
    monkeypatch.setattr(fitting, "LOG_EVERY", 1)
    with pytest.raises(Killed):
        in_time(tmp_path, Slow(clock, 0.05, dies_after=25), 4.0)
    content = (tmp_path / "resume.pt").read_bytes()[SEAL:]
    kept = torch.load(io.BytesIO(content), weights_only=True)
    step, steps, _, spent, _, _ = json.loads(kept["at"])
    assert step == 25
    taken, log = in_time(tmp_path, Slow(clock, 0.05), 4.0)
    assert step < log[-1]["step"] == steps
    assert spent + taken < 4.0
    assert [r["step"] for r in log] == list(range(1, log[-1]["step"] + 1))


def test_exactly_so_many_steps(tmp_path):
    _, log = train(tmp_path, plan=replace(PLAN, steps=5))
    assert log[-1]["step"] == 5
    assert log[-1]["lr"] < 0.2 * PLAN.lr


def test_several_views_reach_the_objective_one_behind_the_other(tmp_path):
    seen = []

    class Looks(Copy):
        def forward(self, network, x, rows):
            seen.append((x.detach().clone(), rows))
            return super().forward(network, x, rows)

    plan = replace(PLAN, epochs=1, views=2, augmentation=PRESETS["flip"])
    images = two_kinds(48)[0]
    fit(small_network(), Looks(), images, Preprocessing(32), plan, seed=0, device="cpu",
        folder=tmp_path)  # fmt: skip
    x, rows = seen[0]
    assert x.shape[0] == 2 * len(rows) == 32
    plain = torch.from_numpy(images[rows]).permute(0, 3, 1, 2).float() / 127.5 - 1
    for view in x.chunk(2):
        for got, want in zip(view, plain, strict=True):
            assert (
                min(float((got - want).abs().max()), float((got - want.flip(2)).abs().max())) < 1e-5
            )
    differ = sum(not torch.equal(a, b) for a, b in zip(*x.chunk(2), strict=True))
    assert 2 <= differ <= 14
