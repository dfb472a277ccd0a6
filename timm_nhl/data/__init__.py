"""Images of any dataset with the labels of a hierarchy, and the loaders that feed them to training and evaluation.

Labels are matched by class id or name, never by number; everything random is a function of one seed.
"""

from timm_nhl.data.decode import decode_image
from timm_nhl.data.device import choose_device
from timm_nhl.data.held_out import HELD_OUT, find_validation, keep_rows, read_held_out, write_held_out
from timm_nhl.data.images import Images, open_images, open_unlabelled
from timm_nhl.data.loaders import eval_loader, train_loader
from timm_nhl.data.sampler import BlockSampler, Draw, EpochSampler
from timm_nhl.data.seeds import INITIALIZATION, ORDER, STEP, generator, seed_all

__all__ = [
    "HELD_OUT",
    "INITIALIZATION",
    "ORDER",
    "STEP",
    "BlockSampler",
    "Draw",
    "EpochSampler",
    "Images",
    "choose_device",
    "decode_image",
    "eval_loader",
    "find_validation",
    "generator",
    "keep_rows",
    "open_images",
    "open_unlabelled",
    "read_held_out",
    "seed_all",
    "train_loader",
    "write_held_out",
]
