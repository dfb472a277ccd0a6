"""How good the branches are after a step: accuracy where there are labels, agreement with the flat network always."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from timm_nhl.converting.distillation import run_branches
from timm_nhl.features import Cached
from timm_nhl.models import NHL

BATCH = 32  # images; of 1,000 classes at 224 px, the maps of 256 would take gigabytes


def measure(model: NHL, kept: Cached, learned: Sequence[int], known: Tensor) -> dict[str, float]:
    """Accuracy of a network and of its teacher, and how often both agree, in percent; what cannot be known is missing.

    All of it among the classes that are learned, on images that show one of them: by their label, else by the
    teacher's answer.

    Args:
        kept: what the trunk and the teacher give for the images.
        learned: for each output of the model, its class among all K.
        known: (K,), whether the teacher has the class.
    """
    model.eval()
    columns = torch.tensor(learned)
    place = torch.full((len(known),), -1)
    place[columns] = torch.arange(len(columns))
    hits: dict[str, list[Tensor]] = {"eval_top1": [], "teacher_top1": [], "agreement": []}
    device = next(model.parameters()).device
    for rows in torch.arange(kept.images).split(BATCH):
        made, labels = kept.read(0, rows.tolist()), torch.from_numpy(kept.labels)[rows]
        with torch.no_grad():
            mine = run_branches(model.levels, model.head, made["trunk"].to(device).float()).cpu().argmax(1)
        theirs = made["logits"][:, columns].float().masked_fill(~known[columns], -torch.inf)
        answers = theirs.argmax(1)
        whole = made["logits"].float().masked_fill(~known, -torch.inf).argmax(1)
        shown = torch.where(labels >= 0, labels, whole)
        asked = place[shown] >= 0
        labelled = asked & (labels >= 0)
        hits["eval_top1"].append((mine == place[labels])[labelled])
        if bool(known[columns].any()):
            told = asked & known[shown]
            hits["agreement"].append((mine == answers)[told])
            hits["teacher_top1"].append((answers == place[labels])[labelled & known[labels.clamp(min=0)]])
    found = {name: torch.cat(values) for name, values in hits.items() if values}
    return {name: 100 * value.float().mean().item() for name, value in found.items() if len(value)}
