"""Keras's layers that change colors at random in training, on images [N, C, H, W]; they hand them on in evaluation.

Like `augment_random.py`, this is source that the writer of Python packages copies.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from translate.converters.keras_to_torch.augment_random import RandomTransform, RandomVariation

# The writer looks for it.
STANDALONE = True


class RandomBrightness(RandomVariation):
    """Adds a random share, between `low` and `high`, of the range of values to images, in training."""

    def change(self, x: Tensor) -> Tensor:
        """Return images of the same size."""
        least, most = self.value_range
        share = self.draw(x, self.low, self.high)
        return torch.clamp(x + (most - least) * share.to(x.dtype), least, most)


class RandomContrast(RandomVariation):
    """Multiplies the distance from the mean of each channel by a factor between `low` and `high`, in training."""

    def change(self, x: Tensor) -> Tensor:
        """Return images of the same size."""
        factor = self.draw(x, self.low, self.high)
        mean = x.mean((2, 3), keepdim=True)
        return torch.clamp((x - mean) * factor.to(x.dtype) + mean, *self.value_range)


class ColorTransform(RandomTransform):
    """Changes the colors of images; the base of those that do so at random."""

    @staticmethod
    def to_hsv(x: Tensor) -> Tensor:
        """Return hue, saturation and value of images [..., 3, H, W] of red, green and blue."""
        red, green, blue = x.narrow(-3, 0, 1), x.narrow(-3, 1, 1), x.narrow(-3, 2, 1)
        value = torch.maximum(torch.maximum(red, green), blue)
        spread = value - torch.minimum(torch.minimum(red, green), blue)
        saturation = torch.where(value > 0, spread / torch.where(value > 0, value, 1.0), 0.0)
        sixth = 1 / (6 * torch.where(spread > 0, spread, 1.0))
        hue = torch.where(
            red == value,
            sixth * (green - blue),
            torch.where(green == value, sixth * (blue - red) + 2 / 6, sixth * (red - green) + 4 / 6),
        )
        hue = torch.where(spread > 0, torch.where(hue < 0, hue + 1, hue), 0.0)
        return torch.cat([hue, saturation, value], -3)

    @staticmethod
    def to_rgb(x: Tensor) -> Tensor:
        """Return red, green and blue of images [..., 3, H, W] of hue, saturation and value."""
        hue, saturation, value = x.narrow(-3, 0, 1) * 6, x.narrow(-3, 1, 1), x.narrow(-3, 2, 1)
        red = torch.clamp(torch.abs(hue - 3) - 1, 0, 1)
        green = torch.clamp(2 - torch.abs(hue - 2), 0, 1)
        blue = torch.clamp(2 - torch.abs(hue - 4), 0, 1)
        return ((1 - saturation) + saturation * torch.cat([red, green, blue], -3)) * value

    @staticmethod
    def to_gray(x: Tensor) -> Tensor:
        """Return how bright the pixels of images [N, 3, H, W] look: [N, 1, H, W]."""
        red, green, blue = x.narrow(-3, 0, 1), x.narrow(-3, 1, 1), x.narrow(-3, 2, 1)
        return 0.2989 * red + 0.587 * green + 0.114 * blue


class RandomHue(ColorTransform, RandomVariation):
    """Moves the hue of images by up to half a turn times a number between `low` and `high`, in training."""

    def change(self, x: Tensor) -> Tensor:
        """Return images of the same size."""
        sign = torch.where(self.draw(x) > 0.5, -0.5, 0.5)
        move = sign * self.draw(x, self.low, self.high)
        least, most = self.value_range
        hue, saturation, value = self.to_hsv((x - least) / (most - least)).chunk(3, 1)
        hue = hue + move.to(x.dtype)
        hue = torch.where(hue > 1, hue - 1, torch.where(hue < 0, hue + 1, hue))
        y = torch.clamp(self.to_rgb(torch.cat([hue, saturation, value], 1)), 0, 1)
        return y * (most - least) + least


class RandomSaturation(ColorTransform, RandomVariation):
    """Multiplies the saturation of images by f / (1 - f), with f between `low` and `high`, in training."""

    def change(self, x: Tensor) -> Tensor:
        """Return images of the same size."""
        f = self.draw(x, self.low, self.high)
        factor = f / (1 - f + 1e-7)
        hue, saturation, value = self.to_hsv(x).chunk(3, 1)
        saturation = torch.clamp(saturation * factor.to(x.dtype), *self.value_range)
        return self.to_rgb(torch.cat([hue, saturation, value], 1))


class RandomGrayscale(ColorTransform):
    """Makes images gray with the probability `p`, in training."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def change(self, x: Tensor) -> Tensor:
        """Return images of the same size."""
        return torch.where(self.draw(x) < self.p, self.to_gray(x), x)


class RandomColorDegeneration(ColorTransform, RandomVariation):
    """Makes images more or less gray, by a share between `low` and `high`, in training."""

    def change(self, x: Tensor) -> Tensor:
        """Return images of the same size."""
        share = self.draw(x, self.low, self.high)
        return torch.clamp(x + share.to(x.dtype) * (self.to_gray(x) - x), *self.value_range)


