"""What a timm user expects of a model: its API, scripting, tracing, compiling, exporting, saving, training."""

from __future__ import annotations

import copy
import io
import pickle
from itertools import product

import pytest
import timm
import torch
from support.small_models import TREE, create, images
from support.trees import scrambled, shape
from timm.models import FeatureInfo
from timm.models._manipulate import group_parameters
from timm.optim import create_optimizer_v2, param_groups_layer_decay, param_groups_weight_decay
from timm.utils import reparameterize_model

import timm_nhl
from hierarchy.io import to_dict
from timm_nhl.errors import OptionError

FAMILIES = ["test_resnet", "test_convnext", "test_vit", "test_efficientnet"]


def test_every_backbone_has_its_nested_model():
    plain = [name for name in timm.list_models() if not name.endswith("_nhl")]
    assert {f"{name}_nhl" for name in plain} == set(timm.list_models("*_nhl"))
    assert "resnet50_nhl.a1_in1k" in timm.list_models("*_nhl*", include_tags=True)
    assert timm.get_pretrained_cfg("resnet50_nhl.a1_in1k").hf_hub_id == "timm/resnet50.a1_in1k"
    assert timm.models.get_pretrained_cfg("resnet50_nhl").tag == timm.models.get_pretrained_cfg("resnet50").tag


def test_the_published_options_are_the_defaults():
    model = timm.create_model("resnet50_nhl", num_classes=20, device="meta")
    assert [(branch.width, branch.expansion, branch.depth, branch.stride) for branch in model.branches] == [
        (128, 4, 1, 1),
        (64, 4, 1, 1),
        (32, 4, 1, 2),
    ]
    assert (model.trunk.stride, model.trunk.channels, model.trunk.split) == (16, 1024, -2)
    assert not any("layer4" in name for name, parameter in model.named_parameters())


@pytest.mark.parametrize("backbone", ["resnet50", "convnextv2_tiny", "vit_small_patch16_224"])
@pytest.mark.parametrize("split", [-1, -2, -3])
def test_a_split_can_be_moved(backbone, split):
    model = timm.create_model(f"{backbone}_nhl", hierarchy=TREE, split=split, strides=(2, 1, 2), device="meta")
    assert model(torch.empty(1, 3, 224, 224, device="meta")).shape == (1, 20)
    assert model.trunk.split == split


@pytest.mark.parametrize("source", [TREE, to_dict(TREE)], ids=["Hierarchy", "dict"])
def test_a_hierarchy_comes_in_any_form(source):
    assert create(hierarchy=source, device="meta").hierarchy == TREE


def test_a_hierarchy_comes_from_a_file(tmp_path):
    import hierarchy

    hierarchy.save(TREE, tmp_path / "tree.json")
    assert create(hierarchy=str(tmp_path / "tree.json"), device="meta").hierarchy == TREE


def test_classes_alone_give_a_balanced_tree():
    model = timm.create_model("test_resnet_nhl", num_classes=42, device="meta")
    assert model.hierarchy.sizes == (3, 12, 42)
    assert timm.create_model("test_resnet_nhl", device="meta").num_classes == 1000


@pytest.mark.parametrize("backbone", FAMILIES)
def test_features_head_and_classifier(backbone):
    model = create(backbone).eval()
    x = images(model)
    features = model.forward_features(x)
    assert features.shape == (2, model.num_features, *model.default_cfg["pool_size"])
    assert model.forward_head(features, pre_logits=True).shape == (2, model.head_hidden_size)
    assert torch.equal(model.forward_head(features), model(x))
    assert model.get_classifier() is model.head.fc
    assert f"{model.default_cfg['classifier']}.weight" in model.state_dict()


