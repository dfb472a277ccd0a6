"""The command `hierarchy`: parses arguments, calls the library and prints results.

`console` (`run`, `progress`, `print_json`) is shared with the command `timm-nhl`.
"""

from hierarchy.cli.console import print_json, progress, run

__all__ = ["print_json", "progress", "run"]