class RandomInvert(RandomTransform):
    """Makes negatives of some images, in training; the probability is itself drawn, between `low` and `high`."""

    def __init__(self, low: float, high: float, most: float) -> None:
        super().__init__()
        self.low = low
        self.high = high
        self.most = most

    def change(self, x: Tensor) -> Tensor:
        """Return images of the same size."""
        chances = self.draw(x, self.low, self.high)
        return torch.where(self.draw(x) < chances, self.most - x, x)


class RandomPosterization(RandomVariation):
    """Leaves images a random number of bits, at least `low` and below `high` if they differ, in training."""

    def change(self, x: Tensor) -> Tensor:
        """Return images of the same size."""
        bits = torch.randint(int(self.low), int(max(self.high, self.low + 1)), (x.size(0), 1, 1, 1), device=x.device)
        least, most = self.value_range
        step = 2.0 ** (8 - bits)
        levels = torch.floor(torch.trunc((x - least) / (most - least) * 255) / step) * step
        return (levels / 255 * (most - least) + least).to(x.dtype)


class RandomSharpness(RandomVariation):
    """Makes images sharper or smoother by a factor between `low` and `high`, in training; 0.5 changes nothing."""

    def change(self, x: Tensor) -> Tensor:
        """Return images of the same size."""
        share = 1 - 2 * self.draw(x, self.low, self.high)
        weights = [[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]]
        kernel = torch.tensor(weights, dtype=x.dtype, device=x.device) / 13
        smooth = F.conv2d(x, kernel.expand(x.size(1), 1, 3, 3), padding=1, groups=x.size(1))
        return torch.clamp(x + share.to(x.dtype) * (smooth - x), *self.value_range)


class RandomGaussianBlur(RandomTransform):
    """Blurs some images with one kernel of random width, in training; the probability is itself drawn."""

    def __init__(
        self,
        factor: tuple[float, float],
        height: int,
        width: int,
        sigma: tuple[float, float],
        value_range: tuple[float, float],
    ) -> None:
        super().__init__()
        self.factor = factor
        self.height = height
        self.width = width
        self.sigma = sigma
        self.value_range = value_range

    def change(self, x: Tensor) -> Tensor:
        """Return images of the same size."""
        chances = self.draw(x, *self.factor)
        chosen = self.draw(x) < chances
        low, high = self.sigma
        sigmas = low + (high - low) * torch.rand(2, dtype=x.dtype, device=x.device) + 1e-6
        first, second = self.side(self.height, sigmas[0]), self.side(self.width, sigmas[1])
        kernel = torch.outer(second, first).reshape(1, 1, self.height, self.width)
        margins = (self.height // 2, self.width // 2)
        blurred = F.conv2d(x, kernel.expand(x.size(1), -1, -1, -1), padding=margins, groups=x.size(1))
        return torch.clamp(torch.where(chosen, blurred, x), *self.value_range)

    def side(self, size: int, sigma: Tensor) -> Tensor:
        """Return the weights [size] along one side of the kernel."""
        at = torch.arange(size, dtype=sigma.dtype, device=sigma.device) - (size - 1) / 2
        weights = torch.exp(-0.5 * (at / sigma) ** 2)
        return weights / weights.sum()


class Solarization(RandomTransform):
    """Adds a random number to images and turns what is above a random threshold round, in training.

    `addition` and `threshold` are between what the numbers are drawn, for values from 0 to 255.
    """

    def __init__(
        self, addition: tuple[float, float], threshold: tuple[float, float], value_range: tuple[float, float]
    ) -> None:
        super().__init__()
        self.addition = addition
        self.threshold = threshold
        self.value_range = value_range

    def change(self, x: Tensor) -> Tensor:
        """Return images of the same size."""
        addition = self.draw(x, *self.addition)
        threshold = self.draw(x, *self.threshold)
        least, most = self.value_range
        y = torch.clamp((x - least) / (most - least) * 255 + addition.to(x.dtype), 0, 255)
        y = torch.where(y < threshold, y, 255 - y)
        return y / 255 * (most - least) + least


class Equalization(RandomTransform):
    """Spreads the values of each channel evenly, over all images of a batch, in training."""

    def __init__(self, bins: int, value_range: tuple[float, float]) -> None:
        super().__init__()
        self.bins = bins
        self.value_range = value_range

    def change(self, x: Tensor) -> Tensor:
        """Return images of the same size."""
        least, most = self.value_range
        channels = []
        for channel in ((x - least) / (most - least) * 255).unbind(1):
            places = torch.clamp((channel * (self.bins - 1) / 255).to(torch.int64), 0, self.bins - 1)
            counts = torch.bincount(places.flatten(), minlength=self.bins)
            below = counts.cumsum(0)
            first = below[below > 0][0]
            levels = (below - first) * 255 / torch.clamp(below[-1] - first, min=1)
            even = torch.clamp(torch.round(levels), 0, 255)[places].to(x.dtype)
            channels.append(channel if torch.count_nonzero(counts) <= 1 else even)
        return torch.stack(channels, 1) / 255 * (most - least) + least
