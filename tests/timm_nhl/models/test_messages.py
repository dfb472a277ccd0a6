"""The messages of timm_nhl for users; they are in tests/golden/nhl_messages.txt.

After a change, regenerate it with `WRITE_GOLDEN=1 pytest tests/timm_nhl/models/test_messages.py` and read the
difference. Errors of calls, errors of the command, what the command prints on stderr, and the log.
"""

from __future__ import annotations

import ast
import json
import logging
import re
import sys
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from support.golden_messages import Golden
from support.trees import shape
from torch.distributed.device_mesh import init_device_mesh

import hierarchy
import timm_nhl
from hierarchy import HierarchyError
from timm_nhl.cli.main import main
from timm_nhl.errors import NHLError
from timm_nhl.eval import measure_routing, open_classifier
from timm_nhl.export import export_onnx, export_program, load, save
from timm_nhl.routers import fit_router
from timm_nhl.weights import read_weights

SOURCE = Path(timm_nhl.__file__).parent
TREE = shape(3, 7, 20)
SMALL = {"widths": (8, 4, 4), "expansion": 2}


def create(backbone="test_resnet", tree=TREE, **options):
    torch.manual_seed(0)
    return timm.create_model(f"{backbone}_nhl", hierarchy=tree, **{**SMALL, **options})


def with_digest(damage):
    """Weights whose digest something was done to."""
    state = create().state_dict()
    return {**state, "hierarchy_digest": damage(state["hierarchy_digest"])}


def moved():
    """A larger hierarchy in which one class has moved and another one is called otherwise."""
    rows = list(TREE.rows)
    rows[0] = (*rows[0][:2], "super 02", "group 000")
    rows[1] = (rows[1][0], "class one", *rows[1][2:])
    return hierarchy.Hierarchy.from_rows([*rows, ("n0020", "class 0020", "super 00", "group 000")])


def growth():
    return timm_nhl.grow(create(tree=shape(3, 7, 30).at(range(20))), shape(3, 7, 30))


def pruned():
    """A model without its class level and its classifier."""
    model = create()
    model.prune_intermediate_layers([-2])
    return model


