"""Qwen 3.5's hybrid text model in PyTorch: Gated DeltaNet and gated attention layers, mixture of experts, MTP block.

Parameters carry the names, shapes and conventions of a GGUF file, so that loading and saving rename nothing:
norm weights multiply directly (1 + w of a checkpoint), value head h reads key head h % key heads (tiled), and
`attn_q` holds query and gate per head. The one exception is `ssm_a` = -exp(A_log), trained as `ssm_a_log`.

Letters of shapes: B sequences, T tokens, H hidden, V vocabulary, D head dimension, E experts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

CONV_KERNEL = 4
CHUNK = 64
"""Tokens whose delta rule is solved as one triangular system."""


@dataclass(frozen=True)
class Config:
    hidden: int = 256
    layers: int = 8
    mtp_layers: int = 1
    interval: int = 4  # every fourth layer is attention
    vocab: int = 1280
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 64
    rope_dim: int = 32
    rope_base: float = 100_000.0
    rope_sections: tuple[int, ...] = (6, 5, 5, 0)
    key_heads: int = 2
    value_heads: int = 4
    state_dim: int = 64
    ffn: int = 0  # width of a dense feed-forward network; 0 where there are experts
    experts: int = 16
    top_k: int = 4
    expert_width: int = 32
    shared_width: int = 64
    context: int = 4096
    eps: float = 1e-6
    tied: bool = True

    @property
    def channels(self) -> int:
        """Channels of the convolution: q heads, k heads, v heads."""
        return (2 * self.key_heads + self.value_heads) * self.state_dim

    def is_attention(self, layer: int) -> bool:
        return layer >= self.layers or (layer + 1) % self.interval == 0

    @staticmethod
    def from_gguf(metadata: dict[str, Any], tensors: dict[str, np.ndarray]) -> Config:
        arch = metadata["general.architecture"]
        get = lambda key, default=None: metadata.get(f"{arch}.{key}", default)
        mtp = get("nextn_predict_layers", 0)
        return Config(
            hidden=get("embedding_length"),
            layers=get("block_count") - mtp,
            mtp_layers=mtp,
            interval=get("full_attention_interval", 4),
            vocab=tensors["token_embd.weight"].shape[0],
            heads=get("attention.head_count"),
            kv_heads=get("attention.head_count_kv"),
            head_dim=get("attention.key_length"),
            rope_dim=get("rope.dimension_count"),
            rope_base=get("rope.freq_base"),
            rope_sections=tuple(get("rope.dimension_sections")),
            key_heads=get("ssm.group_count"),
            value_heads=get("ssm.time_step_rank"),
            state_dim=get("ssm.state_size"),
            ffn=get("feed_forward_length", 0) if arch == "qwen35" else 0,
            experts=get("expert_count", 0),
            top_k=get("expert_used_count", 0),
            expert_width=get("expert_feed_forward_length", 0),
            shared_width=get("expert_shared_feed_forward_length", 0),
            context=get("context_length"),
            eps=get("attention.layer_norm_rms_epsilon"),
            tied="output.weight" not in tensors,
        )


class RmsNorm(nn.Module):
    def __init__(self, size: int, eps: float):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight


class Weight(nn.Module):
    """A parameter that is no plain linear layer, under the name NAME.weight (or NAME.bias)."""

    def __init__(self, *shape: int, name: str = "weight"):
        super().__init__()
        self.register_parameter(name, nn.Parameter(torch.zeros(*shape)))


@dataclass
class LayerCache:
    """What a layer keeps of the tokens before: `conv` [B, 3, channels] and `state` [B, value heads, D keys, D values]
    of a DeltaNet layer, `keys` and `values` [B, T, kv heads, D] of an attention layer."""

    conv: Tensor | None = None
    state: Tensor | None = None
    keys: Tensor | None = None
    values: Tensor | None = None


@dataclass
class Rotary:
    """`cos`, `sin` [B, T, 1, rope_dim / 2]"""

    cos: Tensor
    sin: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Rotates the first dimensions of every head of x [B, T, heads, D], pairing i with i + rope_dim / 2."""
        half = self.cos.shape[-1]
        a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
        return torch.cat([a * self.cos - b * self.sin, b * self.cos + a * self.sin, rest], -1)


