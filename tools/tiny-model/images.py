"""Pictures of one to three shapes, and conversations about them.

usage: images.py FOLDER [COUNT]    writes examples as PNG and prints their conversations
"""

from __future__ import annotations

import base64
import io
import os
import random
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from data import Conversation, Encoded, Message, draw, encode, finish
from data import question as question_of
from tokenizer import Tokenizer
from vision import FACTOR

SIDE = 256
"""Pixels; the smallest picture that is not enlarged before the model sees it, 64 tokens."""
GRID = SIDE // FACTOR
"""Tokens a side."""
PAD = "<|image_pad|>"
SMOOTH = 4
"""Samples a side of a pixel."""

SHAPES = ("circle", "square", "triangle", "cross", "ring")
COLOURS = {
    "red": (220, 40, 40), "green": (40, 160, 60), "blue": (40, 80, 220), "yellow": (240, 210, 40),
    "purple": (140, 50, 170), "orange": (245, 140, 30), "pink": (245, 140, 190), "black": (20, 20, 20),
}  # fmt: skip
BACKGROUNDS = ((255, 255, 255), (240, 240, 235), (225, 235, 245), (210, 210, 210))
PLACES = ("at the top left", "at the top", "at the top right", "on the left", "in the middle", "on the right",
          "at the bottom left", "at the bottom", "at the bottom right")  # fmt: skip
"""Row by row."""
NUMBERS = ("no", "one", "two", "three")


@dataclass(frozen=True)
class Shape:
    kind: str
    colour: str
    place: int

    @property
    def name(self) -> str:
        return f"{self.colour} {self.kind}"

    @property
    def with_article(self) -> str:
        return f"{'an' if self.colour[0] in 'aeiou' else 'a'} {self.name}"

    @property
    def in_place(self) -> str:
        return f"{self.with_article} {PLACES[self.place]}"


def scene(rng: random.Random) -> list[Shape]:
    """One to three shapes that differ in kind or colour, in places of their own, row by row."""
    while True:
        places = sorted(rng.sample(range(len(PLACES)), rng.randint(1, 3)))
        shapes = [Shape(rng.choice(SHAPES), rng.choice(list(COLOURS)), place) for place in places]
        if len({shape.name for shape in shapes}) == len(shapes):
            return shapes


def scene_key(shapes: list[Shape]) -> str:
    return "scene|" + "|".join(f"{shape.name} {shape.place}" for shape in shapes)


