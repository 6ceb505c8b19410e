/** The map of experts as numbers: where its cells lie, which of them changed, what they add up to. Nothing here draws. */

/** What `EngineStats.experts` says of an expert. */
export const places = { remote: 0, stored: 1, resident: 2, inUse: 3 } as const;

export const placeNames = ['remote', 'stored', 'resident', 'inUse'] as const satisfies readonly (keyof typeof places)[];

export interface MapShape {
  readonly layers: number;
  readonly experts: number;
}

/** A cell of the map; column −1 is what all tokens of the layer share. */
export interface Cell {
  readonly layer: number;
  readonly expert: number;
}

export const SHARED = -1;

/** All in device pixels. */
export interface MapGeometry extends MapShape {
  readonly width: number;
  readonly height: number;
  /** From one cell to the next, across and down. */
  readonly pitchX: number;
  readonly pitchY: number;
  /** Between cells; 0 where they are too small for one. */
  readonly gap: number;
  /** Width of the shared parts, and where the experts begin. */
  readonly sharedWidth: number;
  readonly expertsAt: number;
}

const MOST_PITCH = 14;
const LEAST_PITCH_Y = 4;
const SHARED_WIDTH = 10;
const SHARED_GAP = 4;
/** Smaller cells touch. */
const LEAST_PITCH_WITH_GAP = 4;

/**
 * Cells as large as fit side by side, up to 14 CSS pixels; whole device pixels, so that every edge is sharp. Rows stay
 * 4 CSS pixels high where cells are narrower, so that they can be pointed at.
 * @param width CSS pixels @param ratio device pixels in one of them
 */
export function mapGeometry({ layers, experts }: MapShape, width: number, ratio: number): MapGeometry {
  const sharedWidth = Math.round(SHARED_WIDTH * ratio);
  const expertsAt = sharedWidth + Math.round(SHARED_GAP * ratio);
  const fitting = Math.floor((width * ratio - expertsAt) / Math.max(1, experts));
  const pitchX = Math.max(1, Math.min(fitting, Math.round(MOST_PITCH * ratio)));
  const pitchY = Math.max(pitchX, Math.round(LEAST_PITCH_Y * ratio));
  const gap = pitchX >= LEAST_PITCH_WITH_GAP * ratio ? Math.max(1, Math.round(ratio)) : 0;
  return {
    layers,
    experts,
    width: expertsAt + experts * pitchX,
    height: layers * pitchY,
    pitchX,
    pitchY,
    gap,
    sharedWidth,
    expertsAt,
  };
}

export interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export function cellRectangle(geometry: MapGeometry, { layer, expert }: Cell): Rectangle {
  const { pitchX, pitchY, gap, sharedWidth, expertsAt } = geometry;
  // Rows of small cells are still told apart.
  const height = pitchY - Math.max(1, gap);
  if (expert === SHARED) return { x: 0, y: layer * pitchY, width: sharedWidth, height };
  return { x: expertsAt + expert * pitchX, y: layer * pitchY, width: pitchX - gap, height };
}

/** The cell at a place in device pixels; a gap belongs to the cell before it. */
export function cellAt(geometry: MapGeometry, x: number, y: number): Cell | undefined {
  const { layers, experts, pitchX, pitchY, expertsAt, sharedWidth } = geometry;
  const layer = Math.floor(y / pitchY);
  if (layer < 0 || layer >= layers || x < 0) return undefined;
  if (x < expertsAt) return x < sharedWidth ? { layer, expert: SHARED } : undefined;
  const expert = Math.floor((x - expertsAt) / pitchX);
  return expert < experts ? { layer, expert } : undefined;
}

/** Where an arrow key, Home or End leads from a cell; undefined for other keys. */
export function cellBeside({ layers, experts }: MapShape, { layer, expert }: Cell, key: string): Cell | undefined {
  const move = (rows: number, columns: number): Cell => ({
    layer: Math.min(layers - 1, Math.max(0, layer + rows)),
    expert: Math.min(experts - 1, Math.max(SHARED, expert + columns)),
  });
  switch (key) {
    case 'ArrowLeft':
      return move(0, -1);
    case 'ArrowRight':
      return move(0, 1);
    case 'ArrowUp':
      return move(-1, 0);
    case 'ArrowDown':
      return move(1, 0);
    case 'Home':
      return move(0, -experts);
    case 'End':
      return move(0, experts);
    default:
      return undefined;
  }
}

/** Indices of the cells that differ; all of them where there was no map, or one of another size. */
export function changedCells(before: Uint8Array | undefined, after: Uint8Array): number[] {
  if (before?.length !== after.length) return Array.from(after.keys());
  const changed: number[] = [];
  for (let i = 0; i < after.length; i++) if (before[i] !== after[i]) changed.push(i);
  return changed;
}

/** How many experts are in each place, by the number of the place. */
export type PlaceCounts = readonly [remote: number, stored: number, resident: number, inUse: number];

export function countPlaces(map: Uint8Array): PlaceCounts {
  const counts: [number, number, number, number] = [0, 0, 0, 0];
  for (const place of map) counts[place]++;
  return counts;
}

/** The same for each layer. */
export function countByLayer(map: Uint8Array, { layers, experts }: MapShape): PlaceCounts[] {
  return Array.from({ length: layers }, (_, layer) =>
    countPlaces(map.subarray(layer * experts, (layer + 1) * experts)),
  );
}

/** Share of the experts that have a slot, in whole percent; 100 only if all have. */
export function percentResident(map: Uint8Array): number {
  const [, , resident, inUse] = countPlaces(map);
  return map.length === 0 ? 100 : Math.floor((100 * (resident + inUse)) / map.length);
}
