"""The locally connected layer against a loop that any reader can check."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from whichloss.networks.local import Local


def layer_of(channels: int, outputs: int, image: tuple[int, int], size: int, padding: int) -> Local:
    torch.manual_seed(0)
    layer = Local(channels, outputs, image, size, padding).double()
    torch.nn.init.normal_(layer.bias)
    return layer


def images_of(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def by_loop(layer: Local, images: Tensor) -> Tensor:
    """One number after another; outside the image there are zeros."""
    count, channels, height, width = images.shape
    size, border = layer.size, layer.padding
    rows, columns = height + 2 * border - size + 1, width + 2 * border - size + 1
    weight = layer.weight.unflatten(1, (size, size, channels)).unflatten(0, (rows, columns))
    answers = layer.bias[:, 0].unflatten(0, (rows, columns)).expand(count, -1, -1, -1).clone()
    for row in range(rows):
        for column in range(columns):
            for down in range(size):
                for right in range(size):
                    y, x = row + down - border, column + right - border
                    if 0 <= y < height and 0 <= x < width:
                        answers[:, row, column] += images[:, :, y, x] @ weight[row, column, down, right]
    return answers.permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    ("image", "size", "padding"), [((5, 7), 3, 1), ((5, 7), 3, 0), ((4, 4), 4, 0), ((3, 6), 2, 3), ((2, 3), 1, 0)]
)
def test_equals_a_plain_loop(image: tuple[int, int], size: int, padding: int) -> None:
    layer, images = layer_of(3, 4, image, size, padding), images_of(2, 3, *image)
    torch.testing.assert_close(layer(images), by_loop(layer, images))


def test_gradients_equal_those_of_the_loop() -> None:
    layer = layer_of(2, 3, (5, 4), 3, 1)
    images, upstream = images_of(3, 2, 5, 4).requires_grad_(), images_of(3, 3, 5, 4)
    leaves = [images, layer.weight, layer.bias]
    mine = torch.autograd.grad((layer(images) * upstream).sum(), leaves)
    plain = torch.autograd.grad((by_loop(layer, images) * upstream).sum(), leaves)
    for one, other in zip(mine, plain, strict=True):
        torch.testing.assert_close(one, other)


def test_gradients_are_derivatives() -> None:
    layer = layer_of(2, 2, (3, 4), 3, 1)
    images, weight, bias = images_of(2, 2, 3, 4).requires_grad_(), layer.weight, layer.bias
    assert torch.autograd.gradcheck(layer.linear, (images, weight, bias))
    assert torch.autograd.gradgradcheck(layer.linear, (images, weight, bias))


@pytest.mark.parametrize("padding", [0, 1])
def test_is_a_convolution_where_all_positions_have_the_same_weights(padding: int) -> None:
    layer, kernel = layer_of(3, 4, (6, 5), 3, padding), images_of(4, 3, 3, 3)
    with torch.no_grad():
        layer.weight.copy_(kernel.permute(2, 3, 1, 0).flatten(0, 2).expand_as(layer.weight))
        layer.bias.copy_(layer.bias[:1].clone().expand_as(layer.bias))
    images = images_of(2, 3, 6, 5)
    torch.testing.assert_close(layer(images), conv2d(images, kernel, layer.bias[0, 0], padding=padding))


def test_nothing_is_shared() -> None:
    """The weights of one position move the answer there, and nowhere else."""
    layer, images = layer_of(2, 3, (4, 4), 3, 1), images_of(2, 2, 4, 4)
    before = layer(images).detach()
    with torch.no_grad():
        layer.weight[6] += 1.0  # row 1, column 2
    moved = (layer(images) != before).any(1).any(0)
    assert moved.nonzero().tolist() == [[1, 2]]


def test_the_order_in_memory_is_no_matter() -> None:
    layer, images = layer_of(4, 3, (6, 5), 3, 1), images_of(2, 4, 6, 5)
    last = images.contiguous(memory_format=torch.channels_last)
    first_images_last = images.permute(2, 3, 0, 1).contiguous().permute(2, 3, 0, 1)
    for other in (last, first_images_last):
        assert torch.equal(layer(other), layer(images))
    assert layer(images).permute(2, 3, 0, 1).is_contiguous()  # as the next such layer reads it


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision_is_near(dtype: torch.dtype) -> None:
    layer, images = layer_of(8, 4, (6, 6), 3, 1).float(), images_of(2, 8, 6, 6).float()
    with torch.autocast("cpu", dtype):
        mixed = layer(images)
    assert mixed.dtype == dtype
    assert torch.allclose(mixed.float(), layer(images), atol=0.1)


def test_weights_are_counted() -> None:
    """As in the network of the study of robust losses."""
    assert sum(one.numel() for one in Local(64, 64, (8, 8), 3, padding=1).parameters()) == 64 * 64 * (64 * 9 + 1)
