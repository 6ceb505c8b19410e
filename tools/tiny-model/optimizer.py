"""Muon for the matrices, AdamW for the rest.

Muon (Jordan et al., 2024) replaces a matrix's momentum by the nearest orthogonal matrix, found by Newton–Schulz steps,
so that every direction learns at the same rate. It costs 6 % of a training step here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic that takes singular values from (0, 1] to about 1 in five steps."""


def orthogonalized(x: Tensor) -> Tensor:
    """@param x [M, rows, columns]"""
    a, b, c = _NEWTON_SCHULZ
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.transpose(-1, -2)
    x = (x / (x.flatten(1).norm(dim=1).view(-1, 1, 1) + 1e-7)).bfloat16()  # the steps forgive its errors
    for _ in range(5):
        square = x @ x.transpose(-1, -2)
        x = a * x + (b * square + c * square @ square) @ x
    return (x.transpose(-1, -2) if tall else x).float()


class Muon(torch.optim.Optimizer):
    """Of matrices [rows, columns] and stacks of them [E, rows, columns]."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.95, weight_decay: float = 0.01):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            by_shape: defaultdict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    by_shape[p.shape].append(p)
            for shape, params in by_shape.items():
                self._step_alike(group, shape[-2:], params)

    def _step_alike(self, group: dict[str, Any], shape: torch.Size, params: list[nn.Parameter]) -> None:
        rows, columns = shape
        ahead = []
        for p in params:
            momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
            momentum.lerp_(p.grad, 1 - group["momentum"])
            ahead.append(p.grad.lerp(momentum, group["momentum"]).view(-1, rows, columns))
        update = orthogonalized(torch.cat(ahead))
        scale = group["lr"] * max(1.0, rows / columns) ** 0.5
        for p, part in zip(params, update.split([len(a) for a in ahead])):
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.add_(part.view_as(p), alpha=-scale)


def is_matrix(name: str, p: nn.Parameter) -> bool:
    """What Muon takes: no embedding, no router, no convolution, no gate of a few rows."""
    small = ("token_embd", "output.weight", "ffn_gate_inp", "ssm_conv1d", "ssm_alpha", "ssm_beta", "position_embd")
    return p.dim() in (2, 3) and not any(part in name for part in small)


def optimizers(model: nn.Module, muon_lr: float, adam_lr: float) -> list[torch.optim.Optimizer]:
    named = list(model.named_parameters())
    matrices = [p for name, p in named if is_matrix(name, p)]
    rest = [p for name, p in named if not is_matrix(name, p)]
    return [Muon(matrices, muon_lr), torch.optim.AdamW(rest, adam_lr, betas=(0.9, 0.98), weight_decay=0.0)]
