import { QwenError } from '../errors.ts';
import { type Gpu, type GpuBuffer, Recorder, type ShaderVariant } from '../gpu/index.ts';
import { gridWords } from '../weights/iq-grids.ts';
import { CHUNK, INTEGER_TYPES, PLANES, type Plane, planeBytes, quantLayouts } from '../weights/quant-layout.ts';
import { quantTypes, rowBytes } from '../weights/quant-types.ts';
import type { TensorType } from '../weights/types.ts';
import { subgroupsAreQuads } from './lanes.ts';

/** The GPU may lag behind the uploads by so many bytes, which its driver keeps a copy of. */
export const UPLOAD_LEAD_BYTES = 64 * 2 ** 20;

/** Rows of a part are a multiple of this, so that no repacked group of blocks straddles two parts. */
const ROW_GRANULE = 8;

/** A run of a matrix's rows (or experts) whose planes each fit one binding. */
export interface MatrixPart {
  /** First row of the part, or first slot. */
  readonly first: number;
  readonly count: number;
  readonly planes: Readonly<Partial<Record<Plane, GpuBuffer>>>;
}

/**
 * A run of rows. Tensors that are multiplied with the same x may lie below each other in one matrix (in each slot of a stack),
 * and one tensor may hold several matrices.
 */
export interface RowRange {
  readonly first: number;
  readonly count: number;
}

/**
 * A quantised matrix `[rows, columns]`, or a stack of them `[slots, rows, columns]` (one per resident expert), on the GPU in
 * the planes of `quant-layout.ts`; split by rows (or slots) where a plane would exceed the device's binding limit.
 */
export class WeightMatrix {
  readonly parts: readonly MatrixPart[];

  private constructor(
    readonly label: string,
    readonly type: TensorType,
    /** Of one expert, where the matrix is a stack. */
    readonly rows: number,
    readonly columns: number,
    /** Stacked matrices; undefined for a plain one. */
    readonly slots: number | undefined,
    parts: MatrixPart[],
    /** The type's codebook, shared by all matrices of a device. */
    readonly grid: GpuBuffer | undefined,
    /** What stands in for `lib/unpack`. */
    private readonly unpacking: 'builtin' | 'masks',
  ) {
    this.parts = parts;
  }

  /**
   * Allocates the planes, zeroed; fill them with `write`.
   * @param shape `[rows, columns]` or `[slots, rows, columns]`
   * @param maxBindingBytes splits as if the device's limit were this (tests)
   */
  static allocate(
    gpu: Gpu,
    label: string,
    type: TensorType,
    shape: readonly number[],
    maxBindingBytes = bindingBytes(gpu),
  ): WeightMatrix {
    const [columns, rows, slots] = shape.toReversed();
    if (columns % CHUNK !== 0) {
      throw new QwenError(
        'unsupported-gguf',
        `${label} has ${columns} columns; matrices need a multiple of ${CHUNK}. This is not a Qwen 3.5 layout that is supported.`,
      );
    }
    const unitRows = slots === undefined ? 1 : rows;
    const unitBlocks = (unitRows * columns) / quantTypes[type].blockWeights;
    const unitPlaneBytes = largestPlane(type, unitBlocks);
    const units = slots ?? rows;
    let perPart = Math.min(units, Math.floor(maxBindingBytes / unitPlaneBytes));
    if (perPart < units && slots === undefined) perPart -= perPart % ROW_GRANULE;
    if (perPart < 1) {
      throw new QwenError(
        'device-limit',
        `${label} cannot be split into bindings of ${maxBindingBytes} bytes, this device's limit.`,
      );
    }
    const parts: MatrixPart[] = [];
    for (let first = 0; first < units; first += perPart) {
      const count = Math.min(perPart, units - first);
      const planes: Partial<Record<Plane, GpuBuffer>> = {};
      for (const plane of PLANES) {
        const bytes = planeBytes(type, plane, count * unitBlocks);
        if (bytes > 0) planes[plane] = gpu.createBuffer(`${label} ${plane}`, bytes);
      }
      parts.push({ first, count, planes });
    }
    const unpacking = subgroupsAreQuads(gpu) ? 'masks' : 'builtin';
    return new WeightMatrix(label, type, rows, columns, slots, parts, gridBuffer(gpu, type), unpacking);
  }

  get chunks(): number {
    return this.columns / CHUNK;
  }

  /** Bytes of the file's blocks per matrix (per expert, where stacked): what a product with it reads. */
  get bytes(): number {
    return this.rows * rowBytes(this.type, this.columns);
  }

  /** Bytes of its planes. */
  get gpuBytes(): number {
    return this.parts.reduce(
      (sum, { planes }) => sum + Object.values(planes).reduce((all, { size }) => all + size, 0),
      0,
    );
  }

  /** Its blocks go through the repacking shader, not straight into a plane. */
  get isRepacked(): boolean {
    return quantTypes[this.type].blockWeights > 1;
  }

  /** Products of it may be of small integers. */
  get hasIntegers(): boolean {
    return INTEGER_TYPES.has(this.type);
  }

