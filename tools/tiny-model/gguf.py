"""GGUF version 3, as much of it as a small model needs: F32, F16, BF16 (reading alone), and the types of quants.py."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

import quants

MAGIC = b"GGUF"
VERSION = 3
ALIGNMENT = 32

U16, U32, I32, FLOAT, BOOL, STRING, ARRAY, U64 = 2, 4, 5, 6, 7, 8, 9, 10
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}

F32, F16, Q5_0, Q8_0, Q4_K, Q6_K, BF16 = 0, 1, 6, 8, 12, 14, 30

Entry = tuple[str, int, Any]
"""Key, value type, value; an array's value is (item type, items)."""


@dataclass(frozen=True)
class Tensor:
    """`data` is float32 and row-major (columns last); `type` says how it is stored."""

    name: str
    type: int
    data: np.ndarray


def read(path: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Metadata, and each tensor as float32, row-major."""
    with open(path, "rb") as file:
        data = file.read()
    at = 4

    def take(code: str) -> Any:
        nonlocal at
        (value,) = struct.unpack_from("<" + code, data, at)
        at += struct.calcsize("<" + code)
        return value

    def string() -> str:
        nonlocal at
        length = take("Q")
        text = data[at : at + length].decode("utf-8", "surrogateescape")
        at += length
        return text

    def value(kind: int) -> Any:
        if kind == STRING:
            return string()
        if kind == ARRAY:
            item, count = take("I"), take("Q")
            return [value(item) for _ in range(count)]
        return take(_SCALARS[kind])

    if data[:4] != MAGIC or take("I") != VERSION:
        raise ValueError(f"{path} is not a GGUF file of version {VERSION}.")
    tensor_count, entry_count = take("Q"), take("Q")
    metadata: dict[str, Any] = {}
    for _ in range(entry_count):
        key = string()
        metadata[key] = value(take("I"))
    directory = []
    for _ in range(tensor_count):
        name = string()
        shape = [take("Q") for _ in range(take("I"))][::-1]
        directory.append((name, shape, take("I"), take("Q")))
    base = _aligned(at, metadata.get("general.alignment", ALIGNMENT))
    return metadata, {
        name: _decode(data, kind, int(np.prod(shape)), base + offset, f"{path}: {name}").reshape(shape)
        for name, shape, kind, offset in directory
    }


def write(path: str, metadata: list[Entry], tensors: list[Tensor]) -> int:
    """Writes a whole file under its final name or not at all. Returns its bytes."""
    blobs = [_encode(tensor) for tensor in tensors]
    head = bytearray(MAGIC + struct.pack("<IQQ", VERSION, len(tensors), len(metadata)))
    for key, kind, value in metadata:
        head += _string(key) + struct.pack("<I", kind) + _value(kind, value)
    offset = 0
    for tensor, blob in zip(tensors, blobs):
        shape = tensor.data.shape
        head += _string(tensor.name) + struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        head += struct.pack("<IQ", tensor.type, offset)
        offset += _aligned(len(blob))
    temporary = f"{path}.{os.getpid()}.tmp"
    with open(temporary, "wb") as file:
        for part in (bytes(head), *blobs):
            file.write(part)
            file.write(b"\0" * (_aligned(len(part)) - len(part)))
        size = file.tell()
    os.replace(temporary, path)
    return size


def _decode(data: bytes, kind: int, count: int, offset: int, label: str) -> np.ndarray:
    if kind == F32:
        return np.frombuffer(data, "<f4", count, offset).copy()
    if kind == F16:
        return np.frombuffer(data, "<f2", count, offset).astype(np.float32)
    if kind == BF16:
        return (np.frombuffer(data, "<u2", count, offset).astype(np.uint32) << 16).view(np.float32)
    quant = quants.BY_ID.get(kind)
    if quant is None:
        raise ValueError(f"{label}: tensor type {kind} is not read here.")
    return quant.decode(np.frombuffer(data, quant.block, count // quant.weights, offset)).reshape(-1)


def _encode(tensor: Tensor) -> bytes:
    x = np.ascontiguousarray(tensor.data, np.float32)
    if tensor.type == F32:
        return x.astype("<f4").tobytes()
    if tensor.type == F16:
        return x.astype("<f2").tobytes()
    quant = quants.BY_ID.get(tensor.type)
    if quant is None or x.shape[-1] % quant.weights:
        raise ValueError(f"{tensor.name}: {x.shape[-1]} columns cannot be written as tensor type {tensor.type}.")
    return quant.encode(x.reshape(-1, quant.weights)).tobytes()


def _aligned(size: int, alignment: int = ALIGNMENT) -> int:
    return -(-size // alignment) * alignment


def _string(text: str) -> bytes:
    raw = text.encode("utf-8")
    return struct.pack("<Q", len(raw)) + raw


def _value(kind: int, value: Any) -> bytes:
    if kind == STRING:
        return _string(value)
    if kind == ARRAY:
        item, items = value
        return struct.pack("<IQ", item, len(items)) + b"".join(_value(item, x) for x in items)
    return struct.pack("<" + _SCALARS[kind], value)
