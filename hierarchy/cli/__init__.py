"""The command `hierarchy`: parses arguments, calls the library and prints results.

`console` (`run`, `show_progress`, `print_json`) is shared with the command `timm-nhl`.
"""

from hierarchy.cli.console import print_json, run, show_progress

__all__ = ["print_json", "run", "show_progress"]
