/** The shards of one model: `NAME-00001-of-00004.gguf` and its siblings, each with a tensor table of its own. */
import { QwenError } from '../errors.ts';
import type { ByteSource } from './byte-source.ts';
import type { GgufHeader } from './gguf.ts';

export interface Shard {
  readonly source: ByteSource;
  readonly header: GgufHeader;
}

const SHARD_NAME = /-(\d{5})-of-(\d{5})(\.gguf)$/i;

/** The same file name or URL path for shard `number` (from 1), or undefined if the name is not a shard's. */
export function shardName(name: string, number: number): string | undefined {
  if (!SHARD_NAME.test(name)) return undefined;
  return name.replace(SHARD_NAME, (_, _number, count, end) => `-${String(number).padStart(5, '0')}-of-${count}${end}`);
}

/** URL of shard `number` (from 1) beside the one at `url`; the query string, which may hold a token, stays. */
export function shardUrl(url: string, number: number): string | undefined {
  const sibling = new URL(url);
  const path = shardName(sibling.pathname, number);
  if (path === undefined) return undefined;
  sibling.pathname = path;
  return sibling.href;
}

/** Number of shards (1 for a file that is whole), and this one's number from 0. @throws QwenError `corrupt-gguf` */
export function shardPlace({ source, header }: Shard): { count: number; index: number } {
  const number = (key: string, otherwise: number) => {
    const value = header.metadata.get(key) ?? otherwise;
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MOST_SHARDS) return value;
    throw corrupt(source.file, `${key} is ${String(value)}`);
  };
  const count = Math.max(1, number('split.count', 1));
  const index = number('split.no', 0);
  if (index >= count) throw corrupt(source.file, `split.no is ${index} of ${count} shards`);
  return { count, index };
}

/**
 * Puts shards in order and checks that together they are one whole model.
 * @throws QwenError `missing-shard` naming it, `corrupt-gguf` for shards that do not belong together
 */
export function assembleShards(shards: readonly Shard[]): Shard[] {
  const { count } = shardPlace(shards[0]);
  const inOrder: Shard[] = [];
  for (const shard of shards) {
    const place = shardPlace(shard);
    const { file } = shard.source;
    if (place.count !== count)
      throw corrupt(file, `it is one of ${place.count} shards, ${shards[0].source.file} one of ${count}`);
    if (inOrder[place.index]) {
      throw corrupt(file, `it is shard ${place.index + 1} of ${count}, as is ${inOrder[place.index].source.file}`);
    }
    inOrder[place.index] = shard;
  }
  for (let index = 0; index < count; index++) {
    if (!inOrder[index]) throw missingShard(shards[0].source.file, index, count);
  }

  const names = new Set<string>();
  for (const { source, header } of inOrder) {
    for (const { name } of header.tensors) {
      if (names.has(name)) throw corrupt(source.file, `its tensor ${JSON.stringify(name)} is in another shard too`);
      names.add(name);
    }
    const expected = header.metadata.get('split.tensors.count');
    const total = inOrder.reduce((sum, shard) => sum + shard.header.tensors.length, 0);
    if (count > 1 && typeof expected === 'number' && expected !== total) {
      throw corrupt(source.file, `split.tensors.count is ${expected}, but the shards hold ${total} tensors`);
    }
  }
  return inOrder;
}

/** @param file any shard that is there; `index` from 0 */
export function missingShard(file: string, index: number, count: number, cause?: unknown): QwenError {
  const base = file.replace(/[?#].*$/, '');
  const missing = shardName(base, index + 1) ?? `shard ${index + 1} of ${count} of ${file}`;
  return new QwenError(
    'missing-shard',
    `${missing} is missing: the model consists of ${count} files. Put it beside the others, or pick or list all ${count}.`,
    { file: missing, cause },
  );
}

function corrupt(file: string, what: string): QwenError {
  return new QwenError('corrupt-gguf', `${file}: ${what}. Take all shards of one model from the same place.`, { file });
}

/** The format's own limit: five digits and a u16. */
const MOST_SHARDS = 65535;