  /** Shader modules and bindings of a kernel that decodes this matrix. */
  get variant(): Pick<ShaderVariant, 'modules'> {
    return {
      modules: {
        'lib/weights': `lib/weights/${this.type.toLowerCase()}`,
        'lib/unpack': `lib/unpack/${this.unpacking}`,
      },
    };
  }

  /** How many buffers `bindings` names. */
  get bindingCount(): number {
    return Object.keys(this.parts[0].planes).length + (this.grid ? 1 : 0);
  }

  bindings(part: MatrixPart): Record<string, GpuBuffer> {
    return { ...part.planes, ...(this.grid && { grid: this.grid }) };
  }

  get #rowBlocks(): number {
    return this.columns / quantTypes[this.type].blockWeights;
  }

  /**
   * Repacks a piece of the file's bytes into the planes.
   * @param row first row of the piece in its tensor (counted through all slots); must be a multiple of 8 unless the type's rows
   *   are whole groups
   * @param bytes whole rows, as in the file
   * @param range the tensor's rows in the matrix (in each slot); default: all
   */
  async write(
    gpu: Gpu,
    staging: StagingBuffer,
    row: number,
    bytes: Uint8Array<ArrayBuffer>,
    range: RowRange = { first: 0, count: this.rows },
  ): Promise<void> {
    const bytesPerRow = rowBytes(this.type, this.columns);
    const stacked = this.slots !== undefined;
    let at = 0;
    while (at < bytes.byteLength) {
      const unit = stacked ? Math.floor(row / range.count) : range.first + row;
      const part = this.parts.findLast((p) => p.first <= unit)!;
      const end = (part.first + part.count) * (stacked ? range.count : 1) - (stacked ? 0 : range.first);
      const rows = Math.min((bytes.byteLength - at) / bytesPerRow, end - row);
      const recorder = new Recorder(gpu);
      const piece = bytes.subarray(at, at + rows * bytesPerRow);
      const rowInPart = stacked ? row - part.first * range.count : unit - part.first;
      const place = stacked ? range : { first: 0, count: part.count };
      this.#repack(recorder, part, place, rowInPart, piece, (raw) => staging.load(raw));
      await submitRepack(recorder, staging.step);
      at += rows * bytesPerRow;
      row += rows;
    }
  }

  /**
   * Records the repacking of one slot of a stack; types that need none are written at once.
   * @param bytes of the tensor's rows in the slot @param load puts them where the shader reads them
   */
  recordSlot(rec: Recorder, slot: number, range: RowRange, bytes: Uint8Array<ArrayBuffer>, load: Load): void {
    const part = this.parts.findLast(({ first }) => first <= slot)!;
    this.#repack(rec, part, range, (slot - part.first) * range.count, bytes, load);
  }

  /** @param row in the tensor, whose rows take up `range` of each unit of the part */
  #repack(
    rec: Recorder,
    part: MatrixPart,
    range: RowRange,
    row: number,
    bytes: Uint8Array<ArrayBuffer>,
    load: Load,
  ): void {
    const { gpu } = rec;
    const { quants, blocksPerGroup } = quantLayouts[this.type];
    const { blockBytes } = quantTypes[this.type];
    const unitRows = this.slots === undefined ? range.count : this.rows;
    if (!this.isRepacked) {
      const bytesPerRow = quants * this.columns;
      for (let at = 0; at < bytes.byteLength; ) {
        const inUnit = row % range.count;
        const length = Math.min(bytes.byteLength - at, (range.count - inUnit) * bytesPerRow);
        const place = Math.floor(row / range.count) * unitRows + range.first + inUnit;
        gpu.write(part.planes.quants!, place * bytesPerRow, bytes.subarray(at, at + length));
        at += length;
        row += length / bytesPerRow;
      }
      return;
    }
    const groupsOf = (rows: number) => (rows * this.#rowBlocks) / blocksPerGroup;
    if (!Number.isInteger(groupsOf(row))) throw new Error(`${this.label}: a piece begins within a group of blocks`);
    const blocks = bytes.byteLength / blockBytes;
    const groups = Math.ceil(blocks / blocksPerGroup / 64);
    const x = Math.min(groups, gpu.limits.maxComputeWorkgroupsPerDimension);
    // Rows of a whole matrix, which may end within a group, are one run.
    const runs = unitRows === range.count ? { run: 0xffffffff, gap: 0 } : undefined;
    rec.dispatch(
      repackVariant(this.type),
      { ...part.planes, raw: load(bytes) },
      {
        blocks,
        first_group: groupsOf(row),
        run: groupsOf(range.count),
        gap: groupsOf(unitRows - range.count),
        offset: groupsOf(range.first),
        ...runs,
      },
      [x, Math.ceil(groups / x)],
    );
  }

  dispose(): void {
    for (const { planes } of this.parts) for (const buffer of Object.values(planes)) buffer.dispose();
  }
}

/** The shader through which blocks of this type go on their way into planes. */
function repackVariant(type: TensorType): ShaderVariant {
  return { name: 'repack', modules: { 'lib/repack': `lib/repack/${type.toLowerCase()}` } };
}