def paint(rng: random.Random, shapes: list[Shape]) -> np.ndarray:
    """uint8 [SIDE, SIDE, 3]; sizes and places vary within a third of the picture."""
    cell = SIDE / 3
    picture = np.empty((SIDE, SIDE, 3), np.float32)
    picture[:] = rng.choice(BACKGROUNDS)
    for shape in shapes:
        radius = cell * rng.uniform(0.26, 0.42)
        room = cell / 2 - radius
        cy = (shape.place // 3 + 0.5) * cell + rng.uniform(-room, room)
        cx = (shape.place % 3 + 0.5) * cell + rng.uniform(-room, room)
        colour = [value + rng.uniform(-15, 15) for value in COLOURS[shape.colour]]
        rows, columns = (slice(max(0, int(c - radius)), min(SIDE, int(c + radius) + 1)) for c in (cy, cx))
        y, x = ((_samples(side) - c) / radius for side, c in ((rows, cy), (columns, cx)))
        inside = _inside(shape.kind, y[:, None], x[None]).astype(np.float32)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        covered = inside.reshape(height, SMOOTH, width, SMOOTH).mean((1, 3))[..., None]
        part = picture[rows, columns]
        part += covered * (np.array(colour, np.float32) - part)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _samples(pixels: slice) -> np.ndarray:
    """Centres of the samples of a line of pixels."""
    return np.arange(pixels.start * SMOOTH, pixels.stop * SMOOTH, dtype=np.float32) / SMOOTH


def _inside(kind: str, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Where a shape of radius 1 round the origin is; y points down."""
    if kind == "circle":
        return x * x + y * y < 1
    if kind == "ring":
        distance = x * x + y * y
        return (distance < 1) & (distance > 0.35)
    if kind == "square":
        return np.maximum(abs(x), abs(y)) < 0.85
    if kind == "cross":
        return (np.maximum(abs(x), abs(y)) < 1) & (np.minimum(abs(x), abs(y)) < 0.3)
    return (y < 0.8) & (y > 2 * abs(x) - 1)  # triangle, point up


@dataclass
class Seen:
    """A conversation that begins with a picture."""

    conversation: Conversation
    picture: np.ndarray


def seen(rng: random.Random, held_out: bool) -> Seen:
    """One to three questions about one picture, the last to be asked; held out by the whole scene."""

    def make() -> tuple[str, list[Shape]]:
        shapes = scene(rng)
        return scene_key(shapes), shapes

    key, shapes = draw(rng, held_out, make)
    messages: list[Message] = []
    expect: tuple[str, ...] = ()
    for turn in range(rng.choice([1, 1, 2, 3])):
        text, answer, expect = question(rng, shapes)
        content = [{"type": "image"}, {"type": "text", "text": text}] if turn == 0 else text
        messages += [{"role": "user", "content": content}, {"role": "assistant", "content": answer}]
    for message in messages[1::2]:
        message["reasoning_content"] = "I look at the picture."
    return Seen(finish(rng, Conversation("images", key, messages, expect)), paint(rng, shapes))


def question(rng: random.Random, shapes: list[Shape]) -> tuple[str, str, tuple[str, ...]]:
    """What is asked, the answer, and words that a right answer has."""
    form = rng.randrange(6)
    shape = rng.choice(shapes)
    if form <= 1:
        text = rng.choice(("What is in the picture?", "What do you see?", "Describe the picture.", "What is this?"))
        parts = [s.in_place for s in shapes]
        answer = f"I see {parts[0] if len(parts) == 1 else ', '.join(parts[:-1]) + ' and ' + parts[-1]}."
        return text, answer, (answer,)
    if form == 2:
        text = rng.choice(("How many shapes are there?", "How many shapes do you see?", "Count the shapes."))
        count = NUMBERS[len(shapes)]
        answer = f"There {'is one shape' if len(shapes) == 1 else f'are {count} shapes'}."
        return text, answer, (count,)
    if form == 3:
        text = rng.choice(("Where is the {}?", "In which place is the {}?")).format(shape.name)
        return text, f"The {shape.name} is {PLACES[shape.place]}.", (f"{PLACES[shape.place]}.",)
    alike = [s for s in shapes if s.kind == shape.kind]
    if form == 4 and len(alike) == 1:
        text = rng.choice(("What colour is the {}?", "Which colour has the {}?")).format(shape.kind)
        return text, f"The {shape.kind} is {shape.colour}.", (shape.colour,)
    place = shape.place if rng.random() < 0.8 else rng.randrange(len(PLACES))
    text = rng.choice(("What is {}?", "Which shape is {}?")).format(PLACES[place])
    there = next((s for s in shapes if s.place == place), None)
    what = there.with_article if there else "nothing"
    return text, f"There is {what} {PLACES[place]}.", (what,)


def asked(example: Seen) -> dict[str, Any]:
    """As data.question; the picture is a PNG in the first message."""
    out = question_of(example.conversation)
    out["prompt"] = with_pads(out["prompt"])
    file = io.BytesIO()
    Image.fromarray(example.picture).save(file, "PNG")
    url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    first = next(message for message in out["messages"] if message["role"] == "user")
    first["content"] = [{"type": "image_url", "image_url": {"url": url}}, *first["content"][1:]]
    return out


def with_pads(prompt: str) -> str:
    """As many pads as the picture has tokens."""
    return prompt.replace(PAD, PAD * (GRID * GRID))


def encode_seen(example: Seen, tokenizer: Tokenizer) -> Encoded:
    plain, pad = encode(example.conversation, tokenizer), tokenizer.id(PAD)
    at = plain.ids.index(pad)
    more = GRID * GRID - 1
    return Encoded(
        plain.ids[:at] + [pad] * more + plain.ids[at:], plain.learned[:at] + [False] * more + plain.learned[at:],
        example.picture,
    )  # fmt: skip


def evaluation(seed: int, count: int) -> list[Seen]:
    """Held-out scenes."""
    rng = random.Random(f"{seed} images")
    return [seen(rng, True) for _ in range(count)]


def main(folder: str, count: int = 4) -> None:
    os.makedirs(folder, exist_ok=True)
    rng = random.Random()
    for i in range(count):
        example = seen(rng, False)
        Image.fromarray(example.picture).save(os.path.join(folder, f"{i}.png"))
        print(i, [message["content"] for message in example.conversation.messages])


if __name__ == "__main__":
    main(sys.argv[1], *(int(n) for n in sys.argv[2:3]))