def sharded():
    """A model whose weights are sharded over the processes of a group, which has one."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        return torch.distributed.fsdp.fully_shard(create(), mesh=init_device_mesh("cpu", (1,)))
    finally:
        torch.distributed.destroy_process_group()


def routed():
    """A model with a router that is not at its start."""
    model = create(router=True).eval()
    torch.nn.init.ones_(model.router.fc.weight)
    return model


class Unsaved(torch.nn.Module):
    """A model that no exporter can write."""

    pretrained_cfg = {"input_size": (3, 8, 8)}  # noqa: RUF012 - as timm has it
    in_chans = 3

    def forward(self, x):
        raise ValueError("a layer without a symbol")


CALLS = {  # what is wrong -> a call
    "a fractional number of classes": lambda: timm.create_model("test_resnet_nhl", num_classes=2.5),
    "classes that disagree": lambda: create(num_classes=7),
    "a pool of another shape": lambda: create(global_pool="catavgmax"),
    "widths for two levels": lambda: create(widths=(8, 4)),
    "one stride for all": lambda: create(strides=2),
    "no blocks": lambda: create(depths=(1, 1, 0)),
    "a width of 0": lambda: create(widths=(8, 0, 4)),
    "half an expansion": lambda: create(expansion=1.5),
    "all dropped": lambda: create(drop=1.0),
    "an unknown norm": lambda: create(norm="instance"),
    "an unknown activation": lambda: create(act="ruly"),
    "an activation with weights": lambda: create(act="prelu"),
    "two at once": lambda: create(act="ruly", drop_path=-0.1),
    "an unknown preset": lambda: create(preset="egde"),
    "a preset that decides nothing": lambda: create(preset="edge", split=-3, strides=(1, 1, 1), depths=(1, 1, 1)),
    "a split out of range": lambda: create(split=-9),
    "features in another format": lambda: create().forward_intermediates(torch.zeros(1, 3, 64, 64), output_fmt="NHWC"),
    "an unknown option": lambda: create(spit=-3),
    "labels of some classes": lambda: create(labels=[3, 5]),
    "an impossible momentum": lambda: create(bn_momentum=0),
    "options of missing batch norms": lambda: create("test_vit", norm="group", bn_eps=1e-3),
    "an expert of a pruned model": lambda: pruned().expert("super 01"),
    "an expert of a sharded model": lambda: sharded().expert("super 01"),
    "no classes": lambda: create().expert([]),
    "an unknown class": lambda: create().expert(["clas 0003"]),
    "weights of another hierarchy": lambda: create(tree=shape(2, 7, 20)).load_state_dict(create().state_dict()),
    "weights with half a digest": lambda: create().load_state_dict(with_digest(lambda digest: digest[:32])),
    "weights with a digest of other values": lambda: create().load_state_dict(with_digest(lambda digest: digest - 0.5)),
    "weights of another backbone": lambda: create("test_convnext").load_state_dict(create().state_dict()),
    "weights of a plain backbone": lambda: create().load_state_dict(timm.create_model("test_resnet").state_dict()),
    "weights of another split": lambda: create(split=-3).load_state_dict(create().state_dict()),
    "a missing file of weights": lambda: read_weights("missing.safetensors"),
    "weights cut short": lambda: read_weights("short.safetensors"),
    "weights in a pickle with more than tensors": lambda: read_weights("attack.pth"),
    "an empty file of weights": lambda: read_weights("empty.pth"),
    "a folder without a config": lambda: load("empty"),
    "half a config": lambda: load("half"),
    "a list for a config": lambda: load("list"),
    "a config of another architecture": lambda: load("strange"),
    "a hierarchy changed by hand": lambda: load("changed"),
    "a saved folder with a model's name": lambda: load("saved", model="test_resnet_nhl"),
    "a folder of a plain backbone": lambda: load("plain"),
    "a folder without weights": lambda: load("bare"),
    "a full folder": lambda: save(create(), "saved"),
    "a folder in no folder": lambda: save(create(), "nowhere/saved"),
    "a model that timm did not make": lambda: save(timm_nhl.NHL("test_resnet", num_classes=8), "new"),
    "a fused model": lambda: save(create().fuse(), "new"),
    "a plain model": lambda: save(timm.create_model("test_resnet"), "new"),
    "growing without some old classes": lambda: timm_nhl.grow(create(), shape(3, 7, 30).at(range(12, 30))),
    "growing with classes elsewhere and under another name": lambda: timm_nhl.grow(create(), moved()),
    "growing by nothing": lambda: timm_nhl.grow(create(), TREE.at(reversed(range(20)))),
    "growing a fused model": lambda: timm_nhl.grow(create().fuse(), shape(3, 7, 30)),
    "growing features": lambda: timm_nhl.grow(pruned(), shape(3, 7, 30)),
    "growing without images of some new classes": lambda: growth().check_labels([0, 1, 19, *range(21, 27)]),
    "growing with images of new classes only": lambda: growth().check_labels(range(20, 30)),
    "a router that is neither on nor off": lambda: create(router="yes"),
    "a router that does not score a group": lambda: create(router=["super 00/group 000", "super 02/group 002"]),
    "a router with a group twice": lambda: create(router=[*TREE.nodes(2), "super 02/group 002"]),
    "routing without a router": lambda: create().eval().route(torch.zeros(1, 3, 32, 32)),
    "routing in train mode": lambda: create(router=True).route(torch.zeros(1, 3, 32, 32)),
    "routing by an untrained router": lambda: create(router=True).eval().route(torch.zeros(1, 3, 32, 32)),
    "routing to no group": lambda: routed().route(torch.zeros(1, 3, 32, 32), keep=0),
    "routing to too much": lambda: routed().route(torch.zeros(1, 3, 32, 32), mass=1.5),
    "an answer that is never sure": lambda: routed().answer(torch.zeros(1, 3, 32, 32), 0),
    "measuring a router that is missing": lambda: measure_routing(open_classifier("saved"), None),
    "fitting a router to no images": lambda: fit_router(create(), []),
    "fitting a router to features": lambda: fit_router(create(num_classes=0), []),
    "an export that fails": lambda: export_program(Unsaved(), "model.pt2"),
    "an export into no folder": lambda: export_program(create(), "nowhere/model.pt2"),
}
PLAN = ["plan", "test_resnet", "--hierarchy", "tree.json"]
COMMANDS = {  # what is wrong -> arguments of `timm-nhl`
    "unknown command": ["shwo"],
    "cost without a model": ["cost"],
    "cost of a plain backbone": ["cost", "resnet50", "--hierarchy", "imagenet100"],
    "cost of an unknown tag": ["cost", "convnextv2_tiny_nhl.fcmae_ft_in22k_in1k_38"],
    "cost over no such hierarchy": ["cost", "test_resnet_nhl", "--hierarchy", "imagenet1000"],
    "cost of an unknown class": ["cost", "test_resnet_nhl", "--hierarchy", "tree.json", "--classes", "clas 0003"],
    "cost of too many classes": ["cost", "test_resnet_nhl", "--hierarchy", "tree.json", "--random", "21"],
    "cost over no seeds": ["cost", "test_resnet_nhl", "--random", "2", "--seeds", "0"],
    "cost into a missing folder": ["cost", "test_resnet_nhl", "--hierarchy", "tree.json", "--picture", "no/cost.html"],
    "expert without a folder": ["expert", "saved", "--classes", "super 01"],
    "expert without classes": ["expert", "saved", "--out", "new"],
    "expert of an unknown class": ["expert", "saved", "--classes", "super 09", "--out", "new"],
    "expert of a missing file": ["expert", "missing.pth", "--classes", "super 01", "--out", "new"],
    "expert of weights only": ["expert", "weights.safetensors", "--classes", "super 01", "--out", "new"],
    "expert of weights of a model with options": [
        *["expert", "weights.safetensors", "--model", "test_resnet_nhl", "--hierarchy", "tree.json"],
        *["--classes", "super 01", "--out", "new"],
    ],
    "expert into a full folder": ["expert", "saved", "--classes", "super 01", "--out", "saved"],
    "export as what": ["export", "saved", "--out", "model.tflite"],
    "cost with strides for two levels": ["cost", "test_resnet_nhl", "--strides", "2,1"],
    "cost with an invalid width": ["cost", "test_resnet_nhl", "--widths", "128,64,wide"],
    "cost of an unknown preset": ["cost", "test_resnet_nhl", "--preset", "publised"],
    "cost with branches of no blocks": ["cost", "test_resnet_nhl", "--depths", "1,1,0"],
    "plan of nothing": ["plan", "--hierarchy", "tree.json"],
    "plan of unknown backbones": ["plan", "resnet5", "test_vitt_nhl", "--hierarchy", "tree.json"],
    "plan of tasks with unknown classes": [*PLAN, "--classes", "super 01,supper 02", "--classes", "clas 0003"],
    "plan of too many random classes": [*PLAN, "--random", "21"],
    "plan of no related classes": [*PLAN, "--related", "0"],
    "plan of an unknown preset": [*PLAN, "--preset", "egde"],
    "plan of a shape without values": [*PLAN, "--shape", "split"],
    "plan of a shape with an unknown option": [*PLAN, "--shape", "splt=-3"],
    "plan of a shape that the hierarchy decides": [*PLAN, "--shape", "num_classes=3"],
    "plan of a split out of range": [*PLAN, "--shape", "split=-9"],
    "plan of a backbone that cannot be counted": ["plan", "gemma4_vit_167m", "--hierarchy", "tree.json"],
    "plan with a budget in words": [*PLAN, "--max-macs", "0.3 billion"],
    "plan with a budget of nothing": [*PLAN, "--max-params", "0"],
    "plan with a budget of no time": [*PLAN, "--max-ms", "0"],
    "plan into a missing folder": [*PLAN, "--html", "no/plan.html"],
    "run a missing script": ["run", "validate.py"],
}
SAID = {  # case -> arguments of a command that prints to stderr
    "cut an expert": ["expert", "saved", "--classes", "super 01", "--out", "expert"],
    "export an expert": ["export", "saved", "--classes", "super 01", "--out", "expert.pt2"],
}
LOGGED = {  # what happens -> a call that logs it
    "an expert that costs more than the plain network": lambda: create(widths=(256, 64, 32)).expert("super 01"),
    "a backbone's weights": lambda: create(pretrained=True, pretrained_cfg_overlay={"file": "plain/model.safetensors"}),
    "a whole model's weights": lambda: create(
        pretrained=True, pretrained_cfg_overlay={"file": "saved/model.safetensors"}
    ),
    "an expert out of a whole model's weights": lambda: timm.create_model(
        "local-dir:saved", pretrained=True, hierarchy=TREE.subset("super 01"), num_classes=None
    ),
    "the trunk out of a whole model's weights": lambda: create(
        tree=shape(2, 3, 5), pretrained=True, pretrained_cfg_overlay={"file": "saved/model.safetensors"}
    ),
    "checkpointing that the backbone has not": lambda: create("inception_v4").set_grad_checkpointing(),
}


class Attack:
    def __reduce__(self):
        return (Path.touch, (Path("attacked"),))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with files that are wrong in every way."""
    folder = tmp_path_factory.mktemp("files")
    model = create()
    save(model, folder / "saved")
    config = (folder / "saved" / "config.json").read_text()
    changed = json.loads(config)
    changed["model_args"]["hierarchy"]["classes"][0]["group"] = "another"
    contents = {
        "half": config[: len(config) // 2],
        "list": "[]",
        "strange": config.replace('"test_resnet_nhl"', '"test_resnett_nhl"'),
        "changed": json.dumps(changed),
        "bare": config,
    }
    for name, content in contents.items():
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(content)
    (folder / "empty").mkdir()
    timm.models.save_for_hf(timm.create_model("test_resnet"), str(folder / "plain"), safe_serialization=True)
    save_file(model.state_dict(), folder / "weights.safetensors")
    (folder / "short.safetensors").write_bytes((folder / "weights.safetensors").read_bytes()[:-999])
    torch.save({"state_dict": {"weight": Attack()}}, folder / "attack.pth")
    torch.save({}, folder / "empty.pth")
    hierarchy.save(TREE, folder / "tree.json")
    return folder


@pytest.fixture
def folder(files, monkeypatch):
    """That folder, in which what is refused changes nothing."""
    monkeypatch.chdir(files)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    before = sorted(files.rglob("*"))
    yield files
    assert not (files / "attacked").exists()
    assert {path.name for path in set(files.rglob("*")) - set(before)} <= {
        "expert", "expert.pt2", "config.json", "model.safetensors",
    }  # fmt: skip


def answer(arguments, monkeypatch, capsys):
    """Exit code, stdout and the lines on stderr of the command."""
    monkeypatch.setattr(sys, "argv", ["timm-nhl", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    return ended.value.code, out, err.splitlines()


def all_cases():
    tables = {"python": CALLS, "timm-nhl": COMMANDS, "said": SAID, "logged": LOGGED}
    return [f"{kind}: {case}" for kind, table in tables.items() for case in (*table, *OTHERS.get(kind, ()))]


OTHERS = {
    "said": ("a budget that no network meets",),
    "python": ("an export that gives other numbers", "an export without its libraries"),
}
GOLDEN = Golden("nhl_messages.txt", all_cases)


@pytest.mark.parametrize("case", CALLS)
def test_calls_refuse_bad_input_in_one_line(case, folder):
    with pytest.raises((NHLError, HierarchyError)) as caught:
        CALLS[case]()
    GOLDEN.compare(f"python: {case}", str(caught.value).replace(timm.__version__, "VERSION"))


def test_an_export_that_gives_other_numbers_is_refused(folder, monkeypatch):
    monkeypatch.setattr(torch.export, "load", lambda path: torch.nn.Module())
    monkeypatch.setattr(torch.nn.Module, "module", lambda self: lambda x: torch.ones(len(x), 20), raising=False)
    with pytest.raises(NHLError) as caught:
        export_program(create(), "model.pt2")
    GOLDEN.compare(
        "python: an export that gives other numbers", re.sub(r"by \d\.\de[+-]\d\d", "by 1.0e+00", str(caught.value))
    )


def test_an_export_without_its_libraries_says_how_they_are_had(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(NHLError) as caught:
        export_onnx(create(), "model.onnx")
    GOLDEN.compare("python: an export without its libraries", str(caught.value))


@pytest.mark.parametrize("case", COMMANDS)
def test_the_command_refuses_bad_input_in_one_line(case, folder, monkeypatch, capsys):
    code, out, lines = answer(COMMANDS[case], monkeypatch, capsys)
    assert (code, out, len(lines)) == (2, "", 1)
    assert lines[0].startswith("error: ")
    GOLDEN.compare(f"timm-nhl: {case}", lines[0].removeprefix("error: "))


@pytest.mark.parametrize("case", SAID)
def test_the_command_says_what_it_did(case, folder, monkeypatch, capsys):
    code, out, lines = answer(SAID[case], monkeypatch, capsys)
    assert (code, out, len(lines)) == (0, "", 1)
    GOLDEN.compare(f"said: {case}", lines[0])


def test_a_budget_that_no_network_meets_is_answered_with_the_nearest(folder, monkeypatch, capsys):
    limits = ["--max-macs", "1M", "--max-params", "1k", "--preset", "published", "--img-size", "64"]
    code, out, lines = answer([*PLAN, "--classes", "super 01", "--random", "2", *limits], monkeypatch, capsys)
    assert (code, "test_resnet_nhl" in out) == (1, True)
    GOLDEN.compare("said: a budget that no network meets", lines[-1])


@pytest.mark.parametrize("case", LOGGED)
def test_the_log_says_what_was_loaded(case, folder, caplog):
    with caplog.at_level(logging.INFO):
        LOGGED[case]()
    (message,) = {record.getMessage() for record in caplog.records if record.name.startswith("timm_nhl")}
    GOLDEN.compare(f"logged: {case}", message)


def spoken():
    """Of each message in the source, its longest stretch of fixed text: arguments of errors raised, and of the log."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            call = node.exc if isinstance(node, ast.Raise) else node
            if not isinstance(call, ast.Call):
                continue
            name = ast.unparse(call.func)
            if (isinstance(node, ast.Raise) and name.endswith("Error") and name != "AttributeError") or name.startswith(
                "_log."
            ):
                fixed = [part.value for part in ast.walk(call.args[0]) if isinstance(part, ast.Constant)]
                texts = [text for part in fixed if isinstance(part, str) for text in re.split(r"%\w", part)]
                if texts:
                    yield f"{path.name}:{node.lineno}", max(texts, key=len)


@pytest.mark.parametrize(("place", "text"), [pytest.param(*each, id=each[0]) for each in spoken()])
def test_every_message_in_the_source_is_in_the_golden_file(place, text):
    assert any(text in path.read_text(encoding="utf-8") for path in GOLDEN.path.parent.glob("*_messages.txt")), text