def test_a_classifier_can_be_reset():
    model = create().eval()
    x = images(model)
    pooled = model.forward_head(model.forward_features(x), pre_logits=True)
    model.reset_classifier(0)
    assert torch.equal(model(x), pooled)
    model.reset_classifier(0, "")
    assert model(x).ndim == 4
    model.reset_classifier(20, "max")
    assert model(x).shape == (2, 20)
    model.reset_classifier(5)
    assert (model(x).shape, model.hierarchy.sizes) == ((2, 5), (2, 3, 5))
    model.reset_classifier(9, hierarchy=shape(2, 3, 9))
    assert model.hierarchy == shape(2, 3, 9)
    assert model.head.global_pool.pool_type == "max"


def test_a_pool_of_nothing_scores_every_place():
    model = create(global_pool="").eval()
    x = images(model)
    maps = model(x)
    assert maps.shape == (2, 20, *model.default_cfg["pool_size"])
    model.head.set_pool("avg")
    torch.testing.assert_close(maps.mean((2, 3)), model(x))


def test_images_may_have_other_channels_and_sizes():
    assert create(in_chans=5)(torch.randn(2, 5, 96, 96)).shape == (2, 20)
    assert create("test_vit", img_size=96)(torch.randn(2, 3, 96, 96)).shape == (2, 20)
    model = create("test_vit")
    model.set_input_size(img_size=(96, 64))
    assert model(torch.randn(2, 3, 96, 64)).shape == (2, 20)


