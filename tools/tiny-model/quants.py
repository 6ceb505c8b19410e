"""The quantised blocks that a small model's files need: Q8_0 and Q5_0 (32 weights a block), Q4_K and Q6_K (256).

Each type has `encode`, float32 [blocks, weights] → structured array [blocks], and `decode`, the way back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class QuantType:
    id: int
    weights: int
    block: np.dtype
    encode: Callable[[Array], Array]
    decode: Callable[[Array], Array]


def _blocks(count: int, block: np.dtype) -> Array:
    return np.zeros(count, block)


def _ratio(x: Array, scale: Array) -> Array:
    """x / scale to the nearest integer, 0 where the scale is 0."""
    return np.rint(np.divide(x, scale, out=np.zeros_like(x), where=np.broadcast_to(scale, x.shape) != 0))


# --- Q8_0: d · q ------------------------------------------------------------------------------------------------------

_Q8_0 = np.dtype([("d", "<f2"), ("q", "i1", 32)])


def _encode_q8_0(x: Array) -> Array:
    out = _blocks(len(x), _Q8_0)
    scale = np.abs(x).max(1, keepdims=True) / 127
    out["d"], out["q"] = scale[:, 0], _ratio(x, scale)
    return out


def _decode_q8_0(blocks: Array) -> Array:
    return blocks["d"].astype(np.float32)[:, None] * blocks["q"]


# --- Q5_0: d · (q − 16) -----------------------------------------------------------------------------------------------

_Q5_0 = np.dtype([("d", "<f2"), ("high", "<u4"), ("low", "u1", 16)])


def _encode_q5_0(x: Array) -> Array:
    out = _blocks(len(x), _Q5_0)
    extreme = np.take_along_axis(x, np.abs(x).argmax(1)[:, None], 1)  # the largest becomes −16, exactly
    q = np.clip(_ratio(x, extreme / -16) + 16, 0, 31).astype(np.uint32)
    out["d"] = (extreme / -16)[:, 0]
    out["low"] = (q[:, :16] & 15) | (q[:, 16:] & 15) << 4
    out["high"] = ((q >> 4) << np.arange(32, dtype=np.uint32)).sum(1)
    return out


def _decode_q5_0(blocks: Array) -> Array:
    low = np.concatenate([blocks["low"] & 15, blocks["low"] >> 4], 1)
    high = (blocks["high"][:, None] >> np.arange(32, dtype=np.uint32)) & 1
    return blocks["d"].astype(np.float32)[:, None] * ((low | high << 4).astype(np.float32) - 16)


# --- Q4_K: d · sc · q − dmin · m, sub-blocks of 32 --------------------------------------------------------------------

_Q4_K = np.dtype([("d", "<f2"), ("dmin", "<f2"), ("scales", "u1", 12), ("q", "u1", 128)])


def _encode_q4_k(x: Array) -> Array:
    out = _blocks(len(x), _Q4_K)
    parts = x.reshape(len(x), 8, 32)
    low = np.minimum(parts.min(2), 0)
    scale = (parts.max(2) - low) / 15
    out["d"], out["dmin"] = scale.max(1) / 63, -low.min(1) / 63
    d, dmin = (out[name].astype(np.float32)[:, None] for name in ("d", "dmin"))
    sc, m = (np.clip(_ratio(*pair), 0, 63).astype(np.uint8) for pair in ((scale, d), (-low, dmin)))
    q = np.clip(_ratio(parts + (dmin * m)[:, :, None], (d * sc)[:, :, None]), 0, 15).astype(np.uint8)
    out["scales"][:, :4] = sc[:, :4] | (sc[:, 4:] >> 4) << 6
    out["scales"][:, 4:8] = m[:, :4] | (m[:, 4:] >> 4) << 6
    out["scales"][:, 8:] = (sc[:, 4:] & 15) | (m[:, 4:] & 15) << 4
    out["q"] = (q[:, 0::2] | q[:, 1::2] << 4).reshape(len(x), 128)  # two sub-blocks share 32 bytes
    return out


def _decode_q4_k(blocks: Array) -> Array:
    s = blocks["scales"]
    sc = np.concatenate([s[:, :4] & 63, (s[:, 8:] & 15) | (s[:, :4] >> 6) << 4], 1)
    m = np.concatenate([s[:, 4:8] & 63, s[:, 8:] >> 4 | (s[:, 4:8] >> 6) << 4], 1)
    pairs = blocks["q"].reshape(-1, 4, 1, 32)
    q = np.concatenate([pairs & 15, pairs >> 4], 2).reshape(-1, 8, 32)
    d, dmin = (blocks[name].astype(np.float32)[:, None] for name in ("d", "dmin"))
    return ((d * sc)[:, :, None] * q - (dmin * m)[:, :, None]).reshape(-1, 256)


# --- Q6_K: d · sc · (q − 32), sub-blocks of 16 ------------------------------------------------------------------------

_Q6_K = np.dtype([("low", "u1", 128), ("high", "u1", 64), ("scales", "i1", 16), ("d", "<f2")])


def _encode_q6_k(x: Array) -> Array:
    out = _blocks(len(x), _Q6_K)
    parts = x.reshape(len(x), 16, 16)
    extreme = np.take_along_axis(parts, np.abs(parts).argmax(2)[:, :, None], 2)[:, :, 0]
    scale = extreme / -32
    out["d"] = np.abs(scale).max(1) / 127
    d = out["d"].astype(np.float32)[:, None]
    out["scales"] = np.clip(_ratio(scale, d), -128, 127)
    q = np.clip(_ratio(parts, (d * out["scales"])[:, :, None]) + 32, 0, 63).astype(np.uint8)
    runs = q.reshape(len(x), 2, 4, 32)  # halves, runs
    out["low"] = (runs[:, :, :2] & 15 | (runs[:, :, 2:] & 15) << 4).reshape(len(x), 128)
    shifts = np.arange(0, 8, 2, dtype=np.uint8)[:, None]
    out["high"] = np.bitwise_or.reduce((runs >> 4) << shifts, 2).reshape(len(x), 64)
    return out


def _decode_q6_k(blocks: Array) -> Array:
    low = blocks["low"].reshape(-1, 2, 2, 32)
    shifts = np.arange(0, 8, 2, dtype=np.uint8)[:, None]
    high = blocks["high"].reshape(-1, 2, 1, 32) >> shifts & 3
    q = (np.concatenate([low & 15, low >> 4], 2) | high << 4).reshape(-1, 16, 16).astype(np.float32) - 32
    scale = blocks["d"].astype(np.float32)[:, None] * blocks["scales"]
    return (scale[:, :, None] * q).reshape(-1, 256)


QUANT_TYPES = (
    QuantType(8, 32, _Q8_0, _encode_q8_0, _decode_q8_0),
    QuantType(6, 32, _Q5_0, _encode_q5_0, _decode_q5_0),
    QuantType(12, 256, _Q4_K, _encode_q4_k, _decode_q4_k),
    QuantType(14, 256, _Q6_K, _encode_q6_k, _decode_q6_k),
)
BY_ID = {quant.id: quant for quant in QUANT_TYPES}
