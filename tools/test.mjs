/**
 * `npm test`: every check and test in turn. Says first which browser and which adapters it uses, and at the end what
 * passed, what failed and what had to be left out on this machine.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { env, platform } from 'node:process';
import { fileURLToPath } from 'node:url';
import { F16_REMEDY, f16Required, findDawnAdapter } from './adapters.mjs';
import { BROWSER_REMEDY, findOrInstallBrowser, probeBrowser } from './browser.mjs';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Of the failed tests named at the end: more would push the first ones out of what is kept of a long output. */
const MOST_NAMED = 12;

/** @type {string[]} */
const leftOut = [];
const scratch = mkdtempSync(join(tmpdir(), 'qwen-webgpu-test-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
/** The reporters of tools/failed-tests.mjs write here which tests failed, a line each. */
env.FAILED_TESTS = join(scratch, 'failed-tests');
writeFileSync(env.FAILED_TESTS, '');

const dawn = await findDawnAdapter();
const inBrowser = await describeBrowser(dawn);
console.log(`Node       ${process.version} on ${platform}`);
console.log(`Dawn       ${dawn === undefined ? 'finds no adapter' : describeAdapter(dawn)}`);
console.log(`Browser    ${inBrowser.text}`);

if (inBrowser.adapter === undefined) refuse(`This browser has no WebGPU adapter. ${BROWSER_REMEDY}`);
if (dawn === undefined) leftOut.push('kernel and model tests in Node (they run in the browser), and a server in Node');
if (!dawn?.f16) {
  if (f16Required()) refuse(`No adapter with shader-f16 for the f16 kernels. ${F16_REMEDY}`);
  if (!inBrowser.adapter?.f16) leftOut.push(`kernels with f16 arithmetic: no adapter has shader-f16. ${F16_REMEDY}`);
}
if (!dawn?.matrices) leftOut.push('products by subgroup matrices: no adapter has them. Mesa 26 or newer brings one.');
for (const what of leftOut) console.log(`Left out   ${what}`);

const steps = [
  step('types', 'typescript/bin/tsc'),
  step('lint and format', '@biomejs/biome/bin/biome', 'check', '.'),
  step('unit, kernel and model tests', 'vitest/vitest.mjs', 'run'),
];
const built = step('build', '../tools/build.mjs');
steps.push(built);
if (built.passed) {
  steps.push(step('package', '../tools/check-package.mjs'), step('whole-page tests', 'playwright/cli.js', 'test'));
} else {
  leftOut.push('package and whole-page tests: there is no build to test');
}

console.log('\nSummary');
for (const { name, passed, seconds } of steps) {
  console.log(`  ${passed ? 'passed' : 'FAILED'}  ${name} (${seconds.toFixed(0)} s)`);
}
for (const what of leftOut) console.log(`  left out  ${what}`);
const named = readFileSync(env.FAILED_TESTS, 'utf8').split('\n').filter(Boolean);
for (const what of named.slice(0, MOST_NAMED)) console.log(`  ${what}`);
if (named.length > MOST_NAMED) console.log(`  … and ${named.length - MOST_NAMED} more`);
const failures = steps.filter(({ passed }) => !passed).length;
console.log(failures === 0 ? `All ${steps.length} steps passed.` : `${failures} of ${steps.length} steps failed.`);
process.exitCode = failures === 0 ? 0 : 1;

/**
 * Runs a script of node_modules, showing its output.
 *
 * @param {string} name
 * @param {string} script
 * @param {string[]} args
 */
function step(name, script, ...args) {
  console.log(`\n── ${name}`);
  const start = performance.now();
  const { status } = spawnSync(process.execPath, [join(ROOT, 'node_modules', script), ...args], {
    cwd: ROOT,
    stdio: 'inherit',
  });
  return { name, passed: status === 0, seconds: (performance.now() - start) / 1000 };
}

/**
 * Finds the browser and its adapter. Where Dawn sees a GPU, a headless Chrome on Linux is asked to use it as well, and
 * left on SwiftShader if that does not work.
 *
 * @param {import('./adapters.mjs').DawnAdapter | undefined} dawn
 */
async function describeBrowser(dawn) {
  const browser = await findOrInstallBrowser();
  if (browser === undefined) refuse(`No browser found. ${BROWSER_REMEDY}`);
  let probed;
  if (platform === 'linux' && dawn?.software === false) {
    env.BROWSER_GPU = '1';
    probed = await probeBrowser(browser).catch(() => undefined);
    if (probed?.adapter?.software !== false) delete env.BROWSER_GPU;
  }
  if (env.BROWSER_GPU !== '1' || probed === undefined) {
    probed = await probeBrowser(browser).catch((error) =>
      refuse(`${browser.path} does not start. ${BROWSER_REMEDY}\n${error}`),
    );
  }
  const { version, adapter } = probed;
  const text = `${browser.path} ${version} (${browser.source}), ${adapter ? describeAdapter(adapter) : 'no WebGPU'}`;
  return { text, adapter };
}

/** @param {{ name: string, software: boolean, f16: boolean }} adapter */
function describeAdapter({ name, software, f16 }) {
  return `${name}${software ? ' (software)' : ''}, ${f16 ? 'with' : 'without'} shader-f16`;
}

/** @param {string} reason @returns {never} */
function refuse(reason) {
  console.error(reason);
  process.exit(1);
}
