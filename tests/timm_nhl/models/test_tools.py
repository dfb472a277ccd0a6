"""timm's and torch's tools see all norms and weights of a nested model; tracers, exporters and quantizers take it."""

from __future__ import annotations

import copy
import inspect
import io

import pytest
import timm
import torch
from support.trees import scrambled, shape
from timm.layers import convert_sync_batchnorm, freeze_batch_norm_2d
from timm.optim import create_optimizer_v2
from timm.utils import reparameterize_model
from torch import nn
from torch.fx.experimental.optimization import fuse as fuse_conv_bn
from torch.optim.swa_utils import update_bn

TREE = shape(3, 7, 20)
SMALL = {"widths": (8, 4, 4), "expansion": 2}
WANTED = ["super 00", "class 0013"]


def create(backbone="test_resnet", **options):
    return timm.create_model(f"{backbone}_nhl", hierarchy=TREE, **{**SMALL, **options})


def images(batch=2):
    return torch.randn(batch, 3, 64, 64)


def norms(model, kind=nn.BatchNorm2d):
    return [module for module in model.modules() if isinstance(module, kind)]


def close(actual, expected, tolerance=1e-5):
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


@pytest.fixture(scope="module")
def fused():
    """A fused expert and the expert."""
    expert = scrambled(create(depths=(1, 2, 1))).expert(WANTED)
    return expert.fuse(), expert


def test_freezing_reaches_all_norms():
    model = scrambled(create())
    frozen = freeze_batch_norm_2d(copy.deepcopy(model)).train()
    assert not norms(frozen)
    x = images()
    with torch.no_grad():
        close(frozen(x), model(x))
        close(frozen.expert(WANTED)(x), model.expert(WANTED)(x))
        close(frozen.fuse()(x), model(x))


@pytest.mark.parametrize("convert", [nn.SyncBatchNorm.convert_sync_batchnorm, convert_sync_batchnorm])
def test_synchronising_reaches_all_norms(convert):
    model = scrambled(create())
    x = images()
    expected, expert = model(x), model.expert(WANTED)(x)
    count = len(norms(model))
    converted = convert(model).eval()
    assert len(norms(converted, nn.SyncBatchNorm)) == count and not norms(converted)
    assert converted.state_dict().keys() == model.state_dict().keys()
    close(converted(x), expected)
    close(converted.expert(WANTED)(x), expert)


def test_update_bn_reaches_all_norms():
    model = scrambled(create())
    before = [norm.running_mean.clone() for norm in norms(model)]
    update_bn([images(4), images(4)], model)
    assert not [old for old, norm in zip(before, norms(model), strict=True) if torch.equal(old, norm.running_mean)]
    assert {norm.num_batches_tracked.item() for norm in norms(model)} == {2}


def test_momentum_and_epsilon_reach_all_norms():
    model = create("test_efficientnet", bn_momentum=0.02, bn_eps=1e-3)
    assert {(norm.momentum, norm.eps) for norm in norms(model)} == {(0.02, 1e-3)}


@torch.no_grad()
def test_torchs_fusing_reaches_the_levels_convolutions():
    model = scrambled(create())
    levels = nn.Sequential(*model.levels).eval()
    fused = fuse_conv_bn(levels)
    assert len(norms(fused)) == len(norms(levels)) // 2  # those of `conv` and `expand`; others follow several products
    x = torch.randn(2, model.trunk.channels, 4, 4)
    close(fused(x), levels(x))


@pytest.mark.parametrize("wrap", [lambda model: model, nn.Sequential, lambda model: nn.ModuleDict({"net": model})])
@torch.no_grad()
def test_timms_reparameterization_fuses_levels_and_trunk(wrap):
    model = scrambled(create("test_byobnet"))
    x = images()
    wrapped = reparameterize_model(wrap(model))
    (found,) = [module for module in wrapped.modules() if type(module) is type(model)]
    assert found.fused
    close(found(x), model(x), 1e-4)


@torch.no_grad()
def test_fusing_reparameterizes_the_trunk():
    model = scrambled(timm.create_model("mobileone_s0_nhl", hierarchy=shape(1, 2, 3), **SMALL))
    fused = model.fuse()
    assert len(list(fused.trunk.modules())) < len(list(model.trunk.modules())) / 2
    x = images()
    close(fused(x), model(x), 1e-3)


