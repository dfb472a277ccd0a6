"""What is asked of a hierarchy's shape: how many superclasses and groups, and how many classes in each."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hierarchy.errors import ShapeError


@dataclass(frozen=True)
class Range:
    """The whole numbers from `least` to `most`.

    >>> Range.parse("20"), Range.parse("5:9"), Range.parse(":9")
    (Range(least=20, most=20), Range(least=5, most=9), Range(least=1, most=9))
    """

    least: int
    most: int

    @classmethod
    def parse(cls, text: str) -> Range:
        """Reads `7`, `5:9`, `5:` or `:9`; ShapeError for anything else."""
        found = re.fullmatch(r"([0-9]{0,9})(:?)([0-9]{0,9})", text)
        if found and (found[1] or found[3]):
            start = int(found[1] or 1)
            end = int(found[3]) if found[3] else (10**9 if found[2] else start)
            if 1 <= start <= end:
                return cls(start, end)
        raise ShapeError(f"invalid range {text!r}; use N, MIN:MAX, MIN: or :MAX, MIN >= 1")

    def clip(self, number: int) -> int:
        """The number in the range that is nearest to the given one."""
        return min(max(number, self.least), self.most)

    def __str__(self) -> str:
        return str(self.least) if self.least == self.most else f"{self.least}:{self.most}"


@dataclass(frozen=True)
class Shape:
    """The numbers and sizes of nodes to make; None leaves a choice to the number of classes K.

    Args:
        superclasses: how many; K^0.434 by default, which is 7 of 100 classes and 20 of 1,000 (the published shapes).
        groups: how many in all; K / 5 by default.
        classes_per_group: at least 2 and at most four times the average by default.
        classes_per_superclass: at least a quarter of the average by default.
        chains: whether a node may have a single child; such a branch costs computation and separates nothing.
    """

    superclasses: Range | None = None
    groups: Range | None = None
    classes_per_group: Range | None = None
    classes_per_superclass: Range | None = None
    chains: bool = False


def likely_numbers(shape: Shape, count: int) -> tuple[int, int]:
    """The numbers of superclasses and groups to ask a language model for.

    >>> likely_numbers(Shape(), 1000)
    (20, 200)
    """
    supers, groups = shape.superclasses or Range(1, count), shape.groups or Range(1, count)
    likely = supers.clip(max(1, min(round(count**0.434), groups.most // (1 if shape.chains else 2))))
    return likely, groups.clip(_groups(count, likely, 2))


def fill_in(shape: Shape, count: int) -> tuple[Range, Range, Range, Range]:
    """Chooses what a shape leaves open.

    Returns:
        Superclasses, groups, classes per group, classes per superclass.

    Raises:
        ShapeError: no hierarchy of this number of classes has that shape.
    """
    fewest = 1 if shape.chains else 2  # children of a node
    most = shape.groups.most if shape.groups else count
    if count < fewest * fewest or (most == 1 and (shape.superclasses or Range(1, 1)).least == 1):
        return _only(shape, count)
    likely = max(1, min(round(count**0.434), count // fewest**2, most // fewest))
    supers = shape.superclasses or Range(likely, likely)
    some = _groups(count, supers.clip(likely), fewest)
    groups = shape.groups or Range(some, some)
    per_group = shape.classes_per_group or Range(fewest, max(fewest, 4 * count // groups.least, 4))
    per_group = _at_least(fewest, per_group, "classes per group")
    per_super = shape.classes_per_superclass or Range(
        max(min(fewest**2, count // supers.least), count // supers.most // 4), 3 * count
    )
    per_super = _at_least(fewest * per_group.least, per_super, "classes per superclass")
    supers = _possible("superclass", supers, per_super, count)
    groups = _possible("group", groups, per_group, count)
    if groups.most < fewest * supers.least:
        raise ShapeError(
            f"{supers} superclasses need at least {fewest * supers.least} groups, not {groups}; ask for more groups or"
            f" fewer superclasses{'' if shape.chains else ', or allow chains (nodes with a single child)'}"
        )
    return Range(supers.least, min(supers.most, groups.most // fewest)), groups, per_group, per_super


def _only(shape: Shape, count: int) -> tuple[Range, Range, Range, Range]:
    """One superclass with one group, or ShapeError if another shape is asked for."""
    only = (Range(1, 1), Range(1, 1), Range(count, count), Range(count, count))
    asked = (shape.superclasses, shape.groups, shape.classes_per_group, shape.classes_per_superclass)
    kinds = ("superclasses", "groups", "classes per group", "classes per superclass")
    hint = "for more groups" if count >= 4 or shape.chains else "allow chains (nodes with a single child)"
    for wanted, given, kind in zip(asked, only, kinds, strict=True):
        if wanted and wanted.clip(given.least) != given.least:
            raise ShapeError(
                f"{count} classes make one superclass with one group, not {wanted} {kind}; ask for that, or {hint}"
            )
    return only


def _at_least(least: int, sizes: Range, what: str) -> Range:
    """The part of a range from a number up, which nodes need to have two children."""
    if sizes.most < least:
        raise ShapeError(
            f"{sizes} {what} are too few; ask for {least} or more, or allow chains (nodes with a single child)"
        )
    return Range(max(least, sizes.least), sizes.most)


def _possible(kind: str, number: Range, size: Range, count: int) -> Range:
    """The numbers of nodes that hold all classes with sizes in a range."""
    least, most = max(number.least, -(-count // size.most)), min(number.most, count // size.least)
    if least > most:
        what = kind if number.most == 1 else "superclasses" if kind == "superclass" else "groups"
        raise ShapeError(
            f"{count} classes cannot make {number} {what} of {size} classes each; ask for another number,"
            " other sizes, or allow chains (nodes with a single child)"
        )
    return Range(least, most)


def _groups(count: int, supers: int, least_group: int) -> int:
    return max(1, min(max(round(count / 5), least_group * supers), count // least_group))
