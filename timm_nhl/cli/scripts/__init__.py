"""Other people's scripts with nested models: `timm-nhl run`."""

from timm_nhl.cli.scripts.run import run_command

__all__ = ["run_command"]
