"""Trains the model. Ends and goes on at any time: a checkpoint holds all, and a step's data follow from its number.

usage: train.py [--steps 6000] [--threads 1] [--out out/text]
       train.py --images 0.4 --start out/text/checkpoint.pt --out out/vision [--steps 3000]

The second goes on from a text model with pictures among the conversations.

Writes OUT/checkpoint.pt every few minutes (whole or not at all) and OUT/curve.csv. Run it again to go on.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import random
import signal
import time
from dataclasses import asdict, dataclass
from typing import Any

# glibc would give the large buffers of every operation back to the system, and fault them in again for the next.
if __name__ == "__main__" and "MALLOC_TRIM_THRESHOLD_" not in os.environ:
    import sys

    tuned = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**33), "MALLOC_TOP_PAD_": str(2**26)}
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **tuned, "OMP_WAIT_POLICY": "passive"})

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import data
import images
from data import Encoded
from model import Config, Model
from optimizer import optimizers
from tokenizer import Tokenizer
from vision import VisionConfig, VisionTower, picture_tensor, positions_with_pictures

HERE = os.path.dirname(os.path.abspath(__file__))
MTP_WEIGHT = 0.1
BALANCE_WEIGHT = 0.01
CHECKPOINT_SECONDS = 120
COLUMNS = ["step", "tokens", "loss", "mtp_loss", "balance", "held_out_loss", "lr", "seconds", "cpu_seconds"]


@dataclass
class Batch:
    """`ids`, `learned`, `real`, `pads` [B, T]: what the model should write, what is there, and where pictures stand.
    `positions` [B, T, 3], `pictures` [of those rows that have one, 3, height, width]."""

    ids: Tensor
    learned: Tensor
    real: Tensor
    pads: Tensor
    positions: Tensor
    pictures: Tensor | None

    def to(self, device: torch.device) -> Batch:
        return Batch(*(part if part is None else part.to(device) for part in vars(self).values()))


def micro_batches(examples: list[Encoded], pad: int, most: int) -> list[Batch]:
    """Conversations of like length together, with padding at most so many tokens where they are more than one."""
    groups: list[list[Encoded]] = [[]]
    for example in sorted(examples, key=lambda example: -len(example.ids)):
        if groups[-1] and len(groups[-1][0].ids) * (len(groups[-1]) + 1) > most:
            groups.append([])
        groups[-1].append(example)
    return [_batch(group, pad) for group in groups]


def _batch(group: list[Encoded], pad: int) -> Batch:
    shape = (len(group), max(len(example.ids) for example in group))
    ids, positions = torch.zeros(shape, dtype=torch.long), torch.zeros(*shape, 3, dtype=torch.long)
    learned, real = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.bool)
    for row, example in enumerate(group):
        n = len(example.ids)
        ids[row, :n] = torch.tensor(example.ids)
        learned[row, :n] = torch.tensor(example.learned)
        positions[row, :n] = torch.tensor(positions_with_pictures(example.ids, pad, [(images.GRID, images.GRID)]))
        real[row, :n] = True
    pictures = [picture_tensor(example.picture) for example in group if example.picture is not None]
    return Batch(ids, learned, real, ids == pad, positions, torch.stack(pictures) if pictures else None)


@dataclass
class Losses:
    """Sums over learned tokens, besides `balance`: a mean over layers, 1 when experts are used evenly."""

    main: Tensor
    draft: Tensor
    balance: Tensor


def losses(model: Model, tower: VisionTower | None, batch: Batch) -> Losses:
    embeddings = None
    if tower is not None and batch.pictures is not None:
        embeddings = (batch.pads, tower(batch.pictures).flatten(0, 1))
    out = model(batch.ids, real=batch.real, positions=batch.positions, embeddings=embeddings)
    # The hidden state at p predicts token p + 1; logits are computed where that token is learned alone.
    where = batch.learned[:, 1:]
    main = F.cross_entropy(model.logits(out.hidden[:, :-1][where]), batch.ids[:, 1:][where], reduction="sum")
    drafted = model.draft(out.hidden, batch.ids, batch.real, batch.positions, out.balance)
    where = batch.learned[:, 2:]
    draft = F.cross_entropy(model.logits(drafted[:, :-1][where]), batch.ids[:, 2:][where], reduction="sum")
    return Losses(main, draft, torch.stack(out.balance.losses).mean())


@torch.no_grad()
def held_out_loss(model: Model, tower: VisionTower | None, tokenizer: Tokenizer, most: int) -> float:
    """Of the first held-out conversations of each category."""
    examples = [
        data.encode(conversation, tokenizer)
        for category in data.CATEGORIES
        for conversation in data.evaluation(2, category, 8)
    ]
    if tower is not None:
        examples += [images.encode_seen(example, tokenizer) for example in images.evaluation(2, 16)]
    device = model.token_embd.weight.device
    batches = [batch.to(device) for batch in micro_batches(examples, tokenizer.id(images.PAD), most)]
    total = sum(float(losses(model, tower, batch).main) for batch in batches)
    return total / sum(int(batch.learned.sum()) for batch in batches)


def learning_rate(step: int, steps: int, warm_up: int = 60) -> float:
    """Of the peak: rises linearly, then falls as a cosine to a fiftieth."""
    if step < warm_up:
        return (step + 1) / warm_up
    done = (step - warm_up) / max(1, steps - warm_up)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


@dataclass
class Progress:
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0


class Run:
    def __init__(self, arguments: argparse.Namespace):
        self.arguments = arguments
        self.tokenizer = Tokenizer.load(data.TOKENIZER)
        self.folder = os.path.join(HERE, arguments.out)
        self.model = Model(Config(vocab=len(self.tokenizer.tokens))).initialize(arguments.seed)
        self.device = torch.device(arguments.device)
        self.tower: VisionTower | None = None
        if arguments.images:
            self.tower = VisionTower(VisionConfig(projection=self.model.config.hidden)).initialize(arguments.seed)
        self.all = nn.ModuleList([self.model, *([self.tower] if self.tower else [])]).to(self.device)
        self.optimizers = optimizers(self.all, arguments.muon_lr, arguments.adam_lr)
        self.progress = Progress()
        self.stopping = False
        os.makedirs(self.folder, exist_ok=True)
        if os.path.exists(self.checkpoint):
            self._resume()
        elif arguments.start:
            self.model.load_state_dict(torch.load(os.path.join(HERE, arguments.start), map_location="cpu")["model"])
        self._open_curve()

    @property
    def checkpoint(self) -> str:
        return os.path.join(self.folder, "checkpoint.pt")

    def save(self) -> None:
        state = {
            "config": asdict(self.model.config), "model": self.model.state_dict(), "progress": asdict(self.progress),
            "tower_config": asdict(self.tower.config) if self.tower else None,
            "tower": self.tower.state_dict() if self.tower else None,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }  # fmt: skip
        temporary = f"{self.checkpoint}.{os.getpid()}.tmp"
        torch.save(state, temporary)
        os.replace(temporary, self.checkpoint)

    def train(self) -> None:
        saved = time.monotonic()
        while self.progress.step < self.arguments.steps and not self.stopping:
            self.log(*self.step())
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                self.save()
                saved = time.monotonic()
        self.save()

    def step(self) -> tuple[Losses, float]:
        """Sums and means of the step's losses, and the learning rate's share of its peak."""
        start, cpu_start = time.monotonic(), time.process_time()
        progress, args = self.progress, self.arguments
        batches = micro_batches(self._examples(), self.tokenizer.id(images.PAD), args.micro_batch)
        learned = sum(int(batch.learned.sum()) for batch in batches)
        real = sum(int(batch.real.sum()) for batch in batches)
        total = Losses(*(torch.zeros((), device=self.device) for _ in range(3)))
        for batch in batches:
            part = losses(self.model, self.tower, batch.to(self.device))
            share = int(batch.real.sum()) / real
            ((part.main + MTP_WEIGHT * part.draft) / learned + BALANCE_WEIGHT * share * part.balance).backward()
            total.main += part.main.detach() / learned
            total.draft += part.draft.detach() / learned
            total.balance += share * part.balance.detach()
        torch.nn.utils.clip_grad_norm_(self.all.parameters(), 1.0)
        rate = learning_rate(progress.step, args.steps)
        for optimizer, peak in zip(self.optimizers, (args.muon_lr, args.adam_lr)):
            for group in optimizer.param_groups:
                group["lr"] = rate * peak
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        progress.step += 1
        progress.tokens += real
        progress.seconds += time.monotonic() - start
        progress.cpu_seconds += time.process_time() - cpu_start
        return total, rate

    def log(self, total: Losses, rate: float) -> None:
        p = self.progress
        held_out: float | None = None
        if p.step % self.arguments.evaluate_every == 0:
            held_out = held_out_loss(self.model, self.tower, self.tokenizer, self.arguments.micro_batch)
        row = [
            p.step, p.tokens, *(f"{float(x):.4f}" for x in (total.main, total.draft, total.balance)),
            "" if held_out is None else f"{held_out:.4f}", f"{rate:.4f}", f"{p.seconds:.1f}", f"{p.cpu_seconds:.1f}",
        ]  # fmt: skip
        self.curve.writerow(row)
        self.curve_file.flush()
        if p.step % 10 == 0 or held_out is not None:
            print(" ".join(f"{name} {value}" for name, value in zip(COLUMNS, row) if value != ""), flush=True)

    def _examples(self) -> list[Encoded]:
        """The step's conversations, which its number decides."""
        rng = random.Random(f"{self.arguments.seed} {self.progress.step}")
        pictures = round(self.arguments.conversations * self.arguments.images)
        examples = [images.encode_seen(images.seen(rng, False), self.tokenizer) for _ in range(pictures)]
        stream = data.stream(rng.getrandbits(63))
        while len(examples) < self.arguments.conversations:
            example = data.encode(next(stream), self.tokenizer)
            if len(example.ids) <= self.model.config.context:
                examples.append(example)
        return examples

    def _resume(self) -> None:
        state: dict[str, Any] = torch.load(self.checkpoint, map_location=self.device)
        self.model.load_state_dict(state["model"])
        if self.tower is not None:
            self.tower.load_state_dict(state["tower"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"]):
            optimizer.load_state_dict(saved)
        self.progress = Progress(**state["progress"])
        print(f"Goes on from step {self.progress.step}.", flush=True)

    def _open_curve(self) -> None:
        """Rows after the checkpoint's step are of steps that will be done again."""
        path = os.path.join(self.folder, "curve.csv")
        rows = []
        if os.path.exists(path):
            with open(path, newline="", encoding="utf-8") as file:
                rows = [row for row in csv.reader(file) if row[0].isdigit() and int(row[0]) <= self.progress.step]
        self.curve_file = open(path, "w", newline="", encoding="utf-8")
        self.curve = csv.writer(self.curve_file, lineterminator="\n")
        self.curve.writerows([COLUMNS, *rows])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=6000, help="of the whole schedule")
    parser.add_argument("--threads", type=int, default=1, help="more pay off on idle cores alone")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--conversations", type=int, default=32, help="of a step")
    parser.add_argument("--micro-batch", type=int, default=2048, help="tokens, with padding, of one pass")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--muon-lr", type=float, default=0.015)
    parser.add_argument("--adam-lr", type=float, default=0.003)
    parser.add_argument("--images", type=float, default=0.0, help="share of conversations with a picture")
    parser.add_argument("--start", help="checkpoint of text to start from")
    parser.add_argument("--evaluate-every", type=int, default=250)
    parser.add_argument("--out", default="out/text")
    run = Run(parser.parse_args())
    torch.set_num_threads(run.arguments.threads)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(run, "stopping", True))
    run.train()


if __name__ == "__main__":
    main()
