/** Draws the map of experts on a canvas, and of every new snapshot only the cells that changed. */
import {
  type Cell,
  cellRectangle,
  changedCells,
  type MapGeometry,
  placeNames,
  places,
  type Rectangle,
  SHARED,
} from './map-cells.ts';

/** What the painter needs of a `CanvasRenderingContext2D`. */
export type Surface = Pick<CanvasRenderingContext2D, 'fillRect' | 'clearRect' | 'globalAlpha'> & { fillStyle: unknown };

/** A CSS colour for each place, for the marks on the cells, and for the ring around the cursor's cell. */
export type MapColours = Readonly<Record<(typeof placeNames)[number] | 'mark' | 'cursor', string>>;

/** Time in which a cell that was in use goes dark. */
export const FADE_MS = 600;
/** Device pixels; smaller cells have colours alone, which differ in lightness too. */
const LEAST_SIZE_WITH_MARK = 5;
const MARK_ALPHA = 0.55;

export class MapPainter {
  #places?: Uint8Array;
  /** Cells that were in use, and when they ceased to be. */
  readonly #fading = new Map<number, number>();
  #cursor?: Cell;

  constructor(
    private readonly surface: Surface,
    readonly geometry: MapGeometry,
    readonly colours: MapColours,
    /** 0: no fading. */
    private readonly fadeMs: number,
  ) {}

  /** Draws what is new in a snapshot `[layers, experts]`. @returns how many cells were drawn */
  paint(map: Uint8Array, now: number): number {
    const before = this.#places;
    const changed = changedCells(before, map);
    if (before?.length !== map.length) {
      const { width, height, layers } = this.geometry;
      this.surface.clearRect(0, 0, width, height);
      for (let layer = 0; layer < layers; layer++) this.#fill({ layer, expert: SHARED }, places.resident);
    }
    this.#places = map;
    for (const index of changed) {
      if (this.fadeMs > 0 && before?.[index] === places.inUse && map[index] === places.resident) {
        this.#fading.set(index, now);
      } else this.#fading.delete(index);
      this.#draw(index, now);
    }
    if (this.#cursor) this.#ring(this.#cursor);
    return changed.length;
  }

  /** Cells are going dark: `fade` is to be called with every frame. */
  get fading(): boolean {
    return this.#fading.size > 0;
  }

  /** Draws the cells that are going dark one step further. @returns whether any is still to be drawn again */
  fade(now: number): boolean {
    for (const [index, since] of this.#fading) {
      if (now - since >= this.fadeMs) this.#fading.delete(index);
      this.#draw(index, now);
    }
    if (this.#cursor) this.#ring(this.#cursor);
    return this.fading;
  }

  /** Puts the ring around another cell, or around none. */
  point(cell: Cell | undefined, now: number): void {
    const before = this.#cursor;
    if (before?.layer === cell?.layer && before?.expert === cell?.expert) return;
    this.#cursor = cell;
    if (before?.expert === SHARED) this.#fill(before, places.resident);
    else if (before) this.#draw(before.layer * this.geometry.experts + before.expert, now);
    if (cell) this.#ring(cell);
  }

  #draw(index: number, now: number): void {
    const { experts } = this.geometry;
    const cell = { layer: Math.floor(index / experts), expert: index % experts };
    this.#fill(cell, this.#places?.[index] ?? places.remote);
    const since = this.#fading.get(index);
    if (since === undefined) return;
    const { x, y, width, height } = cellRectangle(this.geometry, cell);
    this.surface.globalAlpha = Math.max(0, 1 - (now - since) / this.fadeMs);
    this.surface.fillStyle = this.colours.inUse;
    this.surface.fillRect(x, y, width, height);
    this.surface.globalAlpha = 1;
  }

  #fill(cell: Cell, place: number): void {
    const { surface, colours } = this;
    const rectangle = cellRectangle(this.geometry, cell);
    const { x, y, width, height } = rectangle;
    // Colours may be translucent, and what was there must not show through.
    surface.clearRect(x, y, width, height);
    surface.fillStyle = colours[placeNames[place]];
    surface.fillRect(x, y, width, height);
    if (cell.expert !== SHARED && Math.min(width, height) >= LEAST_SIZE_WITH_MARK) this.#mark(rectangle, place);
  }

  /** For eyes that do not tell the colours: remote is hatched, stored has a dot, in use a bar, resident is plain. */
  #mark({ x, y, width, height }: Rectangle, place: number): void {
    const { surface } = this;
    const size = Math.min(width, height);
    const dot = Math.max(1, Math.round(size / 5));
    surface.fillStyle = this.colours.mark;
    surface.globalAlpha = MARK_ALPHA;
    if (place === places.remote) {
      for (let i = 0; i < size; i += dot) {
        surface.fillRect(x + Math.floor(((size - dot) * i) / size), y + size - dot - i, dot, dot);
      }
    } else if (place === places.stored) {
      const side = 2 * dot;
      surface.fillRect(x + Math.floor((width - side) / 2), y + Math.floor((height - side) / 2), side, side);
    } else if (place === places.inUse) {
      surface.fillRect(x + dot, y + Math.floor((height - dot) / 2), width - 2 * dot, dot);
    }
    surface.globalAlpha = 1;
  }

  /** Inside the cell: outside it would have to be taken away from its neighbours again. */
  #ring(cell: Cell): void {
    const { x, y, width, height } = cellRectangle(this.geometry, cell);
    const line = Math.max(1, Math.floor(Math.min(width, height) / 6));
    const { surface } = this;
    surface.fillStyle = this.colours.cursor;
    surface.fillRect(x, y, width, line);
    surface.fillRect(x, y + height - line, width, line);
    surface.fillRect(x, y, line, height);
    surface.fillRect(x + width - line, y, line, height);
  }
}