def rotary(config: Config, positions: Tensor) -> Rotary:
    """@param positions [B, T, 3]: time, row, column, which differ within images alone"""
    pairs = config.rope_dim // 2
    frequency = config.rope_base ** (
        -2.0 * torch.arange(pairs, dtype=torch.float64, device=positions.device) / config.rope_dim
    )
    axis = [
        i % 3
        if i % 3 and i < 3 * config.rope_sections[i % 3]
        else 0  # interleaved: rows at 1, 4, …, columns at 2, 5, …
        for i in range(pairs)
    ]
    angle = positions[..., axis].double() * frequency
    return Rotary(angle.cos().float().unsqueeze(2), angle.sin().float().unsqueeze(2))


GAP = CONV_KERNEL - 1
"""Tokens of padding, over which the convolution does not reach."""
FORGET = -60.0
"""Added to a decay's logarithm where a conversation begins: e^-60 of the one before remains."""


class Packing:
    """Conversations one after another in rows, none of which sees the one before.

    @param segments [B, T] int: number of the conversation, 0 for padding, of which `GAP` tokens part conversations
    """

    def __init__(self, segments: Tensor):
        tokens = segments.shape[1]
        self.real = segments > 0  # [B, T]
        alike = segments.unsqueeze(2) == segments.unsqueeze(1)
        self.attended = (alike & ~_above_diagonal(tokens, segments.device)).unsqueeze(1)  # [B, 1, T, T]
        before = F.pad(segments, (1, 0), value=-1)[:, :-1]
        self.forget = FORGET * (segments != before).float().unsqueeze(-1)  # [B, T, 1]


class Balance(NamedTuple):
    """Of one layer and pass: a loss that is 1 when experts are used evenly, and tokens per expert [E]."""

    loss: Tensor
    counts: Tensor


class Block(nn.Module):
    """`x += mixer(norm(x)); x += ffn(norm(x))`"""

    def __init__(self, c: Config):
        super().__init__()
        self.c = c
        self.attn_norm = RmsNorm(c.hidden, c.eps)
        self.post_attention_norm = RmsNorm(c.hidden, c.eps)
        linear = lambda rows, columns: nn.Linear(columns, rows, bias=False)
        if c.experts:
            self.ffn_gate_inp = linear(c.experts, c.hidden)
            self.ffn_gate_exps = Weight(c.experts, c.expert_width, c.hidden)
            self.ffn_up_exps = Weight(c.experts, c.expert_width, c.hidden)
            self.ffn_down_exps = Weight(c.experts, c.hidden, c.expert_width)
            self.ffn_gate_inp_shexp = Weight(c.hidden)
            self.ffn_gate_shexp = linear(c.shared_width, c.hidden)
            self.ffn_up_shexp = linear(c.shared_width, c.hidden)
            self.ffn_down_shexp = linear(c.hidden, c.shared_width)
        else:
            self.ffn_gate = linear(c.ffn, c.hidden)
            self.ffn_up = linear(c.ffn, c.hidden)
            self.ffn_down = linear(c.hidden, c.ffn)

    def forward(
        self, x: Tensor, rope: Rotary, packing: Packing | None = None, cache: LayerCache | None = None
    ) -> tuple[Tensor, Balance | None]:
        """@param x [B, T, H]"""
        x = x + self.mixer(self.attn_norm(x), rope, packing, cache)
        h = self.post_attention_norm(x)
        if not self.c.experts:
            return x + self.dense(h), None
        y, balance = self.experts(h, packing)
        return x + y, balance

    def mixer(self, x: Tensor, rope: Rotary, packing: Packing | None, cache: LayerCache | None) -> Tensor:
        raise NotImplementedError

    def dense(self, x: Tensor) -> Tensor:
        return self.ffn_down(F.silu(self.ffn_gate(x)) * self.ffn_up(x))

    def experts(self, x: Tensor, packing: Packing | None) -> tuple[Tensor, Balance]:
        """The top k experts' sum, weighted by their probabilities scaled to 1, and the shared expert. x [B, T, H]"""
        c = self.c
        flat = x.reshape(-1, c.hidden)  # [N, H]
        probabilities = self.ffn_gate_inp(flat).softmax(-1)  # [N, E]
        weights, chosen = probabilities.topk(c.top_k, -1)  # [N, k]
        weights = weights / weights.sum(-1, keepdim=True)

        # Every expert runs for every token, weighted by zero where it was not chosen. At this width four times the
        # products in one matrix are far cheaper than sorting tokens by expert.
        spread = torch.zeros_like(probabilities).scatter(-1, chosen, weights)  # [N, E]
        real = torch.ones_like(flat[:, :1]) if packing is None else packing.real.view(-1, 1).float()
        counts = ((spread > 0) * real).sum(0)
        mean = (probabilities * real).sum(0) / real.sum()
        balance = Balance(c.experts * (counts / counts.sum() * mean).sum(), counts)
        gate = F.linear(flat, self.ffn_gate_exps.weight.flatten(0, 1))  # [N, E · F]
        up = F.linear(flat, self.ffn_up_exps.weight.flatten(0, 1))
        inner = (F.silu(gate) * up).unflatten(-1, (c.experts, -1)) * spread.unsqueeze(-1)
        y = F.linear(inner.flatten(1), self.ffn_down_exps.weight.transpose(0, 1).flatten(1))

        shared = self.ffn_down_shexp(F.silu(self.ffn_gate_shexp(flat)) * self.ffn_up_shexp(flat))
        y = y + torch.sigmoid(flat @ self.ffn_gate_inp_shexp.weight).unsqueeze(-1) * shared
        return y.view_as(x), balance


