"""A review in a browser on this machine: the same session, keys and log as the other faces, with images.

`serve` opens it. It listens on the loopback address only, and answers only requests that know the token in its address.
"""

from hierarchy.review.ui.web.server import serve

__all__ = ["serve"]
