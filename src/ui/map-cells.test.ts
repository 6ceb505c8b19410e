import { expect, test } from 'vitest';
import {
  cellAt,
  cellBeside,
  cellRectangle,
  changedCells,
  countByLayer,
  countPlaces,
  type MapShape,
  mapGeometry,
  percentResident,
  SHARED,
} from './map-cells.ts';

const largest: MapShape = { layers: 60, experts: 512 };

test.each([
  [{ layers: 1, experts: 1 }, 300, 1],
  [{ layers: 4, experts: 9 }, 300, 1],
  [{ layers: 4, experts: 9 }, 300, 2],
  [{ layers: 4, experts: 10 }, 91, 1.25],
  [{ layers: 40, experts: 256 }, 700, 1.5],
  [largest, 700, 1],
  [largest, 1400, 2],
] as const)(
  '%o in %d pixels at %d: every cell is found in its own rectangle, and none overlaps another',
  (shape, width, ratio) => {
    const geometry = mapGeometry(shape, width, ratio);
    expect(geometry.width).toBeLessThanOrEqual(width * ratio);
    for (let layer = 0; layer < shape.layers; layer++) {
      let end = 0;
      for (let expert = SHARED; expert < shape.experts; expert++) {
        const { x, y, width: across, height } = cellRectangle(geometry, { layer, expert });
        expect(Number.isInteger(x) && Number.isInteger(across) && across > 0 && height > 0).toBe(true);
        expect(x).toBeGreaterThanOrEqual(end);
        end = x + across;
        expect(cellAt(geometry, x, y)).toEqual({ layer, expert });
        expect(cellAt(geometry, x + across - 0.5, y + height - 0.5)).toEqual({ layer, expert });
      }
      expect(end).toBeLessThanOrEqual(geometry.width);
    }
  },
);

test('a place beside the map is no cell', () => {
  const geometry = mapGeometry({ layers: 4, experts: 9 }, 300, 1);
  const { width, height, sharedWidth } = geometry;
  for (const [x, y] of [
    [-1, 0],
    [0, -1],
    [width, 0],
    [0, height],
    [sharedWidth, 0],
  ]) {
    expect(cellAt(geometry, x, y)).toBeUndefined();
  }
});

test('cells that would be narrower than a device pixel are a pixel wide, and the map wider than its place', () => {
  expect(mapGeometry(largest, 320, 1)).toMatchObject({ pitchX: 1, pitchY: 4, gap: 0, width: 14 + 512 });
});

test.each([
  ['ArrowRight', { layer: 0, expert: SHARED }, { layer: 0, expert: 0 }],
  ['ArrowLeft', { layer: 0, expert: SHARED }, { layer: 0, expert: SHARED }],
  ['ArrowRight', { layer: 1, expert: 8 }, { layer: 1, expert: 8 }],
  ['ArrowUp', { layer: 0, expert: 3 }, { layer: 0, expert: 3 }],
  ['ArrowDown', { layer: 2, expert: 3 }, { layer: 3, expert: 3 }],
  ['Home', { layer: 2, expert: 8 }, { layer: 2, expert: SHARED }],
  ['End', { layer: 2, expert: SHARED }, { layer: 2, expert: 8 }],
  ['Tab', { layer: 2, expert: 3 }, undefined],
] as const)('%s leads from %o to %o', (key, from, to) => {
  expect(cellBeside({ layers: 4, experts: 9 }, from, key)).toEqual(to);
});

test('only cells that differ have changed, and all where there was no map of the same size', () => {
  const before = Uint8Array.of(0, 1, 2, 3, 0);
  expect(changedCells(before, Uint8Array.of(0, 2, 2, 2, 0))).toEqual([1, 3]);
  expect(changedCells(before, before.slice())).toEqual([]);
  expect(changedCells(undefined, before)).toEqual([0, 1, 2, 3, 4]);
  expect(changedCells(Uint8Array.of(0), before)).toHaveLength(5);
});

test('experts are counted by place, in all and by layer', () => {
  const map = Uint8Array.of(0, 1, 2, 3, 3, 3);
  expect(countPlaces(map)).toEqual([1, 1, 1, 3]);
  expect(countByLayer(map, { layers: 2, experts: 3 })).toEqual([
    [1, 1, 1, 0],
    [0, 0, 0, 3],
  ]);
});

test('resident is what has a slot, in use or not, and 100 % only when all has', () => {
  expect(percentResident(Uint8Array.of(0, 1, 2, 3))).toBe(50);
  const all = new Uint8Array(30_720).fill(2);
  expect(percentResident(all)).toBe(100);
  all[77] = 1;
  expect(percentResident(all)).toBe(99);
});