class AttentionBlock(Block):
    def __init__(self, c: Config):
        super().__init__(c)
        self.attn_q = nn.Linear(c.hidden, c.heads * 2 * c.head_dim, bias=False)
        self.attn_k = nn.Linear(c.hidden, c.kv_heads * c.head_dim, bias=False)
        self.attn_v = nn.Linear(c.hidden, c.kv_heads * c.head_dim, bias=False)
        self.attn_q_norm = RmsNorm(c.head_dim, c.eps)
        self.attn_k_norm = RmsNorm(c.head_dim, c.eps)
        self.attn_output = nn.Linear(c.heads * c.head_dim, c.hidden, bias=False)

    def mixer(self, x: Tensor, rope: Rotary, packing: Packing | None, cache: LayerCache | None) -> Tensor:
        c, (batch, tokens, _) = self.c, x.shape
        q, gate = self.attn_q(x).view(batch, tokens, c.heads, 2, c.head_dim).unbind(3)
        k = self.attn_k(x).view(batch, tokens, c.kv_heads, c.head_dim)
        v = self.attn_v(x).view(batch, tokens, c.kv_heads, c.head_dim)
        q, k = rope(self.attn_q_norm(q)), rope(self.attn_k_norm(k))
        if cache is not None:
            if cache.keys is not None:
                k, v = torch.cat([cache.keys, k], 1), torch.cat([cache.values, v], 1)
            cache.keys, cache.values = k, v
        group = c.heads // c.kv_heads
        k, v = (t.transpose(1, 2).repeat_interleave(group, 1) for t in (k, v))  # [B, heads, S, D]
        if packing is not None:
            attended = packing.attended
        else:
            attended = ~_above_diagonal(k.shape[2], x.device)[-tokens:]
        scores = q.transpose(1, 2) @ k.transpose(-1, -2) / math.sqrt(c.head_dim)  # [B, heads, T, S]
        out = scores.masked_fill(~attended, -math.inf).softmax(-1) @ v
        return self.attn_output((out.transpose(1, 2) * torch.sigmoid(gate)).reshape(batch, tokens, -1))


