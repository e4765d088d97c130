"""Net9Conv: nine convolutions that mark where a picture holds text."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class Net9Conv(nn.Module):
    """A text finder of nine convolutions: a picture in, a probability map out.

    The first four halve the picture down to 1/16 of its side, a depthwise pair with a residual
    addition looks around there, and two steps up join what the finer levels saw. Every convolution
    but the last is followed by a BatchNorm.
    """

    def __init__(self) -> None:
        """Set up the layers with PyTorch's random weights."""
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 24, 3, stride=2, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(24)
        self.conv3 = nn.Conv2d(24, 48, 3, stride=2, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(48)
        self.conv4 = nn.Conv2d(48, 48, 3, stride=2, padding=1, bias=False)
        self.norm4 = nn.BatchNorm2d(48)
        self.conv5 = nn.Conv2d(48, 48, 5, padding=2, groups=48, bias=False)
        self.norm5 = nn.BatchNorm2d(48)
        self.conv6 = nn.Conv2d(48, 48, 1, bias=False)
        self.norm6 = nn.BatchNorm2d(48)
        self.conv7 = nn.Conv2d(48, 32, 3, padding=1, bias=False)
        self.norm7 = nn.BatchNorm2d(32)
        self.conv8 = nn.Conv2d(80, 16, 3, padding=1, bias=False)
        self.norm8 = nn.BatchNorm2d(16)
        self.conv9 = nn.Conv2d(40, 1, 3, padding=1)

    def logits(self, image: torch.Tensor) -> torch.Tensor:
        """Return the map before its sigmoid, which is what the training loss wants.

        Args:
            image: [N, 3, H, W] float32, RGB, (pixel - 127.5) / 127.5, so within [-1, 1]; H and W
                are multiples of 16 (640 in the example).

        Returns:
            [N, 1, H/4, W/4] float32, unbounded.
        """
        half = functional.relu(self.norm1(self.conv1(image)))  # [N, 16, H/2, W/2]
        quarter = functional.relu(self.norm2(self.conv2(half)))  # [N, 24, H/4, W/4]
        eighth = functional.relu(self.norm3(self.conv3(quarter)))  # [N, 48, H/8, W/8]
        coarse = functional.relu(self.norm4(self.conv4(eighth)))  # [N, 48, H/16, W/16]
        around = functional.silu(self.norm5(self.conv5(coarse)))  # [N, 48, H/16, W/16]
        coarse = functional.relu(coarse + self.norm6(self.conv6(around)))  # [N, 48, H/16, W/16]
        coarse = functional.silu(self.norm7(self.conv7(coarse)))  # [N, 32, H/16, W/16]
        coarse = functional.interpolate(coarse, scale_factor=2.0, mode="nearest")
        joined = torch.cat((coarse, eighth), dim=1)  # [N, 80, H/8, W/8]
        joined = functional.relu(self.norm8(self.conv8(joined)))  # [N, 16, H/8, W/8]
        joined = functional.interpolate(joined, scale_factor=2.0, mode="nearest")
        found: torch.Tensor = self.conv9(torch.cat((joined, quarter), dim=1))  # [N, 1, H/4, W/4]
        return found

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the probability that each 4x4 block of pixels lies on a line of text.

        Args:
            image: As for `logits`.

        Returns:
            [N, 1, H/4, W/4] float32 within [0, 1].
        """
        return torch.sigmoid(self.logits(image))


def create() -> Net9Conv:
    """Return the network in eval mode with random weights; the caller loads the state dict."""
    return Net9Conv().eval()
