/**
 * Chooses the adapter on which Dawn runs the kernel tests in Node: the machine's GPU if it has shader-f16, else
 * Mesa's lavapipe, else a GPU without shader-f16, else none. Run by itself it prints the choice.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { argv, env, platform } from 'node:process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createDawn } from './dawn.mjs';

/**
 * @typedef {object} DawnAdapter
 * @property {string} name What the driver calls itself.
 * @property {boolean} software True for lavapipe, SwiftShader and WARP.
 * @property {boolean} f16 True if `shader-f16` is offered.
 * @property {boolean} matrices True if subgroup matrices are offered.
 * @property {Record<string, string>} env Variables to set before Dawn is loaded.
 */

const THIS_FILE = fileURLToPath(import.meta.url);
const PROBE_TIMEOUT_MS = 30_000;

/** @returns {Promise<DawnAdapter | undefined>} */
export async function findDawnAdapter() {
  const installed = await probe({});
  if (installed?.f16) return installed;
  const icd = findLavapipe();
  const lavapipe = icd === undefined ? undefined : await probe({ VK_ICD_FILENAMES: icd, VK_DRIVER_FILES: icd });
  return lavapipe?.f16 ? lavapipe : (installed ?? lavapipe);
}

/** True where a run without shader-f16 is a mistake in the machine's set-up and not the user's choice of machine. */
export function f16Required() {
  return env.REQUIRE_F16 === '1' || env.CI === 'true';
}

export const F16_REMEDY =
  'Install Mesa 25 or newer with lavapipe (Debian: mesa-vulkan-drivers, on bookworm from bookworm-backports) to run them.';

/** @returns {string | undefined} Path of lavapipe's Vulkan driver manifest. */
function findLavapipe() {
  for (const folder of ['/usr/share/vulkan/icd.d', '/usr/local/share/vulkan/icd.d', '/etc/vulkan/icd.d']) {
    const file = listFolder(folder).find((name) => /^lvp_icd.*\.json$/.test(name));
    if (file !== undefined) return join(folder, file);
  }
  return undefined;
}

/** @param {string} folder */
function listFolder(folder) {
  try {
    return readdirSync(folder);
  } catch {
    return []; // most machines lack most of these folders
  }
}

/**
 * Asks Dawn for its adapter in a process of its own: a broken Vulkan driver ends that process, not the test run, and
 * the loader reads its variables only once per process.
 *
 * @param {Record<string, string>} extraEnv
 * @returns {Promise<DawnAdapter | undefined>}
 */
async function probe(extraEnv) {
  /** @type {Record<string, string>} */
  const dawnEnv = { ...extraEnv };
  // lavapipe refuses to start without a runtime folder, which root and CI users often lack.
  if (platform === 'linux' && !env.XDG_RUNTIME_DIR) dawnEnv.XDG_RUNTIME_DIR = runtimeFolder();
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [THIS_FILE, '--probe'], {
      env: { ...env, ...dawnEnv },
      timeout: PROBE_TIMEOUT_MS,
    });
    const found = stdout.split('\n').find((line) => line.startsWith('{'));
    if (found === undefined) return undefined;
    const adapter = JSON.parse(found);
    if (adapter.software) dawnEnv.DAWN_PAUSES = '1';
    return { ...adapter, env: dawnEnv };
  } catch {
    return undefined; // no Dawn build for this platform, or a driver that does not survive being asked
  }
}

function runtimeFolder() {
  const folder = join(tmpdir(), `qwen-webgpu-runtime-${userInfo().uid}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}

async function printOwnAdapter() {
  // As the tests open it.
  const gpu = await createDawn(['enable-dawn-features=allow_unsafe_apis']);
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (adapter === null) return;
  const { description, vendor, architecture, device, isFallbackAdapter } = adapter.info;
  console.log(
    JSON.stringify({
      name: description || [vendor, architecture, device].filter(Boolean).join(' '),
      software: isFallbackAdapter || /llvmpipe|swiftshader|basic render/i.test(description),
      f16: adapter.features.has('shader-f16'),
      matrices: adapter.features.has('chromium-experimental-subgroup-matrix'),
    }),
  );
}

if (argv[1] === THIS_FILE) {
  if (argv[2] === '--probe') {
    await printOwnAdapter();
  } else {
    console.log((await findDawnAdapter()) ?? 'Dawn finds no adapter.');
  }
}
