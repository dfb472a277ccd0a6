"""Synchronised batch norms: two processes with a part of a batch each compute what one process does with the whole.

Both processes are started once, compute all cases, and leave their results; each test compares some of them.
"""

from __future__ import annotations

import copy
import pickle

import pytest
import timm
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from support.trees import shape
from timm.layers import BatchNormAct2d, FrozenBatchNormAct2d, SplitBatchNorm2d
from timm.models import create_feature_extractor
from torch import nn

import timm_nhl
from timm_nhl.errors import ExportError, OptionError
from timm_nhl.models.layers import BatchNorm, PerNode
from timm_nhl.models.sync_norm import (
    SyncBatchNormAct2d,
    SyncStackedBatchNorm,
    _Sync,
    convert_sync_batchnorm,
    revert_sync_batchnorm,
)

pytestmark = pytest.mark.slow  # two processes that import torch
SMALL = {"widths": (8, 4, 4), "expansion": 2}
TREE = shape(2, 5, 12)
NORMS = {  # name -> a norm, the shape of one of its maps
    "1d": (lambda: nn.BatchNorm1d(6), (6,)),
    "1d, sequences": (lambda: nn.BatchNorm1d(6), (6, 5)),
    "2d": (lambda: nn.BatchNorm2d(6), (6, 3, 5)),
    "3d": (lambda: nn.BatchNorm3d(6), (6, 2, 3, 2)),
    "with activation": (lambda: BatchNormAct2d(6, act_layer=nn.SiLU, drop_layer=nn.Identity), (6, 3, 5)),
    "stacked": (lambda: BatchNorm(3, 2), (6, 3, 5)),
    "without weights": (lambda: nn.BatchNorm2d(6, affine=False), (6, 3, 5)),
    "without running statistics": (lambda: nn.BatchNorm2d(6, track_running_stats=False), (6, 3, 5)),
    "averaging all batches": (lambda: nn.BatchNorm2d(6, momentum=None), (6, 3, 5)),
}
PARTS = {"equal": (4, 4), "unequal": (2, 6), "one empty": (0, 8)}
DTYPES = {  # of the maps; of the norm, tolerance of what has the maps' type, of what has the norm's
    torch.float64: (torch.float64, 1e-10, 1e-10),
    torch.float32: (torch.float32, 1e-5, 1e-5),
    torch.bfloat16: (torch.float32, 1e-2, 1e-5),  # as under autocast
}


MAPS = ("output", "input gradient")


def network(backbone="test_resnet"):
    """A nested model whose every branch has a say: the last norms of a fresh one are zero."""
    torch.manual_seed(0)
    model = timm.create_model(f"{backbone}_nhl", hierarchy=TREE, **SMALL).double()
    for name, parameter in model.named_parameters():
        if "norm" in name:
            nn.init.normal_(parameter, 1.0, 0.3)
    return model


def batch(dtype=torch.float64):
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(8, 3, 32, 32, generator=generator, dtype=torch.float64).to(dtype)
    return images.to(memory_format=torch.channels_last), torch.arange(8) % len(TREE)


def norm_steps(norm, x, weights):
    """Two steps of one norm: everything that comes out of it."""
    x = x.clone().requires_grad_()
    for _ in range(2):
        y = norm(x)
        y.backward(weights)
    found = {"output": y.detach(), "input gradient": x.grad}
    found |= {f"gradient of {name}": parameter.grad for name, parameter in norm.named_parameters()}
    return found | {name: value.clone() for name, value in norm.named_buffers()}


def norm_case(name, dtype, rows=slice(None), change=lambda norm: norm):
    make, size = NORMS[name]
    generator = torch.Generator().manual_seed(3)
    x, weights = (torch.randn(8, *size, generator=generator, dtype=torch.float64) for _ in range(2))
    norm = make().to(DTYPES[dtype][0])
    for parameter in norm.parameters():
        parameter.data.copy_(torch.rand(parameter.shape, generator=generator) + 0.5)
    x = x + 3 + torch.arange(8.0).view(-1, *[1] * len(size))  # means far from zero, and from process to process
    return norm_steps(change(norm), x[rows].to(dtype), weights[rows].to(dtype))


def network_step(model, rows=slice(None)):
    """One SGD step on summed losses, gradients summed over processes: what comes out, and the weights after it."""
    images, labels = batch()
    x = images[rows].clone().requires_grad_()
    logits = model(x)
    F.cross_entropy(logits, labels[rows] % logits.shape[1], reduction="sum").backward()
    if dist.is_initialized():
        for parameter in model.parameters():
            dist.all_reduce(parameter.grad)
    torch.optim.SGD(model.parameters(), lr=0.01).step()
    return {"output": logits.detach(), "input gradient": x.grad, **model.state_dict()}


def checkpointed(model):
    model.set_grad_checkpointing()
    return model


def expert(model):
    return model.expert(["super 00", "class 0007"])