class DeltaNetBlock(Block):
    def __init__(self, c: Config):
        super().__init__(c)
        inner = c.value_heads * c.state_dim
        self.attn_qkv = nn.Linear(c.hidden, c.channels, bias=False)
        self.attn_gate = nn.Linear(c.hidden, inner, bias=False)
        self.ssm_conv1d = Weight(c.channels, CONV_KERNEL)
        self.ssm_alpha = nn.Linear(c.hidden, c.value_heads, bias=False)
        self.ssm_beta = nn.Linear(c.hidden, c.value_heads, bias=False)
        self.ssm_a_log = nn.Parameter(torch.zeros(c.value_heads))
        self.ssm_dt = Weight(c.value_heads, name="bias")
        self.ssm_norm = RmsNorm(c.state_dim, c.eps)
        self.ssm_out = nn.Linear(inner, c.hidden, bias=False)

    def mixer(self, x: Tensor, rope: Rotary, packing: Packing | None, cache: LayerCache | None) -> Tensor:
        c, (batch, tokens, _) = self.c, x.shape
        qkv = self.attn_qkv(x)  # [B, T, channels]
        if packing is not None:
            qkv = qkv * packing.real.unsqueeze(-1)
        if cache is not None and cache.conv is not None:
            window = torch.cat([cache.conv, qkv], 1)
        else:
            window = F.pad(qkv, (0, 0, CONV_KERNEL - 1, 0))
        if cache is not None:
            cache.conv = window[:, 1 - CONV_KERNEL :]
        mixed = F.conv1d(window.transpose(1, 2), self.ssm_conv1d.weight.unsqueeze(1), groups=c.channels)
        heads = F.silu(mixed).transpose(1, 2).reshape(batch, tokens, -1, c.state_dim)
        q, k, v = heads.split([c.key_heads, c.key_heads, c.value_heads], 2)
        q = l2_normalized(q, c.eps) / math.sqrt(c.state_dim)
        k = l2_normalized(k, c.eps)
        beta = torch.sigmoid(self.ssm_beta(x))  # [B, T, value heads]
        g = -self.ssm_a_log.exp() * F.softplus(self.ssm_alpha(x) + self.ssm_dt.bias)
        if packing is not None:
            g = g + packing.forget
        o, state = gated_delta_rule(q, k, v, g, beta, cache.state if cache is not None else None)
        if cache is not None:
            cache.state = state
        z = self.attn_gate(x).view_as(o)
        return self.ssm_out((self.ssm_norm(o) * F.silu(z)).reshape(batch, tokens, -1))


def l2_normalized(x: Tensor, eps: float) -> Tensor:
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + eps)


class UnitLowerInverse(torch.autograd.Function):
    """(I + A)^-1 of strictly lower triangular A [..., n, n]. The gradient -Tᵀ dT Tᵀ needs the result alone, where
    autograd through the solver would keep and redo each step."""

    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        with torch.autocast(a.device.type, enabled=False):  # errors of 8 bits would add up along the chunk
            inverse = _invert_unit_lower(a.reshape(-1, *a.shape[-2:])).view_as(a)
        ctx.save_for_backward(inverse)
        return inverse

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (inverse,) = ctx.saved_tensors
        transposed = inverse.transpose(-1, -2)
        return -(transposed @ gradient @ transposed).tril(-1)


def _invert_unit_lower(a: Tensor) -> Tensor:
    """By halves: the off-diagonal quarter of the inverse is -Y A21 X. a [M, n, n], its diagonal taken as 1."""
    n = a.shape[-1]
    if n <= 16 or n % 2:  # I - A + A² - …, which ends as A is nilpotent, as a product of few factors
        inverse, power = torch.eye(n, dtype=a.dtype, device=a.device) - a, a
        for _ in range((n - 1).bit_length() - 1):
            power = power @ power
            inverse = inverse + inverse @ power
        return inverse
    h, m = n // 2, a.shape[0]
    both = _invert_unit_lower(torch.cat([a[:, :h, :h], a[:, h:, h:]]))
    x, y = both[:m], both[m:]
    inverse = torch.zeros_like(a)
    inverse[:, :h, :h], inverse[:, h:, h:] = x, y
    inverse[:, h:, :h] = -(y @ a[:, h:, :h] @ x)
    return inverse


