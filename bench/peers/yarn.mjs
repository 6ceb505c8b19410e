// @ts-check
/**
 * Asks llama.cpp for the logits of a fixture whose metadata ask for YaRN, far beyond the context they name, and writes them to
 * `fixtures/yarn.json` for src/engine/yarn.test.ts:
 *
 *     node bench/peers/yarn.mjs
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withMetadata } from '../../tools/fixtures/gguf-edit.mjs';
import { openLlama } from './llama.mjs';

const root = new URL('../../', import.meta.url);

const model = 'dense-f32';
const metadata = {
  'qwen35.rope.scaling.type': 'yarn',
  'qwen35.rope.scaling.factor:f32': 4,
  'qwen35.rope.scaling.original_context_length': 96,
  'qwen35.rope.scaling.attn_factor:f32': 0.9,
};
const TOKENS = 380;
/** Positions whose logits are kept: within the original context, around its end, and far beyond. */
const POSITIONS = [1, 50, 95, 96, 200, 379];
/** Of each, the logits of so many tokens, spread over the vocabulary. */
const KEPT = 24;

const folder = await mkdtemp(join(tmpdir(), 'yarn-'));
try {
  const modelPath = join(folder, 'yarn.gguf');
  const file = await readFile(fileURLToPath(new URL(`fixtures/models/${model}.gguf`, root)));
  await writeFile(modelPath, withMetadata(file, metadata));
  const { llama, context } = await openLlama(modelPath, {
    contextSize: 512,
    experimentalKvCacheKeyType: 'F32',
    experimentalKvCacheValueType: 'F32',
  });
  const ids = Array.from({ length: TOKENS }, (_, i) => (i * 7919 + 13) % 700);
  const outputs = await context
    .getSequence()
    .controlledEvaluate(ids.map((id, i) => (POSITIONS.includes(i) ? [id, { generateNext: { logits: true } }] : id)));
  const rows = POSITIONS.map((position) => {
    const logits = [...outputs[position].next.logits].sort(([a], [b]) => a - b);
    const kept = logits.filter((_, i) => i % Math.floor(logits.length / KEPT) === 0).slice(0, KEPT);
    const [greedy] = logits.reduce((best, entry) => (entry[1] > best[1] ? entry : best));
    return { position, greedy, ids: kept.map(([id]) => id), logits: kept.map(([, logit]) => Number(logit.toFixed(5))) };
  });
  const about = 'Made by bench/peers/yarn.mjs: logits of llama.cpp (node-llama-cpp 3.22.1).';
  const target = new URL('fixtures/yarn.json', root);
  await writeFile(target, `${JSON.stringify({ about, model, metadata, tokens: ids, rows })}\n`);
  await llama.dispose();
} finally {
  await rm(folder, { recursive: true });
}
