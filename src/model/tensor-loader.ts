import { QwenError, throwIfAborted } from '../errors.ts';
import type { Gpu, GpuBuffer } from '../gpu/index.ts';
import { canJoin, type RowRange, StagingBuffer, UPLOAD_LEAD_BYTES, WeightMatrix } from '../kernels/weight-matrix.ts';
import { CHUNK } from '../weights/quant-layout.ts';
import { rowBytes } from '../weights/quant-types.ts';
import type { TensorInfo, Weights } from '../weights/types.ts';
import type { ExpertStack } from './layer-experts.ts';

/** Bytes of a tensor that are read and uploaded at a time. */
const PIECE_BYTES = 8 * 2 ** 20;
/** Pieces read ahead of the upload: several ranges or store reads at once. */
const PIECES_IN_FLIGHT = 6;
/** As in WeightMatrix.write: pieces begin at multiples of so many rows. */
const ROW_GRANULE = 8;

interface Piece {
  tensor: TensorInfo;
  start: number;
  length: number;
  apply(bytes: Uint8Array<ArrayBuffer>): void | Promise<void>;
}

/** A tensor, or some of its rows, that is to be multiplied with the same x as others. */
export interface Member {
  readonly name: string;
  readonly rows: number;
  /** First row in the tensor; default 0, and the tensor has no more rows than these. */
  readonly from?: number;
}

/**
 * Matrices that are multiplied with the same x, as one matrix of all their rows: those of one type that follow each other lie
 * in one allocation, so that one dispatch multiplies with them.
 */
export interface JoinedMatrix {
  readonly rows: number;
  readonly groups: readonly {
    /** Row of the whole at which the group begins. */
    readonly first: number;
    readonly matrix: WeightMatrix;
  }[];
}

/**
 * Collects which tensors a model wants and where they go, then reads and uploads them in the file's order.
 */
export class TensorLoader {
  readonly #pieces: Piece[] = [];
  readonly #owned: { dispose(): void }[] = [];
  /** The largest piece that is repacked. */
  #stagingBytes = 0;

  constructor(
    readonly gpu: Gpu,
    readonly weights: Weights,
  ) {}

  has(name: string): boolean {
    return this.weights.tensors.has(name);
  }

  get totalBytes(): number {
    return this.#pieces.reduce((sum, { length }) => sum + length, 0);
  }

  /**
   * A quantised matrix.
   * @param shape as the model needs it: `[rows, columns]` or `[experts, rows, columns]`
   * @param pad columns that are no whole number of chunks get zeros behind each row, up to the next; without it they are
   *   refused. The matrix then has `padded(columns)` columns, and so must what it is multiplied with.
   */
  matrix(name: string, shape: readonly number[], range?: RowRange, { pad = false } = {}): WeightMatrix {
    const tensor = this.#tensor(name);
    const stored = range ? [tensor.shape[0], ...shape.slice(1)] : shape;
    const actual = this.#checkShape(tensor, stored);
    if (range && range.first + range.count > actual[0]) throw this.#badShape(tensor, stored);
    const columns = shape.at(-1)!;
    const width = pad ? padded(columns) : columns;
    const matrix = WeightMatrix.allocate(this.gpu, name, tensor.type, [...shape.slice(0, -1), width]);
    this.#owned.push(matrix);
    const bytesPerRow = rowBytes(tensor.type, columns);
    const paddedBytes = rowBytes(tensor.type, width);
    const whole = { first: 0, count: matrix.rows };
    const rows = { first: 0, count: matrix.rows * (matrix.slots ?? 1) };
    this.#addRows(matrix, tensor, whole, rows, (range?.first ?? 0) * bytesPerRow, bytesPerRow, paddedBytes);
    return matrix;
  }

  /** The members' rows below each other. @param columns of all of them */
  joined(columns: number, members: readonly Member[]): JoinedMatrix {
    const groups: { first: number; matrix: WeightMatrix }[] = [];
    let first = 0;
    for (const run of this.#runsOfOneType(columns, members)) {
      const rows = run.reduce((sum, member) => sum + member.rows, 0);
      const { type } = this.#tensor(run[0].name);
      const matrix = WeightMatrix.allocate(this.gpu, joinLabels(run.map(({ name }) => name)), type, [rows, columns]);
      this.#owned.push(matrix);
      const bytesPerRow = rowBytes(type, columns);
      let at = 0;
      for (const { name, rows: count, from = 0 } of run) {
        const tensor = this.#tensor(name);
        const range = { first: at, count };
        this.#addRows(matrix, tensor, range, { first: 0, count }, from * bytesPerRow, bytesPerRow, bytesPerRow);
        at += count;
      }
      groups.push({ first, matrix });
      first += rows;
    }
    return { rows: first, groups };
  }

