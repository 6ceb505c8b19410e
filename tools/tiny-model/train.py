"""Trains the model. Ends and goes on at any time: a checkpoint holds all, and a step's data follow from its number.

usage: train.py [--steps 7550] [--workers 2] [--out out]

Writes OUT/checkpoint.pt every few minutes (whole or not at all) and OUT/curve.csv. Run it again to go on.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

# glibc would give the large buffers of every operation back to the system, and fault them in again for the next.
# Threads would wait for each other in every product: workers share the work better.
if __name__ == "__main__" and "MALLOC_TRIM_THRESHOLD_" not in os.environ:
    tuned = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**33), "MALLOC_TOP_PAD_": str(2**26)}
    tuned |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **tuned})

import torch
import torch.nn.functional as F
from torch import Tensor, distributed, nn

import data
import images
from data import Encoded
from model import GAP, Config, Model, Packing
from optimizer import optimizers
from tokenizer import Tokenizer
from vision import VisionConfig, VisionTower, picture_tensor, positions_with_pictures

HERE = os.path.dirname(os.path.abspath(__file__))
MTP_WEIGHT = 0.1
BALANCE_WEIGHT = 0.01
CHECKPOINT_SECONDS = 120
COLUMNS = ["step", "tokens", "loss", "mtp_loss", "balance", "held_out_loss", "lr", "seconds", "cpu_seconds"]


ROW = 768
"""Tokens of a row, into which conversations are packed."""
ROWS = 2
"""Of a pass: more outgrow the processor's caches."""


@dataclass
class Batch:
    """`ids`, `learned`, `segments`, `pads` [B, T]: what the model should write, which conversation a token is of, and
    where pictures stand. `positions` [B, T, 3], `pictures` [as many as there are, 3, height, width]."""

    ids: Tensor
    learned: Tensor
    segments: Tensor
    pads: Tensor
    positions: Tensor
    pictures: Tensor | None

    def to(self, device: torch.device) -> Batch:
        return Batch(*(part if part is None else part.to(device) for part in vars(self).values()))


Row = list[Encoded]
"""Conversations one after another, of at most `ROW` tokens."""


def place(example: Encoded, rows: list[Row], most: int) -> bool:
    """Into the first row that has room, or a new one while there are fewer than `most`; false if there is none"""
    for row in rows:
        if sum(len(e.ids) + GAP for e in row) + len(example.ids) <= ROW:
            row.append(example)
            return True
    if len(rows) < most and len(example.ids) <= ROW:
        rows.append([example])
        return True
    return False


def batches(rows: list[Row], pad: int) -> list[Batch]:
    return [_batch(rows[at : at + ROWS], pad) for at in range(0, len(rows), ROWS)]


def _batch(rows: list[Row], pad: int) -> Batch:
    shape = (ROWS, ROW)
    ids, positions = torch.zeros(shape, dtype=torch.long), torch.zeros(*shape, 3, dtype=torch.long)
    learned, segments = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.long)
    for row, examples in enumerate(rows):
        start = 0
        for number, example in enumerate(examples, 1):
            span = slice(start, start + len(example.ids))
            ids[row, span] = torch.tensor(example.ids)
            learned[row, span] = torch.tensor(example.learned)
            positions[row, span] = torch.tensor(positions_with_pictures(example.ids, pad, [(images.GRID, images.GRID)]))
            segments[row, span] = number
            start = span.stop + GAP
    pictures = [picture_tensor(example.picture) for row in rows for example in row if example.picture is not None]
    return Batch(ids, learned, segments, ids == pad, positions, torch.stack(pictures) if pictures else None)


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
    packing = Packing(batch.segments)
    out = model(batch.ids, positions=batch.positions, embeddings=embeddings, packing=packing)
    # The hidden state at p predicts token p + 1; logits are computed where that token is learned alone.
    where = batch.learned[:, 1:]
    main = F.cross_entropy(model.logits(out.hidden[:, :-1][where]), batch.ids[:, 1:][where], reduction="sum")
    drafted = model.draft(out.hidden, batch.ids, batch.positions, packing)
    where = batch.learned[:, 2:]
    draft = F.cross_entropy(model.logits(drafted.hidden[:, :-2][where]), batch.ids[:, 2:][where], reduction="sum")
    balance = torch.stack([balance.loss for balance in out.balances + drafted.balances]).mean()
    return Losses(main, draft, balance)


@torch.no_grad()
def held_out_loss(model: Model, tower: VisionTower | None, tokenizer: Tokenizer) -> float:
    """Of the first held-out conversations of each category."""
    examples = [
        data.encode(conversation, tokenizer)
        for category in data.CATEGORIES
        for conversation in data.evaluation(2, category, 8)
    ]
    if tower is not None:
        examples += [images.encode_seen(example, tokenizer) for example in images.evaluation(2, 16)]
    rows: list[Row] = []
    for example in examples:
        place(example, rows, len(examples))
    device = model.token_embd.weight.device
    passes = [batch.to(device) for batch in batches(rows, tokenizer.id(images.PAD))]
    total = sum(float(losses(model, tower, batch).main) for batch in passes)
    return total / sum(int(batch.learned.sum()) for batch in passes)


def learning_rate(step: int, steps: int, warm_up: int = 60, falling: float = 0.4) -> float:
    """Of the peak: rises linearly, stays, and falls linearly over the last part, so that a run can be made longer until
    that begins."""
    rising = (step + 1) / warm_up
    left = (steps - step) / (falling * steps)
    return min(1.0, rising, max(left, 0.0))


