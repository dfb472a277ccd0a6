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

model = timm.create_model("mobilenetv4_conv_small_nhl", hierarchy=tree, preset="edge")  # or any other backbone of timm
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
images, labels = torch.randn(10, 3, 96, 96), torch.arange(10) % len(tree)
for _ in range(3):  # plain cross-entropy over all classes
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(model(images), labels).backward()
    optimizer.step()

model.eval()
expert = model.expert(["marine animals/sharks", "electric ray"])  # any mix of ids, names and node paths; no training
assert torch.allclose(expert(images), model(images)[:, list(expert.labels)], atol=1e-5)

# what one would do instead: a plain network, restricted to these classes
plain, part = timm_nhl.cost("mobilenetv4_conv_small", num_classes=len(expert.hierarchy)), timm_nhl.cost(expert)
print(f"{part.params / 1e6:.2f}M parameters, {part.params / plain.params:.0%} of the plain network's")
print(f"{part.macs / 1e6:.0f} million multiply-accumulates per image, {part.macs / plain.macs:.0%}")

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()) / "sharks"
folder.parent.mkdir(parents=True, exist_ok=True)
timm_nhl.save(expert, folder)  # timm.create_model("local-dir:...", pretrained=True) loads it too
assert torch.equal(timm_nhl.load(folder)(images), expert(images))
print(f"{folder}: {', '.join(expert.hierarchy.names)}")
