import { expect, test } from 'vitest';
import { cellRectangle, mapGeometry, places, SHARED } from './map-cells.ts';
import { FADE_MS, type MapColours, MapPainter, type Surface } from './map-painter.ts';

const colours: MapColours = {
  remote: 'remote',
  stored: 'stored',
  resident: 'resident',
  inUse: 'in-use',
  mark: 'mark',
  cursor: 'cursor',
};

interface Stroke {
  style: unknown;
  alpha: number;
  at: string;
}

/** Remembers what is filled, instead of filling it. */
class Recorder implements Surface {
  fillStyle: unknown = '';
  globalAlpha = 1;
  strokes: Stroke[] = [];
  clearRect(): void {}
  fillRect(x: number, y: number, width: number, height: number): void {
    this.strokes.push({ style: this.fillStyle, alpha: this.globalAlpha, at: [x, y, width, height].join() });
  }
  take(): Stroke[] {
    return this.strokes.splice(0);
  }
}

const largest = { layers: 60, experts: 512 };
const cells = largest.layers * largest.experts;
const at = (geometry: ReturnType<typeof mapGeometry>, layer: number, expert: number) => {
  const { x, y, width, height } = cellRectangle(geometry, { layer, expert });
  return [x, y, width, height].join();
};

test('the first snapshot draws every cell and the shared parts, a later one what changed and nothing else', () => {
  const surface = new Recorder();
  const geometry = mapGeometry(largest, 700, 1);
  const painter = new MapPainter(surface, geometry, colours, 0);
  const map = new Uint8Array(cells);
  expect(painter.paint(map, 0)).toBe(cells);
  expect(surface.take()).toHaveLength(cells + largest.layers);

  const next = map.slice();
  next[3] = places.stored;
  next[512 * 59 + 511] = places.resident;
  expect(painter.paint(next, 1)).toBe(2);
  expect(surface.take()).toEqual([
    { style: 'stored', alpha: 1, at: at(geometry, 0, 3) },
    { style: 'resident', alpha: 1, at: at(geometry, 59, 511) },
  ]);

  expect(painter.paint(next.slice(), 2)).toBe(0);
  expect(surface.take()).toEqual([]);
});

test('a step of a model of 60 × 512 draws the experts of two steps at most, not 30,720', () => {
  const surface = new Recorder();
  const painter = new MapPainter(surface, mapGeometry(largest, 700, 1), colours, FADE_MS);
  const step = (shift: number) => {
    const map = new Uint8Array(cells).fill(places.resident);
    for (let layer = 0; layer < 60; layer++) {
      for (let i = 0; i < 10; i++) map[layer * 512 + ((shift + 31 * i) % 512)] = places.inUse;
    }
    return map;
  };
  painter.paint(step(0), 0);
  expect(painter.paint(step(1), 250)).toBe(2 * 600);
  surface.take();
  expect(painter.fade(300)).toBe(true);
  expect(surface.take(), 'a frame of fading: each cell and the light on it').toHaveLength(2 * 600);
});

test('a cell that was in use fades, and is then left alone', () => {
  const surface = new Recorder();
  const geometry = mapGeometry({ layers: 1, experts: 2 }, 17, 1);
  const painter = new MapPainter(surface, geometry, colours, FADE_MS);
  painter.paint(Uint8Array.of(places.inUse, places.resident), 0);
  surface.take();
  painter.paint(Uint8Array.of(places.resident, places.resident), 100);
  expect(surface.take().map(({ style, alpha }) => [style, alpha])).toEqual([
    ['resident', 1],
    ['in-use', 1],
  ]);
  expect(painter.fade(100 + FADE_MS / 2)).toBe(true);
  expect(surface.take().map(({ style, alpha }) => [style, alpha])).toEqual([
    ['resident', 1],
    ['in-use', 0.5],
  ]);
  expect(painter.fade(100 + FADE_MS)).toBe(false);
  expect(surface.take().map(({ style, alpha }) => [style, alpha])).toEqual([['resident', 1]]);
  expect(painter.fade(200 + FADE_MS)).toBe(false);
  expect(surface.take()).toEqual([]);
});

test('with reduced motion nothing fades', () => {
  const painter = new MapPainter(new Recorder(), mapGeometry({ layers: 1, experts: 1 }, 100, 1), colours, 0);
  painter.paint(Uint8Array.of(places.inUse), 0);
  painter.paint(Uint8Array.of(places.resident), 1);
  expect(painter.fade(2)).toBe(false);
});

test('each place has a pattern of its own where cells are large enough', () => {
  const surface = new Recorder();
  const geometry = mapGeometry({ layers: 1, experts: 4 }, 100, 1);
  new MapPainter(surface, geometry, colours, 0).paint(Uint8Array.of(0, 1, 2, 3), 0);
  const marks = surface.take().filter(({ style }) => style === 'mark');
  const within = (expert: number) => {
    const { x, width } = cellRectangle(geometry, { layer: 0, expert });
    return marks
      .map((mark) => mark.at.split(',').map(Number))
      .filter(([left, , across]) => left >= x && left + across <= x + width)
      .map(([left, ...rest]) => [left - x, ...rest].join());
  };
  const patterns = [0, 1, 2, 3].map((expert) => within(expert).join(' '));
  expect(new Set(patterns).size).toBe(4);
  expect(patterns[places.resident]).toBe('');
});

test('the cursor moves: its old cell is drawn again, the shared parts too', () => {
  const surface = new Recorder();
  const geometry = mapGeometry({ layers: 1, experts: 2 }, 100, 1);
  const painter = new MapPainter(surface, geometry, colours, 0);
  painter.paint(Uint8Array.of(places.resident, places.resident), 0);
  surface.take();
  painter.point({ layer: 0, expert: 0 }, 0);
  expect(surface.take().map(({ style }) => style)).toEqual(Array(4).fill('cursor'));
  painter.point({ layer: 0, expert: SHARED }, 0);
  expect(surface.take()[0]).toEqual({ style: 'resident', alpha: 1, at: at(geometry, 0, 0) });
  painter.point(undefined, 0);
  expect(surface.take()).toEqual([{ style: 'resident', alpha: 1, at: at(geometry, 0, SHARED) }]);
});
