"""Smaller networks of a backbone's family, as timm names them: resnet18 for resnet50, its tiny or half-wide forms."""

from __future__ import annotations

import re

import timm

# smallest first; a network without such a word has the size of its numbers
WORDS = (
    *("xxxs", "xxs", "xs", "atto", "femto", "pico", "nano", "xxtiny", "xtiny", "tiny", "micro", "mini", "s", "small"),
    *("m", "medium", "b", "base", "l", "large", "xl", "xlarge", "xxl", "xxlarge", "huge", "giant", "gigantic"),
)
WHOLE = 100  # the width of a network that names none, in percent
MOST = 4  # siblings of a backbone; the largest, which are its nearest rivals


def smaller_siblings(backbone: str) -> list[str]:
    """Networks that differ from a backbone in size alone and are smaller by name, the largest first.

    >>> smaller_siblings("resnet50"), smaller_siblings("mobilenetv4_conv_small")
    (['resnet34', 'resnet26', 'resnet18'], ['mobilenetv4_conv_small_050', 'mobilenetv4_conv_small_035'])
    >>> smaller_siblings("vit_small_patch16_224.augreg_in1k")
    ['vit_tiny_patch16_224']
    """
    name = backbone.partition(".")[0]
    family, size = split_size(name)
    module = str(timm.model_entrypoint(name).__module__).rpartition(".")[2]
    smaller = []
    for other in timm.list_models(module=module):
        same, theirs = split_size(other)
        if same == family and theirs < size:
            smaller.append((theirs, other))
    return [other for _, other in sorted(smaller, reverse=True)[:MOST]]


def split_size(name: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """A name as what it shares with its family, and its size.

    >>> split_size("resnet50"), split_size("efficientnet_b0")
    ((('resnet',), (50, 100)), (('efficientnet', 'b'), (0, 100)))
    >>> split_size("mobilenetv4_conv_small"), split_size("mobilenetv4_conv_small_050")
    ((('mobilenetv4', 'conv'), (13, 100)), (('mobilenetv4', 'conv'), (13, 50)))
    """
    first, *rest = name.split("_")
    family, size = [first], []
    found = re.fullmatch(r"(.*[a-uw-z])(\d+)", first)  # no digits behind a v: they are a version
    if found:
        family, size = [found[1]], [int(found[2])]
    for place, word in enumerate(rest):
        found = re.fullmatch(r"([a-z]?)(\d{1,3})", word)
        is_image_size = place == len(rest) - 1 and word.isdigit() and int(word) > 150
        if word in WORDS:
            size.append(WORDS.index(word))
        elif found and not is_image_size:
            family += [found[1]] if found[1] else []
            size.append(int(found[2]))
        else:
            family.append(word)
    return tuple(family), (*size, WHOLE)