  #runsOfOneType(columns: number, members: readonly Member[]): Member[][] {
    const runs: Member[][] = [];
    for (const member of members) {
      const tensor = this.#tensor(member.name);
      const stored = member.from === undefined ? member.rows : tensor.shape[0];
      const [rows] = this.#checkShape(tensor, [stored, columns]);
      if ((member.from ?? 0) + member.rows > rows) throw this.#badShape(tensor, [member.rows, columns]);
      const run = runs.at(-1);
      const above = run?.reduce((sum, { rows }) => sum + rows, 0) ?? 0;
      const alike = run && this.#tensor(run[0].name).type === tensor.type;
      if (alike && canJoin(this.gpu, tensor.type, columns, above, member.rows)) run.push(member);
      else runs.push([member]);
    }
    return runs;
  }

  /**
   * Some of the experts of stacked tensors, all of one type, with each expert's rows of them below each other.
   * @param members tensors `[experts, rows, columns]`, with their rows
   * @param slots that the stack has @param chosen experts to load, by slot; further slots stay empty
   */
  stack(
    members: readonly Omit<Member, 'from'>[],
    { experts, columns, slots, chosen }: { experts: number; columns: number; slots: number; chosen: readonly number[] },
  ): ExpertStack {
    const rows = members.reduce((sum, member) => sum + member.rows, 0);
    const { type } = this.#tensor(members[0].name);
    const label = joinLabels(members.map(({ name }) => name));
    const matrix = WeightMatrix.allocate(this.gpu, label, type, [slots, rows, columns]);
    this.#owned.push(matrix);
    const bytesPerRow = rowBytes(type, columns);
    let first = 0;
    const tensors = members.map(({ name, rows: count }) => {
      const tensor = this.#tensor(name);
      this.#checkShape(tensor, [experts, count, columns]);
      const range = { first, count };
      first += count;
      // Runs of neighbours are read as one: all of them, where the stack holds every expert.
      for (let slot = 0; slot < chosen.length; ) {
        let end = slot + 1;
        while (end < chosen.length && chosen[end] === chosen[end - 1] + 1) end++;
        const rowsHere = { first: slot * count, count: (end - slot) * count };
        this.#addRows(matrix, tensor, range, rowsHere, chosen[slot] * count * bytesPerRow, bytesPerRow, bytesPerRow);
        slot = end;
      }
      return { tensor, range, bytes: count * bytesPerRow };
    });
    return { matrix, tensors };
  }

  /** Whether two stacked tensors may share a stack. @param rows of either, for each expert */
  canStack(first: string, second: string, rows: number, columns: number): boolean {
    const [{ type }, other] = [this.#tensor(first), this.#tensor(second)];
    // Each slot begins where the second tensor's rows of the one before end.
    return type === other.type && canJoin(this.gpu, type, columns, rows, rows);
  }

  /** @param range of the matrix that the tensor fills (of each slot) @param rows of the tensor, through all slots */
  #addRows(
    matrix: WeightMatrix,
    tensor: TensorInfo,
    range: RowRange,
    { first, count }: RowRange,
    from: number,
    bytesPerRow: number,
    paddedBytes: number,
  ): void {
    const fitting = Math.floor(PIECE_BYTES / paddedBytes);
    const pieceRows = Math.max(ROW_GRANULE, fitting - (fitting % ROW_GRANULE));
    for (let row = 0; row < count; row += pieceRows) {
      const rows = Math.min(pieceRows, count - row);
      if (matrix.isRepacked) this.#stagingBytes = Math.max(this.#stagingBytes, rows * paddedBytes);
      this.#pieces.push({
        tensor,
        start: from + row * bytesPerRow,
        length: rows * bytesPerRow,
        apply: (bytes) =>
          matrix.write(this.gpu, this.#staging(), first + row, widenRows(bytes, bytesPerRow, paddedBytes), range),
      });
    }
  }

  /** Small tensors as f32, one after another in one buffer. @param length of each */
  vector(names: readonly string[], length: number): GpuBuffer {
    const buffer = this.gpu.createBuffer(names.join(' + '), names.length * length * 4);
    this.#owned.push(buffer);
    names.forEach((name, i) => {
      const tensor = this.#tensor(name);
      if (tensor.shape.reduce((a, b) => a * b, 1) !== length) throw this.#badShape(tensor, [length]);
      this.#pieces.push({
        tensor,
        start: 0,
        length: tensor.byteLength,
        apply: (bytes) => this.gpu.write(buffer, i * length * 4, toFloats(tensor, bytes)),
      });
    });
    return buffer;
  }

  /** Also disposed when loading fails. */
  own<T extends { dispose(): void }>(resource: T): T {
    this.#owned.push(resource);
    return resource;
  }

  /**
   * Reads everything asked for. On failure or abort all buffers are disposed.
   * @param onBytes called after each piece with its length and file
   */
  async load(onBytes: (bytes: number, file: string) => void, signal?: AbortSignal): Promise<void> {
    const order = new Map([...this.weights.tensors.values()].map((tensor, i) => [tensor, i]));
    const pieces = this.#pieces
      .splice(0)
      .sort((a, b) => order.get(a.tensor)! - order.get(b.tensor)! || a.start - b.start);
    const stop = new AbortController();
    const reading: { piece: Piece; bytes: Promise<Uint8Array<ArrayBuffer>> }[] = [];
    const readNext = () => {
      const piece = pieces.shift();
      if (!piece) return;
      const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
      const bytes = piece.tensor.read(piece.start, piece.length, either);
      bytes.catch(() => {}); // reported where it is awaited; the others are cancelled
      reading.push({ piece, bytes });
    };
    let lead = 0;
    try {
      throwIfAborted(signal);
      for (let i = 0; i < PIECES_IN_FLIGHT; i++) readNext();
      while (reading.length > 0) {
        const { piece, bytes } = reading.shift()!;
        await piece.apply(await bytes);
        readNext();
        onBytes(piece.length, piece.tensor.file);
        lead += piece.length;
        if (lead > UPLOAD_LEAD_BYTES) {
          await this.gpu.device.queue.onSubmittedWorkDone();
          lead = 0;
        }
        throwIfAborted(signal);
      }
      await this.gpu.device.queue.onSubmittedWorkDone();
      this.gpu.assertAlive();
    } catch (error) {
      stop.abort();
      this.disposeOwned();
      throw error;
    } finally {
      this.#stagingBuffer?.dispose();
      this.#stagingBuffer = undefined;
    }
  }

  /** On a rehearsal's device: takes, for a moment, what loading takes besides the tensors. */
  rehearse(): void {
    this.#staging().dispose();
    this.#stagingBuffer = undefined;
  }

  disposeOwned(): void {
    for (const resource of this.#owned.splice(0)) resource.dispose();
  }

  #stagingBuffer: StagingBuffer | undefined;

  #staging(): StagingBuffer {
    this.#stagingBuffer ??= new StagingBuffer(this.gpu, this.#stagingBytes);
    return this.#stagingBuffer;
  }

  #checkShape(tensor: TensorInfo, expected: readonly number[]): readonly number[] {
    const actual = sameRank(tensor.shape, expected.length);
    if (actual.join() !== expected.join()) throw this.#badShape(tensor, expected);
    return actual;
  }

  #tensor(name: string): TensorInfo {
    const tensor = this.weights.tensors.get(name);
    if (tensor) return tensor;
    const file = this.weights.name;
    throw new QwenError(
      'corrupt-gguf',
      `${file} has no tensor ${name}, which its architecture needs. The file is incomplete or badly converted; get it again.`,
      { file },
    );
  }

  #badShape(tensor: TensorInfo, expected: readonly number[]): QwenError {
    return new QwenError(
      'corrupt-gguf',
      `${tensor.file}: tensor ${tensor.name} has shape [${tensor.shape}], but the metadata asks for [${expected}]. The file is damaged or badly converted.`,
      { file: tensor.file },
    );
  }
}

