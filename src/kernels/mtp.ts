import type { Bindable, Recorder } from '../gpu/index.ts';
import { reductionLanes } from './lanes.ts';

export interface MtpJoinTensors {
  /** `[T, columns]` f32: embeddings of the tokens behind those of h. */
  e: Bindable;
  /** `[T, columns]` f32. */
  h: Bindable;
  embeddingNorm: Bindable;
  hiddenNorm: Bindable;
  /** Given where h is a residual stream that this norm makes the hidden state of. */
  outputNorm?: Bindable;
  /** Out: `[T, 2·columns]` f32. */
  y: Bindable;
}

/** The norms before an MTP block's projection, and their rows side by side. */
export function mtpJoin(
  rec: Recorder,
  { e, h, embeddingNorm, hiddenNorm, outputNorm, y }: MtpJoinTensors,
  tokens: number,
  { columns, eps }: { columns: number; eps: number },
): void {
  rec.dispatch(
    {
      name: 'mtp_join',
      conditions: { residual: outputNorm !== undefined },
      constants: { LANES: reductionLanes(rec.gpu) },
    },
    { e, h, embedding_norm: embeddingNorm, hidden_norm: hiddenNorm, y, ...(outputNorm && { output_norm: outputNorm }) },
    { columns: columns / 4, eps },
    [2, tokens],
    { bytes: 4 * columns * (4 * tokens + 2), flops: 8 * tokens * columns },
  );
}

const ARGMAX_LANES = 64;
/** Values a workgroup looks at. */
const SEGMENT = 2048;

/** Bytes of the first round's results. */
export function argmaxBytes(count: number): number {
  return 8 * Math.ceil(count / SEGMENT);
}

/**
 * Index of the largest of `count` values, the lowest of equals.
 * @param best scratch of `argmaxBytes` @param index out: `[1]` u32
 */
export function argmax(
  rec: Recorder,
  { values, best, index }: { values: Bindable; best: Bindable; index: Bindable },
  count: number,
): void {
  const groups = Math.ceil(count / SEGMENT);
  const constants = { LANES: ARGMAX_LANES, SEGMENT };
  rec.dispatch({ name: 'argmax', conditions: { last: false }, constants }, { values, best }, { count }, [groups], {
    bytes: 4 * count,
  });
  rec.dispatch({ name: 'argmax', conditions: { last: true }, constants }, { best, index }, { count: groups }, [1]);
}
