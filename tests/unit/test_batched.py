"""Many small networks at once: the same numbers as one by one."""

import numpy as np
import pytest
import torch
from torch import nn

from imclust.clustering.mlp_ensemble import (
    MLPEnsemble,
    Schedule,
    batches,
    in_blocks,
    linear,
    mean_entropy,
    train,
)

WIDTHS = (5, 7, 3)


def made(heads=4, seed=0):
    return MLPEnsemble(heads, WIDTHS, torch.Generator().manual_seed(seed), "cpu")


def perceptron(stack, head):
    """The same head out of torch's own layers."""
    layers = []
    for w, b in zip(stack.weights, stack.biases, strict=True):
        layer = nn.Linear(*w.shape[1:])
        layer.weight.data, layer.bias.data = w[head].detach().T.clone(), b[head, 0].detach().clone()
        layers += [layer, nn.GELU()]
    return nn.Sequential(*layers[:-1])


@pytest.mark.parametrize("shared", [True, False])
def test_a_stack_equals_single_perceptrons(shared):
    stack = made()
    for b in stack.biases:
        b.data.normal_()
    x = torch.randn(11, 5) if shared else torch.randn(4, 11, 5)
    got = stack(x)
    assert got.shape == (4, 11, 3)
    for h in range(4):
        torch.testing.assert_close(got[h], perceptron(stack, h)(x if shared else x[h]))


def test_other_parameters_can_stand_in():
    stack, other, x = made(seed=0), made(seed=1), torch.randn(6, 5)
    torch.testing.assert_close(stack(x, other.parameters), other(x))
    alone = [p[2:3] for p in stack.parameters]
    torch.testing.assert_close(stack(x, alone)[0], stack(x)[2])


def test_shared_rows_in_one_product_equal_a_loop():
    x, w = torch.randn(6, 4), torch.randn(3, 4, 2)
    torch.testing.assert_close(linear(x, w), torch.stack([x @ one for one in w]))
    torch.testing.assert_close(linear(x.expand(3, 6, 4), w), linear(x, w))


def test_entropy_of_the_mean_answer_at_its_ends():
    even = torch.full((1, 8, 4), 0.25)
    spread = torch.eye(4).repeat(2, 1)[None]
    one = torch.eye(4)[:1].expand(1, 8, 4)
    np.testing.assert_allclose(mean_entropy(torch.cat([even, spread, one])), [1.3863, 1.3863, 0],
                               atol=1e-4)  # fmt: skip


def descend(stack, steps, *, target, batch=8, window=10, tolerance=0.0):
    """Train a stack to answer `target` (h, n, 3); mean last losses and steps."""
    x = torch.randn(20, 5, generator=torch.Generator().manual_seed(3))
    adam = torch.optim.Adam(stack.parameters, 1e-2)
    return train(
        20,
        lambda rows, _: ((stack(x[rows]) - target[:, rows]) ** 2).mean((1, 2)),
        adam,
        Schedule(steps, batch, window, tolerance),
        torch.Generator().manual_seed(4),
        "test",
    )


def test_heads_do_not_influence_each_other():
    together, target = made(), torch.randn(4, 20, 3)
    for head in range(4):
        alone = made()
        alone.weights = [w[head : head + 1].detach().requires_grad_() for w in alone.weights]
        alone.biases = [b[head : head + 1].detach().requires_grad_() for b in alone.biases]
        loss, _ = descend(alone, 9, target=target[head : head + 1])
        if head == 0:
            losses, _ = descend(together, 9, target=target)
        assert loss[0] == pytest.approx(losses[head], rel=1e-4)
        for a, b in zip(alone.parameters, together.parameters, strict=True):
            torch.testing.assert_close(a[0], b[head], rtol=1e-3, atol=1e-4)


def test_training_stops_when_the_loss_stands_still():
    still = torch.zeros(2, requires_grad=True)
    adam = torch.optim.Adam([still])
    seen = []

    def step(rows, t):
        seen.append((len(rows), t))
        falling = torch.tensor([max(0.0, 1 - t / 40), 1.0])
        return falling + 0 * still

    loss, steps = train(50, step, adam, Schedule(500, 16, 10, 1e-3), torch.Generator(), "test")
    assert seen == [(16, t) for t in range(60)]  # the windows 40-49 and 50-59 are alike
    assert steps == 60
    np.testing.assert_allclose(loss, [0, 1])


def test_training_goes_on_to_the_last_step_while_a_head_gets_better():
    target = torch.randn(2, 20, 3)
    losses = [descend(made(2), s, target=target, batch=99)[0] for s in (10, 60)]
    assert (losses[1] < losses[0]).all()
    assert descend(made(2), 33, target=target, batch=99)[1] == 33


def test_batches_cover_every_row_of_an_epoch_without_repeats():
    found = batches(20, 6, torch.Generator().manual_seed(0))
    epoch = torch.cat([next(found) for _ in range(3)]).tolist()
    assert len(set(epoch)) == 18
    assert sorted(next(batches(4, 99, torch.Generator())).tolist()) == [0, 1, 2, 3]


def test_blocks_do_not_show(rng):
    x = rng.standard_normal((23, 5)).astype(np.float32)
    stack = MLPEnsemble(1, WIDTHS, torch.Generator().manual_seed(0), in_device())
    whole = in_blocks(lambda rows: stack(rows)[0], x)
    np.testing.assert_allclose(in_blocks(lambda rows: stack(rows)[0], x, 7), whole, atol=1e-6)
    assert whole.shape == (23, 3)


def in_device():
    return "cuda" if torch.cuda.is_available() else "cpu"
