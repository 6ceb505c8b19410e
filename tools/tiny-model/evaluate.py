"""Asks held-out questions of the reference, greedily, and counts right answers.

usage: evaluate.py [MODEL.gguf] [--checkpoint out/checkpoint.pt] [--count 50] [--wrong]
       evaluate.py --questions FILE [--count 50]    writes the questions as JSON lines, for evaluate.mjs
       evaluate.py --answers FILE MODEL.gguf …      the same with the reference's answers for each model, for the tests

Without a file the checkpoint is asked. A GGUF file may be any that export.py writes; its mmproj lies beside it.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

import data
import gguf
import images
from export import HERE, Checkpoint, load_checkpoint
from model import Config, Model
from tokenizer import Tokenizer
from vision import VisionConfig, VisionTower, picture_tensor, positions_with_pictures

LONGEST_ANSWER = 160
"""Tokens."""


@torch.no_grad()
def generate(saved: Checkpoint, tokenizer: Tokenizer, prompt: str, picture: Tensor | None = None) -> str:
    """The greedy answer up to the end of the turn, without it. @param picture [3, height, width]"""
    model = saved.model
    ids, pad, end = tokenizer.encode(prompt), tokenizer.id(images.PAD), tokenizer.id("<|im_end|>")
    places = positions_with_pictures(ids, pad, [(images.GRID, images.GRID)])
    step, positions, cache, out = torch.tensor([ids]), torch.tensor([places]), model.new_cache(), []
    embeddings = None
    if picture is not None:
        assert saved.tower is not None
        embeddings = (step == pad, saved.tower(picture.unsqueeze(0))[0])
    while len(out) < LONGEST_ANSWER:
        hidden = model(step, positions=positions, embeddings=embeddings, cache=cache).hidden[0, -1]
        token = int(model.logits(hidden).argmax())
        if token == end:
            break
        out.append(token)
        step, positions, embeddings = (
            torch.tensor([[token]]),
            positions[:, -1:].amax(-1, True).expand(1, 1, 3) + 1,
            None,
        )
    return tokenizer.decode(out)


def load(path: str | None, checkpoint: str) -> Checkpoint:
    if path is None:
        saved = load_checkpoint(checkpoint)
        print(f"Checkpoint of step {saved.step}.")
        return saved
    metadata, tensors = gguf.read(path)
    model = Model(Config.from_gguf(metadata, tensors)).load_gguf_tensors(tensors).eval()
    tower, beside = None, path.removesuffix(".gguf") + "-mmproj.gguf"
    if os.path.exists(beside):
        metadata, tensors = gguf.read(beside)
        tower = VisionTower(VisionConfig.from_gguf(metadata)).load_gguf_tensors(tensors).eval()
    return Checkpoint(model, tower, 0)


def questions(category: str, count: int) -> Iterator[tuple[dict[str, Any], Tensor | None]]:
    """Held-out questions, with their pictures."""
    if category == "images":
        for example in images.evaluation(1, count):
            yield images.asked(example), picture_tensor(example.picture)
    else:
        for conversation in data.evaluation(1, category, count):
            yield data.question(conversation), None


def write_questions(path: str, count: int, models: list[str]) -> None:
    """@param models whose answers are written too, by the names of their files"""
    tokenizer = Tokenizer.load(data.TOKENIZER)
    asked = {os.path.basename(model): load(model, "") for model in models}
    with open(path, "w", encoding="utf-8") as file:
        for category in [*data.CATEGORIES, "images"]:
            for question, picture in questions(category, count):
                answers = {
                    name: generate(saved, tokenizer, question["prompt"], picture) for name, saved in asked.items()
                }
                file.write(json.dumps(question | ({"answers": answers} if models else {}), ensure_ascii=False) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*")
    parser.add_argument("--checkpoint", default=os.path.join(HERE, "out", "checkpoint.pt"))
    parser.add_argument("--count", type=int, default=50, help="questions of each category")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--questions", metavar="FILE", help="write them, ask nothing")
    parser.add_argument("--answers", metavar="FILE", help="write questions and the models' answers")
    parser.add_argument("--wrong", action="store_true", help="print wrong answers")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.questions or arguments.answers:
        models = arguments.models if arguments.answers else []
        write_questions(arguments.answers or arguments.questions, arguments.count, models)
        return
    saved, tokenizer = load(next(iter(arguments.models), None), arguments.checkpoint), Tokenizer.load(data.TOKENIZER)
    print("| category | questions | right | thinking | not thinking |\n|---|---|---|---|---|")
    for category in [*data.CATEGORIES, *(["images"] if saved.tower else [])]:
        right: Counter[bool] = Counter()
        asked: Counter[bool] = Counter()
        for question, picture in questions(category, arguments.count):
            answer = generate(saved, tokenizer, question["prompt"], picture)
            asked[question["thinking"]] += 1
            if data.is_right(question["expect"], answer):
                right[question["thinking"]] += 1
            elif arguments.wrong:
                print(f"wrong: {question['key']}: {answer!r}, expected {question['expect']}")
        share = lambda r, n: f"{100 * r / n:.0f} %" if n else "–"
        total = sum(asked.values())
        row = [share(sum(right.values()), total), share(right[True], asked[True]), share(right[False], asked[False])]
        print(f"| {category} | {total} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
