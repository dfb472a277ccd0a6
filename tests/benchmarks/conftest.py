"""Settings of the tests of the benchmarks."""

import torch

torch.set_num_threads(1)  # the models are small, and several test processes share the cores
