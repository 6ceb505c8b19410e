"""Checks the reference against models whose logits are known, and against itself.

usage: check.py [FIXTURES]    a folder with models/, goldens/ and perhaps vision/

Default: the repository's fixtures; `node tools/fixtures/make.mjs` makes their models.
"""

from __future__ import annotations

import json
import os
import sys

import numpy as np
import torch

import data
import gguf
import quants
from model import GAP, Config, LayerCache, Model, Packing, gated_delta_rule, text_positions
from tokenizer import Tokenizer
from vision import VisionConfig, VisionTower, picture_tensor, positions_with_pictures

FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "fixtures")
TOLERANCE = 1e-3
"""The goldens' logits have a standard deviation of 3 and are good to 1e-4; a difference above this is a mistake."""


def load(path: str) -> Model:
    metadata, tensors = gguf.read(path)
    return Model(Config.from_gguf(metadata, tensors)).load_gguf_tensors(tensors).eval()


def check(name: str, error: float, tolerance: float = TOLERANCE) -> bool:
    ok = error <= tolerance
    print(f"{'ok  ' if ok else 'FAIL'} {name}: {error:.1e}")
    return ok


def largest(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max())


def goldens(folder: str, models: str, name: str) -> bool:
    with open(os.path.join(folder, f"{name}.json"), encoding="utf-8") as file:
        golden = json.load(file)
    expected = np.fromfile(os.path.join(folder, golden["logits_file"]), "<f4")
    model = load(os.path.join(models, golden["model"]))
    passed = True
    for prompt in golden["prompts"]:
        ids, rows = torch.tensor([prompt["ids"]]), prompt["positions"]
        start = prompt["byte_offset"] // 4
        want = torch.from_numpy(expected[start : start + len(rows) * golden["n_vocab"]]).view(len(rows), -1)
        got = model.logits(model(ids).hidden)[0]
        passed &= check(f"{name}, {ids.shape[1]} tokens", largest(got[rows], want))
    return passed


def draft_goldens(folder: str, models: str, name: str) -> bool:
    with open(os.path.join(folder, f"{name}.draft.json"), encoding="utf-8") as file:
        golden = json.load(file)
    want = torch.from_numpy(np.fromfile(os.path.join(folder, golden["logits_file"]), "<f4")).view(golden["rows"], -1)
    model = load(os.path.join(models, golden["model"]))
    ids = torch.tensor([golden["ids"]])
    main = model(ids)
    got = model.logits(model.draft(main.hidden, ids, text_positions(ids)).hidden)[0, :-1]
    return check(f"{name}, MTP block", largest(got, want))


def packed(models: str) -> bool:
    """Conversations packed into one row give the logits that each gives alone."""
    model = load(os.path.join(models, "moe-f16.gguf"))
    ids = torch.randint(model.config.vocab, (1, 200), generator=torch.Generator().manual_seed(5))
    lengths = [67, GAP, 1, GAP, 3, GAP, 90, 30]
    parts = ids.split(lengths, 1)
    segments = [torch.full_like(part, 0 if i % 2 else i + 1) for i, part in enumerate(parts)]
    positions = torch.cat([text_positions(part) for part in parts], 1)
    got = model(ids, positions=positions, packing=Packing(torch.cat(segments, 1))).hidden.split(lengths, 1)
    error = max(largest(packed, model(alone).hidden) for packed, alone in list(zip(got, parts))[::2])
    return check("packed conversations", error, 1e-4)


def recurrence() -> bool:
    """The chunked rule against the rule itself, in float64, gradients included."""
    torch.manual_seed(1)
    shapes = [(2, 150, 2, 32), (2, 150, 2, 32), (2, 150, 4, 32), (2, 150, 4), (2, 150, 4)]
    q, k, v, g, beta = (torch.randn(s, dtype=torch.float64) for s in shapes)
    inputs = [t.requires_grad_() for t in (q, k / k.norm(dim=-1, keepdim=True), v, -g.exp(), beta.sigmoid())]

    def step_by_step() -> torch.Tensor:
        q, k, v, g, beta = inputs
        state, out = torch.zeros(2, 4, 32, 32, dtype=torch.float64), []
        for t in range(150):
            kt, qt = k[:, t].repeat(1, 2, 1).unsqueeze(-1), q[:, t].repeat(1, 2, 1).unsqueeze(-1)
            state = state * g[:, t].exp()[..., None, None]
            delta = beta[:, t].unsqueeze(-1) * (v[:, t] - (state * kt).sum(-2))
            state = state + kt * delta.unsqueeze(-2)
            out.append((state * qt).sum(-2))
        return torch.stack(out, 1)

    inputs = [t.detach().requires_grad_() for t in inputs]
    want, (got, _) = step_by_step(), gated_delta_rule(*inputs)
    passed = check("chunked delta rule", largest(want, got), 1e-10)
    weight = torch.randn_like(want)
    a = torch.autograd.grad((want * weight).sum(), inputs)
    b = torch.autograd.grad((got * weight).sum(), inputs)
    return passed & check("its gradients", max(largest(x, y) for x, y in zip(a, b)), 1e-9)


