/** Which models the page knows, and what they weigh. Nothing here is an address of somebody's server. */

/** The model that ships with the page, relative to it: trained for this page alone, by tools/tiny-model. */
export const embeddedModel = {
  url: './models/tiny.gguf',
  tower: './models/tiny-mmproj.gguf',
  name: 'Tiny model',
  bytes: 7_560_064,
} as const;

interface Shape {
  readonly layers: number;
  readonly hidden: number;
  /** Gated attention, heads of 256: query and key/value. */
  readonly attention: readonly [query: number, keyValue: number];
  /** Gated DeltaNet, heads of 128: value and key. */
  readonly delta: readonly [value: number, key: number];
  readonly ffn:
    | { readonly width: number }
    | { readonly experts: number; readonly width: number; readonly used: number; readonly shared: number };
  readonly tied: boolean;
}

export interface PublishedSize {
  readonly name: string;
  readonly shape: Shape;
}

const VOCABULARY = 248_320;
/** Every fourth layer is attention, the others DeltaNet. */
const ATTENTION_INTERVAL = 4;

/** The published Qwen 3.5 models. Source: their configurations and model cards. */
export const publishedSizes: readonly PublishedSize[] = [
  dense('Qwen3.5-0.8B', 24, 1024, [8, 2], [16, 16], 3584, true),
  dense('Qwen3.5-2B', 24, 2048, [8, 2], [16, 16], 6144, true),
  dense('Qwen3.5-4B', 32, 2560, [16, 4], [32, 16], 9216, true),
  dense('Qwen3.5-9B', 32, 4096, [16, 4], [32, 16], 12288, false),
  dense('Qwen3.5-27B', 64, 5120, [24, 4], [48, 16], 17408, false),
  sparse('Qwen3.5-35B-A3B', 40, 2048, [16, 2], [32, 16], 256, 512, 8),
  sparse('Qwen3.5-122B-A10B', 48, 3072, [32, 2], [64, 16], 256, 1024, 8),
  sparse('Qwen3.5-397B-A17B', 60, 4096, [32, 2], [64, 16], 512, 1024, 10),
];

/** Weights in the token tables, and in everything else. */
export function countWeights({ shape }: PublishedSize): { tables: number; layers: number } {
  const { layers, hidden, attention, delta, ffn, tied } = shape;
  const [query, keyValue] = attention;
  const [value, key] = delta;
  // Query and gate, key, value, output.
  const attentionLayer = hidden * (query * 512 + 2 * keyValue * 256 + query * 256);
  // q, k and v; gate; output; α and β.
  const deltaLayer = hidden * (2 * key * 128 + 3 * value * 128 + 2 * value);
  const ffnLayer =
    'experts' in ffn
      ? 3 * hidden * (ffn.experts * ffn.width + ffn.shared) + hidden * ffn.experts
      : 3 * hidden * ffn.width;
  const attentionLayers = layers / ATTENTION_INTERVAL;
  return {
    tables: VOCABULARY * hidden * (tied ? 1 : 2),
    layers: attentionLayers * attentionLayer + (layers - attentionLayers) * deltaLayer + layers * ffnLayer,
  };
}

/** Bits a weight takes in Q4_K and in Q6_K: 144 and 210 bytes for 256. */
const Q4_K_BITS = 4.5;
const Q6_K_BITS = 6.5625;

/** Bytes of a 4-bit file: Q4_K for the layers, Q6_K for the token tables, as published files usually have it. */
export function downloadBytes(size: PublishedSize): number {
  const { tables, layers } = countWeights(size);
  return (layers * Q4_K_BITS + tables * Q6_K_BITS) / 8;
}

/** Room for intermediate results, and for what rounds up. */
const SCRATCH_BYTES = 0.4e9;
const CONTEXT_TOKENS = 32_768;

/** GPU memory to run it with all weights resident and 32k tokens of context: weights, f16 keys and values, f32 states. */
export function memoryBytes(size: PublishedSize): number {
  const { layers, attention, delta } = size.shape;
  const attentionLayers = layers / ATTENTION_INTERVAL;
  const cache = 2 * attentionLayers * attention[1] * 256 * 2 * CONTEXT_TOKENS;
  const state = (layers - attentionLayers) * delta[0] * 128 * 128 * 4;
  return downloadBytes(size) + cache + state + SCRATCH_BYTES;
}

function dense(
  name: string,
  layers: number,
  hidden: number,
  attention: Shape['attention'],
  delta: Shape['delta'],
  width: number,
  tied: boolean,
): PublishedSize {
  return { name, shape: { layers, hidden, attention, delta, ffn: { width }, tied } };
}

/** The shared expert is as wide as a routed one. */
function sparse(
  name: string,
  layers: number,
  hidden: number,
  attention: Shape['attention'],
  delta: Shape['delta'],
  experts: number,
  width: number,
  used: number,
): PublishedSize {
  return {
    name,
    shape: { layers, hidden, attention, delta, ffn: { experts, width, used, shared: width }, tied: false },
  };
}