def selected(model, rows=slice(None)):
    with model.select(["super 00", "class 0007"]):
        x, _ = batch()
        return {"output": model(x[rows]).detach()}


def in_eval_mode(model, rows=slice(None)):
    x, _ = batch()
    return {"output": model.eval()(x[rows]).detach(), **model.state_dict()}


def autocast(model, rows=slice(None)):
    x = batch(torch.float32)[0][rows]
    with torch.autocast("cpu", torch.bfloat16):
        return {"output": model.float()(x).detach()}


def compiled(change=lambda norm: norm, rows=slice(None)):
    """A step of a convolution, a stacked norm and an activation, compiled."""
    torch.manual_seed(0)
    model = change(nn.Sequential(PerNode(3, 2, 4), BatchNorm(3, 4), nn.ReLU(inplace=True)).double())
    return norm_steps(
        torch.compile(model, backend="aot_eager"),
        torch.randn(8, 6, 3, 5, dtype=torch.float64)[rows],
        torch.randn(8, 12, 3, 5, dtype=torch.float64)[rows],
    )


def step_of(change):
    return lambda model, rows=slice(None): network_step(change(model), rows)


NETWORKS = {  # what is done with a (converted) model, by one process with the whole batch or two with its parts
    "as it is": network_step,
    "with gradient checkpointing": step_of(checkpointed),
    "a deep copy": step_of(copy.deepcopy),
    "an expert": step_of(expert),
    "a selection": selected,
    "in eval mode": in_eval_mode,
}


def in_parallel(model, rows=slice(None)):
    """A step of DistributedDataParallel on the mean loss; alone, of the model."""
    images, labels = batch()
    run = nn.parallel.DistributedDataParallel(model) if dist.is_initialized() else model
    F.cross_entropy(run(images[rows]), labels[rows]).backward()
    torch.optim.SGD(model.parameters(), lr=0.01).step()
    return model.state_dict()


