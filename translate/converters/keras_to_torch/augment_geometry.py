"""Keras's layers that move pixels at random in training, on images [N, C, H, W]; they hand them on in evaluation.

Like `augment_random.py`, this is source that the writer of Python packages copies.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from translate.converters.keras_to_torch.augment_random import RandomTransform

# The writer looks for it.
STANDALONE = True


class ImageTransform(RandomTransform):
    """Takes each pixel of an image from somewhere else in it; the base of those that do so at random."""

    def resample(self, x: Tensor, transform: Tensor, interpolation: str, fill_mode: str, fill_value: float) -> Tensor:
        """Return images whose pixel (column, row) is that at ((a0 c + a1 r + a2) / k, (a3 c + a4 r + a5) / k).

        `transform` [N, 8] or [8] has a0 to a7, and k is a6 c + a7 r + 1.
        """
        height, width = x.shape[2], x.shape[3]
        ones = torch.ones_like(x[:1, 0], dtype=torch.float32)
        rows, columns = ones.cumsum(1) - 1, ones.cumsum(2) - 1
        a = transform.to(torch.float32).reshape(-1, 8, 1, 1)
        depth = a[:, 6] * columns + a[:, 7] * rows + 1
        across = self.inside((a[:, 0] * columns + a[:, 1] * rows + a[:, 2]) / depth, width, fill_mode)
        down = self.inside((a[:, 3] * columns + a[:, 4] * rows + a[:, 5]) / depth, height, fill_mode)
        if interpolation == "nearest":
            # Halves go away from zero.
            across = torch.sign(across) * torch.floor(torch.abs(across) + 0.5)
            down = torch.sign(down) * torch.floor(torch.abs(down) + 0.5)
            return self.pixels(x, down, across, fill_value)
        left, top = torch.floor(across), torch.floor(down)
        right_share, bottom_share = (across - left).unsqueeze(1), (down - top).unsqueeze(1)
        upper = self.pixels(x, top, left, fill_value) * (1 - right_share)
        upper = upper + self.pixels(x, top, left + 1, fill_value) * right_share
        lower = self.pixels(x, top + 1, left, fill_value) * (1 - right_share)
        lower = lower + self.pixels(x, top + 1, left + 1, fill_value) * right_share
        return (upper * (1 - bottom_share) + lower * bottom_share).to(x.dtype)

    def pixels(self, x: Tensor, rows: Tensor, columns: Tensor, fill_value: float) -> Tensor:
        """Return the pixels at whole rows and columns [N, H, W]; the fill value outside of the image."""
        height, width = x.shape[2], x.shape[3]
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        places = torch.where(inside, rows * width + columns, 0.0).to(torch.int64)
        places = places.unsqueeze(1).expand([x.shape[0], x.shape[1], height, width])
        found = torch.gather(x.flatten(2), 2, places.flatten(2)).reshape(x.shape)
        return torch.where(inside.unsqueeze(1), found, fill_value)

    def inside(self, at: Tensor, size: int, fill_mode: str) -> Tensor:
        """Return where in an axis of `size` pixels to look for what would be at `at`."""
        if fill_mode == "constant":
            return at
        if fill_mode == "reflect":
            at = torch.remainder(torch.where(at < 0, -at - 1, at), 2 * size)
            at = torch.where(at >= size, 2 * size - 1 - at, at)
        elif fill_mode == "wrap":
            span = max(size - 1, 1) if isinstance(size, int) else size - 1
            before = at + size * (torch.trunc(-at / span) + 1)
            after = at - size * torch.trunc(at / span)
            at = torch.where(at < 0, before, torch.where(at > size - 1, after, at))
        return torch.clamp(at, 0, size - 1)

    def homography(self, start: Tensor, end: Tensor) -> Tensor:
        """Return the transforms [N, 8] that take the points `start` [N, 4, 2] of images to `end`."""
        x, y = end[..., 0], end[..., 1]
        u, v = start[..., 0], start[..., 1]
        one, zero = torch.ones_like(x), torch.zeros_like(x)
        across = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], -1)
        down = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], -1)
        matrix = torch.stack([across, down], 2).flatten(1, 2)
        transform: Tensor = torch.linalg.solve(matrix, start.flatten(1).unsqueeze(-1)).squeeze(-1)
        return transform


class RandomFlip(RandomTransform):
    """Flips half of the images along `axes`, in training."""

    def __init__(self, axes: int | tuple[int, ...]) -> None:
        super().__init__()
        self.axes = axes

    def change(self, x: Tensor) -> Tensor:
        """Return images of the same size."""
        chosen = self.draw(x) <= 0.5
        return torch.where(chosen, torch.flip(x, [self.axes] if isinstance(self.axes, int) else self.axes), x)


class RandomRotation(ImageTransform):
    """Turns images by an angle between `low` and `high`, in whole turns, in training."""

    def __init__(self, low: float, high: float, interpolation: str, fill_mode: str, fill_value: float) -> None:
        super().__init__()
        self.low = low
        self.high = high
        self.interpolation = interpolation
        self.fill_mode = fill_mode
        self.fill_value = fill_value

    def change(self, x: Tensor) -> Tensor:
        """Return images of the same size."""
        angle = 2 * torch.pi * self.draw(x, self.low, self.high)
        cos, sin, zero = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle)
        # Around the middle.
        column, row = (x.size(3) - 1) / 2, (x.size(2) - 1) / 2
        right, lower = column - column * cos + row * sin, row - column * sin - row * cos
        transform = torch.stack([cos, -sin, right, sin, cos, lower, zero, zero], 1)
        return self.resample(x, transform, self.interpolation, self.fill_mode, self.fill_value)


class RandomZoom(ImageTransform):
    """Scales images by random factors for height and width, in training; by one for both if `width` is None."""

    def __init__(
        self,
        height: tuple[float, float],
        width: tuple[float, float] | None,
        interpolation: str,
        fill_mode: str,
        fill_value: float,
    ) -> None:
        super().__init__()
        self.height = height
        self.width = width
        self.interpolation = interpolation
        self.fill_mode = fill_mode
        self.fill_value = fill_value

    def change(self, x: Tensor) -> Tensor:
        """Return images of the same size."""
        down = 1 + self.draw(x, *self.height)
        across = down
        if self.width is not None:
            across = 1 + self.draw(x, *self.width)
        zero = torch.zeros_like(down)
        # The middle stays where it is.
        column, row = (x.size(3) - 1) / 2 * (1 - across), (x.size(2) - 1) / 2 * (1 - down)
        transform = torch.stack([across, zero, column, zero, down, row, zero, zero], 1)
        return self.resample(x, transform, self.interpolation, self.fill_mode, self.fill_value)


class RandomTranslation(ImageTransform):
    """Moves images by random shares of their height and width, in training."""

    def __init__(
        self,
        height: tuple[float, float],
        width: tuple[float, float],
        interpolation: str,
        fill_mode: str,
        fill_value: float,
    ) -> None:
        super().__init__()
        self.height = height
        self.width = width
        self.interpolation = interpolation
        self.fill_mode = fill_mode
        self.fill_value = fill_value

    def change(self, x: Tensor) -> Tensor:
        """Return images of the same size."""
        down = x.size(2) * self.draw(x, *self.height)
        across = x.size(3) * self.draw(x, *self.width)
        zero, one = torch.zeros_like(down), torch.ones_like(down)
        transform = torch.stack([one, zero, -across, zero, one, -down, zero, zero], 1)
        return self.resample(x, transform, self.interpolation, self.fill_mode, self.fill_value)


class RandomShear(ImageTransform):
    """Moves the rows of images by a random share of their number, and the columns likewise, in training."""

    def __init__(
        self, x: tuple[float, float], y: tuple[float, float], interpolation: str, fill_mode: str, fill_value: float
    ) -> None:
        super().__init__()
        self.x = x
        self.y = y
        self.interpolation = interpolation
        self.fill_mode = fill_mode
        self.fill_value = fill_value

    def change(self, x: Tensor) -> Tensor:
        """Return images of the same size."""
        sign = torch.where(self.draw(x) > 0.5, -1.0, 1.0)
        down = sign * self.draw(x, *self.y)
        across = sign * self.draw(x, *self.x)
        zero, one = torch.zeros_like(down), torch.ones_like(down)
        transform = torch.stack([one, across, zero, down, one, zero, zero, zero], 1)
        return self.resample(x, transform, self.interpolation, self.fill_mode, self.fill_value)


class RandomPerspective(ImageTransform):
    """Moves the corners of some images by random shares of where they are, in training.

    The probability is itself drawn, between the two numbers of `factor`.
    """

    def __init__(self, factor: tuple[float, float], scale: float, interpolation: str, fill_value: float) -> None:
        super().__init__()
        self.factor = factor
        self.scale = scale
        self.interpolation = interpolation
        self.fill_value = fill_value

    def change(self, x: Tensor) -> Tensor:
        """Return images of the same size."""
        chances = self.draw(x, *self.factor)
        chosen = self.draw(x) < chances
        right, bottom = x.size(3) - 1.0, x.size(2) - 1.0
        corners = torch.tensor([[0.0, 0.0], [right, 0.0], [0.0, bottom], [right, bottom]], device=x.device)
        moves = self.scale * (torch.rand(x.size(0), 4, 2, device=x.device) - 0.5)
        start = corners.expand(x.size(0), 4, 2)
        transform = self.homography(start, start + start * moves)
        return torch.where(chosen, self.resample(x, transform, self.interpolation, "constant", self.fill_value), x)


class RandomCrop(RandomTransform):
    """Cuts images of a height and width out at a random place, one for all, in training.

    Images that are not larger both ways are resized instead, after their middle was cut out.
    """

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height = height
        self.width = width

    def change(self, x: Tensor) -> Tensor:
        """Return images of the size that is wanted."""
        height, width = x.size(2), x.size(3)
        if height > self.height and width > self.width:
            top = int(torch.randint(height - self.height + 1, ()))
            left = int(torch.randint(width - self.width + 1, ()))
        else:
            top = (height - max(min(height, width * self.height // self.width), 1)) // 2
            left = (width - max(min(width, height * self.width // self.height), 1)) // 2
        x = x[:, :, top : top + self.height, left : left + self.width]
        if x.shape[2:] == (self.height, self.width):
            return x
        return F.interpolate(x, (self.height, self.width), mode="bilinear", align_corners=False)


class RandomErasing(RandomTransform):
    """Paints a random rectangle of some images over, in training; the probability is itself drawn.

    Without `fill_value` the paint is noise.
    """

    def __init__(
        self,
        factor: tuple[float, float],
        scale: tuple[float, float],
        fill_value: float | tuple[float, ...] | None,
        value_range: tuple[float, float],
    ) -> None:
        super().__init__()
        self.factor = factor
        self.scale = scale
        self.fill_value = fill_value
        self.value_range = value_range

    def change(self, x: Tensor) -> Tensor:
        """Return images of the same size."""
        chances = self.draw(x, *self.factor)
        chosen = self.draw(x) < chances
        for axis in (2, 3):
            share = torch.sqrt(self.draw(x, *self.scale))
            length = share * x.size(axis)
            begin = self.draw(x) * (x.size(axis) - length)
            at = torch.arange(x.size(axis), device=x.device).reshape([-1 if other == axis else 1 for other in range(4)])
            chosen = chosen & (at >= begin) & (at < begin + length)
        if self.fill_value is None:
            paint = torch.randn_like(x) * self.value_range[1]
        else:
            paint = torch.tensor(self.fill_value, dtype=x.dtype, device=x.device).reshape(1, -1, 1, 1)
        return torch.where(chosen, torch.clamp(paint, *self.value_range), x)


class OnlyInEvaluation(RandomTransform):
    """Stands for a layer of Keras that does something in training which has not been written in PyTorch."""

    def __init__(self, layer: str) -> None:
        super().__init__()
        self.layer = layer

    def change(self, x: Tensor) -> Tensor:
        """Raise `NotImplementedError`."""
        raise NotImplementedError(f"{self.layer} does nothing in evaluation; what it does in training is not here")
