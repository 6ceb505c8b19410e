"""Trains the text model. Ends and goes on at any time: a checkpoint holds all, and a step's data follow from its number.

usage: train.py [--steps 6000] [--threads 1] [--out out/text]

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
from typing import Any, Iterator, Optional

# glibc would give the large buffers of every operation back to the system, and fault them in again for the next.
if __name__ == "__main__" and "MALLOC_TRIM_THRESHOLD_" not in os.environ:
    import sys

    tuned = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**33), "MALLOC_TOP_PAD_": str(2**26)}
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **tuned, "OMP_WAIT_POLICY": "passive"})

import torch
import torch.nn.functional as F
from torch import Tensor

import data
from model import Config, Model, text_positions
from optimizer import optimizers
from tokenizer import Tokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
CONVERSATIONS = 32
"""Of a step."""
MICRO_BATCH_TOKENS = 2048
MTP_WEIGHT = 0.1
BALANCE_WEIGHT = 0.01
CHECKPOINT_SECONDS = 120
COLUMNS = ["step", "tokens", "loss", "mtp_loss", "balance", "held_out_loss", "lr", "seconds", "cpu_seconds"]


@dataclass
class Batch:
    """`ids`, `learned`, `real` [B, T]: `learned` where the model should write the token, `real` where there is one."""

    ids: Tensor
    learned: Tensor
    real: Tensor


def encoded(
    conversations: Iterator[data.Conversation], count: int, tokenizer: Tokenizer, longest: int
) -> list[tuple[list[int], list[bool]]]:
    out = []
    for conversation in conversations:
        ids, learned = data.encode(conversation, tokenizer)
        if len(ids) <= longest:
            out.append((ids, learned))
        if len(out) == count:
            break
    return out


def micro_batches(encoded: list[tuple[list[int], list[bool]]]) -> list[Batch]:
    """Conversations of like length together, at most MICRO_BATCH_TOKENS with padding."""
    groups: list[list[tuple[list[int], list[bool]]]] = [[]]
    for item in sorted(encoded, key=lambda item: -len(item[0])):
        if groups[-1] and len(groups[-1][0][0]) * (len(groups[-1]) + 1) > MICRO_BATCH_TOKENS:
            groups.append([])
        groups[-1].append(item)
    return [_batch(group) for group in groups]


def _batch(group: list[tuple[list[int], list[bool]]]) -> Batch:
    longest = max(len(ids) for ids, _ in group)
    ids = torch.zeros(len(group), longest, dtype=torch.long)
    learned = torch.zeros(len(group), longest, dtype=torch.bool)
    real = torch.zeros(len(group), longest, dtype=torch.bool)
    for row, (row_ids, row_learned) in enumerate(group):
        n = len(row_ids)
        ids[row, :n] = torch.tensor(row_ids)
        learned[row, :n] = torch.tensor(row_learned)
        real[row, :n] = True
    return Batch(ids, learned, real)


@dataclass
class Losses:
    """Sums over learned tokens, besides `balance`: a mean over layers, 1 when experts are used evenly."""

    main: Tensor
    draft: Tensor
    balance: Tensor


def losses(model: Model, batch: Batch) -> Losses:
    out = model(batch.ids, real=batch.real)
    # The hidden state at p predicts token p + 1; logits are computed where that token is learned alone.
    where = batch.learned[:, 1:]
    main = F.cross_entropy(model.logits(out.hidden[:, :-1][where]), batch.ids[:, 1:][where], reduction="sum")
    drafted = model.draft(out.hidden, batch.ids, batch.real, text_positions(batch.ids), out.balance)
    where = batch.learned[:, 2:]
    draft = F.cross_entropy(model.logits(drafted[:, :-1][where]), batch.ids[:, 2:][where], reduction="sum")
    return Losses(main, draft, torch.stack(out.balance.losses).mean())


@torch.no_grad()
def held_out_loss(model: Model, tokenizer: Tokenizer) -> float:
    """Of the first held-out conversations of each category."""
    chosen = [c for category in data.CATEGORIES for c in data.evaluation(2, category, 8)]
    batches = micro_batches(encoded(iter(chosen), len(chosen), tokenizer, 2**20))
    total = sum(float(losses(model, batch).main) for batch in batches)
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
        self.optimizers = optimizers(self.model, arguments.muon_lr, arguments.adam_lr)
        self.progress = Progress()
        self.stopping = False
        os.makedirs(self.folder, exist_ok=True)
        if os.path.exists(self.checkpoint):
            self._resume()
        self._open_curve()

    @property
    def checkpoint(self) -> str:
        return os.path.join(self.folder, "checkpoint.pt")

    def save(self) -> None:
        state = {
            "config": asdict(self.model.config), "model": self.model.state_dict(), "progress": asdict(self.progress),
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
        rng = data.stream(hash_seed(args.seed, progress.step))
        batches = micro_batches(encoded(rng, CONVERSATIONS, self.tokenizer, self.model.config.context))
        learned = sum(int(batch.learned.sum()) for batch in batches)
        real = sum(int(batch.real.sum()) for batch in batches)
        total = Losses(torch.zeros(()), torch.zeros(()), torch.zeros(()))
        for batch in batches:
            part = losses(self.model, batch)
            share = int(batch.real.sum()) / real
            ((part.main + MTP_WEIGHT * part.draft) / learned + BALANCE_WEIGHT * share * part.balance).backward()
            total.main += part.main.detach() / learned
            total.draft += part.draft.detach() / learned
            total.balance += share * part.balance.detach()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
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
        held_out: Optional[float] = None
        if p.step % self.arguments.evaluate_every == 0:
            held_out = held_out_loss(self.model, self.tokenizer)
        row = [
            p.step, p.tokens, *(f"{float(x):.4f}" for x in (total.main, total.draft, total.balance)),
            "" if held_out is None else f"{held_out:.4f}", f"{rate:.4f}", f"{p.seconds:.1f}", f"{p.cpu_seconds:.1f}",
        ]  # fmt: skip
        self.curve.writerow(row)
        self.curve_file.flush()
        if p.step % 10 == 0 or held_out is not None:
            print(" ".join(f"{name} {value}" for name, value in zip(COLUMNS, row) if value != ""), flush=True)

    def _resume(self) -> None:
        state: dict[str, Any] = torch.load(self.checkpoint)
        self.model.load_state_dict(state["model"])
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


def hash_seed(seed: int, step: int) -> int:
    return random.Random(f"{seed} {step}").getrandbits(63)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=6000, help="of the whole schedule")
    parser.add_argument("--threads", type=int, default=1, help="more pay off on idle cores alone")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--muon-lr", type=float, default=0.015)
    parser.add_argument("--adam-lr", type=float, default=0.003)
    parser.add_argument("--evaluate-every", type=int, default=250)
    parser.add_argument("--out", default="out/text")
    run = Run(parser.parse_args())
    torch.set_num_threads(run.arguments.threads)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(run, "stopping", True))
    run.train()


if __name__ == "__main__":
    main()
