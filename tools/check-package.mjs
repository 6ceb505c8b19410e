/**
 * Checks `dist/lib/` as its users meet it: imported by Node, type-checked by a strict consumer, taken apart by another
 * bundler, and served as it is.
 */
import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const LIB = join(ROOT, 'dist/lib');

const consumer = await mkdtemp(join(tmpdir(), 'qwen-webgpu-consumer-'));
try {
  await mkdir(join(consumer, 'node_modules'));
  await symlink(ROOT, join(consumer, 'node_modules/qwen-webgpu'), 'junction');
  await writeFile(join(consumer, 'package.json'), '{ "private": true, "type": "module" }');
  await checkStatic();
  checkNode();
  await checkTypes();
  await checkBundler();
} finally {
  await rm(consumer, { recursive: true });
}
console.log('Package: importable in Node, typed, bundled by Vite and complete without a bundler.');

/** Every script a script needs lies beside it: nothing is left that only a bundler could resolve. */
async function checkStatic() {
  const scripts = (await readdir(LIB)).filter((file) => file.endsWith('.js'));
  for (const file of scripts) {
    const code = await readFile(join(LIB, file), 'utf8');
    const needed = code.matchAll(
      /(?:^|[;}\n])(?:import|export)(?:[\w\s{},*$]+?from)?\s*(["'`])([^"'`\n]+)\1|\bimport\((["'`])([^"'`\n]+)\3\)|new URL\((["'`])([^"'`\n]+)\5,import\.meta\.url\)/g,
    );
    for (const [, , fromStatic, , fromDynamic, , fromUrl] of needed) {
      const specifier = fromStatic ?? fromDynamic ?? fromUrl;
      const file404 = `${file} refers to ${specifier}, which is not beside it`;
      assert(specifier.startsWith('./') && existsSync(join(LIB, specifier)), file404);
    }
  }
}

/** Servers and benchmarks import the package where there is no DOM. */
function checkNode() {
  const script = `
    const { Engine, QwenError } = await import('qwen-webgpu');
    if (typeof Engine?.load !== 'function' || typeof QwenError !== 'function') throw new Error('an export is missing');`;
  execFileSync(process.execPath, ['--input-type=module', '-e', script], { cwd: consumer, stdio: 'inherit' });
}

async function checkTypes() {
  await writeFile(
    join(consumer, 'consumer.ts'),
    `import { Engine, QwenError } from 'qwen-webgpu';
     import { QwenChat } from 'qwen-webgpu/qwen-chat';
     import { handleEngineRequest } from 'qwen-webgpu/service-worker';
     export const engine: Promise<Engine> = Engine.load({ model: 'https://host/model.gguf' });
     export const code = (error: QwenError): string => error.code;
     export const handles: boolean = handleEngineRequest({ request: new Request('/v1/models'), respondWith() {}, waitUntil() {} });
     export const element: QwenChat | null = document.querySelector('qwen-chat');
     element?.addEventListener('qwen-message', ({ detail }) => detail.message.role.toUpperCase());
     // @ts-expect-error: a declaration that resolved to any would accept this
     Engine.load({ model: 1 });
    `,
  );
  for (const [module, moduleResolution] of [
    ['esnext', 'bundler'],
    ['nodenext', 'nodenext'],
  ]) {
    checkWithTypeScript('--module', module, '--moduleResolution', moduleResolution, 'consumer.ts');
  }
  // The types for JSX that the example has, and the documentation points to.
  await cp(join(ROOT, 'examples/react'), join(consumer, 'react'), { recursive: true });
  await symlink(join(ROOT, 'node_modules/@types'), join(consumer, 'node_modules/@types'), 'junction');
  const bundler = ['--module', 'esnext', '--moduleResolution', 'bundler'];
  checkWithTypeScript(...bundler, '--jsx', 'react-jsx', 'react/main.tsx', 'react/qwen-chat.d.ts');
}

/** @param {string[]} args */
function checkWithTypeScript(...args) {
  execFileSync(
    process.execPath,
    [
      join(ROOT, 'node_modules/typescript/bin/tsc'),
      ...['--noEmit', '--strict', '--target', 'es2022', '--lib', 'es2023,dom,dom.iterable,dom.asynciterable'],
      ...['--types', '', ...args],
    ],
    { cwd: consumer, stdio: 'inherit' },
  );
}

/** A bundler must find the workers by itself and carry them along. */
async function checkBundler() {
  await writeFile(join(consumer, 'index.html'), '<script type="module" src="./main.js"></script>');
  await writeFile(join(consumer, 'main.js'), "import 'qwen-webgpu/qwen-chat';");
  await build({ root: consumer, configFile: false, logLevel: 'error', build: { minify: false } });
  const assets = await readdir(join(consumer, 'dist/assets'));
  const main = await readFile(
    join(consumer, 'dist/assets', assets.find((file) => /^index-.*\.js$/.test(file)) ?? ''),
    'utf8',
  );
  assert(main.includes('qwen-chat'), 'the element was dropped from a bundle that imports it');
  for (const worker of await readdir(join(ROOT, 'workers'))) {
    const name = worker.replace(/\.ts$/, '');
    assert(
      assets.some((file) => file.startsWith(name) && file.endsWith('.js')),
      `Vite did not recognise the worker ${name} in the package`,
    );
  }
}