class Workers:
    """Processes that share a step's passes and add their gradients."""

    def __init__(self, count: int, rank: int, meeting: str):
        """@param meeting path of a file by which they find each other"""
        self.count, self.rank = count, rank
        if count > 1:
            distributed.init_process_group("gloo", init_method=f"file://{meeting}", world_size=count, rank=rank)

    def mine(self, passes: list[Batch]) -> list[Batch]:
        return passes[self.rank :: self.count]

    def add(self, parameters: list[nn.Parameter], figures: Tensor) -> Tensor:
        """Sums gradients in place. @returns the sums of `figures` [N]"""
        if self.count == 1:
            return figures
        for p in parameters:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        gradients = [p.grad for p in parameters]
        flat = torch.cat([figures, *(gradient.flatten() for gradient in gradients)])
        distributed.all_reduce(flat)
        sums = flat[len(figures) :].split([gradient.numel() for gradient in gradients])
        for gradient, added in zip(gradients, sums):
            gradient.copy_(added.view_as(gradient))
        return flat[: len(figures)]


@dataclass
class Progress:
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0


def meeting(arguments: argparse.Namespace) -> str:
    return os.path.join(HERE, arguments.out, "workers")


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
        self.told_to_stop = self.stopping = False
        self.workers = Workers(arguments.workers, arguments.rank, meeting(arguments))
        if os.path.exists(self.checkpoint):
            self._resume()
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
        if self.workers.rank:
            return
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
        passes = batches(self._rows(), self.tokenizer.id(images.PAD))
        learned = sum(int(batch.learned.sum()) for batch in passes)
        real = sum(int((batch.segments > 0).sum()) for batch in passes)
        total = torch.zeros(4, device=self.device)  # three losses, and whether a worker was told to stop
        for batch in self.workers.mine(passes):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=not args.f32):
                part = losses(self.model, self.tower, batch.to(self.device))
            share = int((batch.segments > 0).sum()) / real
            ((part.main + MTP_WEIGHT * part.draft) / learned + BALANCE_WEIGHT * share * part.balance).backward()
            parts = (part.main / learned, part.draft / learned, share * part.balance)
            total[:3] += torch.stack([figure.detach() for figure in parts])
        total[3] = float(self.told_to_stop)
        *sums, told = self.workers.add(list(self.all.parameters()), total)
        self.stopping = float(told) > 0
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
        return Losses(*sums), rate

    def log(self, total: Losses, rate: float) -> None:
        p = self.progress
        if self.workers.rank:
            return
        held_out: float | None = None
        if p.step % self.arguments.evaluate_every == 0:
            held_out = held_out_loss(self.model, self.tower, self.tokenizer)
        row = [
            p.step, p.tokens, *(f"{float(x):.4f}" for x in (total.main, total.draft, total.balance)),
            "" if held_out is None else f"{held_out:.4f}", f"{rate:.4f}", f"{p.seconds:.1f}", f"{p.cpu_seconds:.1f}",
        ]  # fmt: skip
        self.curve.writerow(row)
        self.curve_file.flush()
        if p.step % 10 == 0 or held_out is not None:
            print(" ".join(f"{name} {value}" for name, value in zip(COLUMNS, row) if value != ""), flush=True)

    def _rows(self) -> list[Row]:
        """The step's conversations, which its number decides: drawn until several find no room."""
        rng, args = random.Random(f"{self.arguments.seed} {self.progress.step}"), self.arguments
        late = 2 * self.progress.step >= args.steps
        stream, pictures = data.stream(rng.getrandbits(63), late), args.images * (2 if late else 1)
        rows: list[Row] = []
        left_out = 0
        while left_out < 8:
            seen = rng.random() < pictures
            example = images.seen(rng, False) if seen else next(stream)
            encoded = images.encode_seen(example, self.tokenizer) if seen else data.encode(example, self.tokenizer)
            left_out += not place(encoded, rows, args.rows)
        return rows

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
        if self.workers.rank:
            return
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
    parser.add_argument("--steps", type=int, default=7550, help="of the whole schedule")
    parser.add_argument("--workers", type=int, default=1, help="processes of one thread each")
    parser.add_argument("--rank", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--f32", action="store_true", help="products in float32 instead of bfloat16")
    parser.add_argument("--rows", type=int, default=4, help=f"of {ROW} tokens, of a step")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--muon-lr", type=float, default=0.015)
    parser.add_argument("--adam-lr", type=float, default=0.003)
    about = "share of conversations with a picture; twice that in the second half"
    parser.add_argument("--images", type=float, default=0.2, help=about)
    parser.add_argument("--evaluate-every", type=int, default=250)
    parser.add_argument("--out", default="out")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    others = []
    if arguments.rank == 0:
        if os.path.exists(meeting(arguments)):
            os.remove(meeting(arguments))
        os.makedirs(os.path.dirname(meeting(arguments)), exist_ok=True)
        command = [sys.executable, *sys.argv]
        others = [subprocess.Popen([*command, "--rank", str(rank)]) for rank in range(1, arguments.workers)]
    run = Run(arguments)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(run, "told_to_stop", True))
    run.train()
    for other in others:
        other.wait()


if __name__ == "__main__":
    main()
