"""`import timm_nhl` registers the nested models, in whatever order it and timm are imported, and is cheap."""

from __future__ import annotations

import subprocess
import sys

import pytest

CREATED = "assert timm.create_model('test_resnet_nhl', num_classes=8, device='meta').num_classes == 8"
ORDERS = {  # which is imported first -> a program
    "timm first": f"import timm, timm_nhl; {CREATED}",
    "timm_nhl first": f"import timm_nhl, timm; {CREATED}",
    "a submodule of timm_nhl first": f"from timm_nhl.models.levels import Level; import timm; {CREATED}",
    "a name of timm_nhl first": f"from timm_nhl import NHL; import timm; {CREATED}",
    "a submodule of timm": f"import timm_nhl; from timm.models import create_model; import timm; {CREATED}",
    "timm's function": f"import timm_nhl; from timm import create_model, list_models; import timm; {CREATED}",
    "twice": "import sys, importlib, timm_nhl; importlib.reload(timm_nhl); import timm; importlib.reload(timm_nhl)"
    f"; {CREATED}; assert not [f for f in sys.meta_path if type(f).__name__.startswith('_Register')][1:]",
    "timm reloaded": f"import importlib, timm_nhl, timm; importlib.reload(timm); {CREATED}",
    "--device-modules": f"import importlib, timm; importlib.import_module('timm_nhl'); {CREATED}",
    "in threads": "import timm_nhl, threading; threads = [threading.Thread(target=__import__, args=('timm',))"
    " for _ in range(4)]; [t.start() for t in threads]; [t.join() for t in threads]; import timm; " + CREATED,
}


@pytest.mark.xdist_group("fresh")
@pytest.mark.parametrize("order", ORDERS)
def test_models_are_registered_when_both_are_imported(order, fresh):
    assert fresh.run(ORDERS[order]) == (0, "", "")


@pytest.mark.xdist_group("fresh")
def test_an_import_of_timm_that_fails_may_be_tried_again(fresh):
    program = (
        "import sys, timm_nhl; torch = sys.modules['torch']; sys.modules['torch'] = None\n"
        "try:\n    import timm\nexcept ImportError:\n    pass\nelse:\n    raise AssertionError\n"
        f"sys.modules['torch'] = torch; import timm; {CREATED}"
    )
    assert fresh.run(program)[::2] == (0, "")


def test_importing_loads_neither_torch_nor_timm():
    program = "import timm_nhl, sys; print(*({'torch', 'timm', 'numpy', 'nltk', 'pydantic'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_the_face_offers_its_names_and_no_others():
    import timm_nhl

    assert {*timm_nhl.__all__} <= {*dir(timm_nhl)}
    assert all(getattr(timm_nhl, name) is not None for name in timm_nhl.__all__)
    assert callable(timm_nhl.cost) and callable(timm_nhl.grow)  # functions, not modules
    with pytest.raises(AttributeError, match=r"^module 'timm_nhl' has no attribute 'balanced'$"):
        timm_nhl.balanced  # noqa: B018
