"""Commands on the way to a device: `timm-nhl export`, `predict` and `bench`."""

from timm_nhl.cli.device.export import export_command

__all__ = ["export_command"]
