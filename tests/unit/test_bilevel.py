"""TURTLE's two levels against torch's own layers and optimiser, and against a literal sum."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from imclust.clustering.clusterers.turtle import InnerClassifier, Labeller, outer_loss

DIMS, HEADS, K, N = [4, 6], 3, 5, 12


def problem(seed=0, *, keep=True, steps=7):
    g = torch.Generator().manual_seed(seed)
    labeller = Labeller(DIMS, HEADS, K, g, "cpu")
    inner = InnerClassifier(labeller, g, rate=0.01, keep=keep, steps=steps)
    x = [torch.randn(N, d, generator=g) for d in DIMS]
    target = torch.softmax(2 * torch.randn(HEADS, N, K, generator=g), 2)
    return labeller, inner, x, target


def by_torch(weights, bias, x, target, steps):
    """Adam on nn.Linear, the cross entropy against soft targets; log-probabilities (n, k)."""
    layer = nn.Linear(*weights.shape)
    layer.weight.data, layer.bias.data = weights.T.clone(), bias[0].clone()
    adam = torch.optim.Adam(layer.parameters(), 0.01)
    for _ in range(steps):
        adam.zero_grad()
        functional.cross_entropy(layer(x), target).backward()
        adam.step()
    return functional.log_softmax(layer(x), 1).detach()


def start(inner):
    return [w.clone() for w in inner._weights]


@pytest.mark.parametrize(("calls", "steps"), [(1, 1), (1, 20), (4, 5)])
def test_inner_steps_equal_torchs_adam_on_a_linear_layer(calls, steps):
    _, inner, x, target = problem(steps=steps)
    first = start(inner)
    for _ in range(calls):
        got = inner.fit(x, target)
    for s in range(2):
        for h in range(HEADS):
            want = by_torch(first[2 * s][h], first[2 * s + 1][h], x[s], target[h], calls * steps)
            torch.testing.assert_close(got[s][h], want, rtol=1e-3, atol=1e-4)


def test_without_keep_every_fit_starts_afresh():
    _, inner, x, target = problem(keep=False, steps=3)
    inner.fit(x, target)
    inner.fit(x, target)
    assert inner._taken == 3
    _, warm, _, _ = problem(keep=True, steps=3)
    warm.fit(x, target)
    warm.fit(x, target)
    assert warm._taken == 6


def test_soft_labels_equal_a_weight_normalised_linear_layer():
    labeller, _, x, _ = problem()
    for p in labeller.parameters:
        p.data.uniform_(0.5, 1.5)
    for s in range(2):
        soft = labeller.soft(x[s], s)
        for h in range(HEADS):
            v, g, b = (part[s][h] for part in (labeller._direction, labeller._length,
                                               labeller._bias))  # fmt: skip
            weights = torch.stack([g[0, c] * v[:, c] / v[:, c].norm() for c in range(K)], 1)
            torch.testing.assert_close(soft[h], torch.softmax(x[s] @ weights + b, 1))


@pytest.mark.parametrize("balance", [0.0, 10.0])
def test_outer_loss_equals_a_literal_computation(balance):
    labeller, inner, x, _ = problem()
    first = start(inner)
    got = outer_loss(x, labeller, inner, balance)
    for h in range(HEADS):
        soft = [labeller.soft(x[s], s)[h].detach() for s in range(2)]
        task = (soft[0] + soft[1]) / 2
        want = 0.0
        for s in range(2):
            log_p = by_torch(first[2 * s][h], first[2 * s + 1][h], x[s], task, 7)
            for i in range(N):
                want -= sum(float(task[i, c] * log_p[i, c]) for c in range(K)) / N
            mean = soft[s].mean(0)
            want += balance * float((mean * mean.log()).sum())
        assert got[h].item() == pytest.approx(want, abs=1e-3)


def test_gradients_flow_through_the_labels_only():
    labeller, inner, x, _ = problem()
    outer_loss(x, labeller, inner, 1.0).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in labeller.parameters)
    assert not any(w.requires_grad for w in inner._weights)
