"""From a hierarchy to a nested model, an expert and a saved folder in a few lines.

python examples/shark_expert.py [folder]
"""

import sys
import tempfile
from pathlib import Path

import timm
import torch

import timm_nhl
from hierarchy import Hierarchy

tree = Hierarchy.from_rows(
    [
        ("n01494475", "hammerhead", "marine animals", "sharks"),
        ("n01484850", "great white shark", "marine animals", "sharks"),
        ("n01496331", "electric ray", "marine animals", "rays"),
        ("n02123045", "tabby", "mammals", "cats"),
        ("n02123394", "Persian cat", "mammals", "cats"),
    ]
)  # or "imagenet100" or a path: anything that `hierarchy.load` accepts

model = timm.create_model("test_resnet_nhl", hierarchy=tree)  # any timm backbone, such as resnet50_nhl
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
images, labels = torch.randn(10, 3, 96, 96), torch.arange(10) % len(tree)
for _ in range(3):  # plain cross-entropy over all classes
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(model(images), labels).backward()
    optimizer.step()

model.eval()
expert = model.expert(["marine animals/sharks", "electric ray"])  # any mix of ids, names and node paths; no training
assert torch.allclose(expert(images), model(images)[:, list(expert.labels)], atol=1e-5)

full, part = timm_nhl.cost(model), timm_nhl.cost(model, ["marine animals/sharks", "electric ray"])
print(f"{full.params / 1e6:.2f}M -> {part.params / 1e6:.2f}M parameters")
print(f"{full.macs / 1e6:.0f} -> {part.macs / 1e6:.0f} million multiply-accumulates per image")

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()) / "sharks"
timm_nhl.save(expert, folder)  # timm.create_model("local-dir:...", pretrained=True) loads it too
assert torch.equal(timm_nhl.load(folder)(images), expert(images))
print(f"{folder}: {', '.join(expert.hierarchy.names)}")
