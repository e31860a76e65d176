"""The first block of the ConvAE in one pass over the image: convolution, maximum of 2 x 2, ReLU, on a CPU.

In go one grey image and the weights of a 3 x 3 convolution; out come its features, or their mean and standard deviation
without the features ever being in memory. A library writes 128 channels of the full size first and reads them again
three times; the weights' multiplications then wait for memory. Other layers and devices are ``convae``'s.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phenoassets.jit import compiled

Floats = NDArray[np.float32]


@compiled
def _row(image: Floats, weight: Floats, bias: Floats, top: int, out: Floats) -> None:
    """Features of one row: image (h + 2, w + 2) padded, weight (9, c), out (w // 2, c)."""
    for column in range(out.shape[0]):
        left = 2 * column
        a, b, c, d = image[top, left], image[top, left + 1], image[top, left + 2], image[top, left + 3]
        e, f, g, h = image[top + 1, left], image[top + 1, left + 1], image[top + 1, left + 2], image[top + 1, left + 3]
        i, j, k, m = image[top + 2, left], image[top + 2, left + 1], image[top + 2, left + 2], image[top + 2, left + 3]
        n, o, p, q = image[top + 3, left], image[top + 3, left + 1], image[top + 3, left + 2], image[top + 3, left + 3]
        for channel in range(weight.shape[1]):
            u, v, w = weight[0, channel], weight[1, channel], weight[2, channel]
            r, s, t = weight[3, channel], weight[4, channel], weight[5, channel]
            x, y, z = weight[6, channel], weight[7, channel], weight[8, channel]
            one = a * u + b * v + c * w + e * r + f * s + g * t + i * x + j * y + k * z
            two = b * u + c * v + d * w + f * r + g * s + h * t + j * x + k * y + m * z
            three = e * u + f * v + g * w + i * r + j * s + k * t + n * x + o * y + p * z
            four = f * u + g * v + h * w + j * r + k * s + m * t + o * x + p * y + q * z
            highest = max(one, two, three, four) + bias[channel]
            out[column, channel] = max(highest, np.float32(0))


@compiled
def features(image: Floats, weight: Floats, bias: Floats) -> Floats:
    """Features (h // 2, w // 2, c) of an image padded by one pixel (h + 2, w + 2); weight (9, c), bias (c,)."""
    height, width = (image.shape[0] - 2) // 2, (image.shape[1] - 2) // 2
    out = np.empty((height, width, weight.shape[1]), np.float32)
    for row in range(height):
        _row(image, weight, bias, 2 * row, out[row])
    return out


@compiled
def moments(image: Floats, weight: Floats, bias: Floats) -> NDArray[np.float64]:
    """Mean and standard deviation over positions, (2, c) float64, of what `features` gives.

    Rows are summed around their own means and joined by the update of Chan, Golub and LeVeque (1983), so that nothing
    is lost where the mean is far larger than the deviation.
    """
    height, width = (image.shape[0] - 2) // 2, (image.shape[1] - 2) // 2
    n_channels = weight.shape[1]
    buffer = np.empty((width, n_channels), np.float32)
    total = np.empty(n_channels, np.float32)
    spread = np.empty(n_channels, np.float32)
    mean = np.zeros(n_channels)
    squares = np.zeros(n_channels)
    for row in range(height):
        _row(image, weight, bias, 2 * row, buffer)
        total[:] = 0
        for column in range(width):
            for channel in range(n_channels):
                total[channel] += buffer[column, channel]
        for channel in range(n_channels):
            total[channel] /= width
        spread[:] = 0
        for column in range(width):
            for channel in range(n_channels):
                away = buffer[column, channel] - total[channel]
                spread[channel] += away * away
        before = row * width
        for channel in range(n_channels):
            step = total[channel] - mean[channel]
            mean[channel] += step * width / (before + width)
            squares[channel] += spread[channel] + step * step * before * width / (before + width)
    out = np.empty((2, n_channels))
    for channel in range(n_channels):
        out[0, channel] = mean[channel]
        out[1, channel] = np.sqrt(squares[channel] / (height * width))
    return out
