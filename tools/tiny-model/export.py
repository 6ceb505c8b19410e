"""Writes a checkpoint as a GGUF file that this project and llama.cpp run.

usage: export.py [--checkpoint out/checkpoint.pt] [--type Q8_0|Q4_K_M|F16|F32] [--out FILE] [--random SEED]

A checkpoint with a vision tower gives a second file, OUT without .gguf + -mmproj.gguf.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass

import numpy as np
import torch

import data
import gguf
import vision
from gguf import ARRAY, F32, FLOAT, I32, STRING, U32, Entry, Tensor
from model import Config, Model
from tokenizer import Tokenizer
from vision import VisionConfig, VisionTower

HERE = os.path.dirname(os.path.abspath(__file__))
NAME = "Tiny demonstration model"


def metadata(c: Config, tokenizer: Tokenizer, chat_template: str) -> list[Entry]:
    arch = "qwen35moe" if c.experts else "qwen35"
    keys: list[Entry] = [
        ("block_count", U32, c.layers + c.mtp_layers),
        ("context_length", U32, c.context),
        ("embedding_length", U32, c.hidden),
        ("attention.head_count", U32, c.heads),
        ("attention.head_count_kv", U32, c.kv_heads),
        ("attention.key_length", U32, c.head_dim),
        ("attention.value_length", U32, c.head_dim),
        ("attention.layer_norm_rms_epsilon", FLOAT, c.eps),
        ("rope.freq_base", FLOAT, c.rope_base),
        ("rope.dimension_count", U32, c.rope_dim),
        ("rope.dimension_sections", ARRAY, (I32, list(c.rope_sections))),
        ("ssm.conv_kernel", U32, 4),
        ("ssm.state_size", U32, c.state_dim),
        ("ssm.group_count", U32, c.key_heads),
        ("ssm.time_step_rank", U32, c.value_heads),
        ("ssm.inner_size", U32, c.value_heads * c.state_dim),
        ("full_attention_interval", U32, c.interval),
    ]
    if c.mtp_layers:
        keys.append(("nextn_predict_layers", U32, c.mtp_layers))
    if c.experts:
        keys += [
            ("expert_count", U32, c.experts),
            ("expert_used_count", U32, c.top_k),
            ("expert_feed_forward_length", U32, c.expert_width),
            ("expert_shared_feed_forward_length", U32, c.shared_width),
        ]
    else:
        keys.append(("feed_forward_length", U32, c.ffn))
    return [
        ("general.architecture", STRING, arch),
        ("general.name", STRING, NAME),
        ("general.alignment", U32, gguf.ALIGNMENT),
        ("general.sampling.temp", FLOAT, 0.0),  # its answers are right or wrong; chance adds nothing
        *((f"{arch}.{key}", kind, value) for key, kind, value in keys),
        *tokenizer.gguf_entries(chat_template),
    ]


MIXES = ("Q8_0", "F16", "F32", "Q4_K_M")


def stored_type(name: str, data: np.ndarray, mix: str) -> int:
    """Vectors, the router, the convolution and the gates of a row per head stay F32, as in published files. Q4_K_M
    gives the embeddings and what writes to the residual stream two bits more."""
    small = ("ffn_gate_inp", "ssm_conv1d", "ssm_alpha", "ssm_beta")
    if data.ndim == 1 or any(part in name for part in small):
        return F32
    if mix != "Q4_K_M":
        return {"Q8_0": gguf.Q8_0, "F16": gguf.F16, "F32": F32}[mix]
    fine = any(part in name for part in ("token_embd", "attn_v", "ffn_down", "ssm_out", "attn_output"))
    if data.shape[-1] % 256:
        return gguf.Q8_0 if fine else gguf.Q5_0
    return gguf.Q6_K if fine else gguf.Q4_K


def export(model: Model, tokenizer: Tokenizer, path: str, mix: str) -> int:
    """@param mix one of MIXES @returns bytes of the file"""
    tensors = [Tensor(name, stored_type(name, x, mix), x) for name, x in model.gguf_tensors().items()]
    return gguf.write(path, metadata(model.config, tokenizer, data.template_text()), tensors)


@dataclass
class Checkpoint:
    model: Model
    tower: VisionTower | None
    step: int


def load_checkpoint(path: str) -> Checkpoint:
    state = torch.load(path, map_location="cpu")
    model = Model(Config(**state["config"]))
    model.load_state_dict(state["model"])
    tower = None
    if state.get("tower") is not None:
        tower = VisionTower(VisionConfig(**state["tower_config"]))
        tower.load_state_dict(state["tower"])
    return Checkpoint(model.eval(), tower, state["progress"]["step"])


def weights(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--checkpoint", default=os.path.join(HERE, "out", "checkpoint.pt"))
    parser.add_argument("--type", choices=MIXES, default="Q8_0")
    parser.add_argument("--out", default=os.path.join(HERE, "out", "tiny.gguf"))
    parser.add_argument("--random", type=int, metavar="SEED", help="random weights instead of a checkpoint")
    arguments = parser.parse_args()
    tokenizer = Tokenizer.load(data.TOKENIZER)
    if arguments.random is None:
        saved = load_checkpoint(arguments.checkpoint)
        print(f"Checkpoint of step {saved.step}.")
    else:
        model = Model(Config(vocab=len(tokenizer.tokens))).initialize(arguments.random)
        saved = Checkpoint(model, VisionTower(VisionConfig()).initialize(arguments.random), 0)
    size = export(saved.model, tokenizer, arguments.out, arguments.type)
    print(f"{arguments.out}: {size / 1e6:.2f} MB, {weights(saved.model) / 1e6:.2f} M weights")
    if saved.tower is not None:
        path = arguments.out.removesuffix(".gguf") + "-mmproj.gguf"
        print(f"{path}: {vision.export(saved.tower, path) / 1e6:.2f} MB, {weights(saved.tower) / 1e6:.2f} M weights")


if __name__ == "__main__":
    main()
