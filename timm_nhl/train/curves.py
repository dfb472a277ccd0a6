"""The curves of a training as one HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

CURVES = {  # column -> (row of the picture, name)
    "loss": (1, "loss, training"),
    "task_loss": (1, "loss on labels, training"),
    "kd_loss": (1, "loss on the teacher, training"),
    "eval_loss": (1, "loss"),
    "ema_loss": (1, "loss of the average"),
    "eval_top1": (2, "top-1"),
    "eval_top5": (2, "top-5"),
    "ema_top1": (2, "top-1 of the average"),
    "ema_top5": (2, "top-5 of the average"),
    "lr": (3, "learning rate"),
}


def curves(rows: Sequence[Mapping[str, float | int | None]], *, title: str) -> str:
    """Loss, accuracy and learning rate by epoch; needs no network.

    Args:
        rows: of metrics.csv.

    >>> "top-1" in curves([{"epoch": 0, "loss": 2.0, "eval_top1": 50.0}], title="a run")
    True
    """
    from plotly.subplots import make_subplots

    titles = ("loss", "accuracy, %", "learning rate")
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, subplot_titles=titles, row_heights=[3, 3, 1])
    for column, (place, name) in CURVES.items():
        known = [(row["epoch"], row[column]) for row in rows if row.get(column) is not None]
        if known:
            x, y = zip(*known, strict=True)
            mode = "lines+markers" if len(known) < 30 else "lines"
            figure.add_scatter(x=x, y=y, name=name, mode=mode, row=place, col=1)
    figure.update_xaxes(title="epoch", row=3, col=1)
    figure.update_layout(title=title, height=800)
    return str(figure.to_html(include_plotlyjs=True, div_id="curves"))
