"""The formulas of the family: activations and gradients of a layer, (h, w, c) each → a map (h, w).

`a` is what the layer handed on, `g` the derivative of the target by it. The maps are signed and in units of score
unless it is said; the ReLU with which most papers end is left to the caller. Precision is that of what is given.
"""

from __future__ import annotations

import numpy as np

from cnnlens import Array


def grad_cam(a: Array, g: Array) -> Array:
    """Each map weighted by its mean gradient.  Selvaraju et al., 2016."""
    return weighed(a, g.mean((0, 1)))


def hires_cam(a: Array, g: Array) -> Array:
    """Each place of each map weighted by its own gradient.  Draelos & Carin, 2020."""
    return np.asarray((a * g).sum(-1))


def layer_cam(a: Array, g: Array) -> Array:
    """Each place weighted by its own gradient where that is positive.  Jiang et al., 2021."""
    return np.asarray((a * np.maximum(g, 0)).sum(-1))


def xgrad_cam(a: Array, g: Array) -> Array:
    """Each map weighted by its mean gradient, the mean taken over its own activation.  Fu et al., 2020."""
    return weighed(a, _shares((a * g).sum((0, 1)), a.sum((0, 1))))


def grad_cam_plus_plus(a: Array, g: Array, epsilon: float = 0.0) -> Array:
    """Each map weighted by its positive gradients, each by an α of its own.  Chattopadhay et al., 2018.

    `epsilon` is added below the line of α, as other implementations do.
    """
    squares = g * g  # a cube by `**` takes twenty times as long
    return weighed(a, (alphas(a, squares, squares * g, epsilon) * np.maximum(g, 0)).sum((0, 1)))


def alphas(a: Array, squares: Array, cubes: Array, epsilon: float = 0.0) -> Array:
    """The α (h, w, c) of Grad-CAM++ from the second and third powers of the gradient (equation 19)."""
    return _shares(squares, 2 * squares + a.sum((0, 1)) * cubes + epsilon)


def eigen_cam(a: Array, centred: bool = False) -> Array:
    """The places along the direction of channels in which they are largest.  Muhammad & Yeasin, 2020.

    In units of activation. The sign of such a direction is free: here the map goes with the sum of the channels.
    `centred` takes the mean of each channel away first.
    """
    rows = a.reshape(-1, a.shape[-1])
    rows = rows - rows.mean(0) if centred else rows
    exact = rows.astype(np.float64)  # squares lose half the digits
    if len(rows) <= rows.shape[1]:
        direction = exact.T @ np.linalg.eigh(exact @ exact.T)[1][:, -1]
    else:
        direction = np.linalg.eigh(exact.T @ exact)[1][:, -1]
    length = np.linalg.norm(direction)
    along = exact @ (direction / length if length else direction)
    agrees = (along * exact.sum(-1)).sum() or along[np.abs(along).argmax()]
    return np.asarray((along if agrees >= 0 else -along).astype(a.dtype).reshape(a.shape[:2]))


def eigen_grad_cam(a: Array, g: Array) -> Array:
    """Eigen-CAM of activation times gradient, which makes it speak of the class.  After Muhammad & Yeasin, 2020."""
    return eigen_cam(a * g)


def weighed(a: Array, weights: Array) -> Array:
    """The maps, each by its weight, summed."""
    return np.asarray((a * weights).sum(-1))


def _shares(part: Array, whole: Array) -> Array:
    """`part / whole`, zero where the whole is."""
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole != 0)
