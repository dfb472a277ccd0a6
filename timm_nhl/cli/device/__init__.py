"""Commands on the way to a device: `timm-nhl export` and `timm-nhl predict`."""

from timm_nhl.cli.device.export import export_command
from timm_nhl.cli.device.predict import predict_command

__all__ = ["export_command", "predict_command"]