def gated_delta_rule(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Per token S ← exp(g) S; S ← S + k (beta (v - Sᵀk))ᵀ; o = Sᵀq, in chunks.

    @param q, k [B, T, key heads, D] normalised @param v [B, T, value heads, D] @param g, beta [B, T, value heads]
    @param state [B, value heads, D keys, D values] @returns o as v, and the state after the last token
    """
    batch, tokens, key_heads, dim = k.shape
    value_heads = v.shape[2]
    chunk = min(CHUNK, tokens)
    padding = -tokens % chunk
    # Padding writes nothing (beta = 0) and forgets nothing (g = 0).
    chunked = lambda t: F.pad(t, (0, 0) * (t.dim() - 2) + (0, padding)).transpose(1, 2).unflatten(2, (-1, chunk))
    tiled = lambda t: t.repeat(1, value_heads // key_heads, *[1] * (t.dim() - 2))
    q, k, v = chunked(q), chunked(k), chunked(v)  # [B, heads, N, C, D]
    beta, g = chunked(beta).unsqueeze(-1), chunked(g).cumsum(-1).unsqueeze(-1)  # [B, value heads, N, C, 1]

    decay = (g - g.transpose(-1, -2)).masked_fill(_above_diagonal(chunk, g.device), -math.inf).exp()
    a = (beta * tiled(k @ k.transpose(-1, -2)) * decay).tril(-1)
    solve = UnitLowerInverse.apply(a)  # [B, value heads, N, C, C]
    within = tiled(q @ k.transpose(-1, -2)) * decay
    q, k = tiled(q), tiled(k)
    new_values = solve @ (beta * v)
    old_keys = solve @ (beta * g.exp() * k)
    last = g[..., -1:, :]
    carried_keys = ((last - g).exp() * k).transpose(-1, -2)
    kept = last.exp()

    if state is None:
        state = q.new_zeros(batch, value_heads, dim, dim)
    states, writes = [], []
    for new_value, old_key, keep, carried in zip(*(t.unbind(2) for t in (new_values, old_keys, kept, carried_keys))):
        states.append(state)
        writes.append(new_value - old_key @ state)
        state = keep * state + carried @ writes[-1]
    o = (g.exp() * q) @ torch.stack(states, 2) + within @ torch.stack(writes, 2)
    return o.flatten(2, 3)[:, :, :tokens].transpose(1, 2), state


def _above_diagonal(n: int, device: torch.device) -> Tensor:
    return torch.ones(n, n, dtype=torch.bool, device=device).triu(1)


class NextN(nn.Module):
    """What an MTP block has besides its layer."""

    def __init__(self, c: Config):
        super().__init__()
        self.eh_proj = nn.Linear(2 * c.hidden, c.hidden, bias=False)
        self.enorm = RmsNorm(c.hidden, c.eps)
        self.hnorm = RmsNorm(c.hidden, c.eps)
        self.shared_head_norm = RmsNorm(c.hidden, c.eps)


@dataclass
class Output:
    """`hidden` [B, T, H] after the last norm; `balances` of the layers with experts."""

    hidden: Tensor
    balances: list[Balance]


class Model(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.config = c = config
        self.token_embd = nn.Embedding(c.vocab, c.hidden)
        self.blk = nn.ModuleList(
            (AttentionBlock if c.is_attention(layer) else DeltaNetBlock)(c) for layer in range(c.layers + c.mtp_layers)
        )
        for block in self.blk[c.layers :]:
            block.nextn = NextN(c)
        self.output_norm = RmsNorm(c.hidden, c.eps)
        if not c.tied:
            self.output = nn.Linear(c.hidden, c.vocab, bias=False)

    def forward(
        self,
        ids: Tensor,
        *,
        positions: Tensor | None = None,
        embeddings: tuple[Tensor, Tensor] | None = None,
        packing: Packing | None = None,
        cache: list[LayerCache] | None = None,
    ) -> Output:
        """
        @param ids [B, T] @param positions [B, T, 3]
        @param embeddings where [B, T] bool, and what [places, H] stands there instead of tokens (images)
        """
        x = self.token_embd(ids)
        if embeddings is not None:
            where, what = embeddings
            x = x.masked_scatter(where.unsqueeze(-1), what.to(x.dtype))
        if positions is None:
            positions = text_positions(ids)
        rope, balances = rotary(self.config, positions), []
        for layer in range(self.config.layers):
            x, balance = self.blk[layer](x, rope, packing, cache[layer] if cache is not None else None)
            if balance is not None:
                balances.append(balance)
        return Output(self.output_norm(x), balances)

    def draft(self, hidden: Tensor, ids: Tensor, positions: Tensor, packing: Packing | None = None) -> Output:
        """The MTP block: row p of its normed output drafts token p + 2 from hidden p and token p + 1. The last row, for
        which there is no such token, is left over."""
        block = self.blk[self.config.layers]
        nextn = block.nextn
        following = lambda t: torch.cat([t[:, 1:], t[:, -1:]], 1)
        e, h = nextn.enorm(self.token_embd(following(ids))), nextn.hnorm(hidden)
        x = nextn.eh_proj(torch.cat([e, h], -1))
        x, balance = block(x, rotary(self.config, following(positions)), packing)
        return Output(nextn.shared_head_norm(x), [] if balance is None else [balance])

    def logits(self, hidden: Tensor) -> Tensor:
        return hidden @ (self.token_embd.weight if self.config.tied else self.output.weight).T

    def new_cache(self) -> list[LayerCache]:
        return [LayerCache() for _ in range(self.config.layers)]

    def initialize(self, seed: int) -> Model:
        """Random weights: residual branches small at first, decays spread from one token to a thousand."""
        torch.manual_seed(seed)
        c = self.config
        with torch.no_grad():
            for name, p in self.named_parameters():
                if name.endswith("_norm.weight") or ".enorm." in name or ".hnorm." in name:
                    p.fill_(1)
                elif name == "token_embd.weight" or name == "output.weight":
                    p.normal_(std=0.02)
                elif "ssm_conv1d" in name:
                    p.uniform_(-0.5, 0.5)
                elif name.endswith("ssm_a_log"):
                    p.copy_(torch.empty_like(p).uniform_(1, 16).log())
                elif name.endswith("ssm_dt.bias"):
                    step = torch.empty_like(p).uniform_(math.log(0.001), math.log(0.1)).exp()
                    p.copy_(step + torch.log(-torch.expm1(-step)))  # inverse of softplus
                else:
                    residual = any(part in name for part in ("attn_output", "ssm_out", "ffn_down"))
                    p.normal_(std=p.shape[-1] ** -0.5 / (math.sqrt(2 * c.layers) if residual else 1))
        return self

    def load_gguf_tensors(self, tensors: dict[str, np.ndarray]) -> Model:
        """Takes float32 tensors by their GGUF names; every parameter must be there, with its shape."""
        state = {name: torch.from_numpy(np.ascontiguousarray(data)) for name, data in tensors.items()}
        for name in [n for n in state if n.endswith(".ssm_a")]:
            state[name + "_log"] = state.pop(name).neg().log()
        self.load_state_dict(state)
        return self

    def gguf_tensors(self) -> dict[str, np.ndarray]:
        """float32 by GGUF name."""
        out = {}
        for name, p in self.state_dict().items():
            if name.endswith(".ssm_a_log"):
                name, p = name[: -len("_log")], -p.exp()
            out[name] = p.detach().float().cpu().numpy()
        return out


def text_positions(ids: Tensor, start: int = 0) -> Tensor:
    """[B, T, 3]: time, row and column all count tokens."""
    batch, tokens = ids.shape
    return torch.arange(start, start + tokens, device=ids.device).view(1, -1, 1).expand(batch, -1, 3)