/** `blk.0.attn_q + attn_k.weight` for the names of both. */
function joinLabels(names: readonly string[]): string {
  const [prefix, suffix] = [/^(?:blk\.\d+\.)?/.exec(names[0])![0], '.weight'];
  const stems = names.map((name) => name.slice(prefix.length).replace(suffix, ''));
  return `${prefix}${[...new Set(stems)].join(' + ')}${suffix}`;
}

/** Columns of a matrix that is loaded with padding. */
export function padded(columns: number): number {
  return Math.ceil(columns / CHUNK) * CHUNK;
}

/** A vector may stand for a matrix of one row, and a convolution's kernels for the rows of a matrix. */
function sameRank(shape: readonly number[], rank: number): readonly number[] {
  if (shape.length < rank) return [1, ...shape];
  return [...shape.slice(0, rank - 1), shape.slice(rank - 1).reduce((a, b) => a * b, 1)];
}

function widenRows(bytes: Uint8Array<ArrayBuffer>, from: number, to: number): Uint8Array<ArrayBuffer> {
  if (from === to) return bytes;
  const rows = bytes.byteLength / from;
  const wide = new Uint8Array(rows * to);
  for (let row = 0; row < rows; row++) wide.set(bytes.subarray(row * from, (row + 1) * from), row * to);
  return wide;
}

/** Norms, biases and convolution taps: plain number types only. */
function toFloats({ name, type, file }: TensorInfo, bytes: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const { buffer, byteOffset, byteLength } = aligned;
  if (type === 'F32') return new Float32Array(buffer, byteOffset, byteLength / 4);
  const halves = new Uint16Array(buffer, byteOffset, byteLength / 2);
  if (type === 'BF16') return new Float32Array(Uint32Array.from(halves, (h) => h << 16).buffer);
  if (type === 'F16') return Float32Array.from(halves, halfToFloat);
  throw new QwenError(
    'unsupported-gguf',
    `${file}: tensor ${name} is ${type}; norms and other small tensors must be F32, F16 or BF16.`,
    { file },
  );
}

function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const mantissa = bits & 1023;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent ? (1024 + mantissa) * 2 ** (exponent - 25) : mantissa * 2 ** -24);
}
