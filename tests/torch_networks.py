"""Four PyTorch networks as people write them: MobileNetV2, a ResNet, a detector, a U-net.

They are small, of seeded random weights, and their batch norms hold the statistics of what runs
through them. Each is a factory without arguments, as `import_torch` calls it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 64
SEED = 11
#: By factory: what a session gives the network.
INPUT_SHAPES = {"image": (1, 3, SIDE, SIDE)}


def settled(network: nn.Module) -> nn.Module:
    """Return a network whose batch norms have seen eight pictures, in evaluation mode."""
    torch.manual_seed(SEED)
    norms = [item for item in network.modules() if isinstance(item, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # type: ignore[assignment]  # None: the mean over all batches
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, 0.0, 0.2)
    with torch.no_grad():
        for _ in range(2):
            network.train()(torch.randn(4, 3, SIDE, SIDE))
    return network.eval()


# --- MobileNetV2, under torchvision's names ------------------------------------------------------


class ConvNormRelu6(nn.Sequential):
    def __init__(self, inner: int, outer: int, size: int = 3, stride: int = 1, group: int = 1):
        super().__init__(
            nn.Conv2d(inner, outer, size, stride, size // 2, groups=group, bias=False),
            nn.BatchNorm2d(outer),
            nn.ReLU6(inplace=True),
        )


class InvertedResidual(nn.Module):
    def __init__(self, inner: int, outer: int, stride: int, expand: int) -> None:
        super().__init__()
        wide = inner * expand
        layers: list[nn.Module] = [] if expand == 1 else [ConvNormRelu6(inner, wide, 1)]
        layers += [
            ConvNormRelu6(wide, wide, stride=stride, group=wide),
            nn.Conv2d(wide, outer, 1, bias=False),
            nn.BatchNorm2d(outer),
        ]
        self.conv = nn.Sequential(*layers)
        self.adds = stride == 1 and inner == outer

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.adds else y


class MobileNetV2(nn.Module):
    #: expansion, channels, blocks, stride of the first.
    ROWS = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )

    def __init__(
        self,
        width: float = 1.0,
        classes: int = 1000,
        last: int = 1280,
        rows: tuple[tuple[int, int, int, int], ...] = ROWS,
    ) -> None:
        super().__init__()
        inner = round(32 * width)
        layers: list[nn.Module] = [ConvNormRelu6(3, inner, stride=2)]
        for expand, channels, count, stride in rows:
            outer = round(channels * width)
            for index in range(count):
                layers.append(InvertedResidual(inner, outer, 1 if index else stride, expand))
                inner = outer
        layers.append(ConvNormRelu6(inner, last, 1))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, classes))

    def forward(self, image: Tensor) -> Tensor:
        x = F.adaptive_avg_pool2d(self.features(image), (1, 1))
        y: Tensor = self.classifier(torch.flatten(x, 1))
        return y


def mobilenet_v2() -> nn.Module:
    torch.manual_seed(SEED)
    # Of each of the network's own kinds of blocks: without expansion, with stride, with a sum.
    rows = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 2, 2), (6, 64, 1, 1))
    return settled(MobileNetV2(width=0.5, classes=10, last=96, rows=rows))


def full_mobilenet_v2() -> nn.Module:
    """The one whose weights torchvision publishes."""
    return MobileNetV2()


# --- ResNet --------------------------------------------------------------------------------------


class BasicBlock(nn.Module):
    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inner, outer, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outer)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outer, outer, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outer)
        self.downsample = (
            None
            if stride == 1 and inner == outer
            else nn.Sequential(
                nn.Conv2d(inner, outer, 1, stride, bias=False), nn.BatchNorm2d(outer)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += x if self.downsample is None else self.downsample(x)
        z: Tensor = self.relu(y)
        return z


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(BasicBlock(16, 16, 1), BasicBlock(16, 16, 1))
        self.layer2 = nn.Sequential(BasicBlock(16, 32, 2), BasicBlock(32, 32, 1))
        self.layer3 = nn.Sequential(BasicBlock(32, 48, 2), BasicBlock(48, 48, 1))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(48, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(image))))
        x = self.layer3(self.layer2(self.layer1(x)))
        y: Tensor = self.fc(torch.flatten(self.avgpool(x), 1))
        return y


def resnet() -> nn.Module:
    torch.manual_seed(SEED)
    return settled(ResNet())


# --- a detector, from pixels to boxes -------------------------------------------------------------


class ConvNormSilu(nn.Module):
    def __init__(self, inner: int, outer: int, size: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inner, outer, size, stride, size // 2, bias=False)
        self.bn = nn.BatchNorm2d(outer)
        self.act = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.bn(self.conv(x)))
        return y


class SplitBlock(nn.Module):
    """Half of the channels goes through two convolutions, and everything is joined again."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.cv1 = ConvNormSilu(inner, outer, 1)
        self.cv2 = ConvNormSilu(outer // 2, outer // 2)
        self.cv3 = ConvNormSilu(outer + outer // 2, outer, 1)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.cv1(x).chunk(2, 1)
        y: Tensor = self.cv3(torch.cat((a, b, b + self.cv2(b)), 1))
        return y


class PyramidPool(nn.Module):
    def __init__(self, inner: int) -> None:
        super().__init__()
        self.cv1 = ConvNormSilu(inner, inner // 2, 1)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.cv2 = ConvNormSilu(inner * 2, inner, 1)

    def forward(self, x: Tensor) -> Tensor:
        rows = [self.cv1(x)]
        for _ in range(3):
            rows.append(self.pool(rows[-1]))
        y: Tensor = self.cv2(torch.cat(rows, 1))
        return y


class Detector(nn.Module):
    """Two scales; sides of boxes as the mean of a distribution over 8 bins (DFL)."""

    BINS = 8
    CLASSES = 4

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNormSilu(3, 16, stride=2)
        self.down1 = ConvNormSilu(16, 32, stride=2)
        self.block1 = SplitBlock(32, 32)
        self.down2 = ConvNormSilu(32, 48, stride=2)
        self.block2 = SplitBlock(48, 48)
        self.pool = PyramidPool(48)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.join = SplitBlock(80, 32)
        outputs = 4 * self.BINS + self.CLASSES + 1
        self.heads = nn.ModuleList([nn.Conv2d(32, outputs, 1), nn.Conv2d(48, outputs, 1)])
        self.mean = nn.Conv2d(self.BINS, 1, 1, bias=False)
        bins = torch.arange(self.BINS, dtype=torch.float32)
        self.mean.weight = nn.Parameter(bins.view(1, -1, 1, 1), requires_grad=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.block1(self.down1(self.stem(image)))
        coarse = self.pool(self.block2(self.down2(fine)))
        fine = self.join(torch.cat((self.up(coarse), fine), 1))
        rows = [
            self._decoded(head(x), stride)
            for head, x, stride in zip(self.heads, (fine, coarse), (4, 8), strict=True)
        ]
        boxes = torch.cat([row[0] for row in rows], 1)
        return boxes, torch.cat([row[1] for row in rows], 1)

    def _decoded(self, x: Tensor, stride: int) -> tuple[Tensor, Tensor]:
        batch, _, height, width = x.shape
        sides, scores, grow = x.split((4 * self.BINS, self.CLASSES, 1), 1)
        sides = sides.view(batch, 4, self.BINS, height * width).transpose(1, 2).softmax(1)
        sides = self.mean(sides).view(batch, 4, -1)
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        grid = torch.stack((columns, rows), 0).view(1, 2, -1).to(x.dtype) + 0.5
        low, high = grid - sides[:, :2], grid + sides[:, 2:]
        centre, size = (low + high) / 2, (high - low) * grow.view(batch, 1, -1).exp()
        boxes = torch.cat((centre, size), 1) * stride
        scores = scores.sigmoid().flatten(2)
        return boxes.transpose(1, 2), scores.permute(0, 2, 1)


def detector() -> nn.Module:
    torch.manual_seed(SEED)
    return settled(Detector())


# --- U-net ---------------------------------------------------------------------------------------


class TwoConvs(nn.Sequential):
    def __init__(self, inner: int, outer: int) -> None:
        super().__init__(
            nn.Conv2d(inner, outer, 3, padding=1, bias=False),
            nn.BatchNorm2d(outer),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Conv2d(outer, outer, 3, padding=1, bias=False),
            nn.BatchNorm2d(outer),
            nn.LeakyReLU(0.1, inplace=True),
        )


class UNet(nn.Module):
    """One step up by a transposed convolution, one by bilinear interpolation."""

    def __init__(self) -> None:
        super().__init__()
        self.inc = TwoConvs(3, 16)
        self.down1 = nn.Sequential(nn.MaxPool2d(2), TwoConvs(16, 24))
        self.down2 = nn.Sequential(nn.MaxPool2d(2), TwoConvs(24, 32))
        self.up1 = nn.ConvTranspose2d(32, 24, 2, stride=2)
        self.conv1 = TwoConvs(48, 24)
        self.up2 = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.conv2 = TwoConvs(40, 16)
        self.outc = nn.Conv2d(16, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        fine = self.inc(image)
        middle = self.down1(fine)
        x = self.up1(self.down2(middle))
        # As many U-nets do, whether or not the sizes differ.
        lack = middle.shape[2] - x.shape[2], middle.shape[3] - x.shape[3]
        pads = [lack[1] // 2, lack[1] - lack[1] // 2, lack[0] // 2, lack[0] - lack[0] // 2]
        x = self.conv1(torch.cat((middle, F.pad(x, pads)), 1))
        x = self.conv2(torch.cat((fine, self.up2(x)), 1))
        return torch.sigmoid(self.outc(x))


def unet() -> nn.Module:
    torch.manual_seed(SEED)
    return settled(UNet())
