/** What a decoded token of 397B-A17B costs, from its shape and a machine's bandwidths. */
import { type SyntheticShape, syntheticModel, syntheticShapes } from '../../tools/synthetic-model.ts';

export const shape: SyntheticShape = syntheticShapes['397b-a17b'];
export const { layers, experts, topK } = shape;

/** Bytes of one expert, of all, and of everything else; and what a token reads of either. */
export const bytes = (() => {
  const expert = (3 * shape.hidden * shape.expertWidth * 144) / 256;
  const all = syntheticModel(shape, { template: '' }).reduce((sum, file) => sum + file.weightBytes, 0);
  const routed = layers * experts * expert;
  const shared = all - routed;
  // Of the embedding one row is read.
  const embedding = (shape.vocabulary * shape.hidden * 34) / 32;
  return { expert, routed, shared, tokenExperts: layers * topK * expert, tokenShared: shared - embedding };
})();

export interface Machine {
  readonly name: string;
  /** GPU memory bandwidth, and the part of it that decoding reaches. */
  readonly gpuBytesPerSecond: number;
  readonly efficiency: number;
  /** Store to slot: read, upload and repack, several at a time. */
  readonly storeBytesPerSecond: number;
  readonly networkBytesPerSecond: number;
}

/**
 * Seconds of a token whose `misses` experts are spread over the layers. Each layer with a miss ends a submit and waits for
 * its experts: `roundTripSeconds`, then their bytes.
 */
export function tokenSeconds(
  machine: Machine,
  missBytesPerSecond: number,
  misses: number,
  stalledLayers: number,
): number {
  return computeSeconds(machine) + (misses * bytes.expert) / missBytesPerSecond + stalledLayers * ROUND_TRIP_SECONDS;
}

/** If every miss were foreseen early enough, fetching and computing would overlap fully: the most that reading ahead can give. */
export function foreseenSeconds(machine: Machine, missBytesPerSecond: number, misses: number): number {
  return Math.max(computeSeconds(machine), (misses * bytes.expert) / missBytesPerSecond);
}

/** With every expert resident. */
export function computeSeconds({ gpuBytesPerSecond, efficiency }: Machine): number {
  return (bytes.tokenExperts + bytes.tokenShared) / (gpuBytesPerSecond * efficiency);
}

/** Halt, readback, upload and the next submit: what WebGPU costs besides the bytes. Assumed, as no Mac was at hand. */
export const ROUND_TRIP_SECONDS = 0.001;

export const macStudio: Machine = {
  name: 'Mac Studio M3 Ultra, 256 GB',
  gpuBytesPerSecond: 819e9,
  efficiency: 0.25,
  storeBytesPerSecond: 3e9,
  networkBytesPerSecond: 125e6,
};
