"""Random hierarchies and scrambled models for the tests of timm_nhl."""

from __future__ import annotations

import torch
from hypothesis import strategies as st

from hierarchy import Hierarchy


@st.composite
def hierarchies(draw, most=4):
    """Hierarchies of 1 to `most` superclasses, groups and classes each, labels in any order."""
    rows = [
        (f"n{s}{g}{c}", f"class {s} {g} {c}", f"super {s}", f"group {g}")
        for s in range(draw(st.integers(1, most)))
        for g in range(draw(st.integers(1, most)))
        for c in range(draw(st.integers(1, most)))
    ]
    return Hierarchy.from_rows(draw(st.permutations(rows)))


@st.composite
def hierarchies_with_labels(draw, most=4):
    """A hierarchy and some of its labels, at least one."""
    tree = draw(hierarchies(most))
    labels = draw(st.sets(st.integers(0, len(tree) - 1), min_size=1))
    return tree, tuple(sorted(labels))


@st.composite
def hierarchies_with_subsets(draw, most=4):
    """A hierarchy, some of its labels, and some of these."""
    tree, labels = draw(hierarchies_with_labels(most))
    return tree, labels, tuple(sorted(draw(st.sets(st.sampled_from(labels), min_size=1))))


@st.composite
def hierarchies_with_orders(draw, most=4):
    """A hierarchy and a permutation of its labels."""
    tree = draw(hierarchies(most))
    return tree, tuple(draw(st.permutations(range(len(tree)))))


@st.composite
def growing_hierarchies(draw, most=3):
    """A hierarchy and a larger one with all of its classes, each with its own order of labels."""
    tree = draw(hierarchies(most).filter(lambda tree: len(tree) > 1))
    labels = draw(st.permutations(range(len(tree))))
    return tree.at(labels[: draw(st.integers(1, len(tree) - 1))]), tree


def lopsided(children=200):
    """One group of one class, one of very many, in one superclass of two."""
    rows = [("n0", "alone", "small", "single")]
    rows += [(f"n{i + 1}", f"many {i}", "large", "crowd") for i in range(children)]
    rows.append((f"n{children + 1}", "odd", "large", "another"))
    return Hierarchy.from_rows(rows)


SINGLE = Hierarchy.from_rows([("n0", "alone", "small", "single")])
LOPSIDED = lopsided()
SOME = (0, 1, 3, 150, 201)  # of its labels


def shape(superclasses, groups, classes):
    """A hierarchy of these sizes with unequal numbers of children."""

    def parent(child, children, parents):
        # every parent has one child; the rest fall by a fixed pseudo-random rule
        return child if child < parents else (child * 2654435761 + children) % (1 << 32) % parents

    rows = []
    for label in range(classes):
        group = parent(label, classes, groups)
        rows.append(
            (
                f"n{label:04d}",
                f"class {label:04d}",
                f"super {parent(group, groups, superclasses):02d}",
                f"group {group:03d}",
            )
        )
    return Hierarchy.from_rows(rows)


def scrambled(model):
    """Gives every parameter and running statistic random values, as after training; returns the model in eval mode."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in [*model.named_parameters(), *model.named_buffers()]:
            if not value.is_floating_point() or name.endswith("hierarchy_digest"):
                continue
            if name.endswith("running_var"):
                value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
            elif name == "router.fc.weight":  # which starts at zero
                value.copy_(torch.randn(value.shape, generator=generator))
            elif value.ndim == 1 or "norm" in name:
                value.add_(0.2 * torch.randn(value.shape, generator=generator))
    return model.eval()
