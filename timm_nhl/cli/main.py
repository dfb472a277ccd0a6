"""The command `timm-nhl`: what nested models cost, how they are cut, exported, trained and evaluated."""

from __future__ import annotations

import sys

import typer

from hierarchy.cli import run
from hierarchy.errors import HierarchyError
from timm_nhl.cli.cost import cost_command
from timm_nhl.cli.device import bench_command, export_command, predict_command
from timm_nhl.cli.evaluate import evaluate_command
from timm_nhl.cli.expert import expert_command, merge_command, router_command
from timm_nhl.cli.plan import plan_command
from timm_nhl.cli.scripts import run_command
from timm_nhl.cli.train import convert_command, train_command
from timm_nhl.errors import NHLError

HELP = "Nested models: what they cost, and how they are trained, evaluated, cut into experts and exported."

app = typer.Typer(add_completion=False, no_args_is_help=True, help=HELP, pretty_exceptions_enable=False)
app.command("cost")(cost_command)
app.command("plan", no_args_is_help=True)(plan_command)
app.command("train", no_args_is_help=True)(train_command)
app.command("convert", no_args_is_help=True)(convert_command)
app.command("evaluate")(evaluate_command)
app.command("expert")(expert_command)
app.command("merge", no_args_is_help=True)(merge_command)
app.command("router")(router_command)
app.command("export")(export_command)
app.command("predict")(predict_command)
app.command("bench")(bench_command)
app.command(
    "run",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False},
)(run_command)


def main() -> None:
    """Runs the command; an error is one sentence on stderr and exit code 2."""
    sys.exit(run(app, "timm-nhl", errors=(HierarchyError, NHLError)))


if __name__ == "__main__":
    main()
