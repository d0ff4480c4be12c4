"""The network with which robust losses were compared on candidates of lymph nodes."""

from collections import OrderedDict
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from whichloss.core import FieldError, Task, UserError, choice, count, flag, number, positive
from whichloss.networks.drop_connect import Dense, DropConnect
from whichloss.networks.layers import Affine
from whichloss.networks.local import Local
from whichloss.networks.network import Network, NetworkCard

Layer = TypeVar("Layer", nn.Conv2d, Dense, Local)
SMALLEST = 6  # pixels of a side: the second pooling is over 3


class LymphNet(Network):
    """Two convolutions, two locally connected layers and a hidden layer with DropConnect, as built for cuda-convnet.

        conv1   64 of 5x5, ReLU      64 x 32 x 32        4,864   weights drawn with standard deviation 0.0001
        pool1   maximum of 3x3       64 x 16 x 16                every second pixel, over the edge where it must
        conv2   64 of 5x5, ReLU      64 x 16 x 16      102,464   0.01
        pool2   maximum of 3x3       64 x 8 x 8
        local3  64 of 3x3, ReLU      64 x 8 x 8      2,363,392   0.04
        local4  32 of 3x3, ReLU      32 x 8 x 8      1,181,696   0.04
        fc      units, ReLU          512             1,049,088   0.01
        head    linear               2                   1,026   0.01

    4,702,530 weights for 3 x 32 x 32 and two outputs; 2,692,802 with crop=24. All biases begin at 0. Layers are named
    as here, for `training.layers`. Rates and weight decay of cuda-convnet, which doubles the rate of biases and decays
    neither them nor convolutions:

        optimizer: SGD(lr=0.001, momentum=0.9, weight_decay=0.004)
        layers:
          - {match: "*.bias", rate: 2, weight_decay: 0}
          - {match: "conv*", weight_decay: 0}

    The initial weights and rates suit images from 0 to 255, less the mean of the training images at each pixel. `scale`
    is what images are multiplied by: 255 for those from 0 to 1; about 64 would do for those of variance 1. A smaller
    one makes the beginning longer. The mean is that of the images trained on so far, as they came, since nobody has
    seen them all when training begins; after an epoch the two are the same.

    `crop` is what cuda-convnet's cropped provider does: in training a part of each image at a random place, mirrored
    from left to right in half of them; afterwards the centre, or the mean of the logits over ten views: four corners
    and centre, each also mirrored. The mean image is cut at the centre, wherever the crop is.

    Layers from Barbu et al.; standard deviations, rates and `lrn` from the files layers-conv-local-13pct and -11pct of
    cuda-convnet. They have no hidden layer, so that for fc it is that program's default.
    """

    units: int = count(512)  # of the hidden layer; the paper also has 1024 and 2048
    crop: int | None = count(None, optional=True)  # side in pixels
    views: str = choice("centre", "ten")  # of each image, where crops are taken, after training
    lrn: bool = flag(False)  # responses normalised across maps before each pooling
    drop_connect: float = number(0.5, low=0.0, high=0.95)  # share of the connections left out; 0 for none
    local_drop: bool = flag(False)  # in the locally connected layers, too
    masks: str = choice("batch", "example")  # how often the connections left out are drawn
    inference: str = choice("moments", "mean")  # what stands for the mean over all that could be left out
    subtract_mean: bool = flag(True)
    scale: float = positive(255.0)

    results_version = 2  # gradients of overlapping windows are summed in another order

    card = NetworkCard(
        title="Lymph node CNN",
        meaning="The network of a study of robust losses: it looks at one view of a suspicious place.",
        source="barbu2018robust",
        tasks=("classification", "detection"),
    )

    def check(self) -> None:
        if self.views == "ten" and self.crop is None:
            raise FieldError('LymphNet: views="ten" are crops; say of which side, such as crop=24')
        if self.local_drop and not self.drop_connect:
            raise FieldError("LymphNet: local_drop=True leaves out no connection while drop_connect is 0")

    def accept(self, task: Task) -> None:
        super().accept(task)
        seen = min(task.size) if self.crop is None else self.crop
        if task.dims != 2 or seen < SMALLEST:
            raise UserError(
                f"LymphNet takes images (H, W) and sees {SMALLEST} pixels or more of each side;"
                f" the data declare {task.size}" + ("" if self.crop is None else f", and crop is {self.crop}")
            )
        if self.crop is not None and self.crop > min(task.size):
            raise UserError(f"LymphNet: no crop of {self.crop} pixels fits into images {task.size}")

    def build(self, task: Task, outputs: int) -> nn.Module:
        self.accept(task)
        height, width = (side // 4 for side in (task.size if self.crop is None else (self.crop, self.crop)))
        shown = Shown((task.channels, *task.size), self.crop, self.views == "ten", self.subtract_mean, self.scale)
        layers: dict[str, nn.Module] = {
            "shown": shown,
            **self._convolution("1", drawn(nn.Conv2d(task.channels, 64, 5, padding=2), 0.0001)),
            **self._convolution("2", drawn(nn.Conv2d(64, 64, 5, padding=2), 0.01)),
            **self._dropping("local3", drawn(Local(64, 64, (height, width), 3, padding=1), 0.04), self.local_drop),
            **self._dropping("local4", drawn(Local(64, 32, (height, width), 3, padding=1), 0.04), self.local_drop),
            "flat": nn.Flatten(),
            **self._dropping("fc", drawn(Dense(32 * height * width, self.units), 0.01), bool(self.drop_connect)),
            "head": drawn(Dense(self.units, outputs), 0.01),
        }
        if shown.count > 1:
            layers["over_views"] = OverViews(shown.count)
        return nn.Sequential(OrderedDict(layers))

    def _convolution(self, number: str, layer: nn.Module) -> dict[str, nn.Module]:
        conv, relu = {f"conv{number}": layer}, {f"relu{number}": nn.ReLU()}
        pool = {f"pool{number}": nn.MaxPool2d(3, 2, ceil_mode=True)}  # side // 2, as with start=0 in cuda-convnet
        if self.lrn:
            return {**conv, **relu, f"norm{number}": AcrossMaps(), **pool}
        return {**conv, **pool, **relu}  # the same to the last bit, and a ReLU of a quarter of the pixels

    def _dropping(self, name: str, layer: Affine, drop: bool) -> dict[str, nn.Module]:
        if not drop:
            return {name: layer, f"{name}_relu": nn.ReLU()}
        return {name: DropConnect(layer, 1 - self.drop_connect, self.masks, self.inference)}


def drawn(layer: Layer, deviation: float) -> Layer:
    """With normal weights of this standard deviation, and biases of 0."""
    nn.init.normal_(layer.weight, std=deviation)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class Shown(nn.Module):
    """What the layers see of images (N, C, H, W): less the mean image, scaled, and cut where there is a crop.

    With ten views there are 10 N of them after training, all first views first.
    """

    mean: Tensor
    seen: Tensor

    def __init__(self, image: tuple[int, ...], crop: int | None, ten: bool, subtract_mean: bool, scale: float) -> None:
        super().__init__()
        self.crop, self.subtract_mean, self.scale = crop, subtract_mean, scale
        self.count = 10 if ten else 1
        self.register_buffer("mean", torch.zeros(image))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def forward(self, images: Tensor) -> Tensor:
        if self.training and self.subtract_mean:
            self._note(images)
        return self.scale * (self._cut(images) - self._centre(self.mean))

    @torch.no_grad()
    def _note(self, images: Tensor) -> None:
        self.seen += len(images)
        self.mean += (images - self.mean).sum(0) / self.seen

    def _cut(self, images: Tensor) -> Tensor:
        if self.crop is None:
            return images
        if self.training:
            return self._anywhere(images, self.crop)
        return self._centre(images) if self.count == 1 else self._ten(images, self.crop)

    def _centre(self, images: Tensor) -> Tensor:
        if self.crop is None:
            return images
        top, left = ((side - self.crop) // 2 for side in images.shape[-2:])
        return images[..., top : top + self.crop, left : left + self.crop]

    def _ten(self, images: Tensor, crop: int) -> Tensor:
        corners = [images[..., down, right] for down in (slice(crop), slice(-crop, None))
                   for right in (slice(crop), slice(-crop, None))]  # fmt: skip
        five = torch.cat([*corners, self._centre(images)])
        return torch.cat([five, five.flip(-1)])

    def _anywhere(self, images: Tensor, crop: int) -> Tensor:
        """Chance is drawn on the CPU, so that devices draw alike."""
        count, (height, width) = len(images), images.shape[-2:]
        down = torch.randint(height - crop + 1, (count, 1)) + torch.arange(crop)
        right = torch.randint(width - crop + 1, (count, 1)) + torch.arange(crop)
        right = torch.where(torch.rand(count, 1) < 0.5, right.flip(1), right)
        at = (torch.arange(count)[:, None, None], down[:, :, None], right[:, None, :])
        return images.movedim(1, -1)[tuple(one.to(images.device) for one in at)].movedim(-1, 1)


class OverViews(nn.Module):
    """After training the mean over views, (count N, C) to (N, C)."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, logits: Tensor) -> Tensor:
        return logits if self.training else logits.unflatten(0, (self.count, -1)).mean(0)


class AcrossMaps(nn.Module):
    r"""Local response normalisation across maps, $x_c \,/\, (1 + \frac{scale}{size} \sum_{c'} x_{c'}^2)^{0.75}$.

    The sum is over the `size` maps around c, fewer at the ends; the division is by `size` everywhere. cuda-convnet
    divides the scale of its layer files by the size, too, so that this is
    `nn.LocalResponseNorm(5, alpha=0.001, beta=0.75, k=1.0)`, in a fifth of its time on a CPU.
    """

    def __init__(self, size: int = 5, scale: float = 0.001) -> None:
        super().__init__()
        self.reach, self.share = size // 2, scale / size

    def forward(self, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):  # a square may be too large for float16
            features = features.float() if features.dtype in (torch.float16, torch.bfloat16) else features
            maps = torch.arange(features.shape[1], device=features.device)
            near = (maps[:, None] - maps).abs() <= self.reach
            band = (self.share * near).to(features.dtype)[..., None, None]
            total = conv2d(features.square(), band, torch.ones_like(band[:, 0, 0, 0]))
            return features * (total * total.sqrt()).rsqrt()  # total ** -0.75