def caches() -> bool:
    """Token by token gives what the whole prompt gives; padding at the end changes nothing before it."""
    model = Model(Config(vocab=300, layers=4)).initialize(2).eval()
    ids = torch.randint(300, (1, 70), generator=torch.Generator().manual_seed(3))
    whole = model.logits(model(ids).hidden)
    cache: list[LayerCache] = model.new_cache()
    parts = []
    for start, end in [(0, 33), *[(i, i + 1) for i in range(33, 70)]]:
        part = ids[:, start:end]
        parts.append(model(part, positions=text_positions(part, start), cache=cache).hidden)
    passed = check("token by token", largest(whole, model.logits(torch.cat(parts, 1))), 1e-4)
    padded = torch.cat([ids, torch.zeros(1, 40, dtype=torch.long)], 1)
    return passed & check("padded", largest(whole, model.logits(model(padded).hidden[:, :70])), 1e-4)


def pictures(folder: str, models: str) -> bool:
    """Embeddings of pictures, and the text model's logits after conversations with them."""
    from PIL import Image

    with open(os.path.join(folder, "vision.json"), encoding="utf-8") as file:
        golden = json.load(file)
    expected = np.fromfile(os.path.join(folder, golden["data_file"]), "<f4")
    metadata, tensors = gguf.read(os.path.join(models, golden["mmproj"]))
    tower = VisionTower(VisionConfig.from_gguf(metadata)).load_gguf_tensors(tensors).eval()
    model = load(os.path.join(models, golden["text_model"]))
    passed, embeddings = True, []
    for image in golden["images"]:
        rgb = np.asarray(Image.open(os.path.join(folder, image["file"])).convert("RGB"))
        embeddings.append(tower(picture_tensor(rgb).unsqueeze(0))[0])
        start, count = image["byte_offset"] // 4, image["tokens"] * golden["n_embd"]
        want = torch.from_numpy(expected[start : start + count]).view(image["tokens"], -1)
        passed &= check(f"{image['file']}, {image['tokens']} tokens", largest(embeddings[-1], want))
    for case in golden["cases"]:
        shown = [part for part in case["parts"] if part != "text"]
        ids = case["ids"]
        pad = max(set(ids), key=ids.count)
        places = positions_with_pictures(ids, pad, [tuple(golden["images"][i]["grid"]) for i in shown])
        if places != [tuple(p) for p in case["positions"]]:
            print(f"FAIL positions of {case['parts']}")
            passed = False
        where = torch.tensor([ids]) == pad
        hidden = model(
            torch.tensor([ids]),
            positions=torch.tensor([places]),
            embeddings=(where, torch.cat([embeddings[i] for i in shown])),
        ).hidden[0, -1]
        start = case["byte_offset"] // 4
        want = torch.from_numpy(expected[start : start + golden["n_vocab"]])
        passed &= check(f"conversation {case['parts']}", largest(model.logits(hidden), want))
    return passed


def quantisation() -> bool:
    """What the quantised types lose, as a share of the weights' standard deviation, stays below a step's half."""
    x = torch.randn(64, 256, generator=torch.Generator().manual_seed(4)).numpy()
    passed = True
    for name, quant, loss in zip(("Q8_0", "Q5_0", "Q4_K", "Q6_K"), quants.QUANT_TYPES, (0.01, 0.06, 0.11, 0.03)):
        blocks = quant.encode(x.reshape(-1, quant.weights))
        error = quant.decode(blocks).reshape(x.shape) - x
        passed &= check(f"{name}, {8 * blocks.nbytes / x.size} bits a weight, loses", float(error.std()), loss)
    return passed


def tokens() -> bool:
    """Conversations encoded in pieces give the ids of the whole, and decode to the same text."""
    tokenizer, wrong = Tokenizer.load(data.TOKENIZER), 0
    for _, conversation in zip(range(500), data.stream(3)):
        ids = data.encode(conversation, tokenizer).ids
        text = data.render(conversation.messages, conversation.tools, conversation.thinking, prompt=False)
        wrong += ids != tokenizer.encode(text) or tokenizer.decode(ids) != text
    return check("tokens of 500 conversations", wrong, 0)


def main() -> None:
    torch.set_grad_enabled(False)
    fixtures = sys.argv[1] if len(sys.argv) > 1 else FIXTURES
    folder, models, vision = (os.path.join(fixtures, name) for name in ("goldens", "models", "vision"))
    with torch.enable_grad():
        passed = recurrence()
    passed &= caches()
    passed &= tokens()
    passed &= quantisation()
    for name in ("dense-f32", "dense-mtp-f16", "moe-f16"):
        passed &= goldens(folder, models, name)
    passed &= packed(models)
    passed &= draft_goldens(folder, models, "dense-mtp-f16")
    if os.path.exists(vision):
        passed &= pictures(vision, models)
    else:
        print(f"not checked: pictures, as there is no {vision}")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
