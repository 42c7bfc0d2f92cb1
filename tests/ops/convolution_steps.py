"""A step of training a convolution, and how far its gradients are from the truth."""

import torch


def autocast():
    return torch.autocast("cpu", torch.bfloat16)


def step(network, x):
    """Output, and gradients of input and parameters."""
    network.zero_grad()
    leaf = x.clone().requires_grad_()
    with autocast():
        y = network(leaf)
    y.float().square().sum().backward()
    return y, [leaf.grad, *[parameter.grad for parameter in network.parameters()]]


def error(value, truth):
    return float((value.double() - truth.double()).norm() / truth.double().norm())
