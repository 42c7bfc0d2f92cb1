"""Slow truths: mean field in loops over pixels and labels, and the lattice as a dictionary of vertices."""

import math

import numpy as np


def gaussian_matrix(features):
    """exp(-|f_i - f_j|^2 / 2) for all pairs of pixels; features (f, n)."""
    num_pixels = features.shape[1]
    matrix = np.empty((num_pixels, num_pixels))
    for i in range(num_pixels):
        for j in range(num_pixels):
            matrix[i, j] = math.exp(-0.5 * sum((features[:, i] - features[:, j]) ** 2))
    return matrix


def normalized(matrix, normalization):
    """The four normalizations, entry by entry."""
    degrees = matrix.sum(1)
    result = np.empty_like(matrix)
    for i in range(len(matrix)):
        for j in range(len(matrix)):
            factor = {
                "symmetric": 1 / math.sqrt(degrees[i] * degrees[j]),
                "before": 1 / degrees[j],
                "after": 1 / degrees[i],
                "none": 1,
            }[normalization]
            result[i, j] = matrix[i, j] * factor
    return result


def softmax(scores):
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


def mean_field(logits, matrices, weights, costs, num_steps):
    """Krähenbühl & Koltun 2011, algorithm 1, line by line; logits (n, k), costs (k, k)."""
    num_pixels, num_classes = logits.shape
    probabilities = np.array([softmax(row) for row in logits])
    for _ in range(num_steps):
        updated = np.empty_like(probabilities)
        for pixel in range(num_pixels):
            messages = np.zeros(num_classes)  # message passing, a kernel's weight times its filter
            for matrix, weight in zip(matrices, weights, strict=True):
                for label in range(num_classes):
                    messages[label] += weight * (matrix[pixel] * probabilities[:, label]).sum()
            scores = np.empty(num_classes)
            for label in range(num_classes):  # compatibility transform, local update
                cost = sum(costs[label, other] * messages[other] for other in range(num_classes))
                scores[label] = logits[pixel, label] - cost
            updated[pixel] = softmax(scores)
        probabilities = updated
    return probabilities


def lattice_matrix(features):
    """The filter of Adams et al. 2010 as a dense matrix, its vertices in a dictionary."""
    num_dims, num_points = features.shape
    vertices, splats = {}, []
    for point in features.T:
        for key, share in _corners(point):
            splats.append((vertices.setdefault(key, len(vertices)), share))
    splat = np.zeros((len(vertices), num_points))
    for number, (vertex, share) in enumerate(splats):
        splat[vertex, number // (num_dims + 1)] += share
    values = splat
    for direction in range(num_dims + 1):
        step = -np.ones(num_dims + 1, int)
        step[direction] = num_dims
        blurred = values.copy()
        for key, vertex in vertices.items():
            for neighbor in (tuple(key + step), tuple(key - step)):
                if neighbor in vertices:
                    blurred[vertex] += values[vertices[neighbor]] / 2
        values = blurred
    return splat.T @ values / (1 + 2.0**-num_dims)


def _corners(point):
    """Vertices round a point with their barycentric coordinates, found by solving for these."""
    num_dims = len(point)
    size = num_dims + 1
    basis = np.zeros((size, num_dims))  # section 3.1: columns orthogonal to each other and to the ones
    for axis in range(num_dims):
        basis[: axis + 1, axis] = 1
        basis[axis + 1, axis] = -(axis + 1)
        basis[:, axis] /= math.sqrt((axis + 1) * (axis + 2))
    elevated = basis @ point * size * math.sqrt(2 / 3)
    origin = np.rint(elevated / size).astype(int) * size
    order = np.argsort(origin - elevated, kind="stable")  # the largest residue first
    excess = origin.sum() // size
    if excess > 0:
        origin[order[size - excess :]] -= size
    elif excess < 0:
        origin[order[:-excess]] += size
    order = np.argsort(origin - elevated, kind="stable")
    keys = [origin.copy()]
    for axis in order[
        ::-1
    ]:  # a step of one along all axes, back by d + 1 along the one with the least residue
        keys.append(keys[-1] + 1)
        keys[-1][axis] -= size
    keys = np.array(keys[:size])
    system = np.vstack([keys.T, np.ones(size)])
    shares = np.linalg.lstsq(system, np.append(elevated, 1), rcond=None)[0]
    return [(tuple(key), share) for key, share in zip(keys.tolist(), shares, strict=True)]