@pytest.mark.parametrize("backbone", FAMILIES)
def test_features_only_gives_taps_and_levels(backbone):
    model = create(backbone, features_only=True)
    features = model(torch.randn(2, 3, 160, 160))
    assert [feature.shape[1] for feature in features] == model.feature_info.channels()
    assert [-(-160 // feature.shape[-1]) for feature in features] == model.feature_info.reduction()
    whole = create(backbone).eval()
    info = FeatureInfo(whole.feature_info, len(whole.feature_info))
    final, features = whole.forward_intermediates(torch.randn(1, 3, 160, 160))
    assert [feature.shape[1] for feature in features] == info.channels()
    assert torch.equal(final, features[-1])


@pytest.mark.parametrize("backbone", FAMILIES)
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_every_parameter_gets_a_gradient(backbone, norm):
    model = create(backbone, norm=norm, drop_rate=0.1, drop=0.1, drop_path=0.1, depths=(1, 2, 1)).train()
    model(images(model)).logsumexp(1).sum().backward()
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]


def test_checkpointing_changes_no_gradient():
    gradients = []
    for enable in (False, True):
        torch.manual_seed(0)
        model = create().train()
        model.set_grad_checkpointing(enable)
        model(images(model)).logsumexp(1).sum().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


def test_layer_decay_goes_from_the_trunk_through_the_levels_to_the_head():
    model = create("test_vit")
    layers = group_parameters(model, model.group_matcher(), reverse=True)
    ends = [
        layers[name] for name in ("levels.0.blocks.0.conv.weight", "levels.2.blocks.0.conv.weight", "head.fc.weight")
    ]
    assert max(layer for name, layer in layers.items() if name.startswith("trunk")) < ends[0] < ends[1] < ends[2]
    groups = param_groups_layer_decay(model, layer_decay=0.5)
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    create_optimizer_v2(model, "adamw", lr=1e-3, layer_decay=0.7)


def test_norms_are_not_decayed():
    model = create("test_vit")
    free, decayed = param_groups_weight_decay(model, 0.1, no_weight_decay_list=model.no_weight_decay())
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed_names = {names[id(parameter)] for parameter in decayed["params"]}
    assert not [name for name in decayed_names if "norm" in name and name.startswith("levels")]
    assert "head.fc.weight" in decayed_names
    assert "trunk.net.pos_embed" not in decayed_names
    assert free["weight_decay"] == 0.0


@pytest.mark.parametrize(
    ("form", "backbone"),
    [
        *product(["trace", "fx", "deepcopy", "pickle", "channels_last"], FAMILIES),
        ("export", "test_resnet"),  # seconds for each trunk, and trunks are timm's
        ("export", "test_vit"),
    ],
)
@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_a_model_survives_being_turned_into(form, backbone):
    model = scrambled(create(backbone, depths=(1, 2, 1)))
    x = images(model)
    expected = model(x)
    if form == "trace":
        other = torch.jit.trace(model, x)
    elif form == "fx":
        from timm.models import get_notrace_modules
        from torchvision.models.feature_extraction import create_feature_extractor

        graph = create_feature_extractor(model, ["head"], tracer_kwargs={"leaf_modules": list(get_notrace_modules())})
        other = lambda x: graph(x)["head"]  # noqa: E731
    elif form == "deepcopy":
        other = copy.deepcopy(model)
    elif form == "pickle":
        other = pickle.loads(pickle.dumps(model))
    elif form == "channels_last":
        other, x = copy.deepcopy(model).to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    else:
        other = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},)).module()
    torch.testing.assert_close(other(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@torch.no_grad()
def test_a_model_compiles_into_one_graph():
    model = scrambled(create())
    x = images(model)
    torch.testing.assert_close(torch.compile(model, fullgraph=True)(x), model(x), rtol=1e-4, atol=1e-5)


def test_bfloat16_autocast_stays_close():
    model = scrambled(create())
    x = images(model)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        low = model(x)
    torch.testing.assert_close(low.float(), model(x), rtol=0.1, atol=0.1)
    model.train()
    with torch.autocast("cpu", torch.bfloat16):
        model(x).float().logsumexp(1).sum().backward()


def test_ddp_finds_no_unused_parameters(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        model = torch.nn.parallel.DistributedDataParallel(create().train())
        for _ in range(2):  # the second forward raises where a parameter took no part in the first
            model(images(model.module)).logsumexp(1).sum().backward()
    finally:
        torch.distributed.destroy_process_group()


def test_device_and_dtype_are_honoured():
    model = create(device="meta", dtype=torch.bfloat16)
    assert {value.device.type for value in model.state_dict().values()} == {"meta"}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def test_unknown_options_are_a_type_error():
    with pytest.raises(TypeError, match="not_an_option"):
        create(not_an_option=1)


def test_no_weights_are_claimed_but_those_of_the_trunk():
    assert not timm.list_pretrained("*_nhl*")
    assert not timm.is_model_pretrained("resnet50_nhl") and not timm.is_model_pretrained("resnet50_nhl.a1_in1k")
    assert timm.is_model_pretrained("resnet50.a1_in1k")


def pointers(module):
    return {value.data_ptr() for value in (*module.parameters(), *module.buffers()) if value.numel()}


def test_a_shared_expert_holds_the_same_memory():
    model = scrambled(create())
    whole, own = model.expert("", share=True), model.expert("")
    assert pointers(whole.trunk) == pointers(model.trunk)
    assert pointers(whole.levels[2].blocks[0].conv) == pointers(model.levels[2].blocks[0].conv)
    assert not pointers(own.trunk) & pointers(model.trunk) and not pointers(own.levels) & pointers(model.levels)


@pytest.mark.parametrize(
    "change",
    [torch.nn.Module.half, torch.nn.Module.eval, torch.nn.Module.train, lambda expert: expert.to("meta")],
    ids=["half", "eval", "train", "device"],
)
@pytest.mark.parametrize("mode", [True, False], ids=["training", "evaluating"])
@pytest.mark.parametrize("backbone", FAMILIES)
def test_a_shared_expert_changes_neither_type_nor_device_nor_mode_of_its_model(backbone, mode, change):
    model = scrambled(create(backbone)).train(mode)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    expert = change(model.expert("super 01", share=True))
    assert all(module.training == mode for module in model.modules())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    changed = change(model.expert("super 01"))
    assert [module.training for module in expert.modules()] == [module.training for module in changed.modules()]


def test_a_model_changes_neither_type_nor_mode_of_the_experts_that_share_with_it():
    model = scrambled(create())
    expert = model.expert("super 01", share=True)
    x = images(model)
    logits = expert(x)
    model.half().train()
    assert torch.equal(expert(x), logits) and not any(module.training for module in expert.modules())


def test_a_pruned_model_gets_its_levels_back_with_its_classifier():
    model = create().eval()
    x = images(model)
    kept = model.levels[0].state_dict()
    model.prune_intermediate_layers([-2])
    assert model(x).shape == (2, 7 * 8, 10, 10)
    model.reset_classifier(20, "avg")
    assert model(x).shape == (2, 20)
    assert all(torch.equal(value, kept[name]) for name, value in model.levels[0].state_dict().items())
    assert [level.nodes for level in model.levels] == [3, 7, 20]


@pytest.mark.parametrize("index", [-1, -2, -4, -5])
@pytest.mark.parametrize("classes", [20, 42])
def test_a_model_pruned_anywhere_gets_a_classifier_of_any_size(classes, index):
    model = create().eval()
    model.prune_intermediate_layers([index])
    model.reset_classifier(classes, "avg")
    x = images(model)
    assert model(x).shape == (2, classes)
    model.train()(x).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_pruned_model_has_no_experts():
    model = create()
    model.prune_intermediate_layers([-2])
    with pytest.raises(OptionError, match=r"^cannot cut an expert: the model has 2 of its 3 levels left; cut before"):
        model.expert("super 01")


def test_a_reset_keeps_type_mode_and_what_is_frozen():
    model = create(dtype=torch.float64).eval()
    model.trunk.requires_grad_(False)
    model.levels[0].requires_grad_(False)
    for classes in (0, 20, 42):
        model.reset_classifier(classes)
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float64}
        assert not any(module.training for module in model.modules())
        assert not any(parameter.requires_grad for parameter in model.trunk.parameters())
        assert any(parameter.requires_grad for parameter in model.levels[0].parameters()) == (classes == 42)


@pytest.mark.parametrize("backbone", ["hrnet_w18_small", "inception_v3", "crossvit_9_240"])
def test_odd_backbones_learn_in_all_their_parameters_and_know_their_pool_size(backbone):
    model = create(backbone)
    x = images(model, batch=2)
    assert model.forward_features(x).shape[2:] == model.default_cfg["pool_size"]
    model(x).logsumexp(1).sum().backward()
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert model.state_dict().keys() >= {f"trunk.{name}" for name in model.trunk.state_dict()}


@pytest.mark.parametrize(
    "wanted", [["class 0003"], [""], ["class 0000", "class 0001", "class 0002"]], ids=["one", "all", "far"]
)
def test_experts_of_extremes_work(wanted):
    model = scrambled(create())
    x = images(model)
    expert = model.expert(wanted)
    torch.testing.assert_close(expert(x), model(x)[:, list(expert.labels)])


def test_training_moves_a_fresh_model():
    model = create().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    x, y = torch.randn(8, 3, 64, 64), torch.arange(8) % 20
    losses = []
    for _ in range(15):
        loss = torch.nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_state_dict_round_trips_through_torch_save():
    model = create()
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    create().load_state_dict(torch.load(file, weights_only=True))
    assert timm_nhl.NHL is type(model)


def test_timms_reparameterization_leaves_the_numbers():
    model = scrambled(create("test_byobnet"))
    x = images(model)
    torch.testing.assert_close(reparameterize_model(model)(x), model(x), rtol=1e-4, atol=1e-4)


def test_timms_reparameterization_reaches_into_what_wraps_a_model():
    model = torch.nn.Sequential(scrambled(create("test_byobnet")))
    x = images(model[0])
    fused = reparameterize_model(model)
    torch.testing.assert_close(fused(x), model(x), rtol=1e-4, atol=1e-4)
    assert fused[0].fused and not model[0].fused


@pytest.mark.parametrize(("fast", "pool"), [("fast", "avg"), ("fastmax", "max"), ("fastavgmax", "avgmax")])
def test_the_fast_poolings_that_timms_scripts_ask_for_are_those_there_are(fast, pool):
    assert create(global_pool=fast, device="meta").head.global_pool.pool_type == pool
