"""Commands on the way to a device: `timm-nhl export`, `predict` and `bench`."""

from timm_nhl.cli.device.bench import bench_command
from timm_nhl.cli.device.export import export_command
from timm_nhl.cli.device.predict import predict_command

__all__ = ["bench_command", "export_command", "predict_command"]
