"""One process of a data-parallel training: `python one_rank.py RANK RANKS STORE LOSS...` prints gradients as JSON."""

import json
import sys

import torch
import torch.distributed as dist
from torch import nn

from whichloss import parse

SHARDS = {  # by number of processes: unequal, and one without any image
    1: [slice(0, 4)],
    2: [slice(0, 1), slice(1, 4)],
    3: [slice(0, 1), slice(1, 4), slice(4, 4)],
}


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.Tanh(), nn.Conv2d(3, 2, 1)).double()


def data():
    random = torch.Generator().manual_seed(1)
    images = torch.randn(4, 1, 6, 6, generator=random, dtype=torch.float64)
    target = (images[:, 0] > 0.5).long()
    target[0] = 0  # the first process sees no foreground
    return images, target


def gradients(loss, shard):
    model, (images, target) = network(), data()
    value = parse(loss)(model(images[shard]), target[shard])
    value.backward()
    return value.item(), torch.cat([one.grad.flatten() for one in model.parameters()])


def main(rank, ranks, store, losses):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=ranks)
    found = []
    for loss in losses:
        value, gradient = gradients(loss, SHARDS[ranks][rank])
        dist.all_reduce(gradient)
        found.append([value, (gradient / ranks).tolist()])  # what data-parallel training does
    print(json.dumps(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
