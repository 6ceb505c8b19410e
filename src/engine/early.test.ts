/** The public surface over a model whose experts come after it is ready. */
import { expect, test, vi } from 'vitest';
import { testGpu } from '../../tools/test-gpu.ts';
import { fixture, golden } from '../../tools/testing/fixtures.ts';
import { watchGpu } from '../../tools/testing/watched-gpu.ts';
import { Engine } from '../index.ts';

/** A file whose reads wait, once it is told so, until the test lets them go. */
class HeldBlob extends Blob {
  readonly held: (() => void)[] = [];
  holds = false;

  override slice(...range: [number?, number?]): Blob {
    const part = super.slice(...range);
    if (!this.holds) return part;
    const arrayBuffer = async () => {
      if (this.holds) await new Promise<void>((resolve) => this.held.push(resolve));
      return part.arrayBuffer();
    };
    return Object.assign(Object.create(part) as Blob, { arrayBuffer });
  }

  release(): void {
    this.holds = false;
    for (const letGo of this.held.splice(0)) letGo();
  }
}

/** Reads with which slots are filled in the background: three experts of three matrices. */
const FILLING_READS = 9;

test('answers at once with the reference’s tokens, while experts arrive until all slots are taken', async () => {
  const watched = watchGpu(await testGpu());
  const phases: string[] = [];
  const file = new HeldBlob([await fixture('models/moe-f16.gguf')]);
  const engine = await Engine.load({
    model: file,
    gpu: watched.gpu,
    store: 'none',
    precision: 'f32',
    contextLength: 512,
    waitForExperts: false,
    onProgress: ({ phase, loadedBytes, totalBytes }) => {
      phases.push(phase);
      if (phase !== 'ready') return;
      expect(loadedBytes).toBe(totalBytes);
      file.holds = true;
    },
  });
  expect(phases.at(-1)).toBe('ready');
  expect(engine.info.plan?.slots).toEqual([9, 9, 9, 9]);
  const { ids, greedy } = (await golden('moe-f16')).prompts[1];
  const answer = engine.completions.create({
    prompt: ids,
    max_tokens: 8,
    temperature: 0,
    ignore_eos: true,
    return_token_ids: true,
  });
  await vi.waitFor(() => expect(file.held.length).toBeGreaterThan(FILLING_READS), 60_000);
  file.release();
  const { choices } = await answer;
  expect(choices[0].token_ids).toEqual(greedy.slice(0, 8));
  const { expertSlots, expertMisses, expertHits, expertStallMs } = engine.stats();
  expect(expertSlots).toBe(36);
  expect(expertMisses).toBeGreaterThan(0);
  expect(expertHits).toBeGreaterThan(0);
  expect(expertStallMs).toBeGreaterThan(0);
  await vi.waitFor(async () => expect((await engine.refreshStats()).expertTraffic?.resident).toBe(36), 60_000);
  await vi.waitFor(async () => {
    const places = (await engine.refreshStats()).experts!;
    expect(places).toHaveLength(36);
    expect(Math.min(...places)).toBe(2); // all in slots
    expect(places.filter((place) => place === 3)).toHaveLength(4 * 3); // chosen last
  }, 60_000);
  const { storeBytes, networkBytes } = engine.stats().expertTraffic!;
  expect(storeBytes).toBe(36 * 3 * 64 * 128 * 2);
  expect(networkBytes).toBe(0);
  await engine.dispose();
  expect(watched.liveBuffers).toBe(0);
});

test('may be disposed of while experts are still on their way', async () => {
  const watched = watchGpu(await testGpu());
  const warn = vi.spyOn(console, 'warn');
  const engine = await Engine.load({
    model: await fixture('models/moe-f16.gguf'),
    gpu: watched.gpu,
    store: 'none',
    waitForExperts: false,
  });
  await engine.dispose();
  expect(watched.liveBuffers).toBe(0);
  expect(warn).not.toHaveBeenCalled();
  warn.mockRestore();
});

test('compiles all kernels while the weights are still on their way, those first that weights wait for', async () => {
  const watched = watchGpu(await testGpu());
  const file = new HeldBlob([await fixture('models/dense-legacy.gguf')]);
  const loading = Engine.load({
    model: file,
    gpu: watched.gpu,
    store: 'none',
    precision: 'f32',
    contextLength: 256,
    onProgress: ({ phase }) => {
      if (phase === 'header') file.holds = true;
    },
  });
  await vi.waitFor(() => expect(file.held.length).toBeGreaterThan(0), 60_000);
  const buffers = watched.madeBuffers;
  await vi.waitFor(() => expect(watched.pipelines.length).toBeGreaterThan(10), 60_000);
  // Linking goes on in turns of its own: until no more comes of it.
  let before = 0;
  await vi.waitFor(
    () => {
      const grown = watched.pipelines.length > before;
      before = watched.pipelines.length;
      expect(grown).toBe(false);
    },
    { timeout: 60_000, interval: 300 },
  );
  expect(watched.madeBuffers).toBe(buffers);
  const repacking = watched.pipelines.filter((label) => label === 'repack').length;
  expect(repacking).toBeGreaterThan(3); // a kernel for each of its types
  expect(watched.pipelines.slice(0, repacking)).toEqual(Array(repacking).fill('repack'));
  file.release();
  const engine = await loading;
  expect(watched.pipelines).toHaveLength(before);
  await engine.completions.create({ prompt: [1, 2, 3], max_tokens: 1, temperature: 0, ignore_eos: true });
  await engine.dispose();
});
