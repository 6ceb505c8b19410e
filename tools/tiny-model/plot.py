"""Draws training curves as SVG: the loss by tokens on a logarithmic scale, and the held-out loss as dots.

usage: plot.py OUT.svg CURVE.csv [CURVE.csv …]     curves one after the other
"""

from __future__ import annotations

import csv
import math
import sys
from dataclasses import dataclass

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 20, 50
SMOOTHING = 0.9
"""Share of the mean so far in the drawn mean."""


@dataclass
class Curve:
    """(tokens in millions, loss)"""

    loss: list[tuple[float, float]]
    held_out: list[tuple[float, float]]


def read(path: str, offset: float) -> Curve:
    curve, mean = Curve([], []), None
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            tokens, loss = offset + int(row["tokens"]) / 1e6, float(row["loss"])
            mean = loss if mean is None else SMOOTHING * mean + (1 - SMOOTHING) * loss
            curve.loss.append((tokens, mean))
            if row["held_out_loss"]:
                curve.held_out.append((tokens, float(row["held_out_loss"])))
    return curve


def svg(curves: list[Curve]) -> str:
    points = [point for curve in curves for point in (*curve.loss, *curve.held_out)]
    most = max(tokens for tokens, _ in points)
    low = math.floor(math.log10(min(loss for _, loss in points)))
    high = math.log10(max(loss for _, loss in points))
    x = lambda tokens: LEFT + (WIDTH - LEFT - RIGHT) * tokens / most
    y = lambda loss: TOP + (HEIGHT - TOP - BOTTOM) * (high - math.log10(loss)) / (high - low)
    parts = []
    for exponent in range(low, math.ceil(high)):
        for step in (1, 2, 5):
            loss = step * 10.0**exponent
            if math.log10(loss) <= high:
                parts.append(f'<path class="grid" d="M{LEFT} {y(loss):.1f}H{WIDTH - RIGHT}"/>')
                parts.append(f'<text x="{LEFT - 8}" y="{y(loss) + 4:.1f}" text-anchor="end">{loss:g}</text>')
    for i in range(5):
        tokens = most * i / 4
        parts.append(f'<text x="{x(tokens):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{tokens:.3g}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 10}" text-anchor="middle">million tokens</text>')
    for curve in curves:
        line = "L".join(f"{x(tokens):.1f} {y(loss):.1f}" for tokens, loss in curve.loss)
        parts.append(f'<path class="loss" d="M{line}"/>')
        parts += [f'<circle cx="{x(t):.1f}" cy="{y(loss):.1f}" r="3"/>' for t, loss in curve.held_out]
    style = (
        "text{font:12px sans-serif;fill:#777}.grid{stroke:#8883}.loss{fill:none;stroke:#3b6fd4;stroke-width:1.5}"
        "circle{fill:#d4713b}"
    )
    title = "<title>Training loss (line) and held-out loss (dots) by million tokens</title>"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
    return "\n".join([head, title, f"<style>{style}</style>", *parts, "</svg>", ""])


def main(out: str, *paths: str) -> None:
    curves: list[Curve] = []
    for path in paths:
        curves.append(read(path, curves[-1].loss[-1][0] if curves else 0.0))
    with open(out, "w", encoding="utf-8") as file:
        file.write(svg(curves))


if __name__ == "__main__":
    main(*sys.argv[1:])
