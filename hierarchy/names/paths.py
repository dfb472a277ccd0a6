"""Paths of nodes: names joined by "/", with a "/" inside a name written as "%2F"."""

from __future__ import annotations

import re


def join_path(*names: str) -> str:
    """The path of a node from the names of its superclass, group and class; of an id alone, the id as it is addressed.

    >>> join_path("clothes", "tops", "T-shirt/top"), join_path("100% cotton")
    ('clothes/tops/T-shirt%2Ftop', '100% cotton')
    """
    return "/".join(map(_escape, names))


def split_path(path: str) -> tuple[str, ...]:
    """The names in a path.

    >>> split_path("clothes/tops/T-shirt%2Ftop")
    ('clothes', 'tops', 'T-shirt/top')
    """
    return tuple(map(_unescape, path.split("/")))


def _escape(name: str) -> str:
    # a name that has "%2F" itself gets "%252F", so that every name comes back; any other "%" is left alone
    return re.sub(r"%(?=(?:25)*2F)", "%25", name).replace("/", "%2F")


def _unescape(part: str) -> str:
    return re.sub(r"%25(?=(?:25)*2F)", "%", part.replace("%2F", "/")) if "%2" in part else part
