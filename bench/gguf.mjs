/**
 * Reading a GGUF header: our parser beside `@huggingface/gguf`, on a real vocabulary and on one of the published size.
 * Each runs in a process of its own against a local server that counts requests and bytes.
 *
 *     node bench/gguf.mjs
 *
 * Plain Node cannot load TypeScript at version 20, so our modules come through Vite's module runner.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { runnerImport } from 'vite';

const RUNS = 9;
const TOKENS_OF_THE_PUBLISHED_MODELS = 248_320;

/**
 * Header readers by name: what is imported first is not measured; the header is kept until its memory is.
 * @type {Record<string, (url: string) => Promise<() => Promise<unknown>>>}
 */
const readers = {
  ours: async (url) => {
    const { module } = await runnerImport(fileURLToPath(new URL('../src/weights/index.ts', import.meta.url)));
    return () => module.openWeights(url, { store: 'none' });
  },
  '@huggingface/gguf': async (url) => {
    const { gguf } = await import('@huggingface/gguf');
    return () => gguf(url);
  },
};

if (process.argv[2]) await measure(process.argv[2], process.argv[3]);
else await compare();

/**
 * In a child process: prints times and memory of one reader.
 * @param {string} reader
 * @param {string} url
 */
async function measure(reader, url) {
  const read = await readers[reader](url);
  const times = [];
  const cpuTimes = [];
  globalThis.gc?.();
  const before = process.memoryUsage();
  const peakBefore = process.resourceUsage().maxRSS;
  let start = performance.now();
  let header = await read();
  times.push(performance.now() - start);
  const peak = process.resourceUsage().maxRSS;
  globalThis.gc?.();
  const after = process.memoryUsage();
  for (let run = 1; run < RUNS; run++) {
    start = performance.now();
    const cpu = process.cpuUsage();
    header = await read();
    times.push(performance.now() - start);
    const { user, system } = process.cpuUsage(cpu);
    cpuTimes.push((user + system) / 1000);
  }
  const [first, ...later] = times;
  /** @param {number[]} values */
  const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];
  console.log(
    JSON.stringify({
      firstMs: first,
      medianMs: median(later),
      cpuMs: median(cpuTimes),
      keptBytes: after.heapUsed + after.external - before.heapUsed - before.external,
      peakBytes: (peak - peakBefore) * 1024,
      kept: Boolean(header),
    }),
  );
  process.exit(0);
}

async function compare() {
  const { module: tools } = await runnerImport(fileURLToPath(new URL('../tools/test-server.ts', import.meta.url)));
  const vocabulary = gunzipSync(readFileSync(new URL('../fixtures/tokenizer/vocab.gguf.gz', import.meta.url)));
  const server = await tools.startTestServer({
    files: { '/vocab.gguf': vocabulary, '/published-size.gguf': await publishedSize(vocabulary) },
  });
  console.log(
    '| file | reader | first, ms | later, ms | CPU, ms | memory kept, MB | peak above start, MB | requests | MB read |',
  );
  console.log('|---|---|---|---|---|---|---|---|---|');
  for (const file of ['/vocab.gguf', '/published-size.gguf']) {
    for (const reader of Object.keys(readers)) {
      server.resetCounts();
      const result = await runChild(reader, server.url(file));
      const { requests, bodyBytes } = server.count(file);
      const cells = [
        file.slice(1),
        reader,
        result.firstMs.toFixed(0),
        result.medianMs.toFixed(0),
        result.cpuMs.toFixed(0),
        (result.keptBytes / 1e6).toFixed(1),
        (result.peakBytes / 1e6).toFixed(0),
        (requests / RUNS).toFixed(1),
        (bodyBytes / RUNS / 1e6).toFixed(1),
      ];
      console.log(`| ${cells.join(' | ')} |`);
    }
  }
  await server.close();
}

/**
 * @param {string} reader
 * @param {string} url
 * @returns {Promise<Record<'firstMs' | 'medianMs' | 'cpuMs' | 'keptBytes' | 'peakBytes', number>>}
 */
function runChild(reader, url) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--expose-gc', fileURLToPath(import.meta.url), reader, url], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let out = '';
    child.stdout.on('data', (data) => {
      out += data;
    });
    child.on('error', reject);
    child.on('close', (code) =>
      code === 0 ? resolve(JSON.parse(out)) : reject(new Error(`${reader} failed: ${out}`)),
    );
  });
}

/**
 * The vocabulary lengthened to the published number of tokens, with as many merges, and some tensor bytes behind it.
 * @param {Uint8Array<ArrayBuffer>} vocabulary
 * @returns {Promise<Uint8Array>}
 */
async function publishedSize(vocabulary) {
  /** @param {string} path */
  const importSource = async (path) => (await runnerImport(fileURLToPath(new URL(path, import.meta.url)))).module;
  const { readGgufHeader } = await importSource('../src/weights/gguf.ts');
  const { BlobSource } = await importSource('../src/weights/byte-source.ts');
  const { writeGguf } = await importSource('../tools/gguf-writer.ts');
  const { metadata } = await readGgufHeader(new BlobSource(new Blob([vocabulary]), 'vocab.gguf'));
  /** @param {readonly string[]} strings */
  const lengthen = (strings) =>
    Array.from({ length: TOKENS_OF_THE_PUBLISHED_MODELS }, (_, i) => strings[i % strings.length]);
  return writeGguf({
    metadata: {
      'general.architecture': 'qwen35',
      'tokenizer.ggml.tokens': ['array', 'string', lengthen(metadata.get('tokenizer.ggml.tokens'))],
      'tokenizer.ggml.merges': ['array', 'string', lengthen(metadata.get('tokenizer.ggml.merges'))],
      'tokenizer.ggml.token_type': ['array', 'i32', new Array(TOKENS_OF_THE_PUBLISHED_MODELS).fill(1)],
    },
    tensors: [{ name: 'token_embd.weight', typeId: 0, shape: [1024, 16384], data: new Uint8Array(1024 * 16384 * 4) }],
  });
}