def process(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    pair = dist.new_group([0, 1])
    found = {}
    for parts, (first, _) in PARTS.items():
        rows = slice(first) if rank == 0 else slice(first, None)
        for name in NORMS:
            for dtype in DTYPES:
                found[name, dtype, parts] = norm_case(
                    name, dtype, rows, lambda norm: convert_sync_batchnorm(norm, pair)
                )
    rows = slice(2) if rank == 0 else slice(2, None)
    for name, act in NETWORKS.items():
        found[name] = act(convert_sync_batchnorm(network(), pair), rows)
    found["compiled"] = compiled(lambda model: convert_sync_batchnorm(model, pair), rows)
    found["autocast"] = autocast(convert_sync_batchnorm(network(), pair), rows)
    found["autocast, not synchronised"] = autocast(network(), rows)
    found["not synchronised"] = network_step(network(), rows)
    half = slice(4) if rank == 0 else slice(4, None)
    found["in parallel"] = in_parallel(convert_sync_batchnorm(network()), half)
    found["in half the process group"] = network_step(
        convert_sync_batchnorm(network(), [dist.new_group([0]), dist.new_group([1])][rank]), rows
    )
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    """What each of the two processes found."""
    folder = tmp_path_factory.mktemp("processes")
    mp.spawn(process, (str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


def joined(found):
    """What two processes found, as one would have it: maps one after the other, gradients of weights added up."""
    first, second = found
    assert first.keys() == second.keys()
    whole = {}
    for name, value in first.items():
        if name in MAPS:
            whole[name] = torch.cat([value, second[name]])
        elif name.startswith("gradient of"):
            whole[name] = value + second[name]
        else:
            torch.testing.assert_close(value, second[name], rtol=0, atol=0)  # statistics, and weights after a step
            whole[name] = value
    return whole


def compare(actual, expected, tolerance):
    """Everything that was found; `tolerance` may depend on its name."""
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        most = tolerance(name) if callable(tolerance) else tolerance
        torch.testing.assert_close(
            actual[name], value, rtol=most, atol=most, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("name", NORMS)
def test_a_norm_in_two_processes_is_the_norm_in_one(processes, name, parts, dtype):
    found = joined([each[name, dtype, parts] for each in processes])
    _, of_maps, of_weights = DTYPES[dtype]
    compare(found, norm_case(name, dtype), lambda name: of_maps if name in MAPS else of_weights)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_of_a_nested_model_in_two_processes_is_the_step_in_one(processes, name):
    compare(joined([each[name] for each in processes]), NETWORKS[name](network()), 1e-9)


def test_compiled_code_synchronises(processes):
    compare(joined([each["compiled"] for each in processes]), compiled(), 1e-9)


def test_autocast_synchronises(processes):
    alone = autocast(network())["output"].float()  # twelve roundings to 8 bits, one after the other

    def difference(name):
        return (joined([each[name] for each in processes])["output"].float() - alone).abs().mean()

    assert difference("autocast") < 0.05 * alone.std() < 0.2 * alone.std() < difference("autocast, not synchronised")


def test_without_synchronising_the_step_is_another_one(processes):
    alone = network_step(network())
    found = torch.cat([each["not synchronised"]["output"] for each in processes])
    assert (found - alone["output"]).abs().max() > 0.1
    for each in processes:  # groups of one process are not synchronised either
        compare(each["in half the process group"], each["not synchronised"], 0)


def test_distributed_data_parallel_takes_it_on_the_cpu(processes):
    compare(joined([each["in parallel"] for each in processes]), in_parallel(network()), 1e-9)


@pytest.mark.parametrize("backbone", ["test_resnet", "test_efficientnet", "levit_128s"])
@pytest.mark.parametrize("training", [False, True], ids=["eval", "one process"])
def test_a_converted_model_is_bit_for_bit_the_model(backbone, training):
    size = 224 if backbone == "levit_128s" else 32
    plain = network(backbone).train(training)
    sync = convert_sync_batchnorm(network(backbone)).train(training)
    x = torch.randn(2, 3, size, size, dtype=torch.float64)
    assert torch.equal(sync(x), plain(x))
    compare(sync.state_dict(), plain.state_dict(), 0)


def test_every_norm_is_converted_and_can_be_reverted():
    model = network("test_efficientnet")
    kinds = [type(module) for module in model.modules()]
    tensors = {id(tensor) for tensor in [*model.parameters(), *model.buffers()]}
    assert convert_sync_batchnorm(model) is model
    norms = [module for module in model.modules() if isinstance(module, (nn.BatchNorm2d, BatchNorm))]
    assert {isinstance(norm, _Sync) for norm in norms} == {True}
    assert {type(norm) for norm in norms} == {SyncBatchNormAct2d, SyncStackedBatchNorm}
    assert {id(tensor) for tensor in [*model.parameters(), *model.buffers()]} == tensors
    convert_sync_batchnorm(model)  # once more changes nothing
    revert_sync_batchnorm(model)
    assert [type(module) for module in model.modules()] == kinds
    assert not any(hasattr(module, "group") for module in model.modules() if isinstance(module, BatchNorm))


def test_checkpoints_go_both_ways():
    plain, sync = network(), convert_sync_batchnorm(network())
    sync.load_state_dict(plain.state_dict())
    plain.load_state_dict(sync.state_dict())
    assert list(plain.state_dict()) == list(sync.state_dict())


def test_copies_experts_and_fused_models_work_on():
    sync, plain = convert_sync_batchnorm(network()).eval(), network().eval()
    x, _ = batch()
    for change in (copy.deepcopy, expert, lambda model: model.fuse(), lambda model: pickle.loads(pickle.dumps(model))):
        assert torch.equal(change(sync)(x), change(plain)(x))
    assert isinstance(expert(sync).levels[2].blocks[0].norm4, _Sync)
    assert [tuple(map.shape) for map in create_feature_extractor(sync.trunk.net, ["layer1"])(x).values()]


def test_an_exported_or_compiled_graph_is_whole_in_eval_mode():
    level = convert_sync_batchnorm(network()).eval().levels[1]
    x = torch.randn(2, level.in_channels * 2, 3, 3, dtype=torch.float64)
    expected = network().eval().levels[1](x)
    torch.testing.assert_close(torch.export.export(level, (x,)).module()(x), expected)
    torch.testing.assert_close(torch.compile(level, fullgraph=True, backend="eager")(x), expected)


def test_maps_stay_channels_last(processes):
    for each in processes:
        assert each["as it is"]["input gradient"].is_contiguous(memory_format=torch.channels_last)


def test_frozen_norms_stay_frozen():
    model = nn.Sequential(FrozenBatchNormAct2d(4), nn.BatchNorm2d(4))
    convert_sync_batchnorm(model)
    assert (type(model[0]), isinstance(model[1], _Sync)) == (FrozenBatchNormAct2d, True)


def test_norms_of_unknown_kinds_are_all_named_and_nothing_is_changed():
    model = nn.Sequential(nn.BatchNorm2d(4), SplitBatchNorm2d(4), nn.Sequential(SplitBatchNorm2d(4)))
    with pytest.raises(OptionError, match=r"'1' \(SplitBatchNorm2d\), '2\.0' \(SplitBatchNorm2d\)"):
        convert_sync_batchnorm(model)
    assert type(model[0]) is nn.BatchNorm2d


def test_scripting_is_refused_until_reverted():
    model = convert_sync_batchnorm(timm_nhl.NHL("test_resnet", num_classes=8)).eval()
    with pytest.raises(ExportError, match="revert_sync_batchnorm"):
        torch.jit.script(model)
    assert isinstance(model.levels[0].blocks[0].norm1, _Sync)
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(torch.jit.script(revert_sync_batchnorm(model))(x), model(x))
