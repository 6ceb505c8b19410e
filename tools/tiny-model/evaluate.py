"""Asks held-out questions of the reference, greedily, and counts right answers.

usage: evaluate.py [MODEL.gguf] [--checkpoint out/text/checkpoint.pt] [--count 50] [--wrong]

A GGUF file must be F32, F16 or Q8_0; without one the checkpoint is asked.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from typing import Optional

import torch

import data
import gguf
from export import HERE, load_checkpoint
from model import Config, Model, text_positions
from tokenizer import Tokenizer

LONGEST_ANSWER = 160
"""Tokens."""


@torch.no_grad()
def generate(model: Model, tokenizer: Tokenizer, prompt: str) -> str:
    """The greedy answer up to the end of the turn, without it."""
    ids, end = tokenizer.encode(prompt), tokenizer.id("<|im_end|>")
    cache, out = model.new_cache(), []
    step = torch.tensor([ids])
    position = 0
    while len(out) < LONGEST_ANSWER:
        hidden = model(step, positions=text_positions(step, position), cache=cache).hidden[0, -1]
        position += step.shape[1]
        token = int(model.logits(hidden).argmax())
        if token == end:
            break
        out.append(token)
        step = torch.tensor([[token]])
    return tokenizer.decode(out)


def load(path: Optional[str], checkpoint: str) -> Model:
    if path is None:
        model, step = load_checkpoint(checkpoint)
        print(f"Checkpoint of step {step}.")
        return model
    metadata, tensors = gguf.read(path)
    return Model(Config.from_gguf(metadata, tensors)).load_gguf_tensors(tensors).eval()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="?")
    parser.add_argument("--checkpoint", default=os.path.join(HERE, "out", "text", "checkpoint.pt"))
    parser.add_argument("--count", type=int, default=50, help="questions of each category")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--wrong", action="store_true", help="print wrong answers")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model, tokenizer = load(arguments.model, arguments.checkpoint), Tokenizer.load(data.TOKENIZER)
    print("| category | questions | right | thinking | not thinking |\n|---|---|---|---|---|")
    for category in data.CATEGORIES:
        right: Counter[bool] = Counter()
        asked: Counter[bool] = Counter()
        for conversation in data.evaluation(1, category, arguments.count):
            question = data.question(conversation)
            answer = generate(model, tokenizer, question["prompt"])
            asked[conversation.thinking] += 1
            if data.is_right(question["expect"], answer):
                right[conversation.thinking] += 1
            elif arguments.wrong:
                print(f"wrong: {question['key']}: {answer!r}, expected {question['expect']}")
        share = lambda r, n: f"{100 * r / n:.0f} %" if n else "–"
        total = sum(asked.values())
        row = [share(sum(right.values()), total), share(right[True], asked[True]), share(right[False], asked[False])]
        print(f"| {category} | {total} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