/** What has to be compiled before weights of these types can be written. */
export function repackVariants(types: Iterable<TensorType>): ShaderVariant[] {
  return [...new Set(types)].filter((type) => quantTypes[type].blockWeights > 1).map(repackVariant);
}

function bindingBytes({ limits }: Gpu): number {
  return Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize);
}

function largestPlane(type: TensorType, blocks: number): number {
  return Math.max(...PLANES.map((plane) => quantLayouts[type][plane] * blocks));
}

/**
 * Whether further rows of this type may lie below `rows` others in one matrix: repacking writes whole groups of blocks, and what
 * was joined is to be one binding.
 */
export function canJoin(gpu: Gpu, type: TensorType, columns: number, rows: number, further: number): boolean {
  const { blockWeights } = quantTypes[type];
  const { blocksPerGroup } = quantLayouts[type];
  const blocks = (rows * columns) / blockWeights;
  const startsGroup = blockWeights === 1 || blocks % blocksPerGroup === 0;
  return startsGroup && largestPlane(type, ((rows + further) * columns) / blockWeights) <= bindingBytes(gpu);
}

/** Puts bytes into a buffer of their own until what is recorded was submitted. */
type Load = (bytes: Uint8Array<ArrayBuffer>) => GpuBuffer;

async function submitRepack(recorder: Recorder, step: GpuBuffer): Promise<void> {
  if (recorder.dispatchCount === 0) return;
  const { gpu } = recorder;
  const program = await recorder.build('repack', step);
  const encoder = gpu.device.createCommandEncoder();
  program.encode(encoder);
  gpu.device.queue.submit([encoder.finish()]);
  program.dispose();
}

/** Where pieces of files wait for the repacking shader. Writes to it are queued behind the dispatches that read it before. */
export class StagingBuffer {
  readonly #raw: GpuBuffer;
  readonly step: GpuBuffer;

  constructor(
    private readonly gpu: Gpu,
    readonly size: number,
  ) {
    this.#raw = gpu.createBuffer('staging', size + 4); // a straddling read may touch the word after the last
    this.step = gpu.createBuffer('staging step', 16);
  }

  load(bytes: Uint8Array<ArrayBuffer>): GpuBuffer {
    if (bytes.byteLength > this.size)
      throw new Error(`a piece of ${bytes.byteLength} bytes exceeds the staging buffer`);
    this.gpu.write(this.#raw, 0, bytes);
    return this.#raw;
  }

  dispose(): void {
    this.#raw.dispose();
    this.step.dispose();
  }
}

/** One slot of one stack to be written. */
export interface SlotWrite {
  readonly matrix: WeightMatrix;
  readonly slot: number;
  /** The rows of the slot that are written. */
  readonly range: RowRange;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/**
 * Staging buffers used in turn, so that the next expert's bytes can be copied while the last one's are still being repacked.
 * Calls are taken one after another.
 */
export class StagingRing {
  readonly #buffers: readonly StagingBuffer[];
  #next = 0;
  #last: Promise<void> = Promise.resolve();
  #lead = 0;

  constructor(
    private readonly gpu: Gpu,
    count: number,
    size: number,
  ) {
    this.#buffers = Array.from({ length: count }, () => new StagingBuffer(gpu, size));
  }

  /** Queues the writes, as one submit; at most as many as there are buffers. */
  write(writes: readonly SlotWrite[]): Promise<void> {
    const done = this.#last.then(() => this.#write(writes));
    this.#last = done.catch(() => {}); // told to whoever asked for it
    return done;
  }

  async #write(writes: readonly SlotWrite[]): Promise<void> {
    if (writes.length > this.#buffers.length) throw new Error(`${writes.length} writes exceed the ring`);
    this.gpu.assertAlive();
    const recorder = new Recorder(this.gpu);
    for (const { matrix, slot, range, bytes } of writes) {
      matrix.recordSlot(recorder, slot, range, bytes, (raw) => {
        this.#next = (this.#next + 1) % this.#buffers.length;
        return this.#buffers[this.#next].load(raw);
      });
    }
    await submitRepack(recorder, this.#buffers[0].step);
    this.#lead += writes.reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
    if (this.#lead < UPLOAD_LEAD_BYTES) return;
    this.#lead = 0;
    await this.gpu.device.queue.onSubmittedWorkDone();
  }

  dispose(): void {
    for (const buffer of this.#buffers) buffer.dispose();
  }
}

const grids = new WeakMap<Gpu, Map<string, GpuBuffer>>();

function gridBuffer(gpu: Gpu, type: TensorType): GpuBuffer | undefined {
  const { grid } = quantLayouts[type] as { grid?: Parameters<typeof gridWords>[0] };
  if (!grid) return undefined;
  const ofDevice = grids.get(gpu) ?? new Map<string, GpuBuffer>();
  grids.set(gpu, ofDevice);
  let buffer = ofDevice.get(grid);
  if (!buffer) {
    buffer = gpu.upload(`grid ${grid}`, gridWords(grid));
    ofDevice.set(grid, buffer);
  }
  return buffer;
}
