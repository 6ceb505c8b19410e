"""The vision tower and merger in PyTorch, for pictures of one size a batch (the generated ones are alike).

Parameters carry GGUF's names without the leading `v.`; the two frames' patch embeddings, which a picture sums, are one.
Letters of shapes: B pictures, P patches in merge order (each 2 × 2 group in a row), W width, D head dimension.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import gguf
from gguf import ARRAY, BOOL, FLOAT, STRING, U32, Entry

MERGE = 2
PATCH = 16
FACTOR = PATCH * MERGE
"""Pixels of a side of what one token shows."""


@dataclass(frozen=True)
class VisionConfig:
    width: int = 128
    heads: int = 4
    ffn: int = 256
    blocks: int = 4
    projection: int = 256  # the text model's hidden size
    grid: int = 48  # positions a side of the learned table
    eps: float = 1e-6

    @staticmethod
    def from_gguf(metadata: dict[str, Any]) -> VisionConfig:
        get = lambda key: metadata[f"clip.vision.{key}"]
        return VisionConfig(
            width=get("embedding_length"), heads=get("attention.head_count"), ffn=get("feed_forward_length"),
            blocks=get("block_count"), projection=get("projection_dim"), grid=get("image_size") // get("patch_size"),
            eps=get("attention.layer_norm_epsilon"),
        )  # fmt: skip


class VisionBlock(nn.Module):
    def __init__(self, c: VisionConfig):
        super().__init__()
        self.heads = c.heads
        self.ln1 = nn.LayerNorm(c.width, c.eps)
        self.attn_qkv = nn.Linear(c.width, 3 * c.width)
        self.attn_out = nn.Linear(c.width, c.width)
        self.ln2 = nn.LayerNorm(c.width, c.eps)
        self.ffn_up = nn.Linear(c.width, c.ffn)
        self.ffn_down = nn.Linear(c.ffn, c.width)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """@param x [B, P, W] @param cos, sin [P, D / 2]"""
        batch, patches, width = x.shape
        q, k, v = self.attn_qkv(self.ln1(x)).view(batch, patches, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = _rotated(q, cos, sin), _rotated(k, cos, sin)  # [B, heads, P, D]
        weights = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1)
        x = x + self.attn_out((weights @ v).transpose(1, 2).reshape(batch, patches, width))
        return x + self.ffn_down(_gelu_tanh(self.ffn_up(self.ln2(x))))


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def _gelu_tanh(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


class VisionTower(nn.Module):
    def __init__(self, config: VisionConfig):
        super().__init__()
        self.config = c = config
        self.patch_embd = nn.Conv2d(3, c.width, PATCH, stride=PATCH)
        self.position_embd = nn.Embedding(c.grid * c.grid, c.width)
        self.blk = nn.ModuleList(VisionBlock(c) for _ in range(c.blocks))
        self.post_ln = nn.LayerNorm(c.width, c.eps)
        merged = MERGE * MERGE * c.width
        self.mm = nn.ModuleDict({"0": nn.Linear(merged, merged), "2": nn.Linear(merged, c.projection)})

    def forward(self, pictures: Tensor) -> Tensor:
        """@param pictures [B, 3, height, width] in -1 … 1, sides in FACTORs @returns [B, tokens, projection]"""
        c = self.config
        patches = self.patch_embd(pictures)  # [B, W, rows, columns]
        rows, columns = patches.shape[2:]
        x = _merge_order(patches + self._positions(rows, columns)).flatten(1, 2)  # [B, P, W]
        dim = c.width // c.heads
        frequency = 10000.0 ** (-2.0 * torch.arange(dim // 4, device=x.device) / (dim // 2))
        grid = torch.stack(
            torch.meshgrid(*(torch.arange(n, device=x.device) for n in (rows, columns)), indexing="ij")
        ).float()
        place = _merge_order(grid.unsqueeze(0)).flatten(0, 2)  # [P, 2]
        angle = (place.unsqueeze(-1) * frequency).flatten(1)  # [P, D / 2]
        cos, sin = angle.cos(), angle.sin()
        for block in self.blk:
            x = block(x, cos, sin)
        x = self.post_ln(x).unflatten(1, (-1, MERGE * MERGE)).flatten(2)
        return self.mm["2"](F.gelu(self.mm["0"](x)))

    def _positions(self, rows: int, columns: int) -> Tensor:
        """The learned grid, bilinear with aligned corners. [1, W, rows, columns]"""
        c = self.config
        table = self.position_embd.weight.view(1, c.grid, c.grid, c.width).permute(0, 3, 1, 2)
        return F.interpolate(table, (rows, columns), mode="bilinear", align_corners=True)

    def initialize(self, seed: int) -> VisionTower:
        torch.manual_seed(seed)
        with torch.no_grad():
            for name, p in self.named_parameters():
                if "ln" in name:
                    p.fill_(1.0 if name.endswith("weight") else 0.0)
                elif name.endswith("bias"):
                    p.zero_()
                elif "position_embd" in name:
                    # Alike in neighbours, as interpolation will make them: noise on a coarse grid, enlarged.
                    coarse = torch.randn(1, p.shape[1], 6, 6) * 0.1
                    size = (self.config.grid, self.config.grid)
                    fine = F.interpolate(coarse, size, mode="bilinear", align_corners=True)
                    p.copy_(fine.flatten(2)[0].T)
                else:
                    p.normal_(std=p[0].numel() ** -0.5)
        return self

    def load_gguf_tensors(self, tensors: dict[str, np.ndarray]) -> VisionTower:
        state = {}
        for name, data in tensors.items():
            state[name[2:] if name.startswith("v.") else name] = torch.from_numpy(np.ascontiguousarray(data))
        state["patch_embd.weight"] = state["patch_embd.weight"] + state.pop("patch_embd.weight.1")
        self.load_state_dict(state)
        return self

    def gguf_tensors(self) -> dict[str, np.ndarray]:
        out = {}
        for name, p in self.state_dict().items():
            data = p.detach().float().cpu().numpy()
            name = name if name.startswith("mm.") else f"v.{name}"
            if name == "v.patch_embd.weight":
                out[name] = data / 2
                out[name + ".1"] = data / 2
            else:
                out[name] = data
        return out


def _merge_order(x: Tensor) -> Tensor:
    """[B, W, rows, columns] → [B, groups, 4, W]"""
    batch, width, rows, columns = x.shape
    x = x.view(batch, width, rows // MERGE, MERGE, columns // MERGE, MERGE)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(batch, -1, MERGE * MERGE, width)


def picture_tensor(rgb: np.ndarray) -> Tensor:
    """uint8 [height, width, 3] → [3, height, width] in -1 … 1"""
    return torch.from_numpy(rgb.astype(np.float32)).permute(2, 0, 1) / 127.5 - 1


def positions_with_pictures(ids: list[int], pad: int, grids: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """(t, h, w) of every token. @param grids rows and columns in tokens of the pictures, in order"""
    out: list[tuple[int, int, int]] = []
    position, at, pictures = 0, 0, iter(grids)
    while at < len(ids):
        if ids[at] != pad:
            out.append((position,) * 3)
            position += 1
            at += 1
            continue
        rows, columns = next(pictures)
        out += [(position, position + r, position + c) for r in range(rows) for c in range(columns)]
        position += max(rows, columns)
        at += rows * columns
    return out


def metadata(c: VisionConfig) -> list[Entry]:
    keys: list[Entry] = [
        ("image_size", U32, c.grid * PATCH),
        ("patch_size", U32, PATCH),
        ("embedding_length", U32, c.width),
        ("feed_forward_length", U32, c.ffn),
        ("block_count", U32, c.blocks),
        ("attention.head_count", U32, c.heads),
        ("attention.layer_norm_epsilon", FLOAT, c.eps),
        ("projection_dim", U32, c.projection),
        ("spatial_merge_size", U32, MERGE),
        ("image_mean", ARRAY, (FLOAT, [0.5] * 3)),
        ("image_std", ARRAY, (FLOAT, [0.5] * 3)),
        ("is_deepstack_layers", ARRAY, (BOOL, [False] * c.blocks)),
    ]
    return [
        ("general.architecture", STRING, "clip"),
        ("general.name", STRING, "Tiny demonstration model, vision"),
        ("clip.projector_type", STRING, "qwen3vl_merger"),
        ("clip.has_vision_encoder", BOOL, True),
        ("clip.use_gelu", BOOL, True),
        *((f"clip.vision.{key}", kind, value) for key, kind, value in keys),
    ]


def export(tower: VisionTower, path: str, matrices: int = gguf.F16) -> int:
    """Writes the mmproj file. @returns its bytes"""
    tensors = [
        gguf.Tensor(name, gguf.F32 if data.ndim == 1 else matrices, data) for name, data in tower.gguf_tensors().items()
    ]
    return gguf.write(path, metadata(tower.config), tensors)