@torch.no_grad()
def test_a_fused_model_has_plain_convolutions_and_the_same_logits(fused):
    fused, expert = fused
    assert not norms(fused.levels)
    weighted = {type(module) for module in fused.levels.modules() if list(module.parameters(recurse=False))}
    assert weighted == {nn.Conv2d}
    x = images()
    scale = expert(x).abs().max()
    close(fused(x) / scale, expert(x) / scale, 1e-6)
    assert fused.fuse().fused
    inspect.getmembers(fused)


def test_a_fused_model_is_not_larger(fused):
    fused, expert = (sum(value.numel() for value in model.state_dict().values()) for model in fused)
    assert fused < expert


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", ["fx", "jit trace", "export"])
@torch.no_grad()
def test_a_fused_expert_is_traced(fused, how):
    fused, expert = fused
    x = images()
    if how == "fx":
        traced = torch.fx.symbolic_trace(fused)
    elif how == "jit trace":
        traced = torch.jit.trace(fused, x)
    else:
        traced = torch.export.export(fused, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},)).module()
    x = images(3)
    close(traced(x), expert(x), 1e-4)


@torch.no_grad()
def test_an_exported_fused_expert_convolves_with_parameters_only(fused):
    program = torch.export.export(fused[0], (images(),))
    inputs = {node.name for node in program.graph.nodes if node.op == "placeholder"}
    weights = [node.args[1].name for node in program.graph.nodes if node.target is torch.ops.aten.conv2d.default]
    assert len(weights) > 20 and set(weights) <= inputs


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("dynamo", "fuse"), [(False, False), (False, True), (True, True)], ids=["legacy", "legacy, fused", "dynamo, fused"]
)
@torch.no_grad()
def test_onnx_runs_any_batch_and_reshapes_no_weight(dynamo, fuse):
    onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    expert = scrambled(create()).expert(WANTED)
    names = {"input_names": ["images"], "output_names": ["logits"]}
    batch = {"dynamic_axes": {"images": {0: "batch"}, "logits": {0: "batch"}}}
    if dynamo:
        batch = {"dynamic_shapes": ({0: torch.export.Dim("batch")},), "external_data": False}
    file = io.BytesIO()
    torch.onnx.export(
        expert.fuse() if fuse else expert, (images(),), file, dynamo=dynamo, verbose=False, **names, **batch
    )
    graph = onnx.load_model_from_string(file.getvalue()).graph
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    for size in (1, 3):
        x = images(size)
        close(torch.from_numpy(session.run(None, {"images": x.numpy()})[0]), expert(x), 1e-4)
    if fuse:
        initializers = {value.name for value in graph.initializer}
        convolutions = [node for node in graph.node if node.op_type == "Conv"]
        assert all(name in initializers for node in convolutions for name in node.input[1:])
        assert not {node.op_type for node in graph.node} & {"MatMul", "Gemm", "BatchNormalization", "Transpose"}


@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_dynamic_quantization_sees_the_products_of_parents():
    model = scrambled(create())
    products = [module for module in model.levels.modules() if isinstance(module, nn.Linear)]
    assert len(products) == 2 * (1 + 3 + 7)
    torch.backends.quantized.engine = torch.backends.quantized.supported_engines[-1]
    quantized = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    assert not [module for module in quantized.levels.modules() if type(module) is nn.Linear]
    assert quantized(images()).shape == (2, 20)


def test_muon_gets_weights_and_not_norms():
    model = create(depths=(1, 2, 1))
    optimizer = create_optimizer_v2(model, opt="muon", lr=1e-3, weight_decay=0.01)
    model(images()).logsumexp(1).sum().backward()
    optimizer.step()
    levels = dict(model.levels.named_parameters())
    taken = {name for name, value in levels.items() if optimizer.state[value]["use_muon"]}
    assert taken == {name for name, value in levels.items() if value.ndim > 1}


def test_gradients_of_one_parent_do_not_move_the_product_of_another():
    model = create()
    optimizer = create_optimizer_v2(model, opt="lamb", lr=1e-2)
    products = model.levels[1].blocks[0].reduce.parents
    before = products[1].weight.detach().clone()
    products[0].weight.grad = torch.ones_like(products[0].weight)
    optimizer.step()
    assert torch.equal(products[1].weight, before)
