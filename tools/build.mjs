/**
 * Builds `dist/lib/` (the package) and `dist/demo/` (the page): workers first, each a file without imports that any
 * bundler may copy as it is; then the library that refers to them; then its declarations; then the page; last its service
 * worker, which knows what the page is made of.
 */
import { execFileSync } from 'node:child_process';
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const LIB = join(ROOT, 'dist/lib');
/** What the package exports, and its source in src/. */
const ENTRIES = { index: 'index', 'qwen-chat': 'ui/qwen-chat', 'service-worker': 'api/service-worker' };
const LICENSES = 'THIRD-PARTY-LICENSES.md';

await rm(join(ROOT, 'dist'), { recursive: true, force: true });
for (const name of await workerNames()) await runVite(`worker-${name}`);
await runVite('library');
await runVite('service-worker');
await cp(join(ROOT, 'src/ui/preview-page.html'), join(LIB, 'preview-page.html'));
await mergeLicenses();
await buildTypes();
await runVite('demo');
await runVite('page-service-worker');
await cp(join(LIB, LICENSES), join(ROOT, 'dist/demo', LICENSES));
await reportSizes();

/** @param {string} mode */
async function runVite(mode) {
  await build({ root: ROOT, configFile: join(ROOT, 'vite.config.ts'), mode, logLevel: 'warn' });
}

async function workerNames() {
  const files = await readdir(join(ROOT, 'workers'));
  return files
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
    .map((file) => basename(file, '.ts'));
}

/** Each step wrote the licences of what it bundled; the package carries every one of them once. */
async function mergeLicenses() {
  const folder = join(LIB, 'licenses');
  /** @type {Map<string, string>} */
  const sections = new Map();
  for (const file of await readdir(folder)) {
    // A section begins with `## name - version (licence)`; a licence may have headings of its own.
    const [, ...found] = (await readFile(join(folder, file), 'utf8')).split(/^(?=## \S+ - \d)/m);
    for (const section of found) sections.set(section.slice(0, section.indexOf('\n')), section.trimEnd());
  }
  const sorted = [...sections].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, section]) => section);
  await writeFile(join(LIB, LICENSES), `# Licences of what is bundled\n\n${sorted.join('\n\n')}\n`);
  await rm(folder, { recursive: true });
}

/** Declarations land in `types/`, and those beside the scripts that are entries lead to them. */
async function buildTypes() {
  execFileSync(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.lib.json'], {
    cwd: ROOT,
    stdio: 'inherit',
  });
  const types = join(LIB, 'types');
  // Lit is bundled, so the package does not depend on it, and its declarations would not be found.
  await cp(join(ROOT, 'tools/lit-types.d.ts'), join(types, 'lit.d.ts'));
  // What the entries mention is public; the declarations of everything else stay out of the package.
  const reached = new Set(Object.values(ENTRIES).map((entry) => join(types, `${entry}.d.ts`)));
  for (const file of reached) {
    const toTypes = relative(dirname(file), types) || '.';
    const source = (await readFile(file, 'utf8'))
      .replace(/^import ['"].*\n/gm, '') // an import for its effect is of no use to a type
      .replace(/(\bfrom |\bimport\()(['"])(\.[^'"]*)\.ts\2/g, '$1$2$3.js$2')
      .replace(/(\bfrom |\bimport\()(['"])lit(?:-html|-element|\/[^'"]*)?\2/g, `$1$2${toTypes}/lit.js$2`);
    await writeFile(file, source);
    for (const [, specifier] of source.matchAll(/(?:\bfrom |\bimport\()['"]([^'"]+)['"]/g)) {
      if (!specifier.startsWith('.')) {
        throw new Error(`${relative(ROOT, file)} needs ${specifier}: the public types may not need another package.`);
      }
      reached.add(join(dirname(file), specifier.replace(/\.js$/, '.d.ts')));
    }
  }
  for (const file of await listFiles(types)) if (!reached.has(file)) await rm(file);
  for (const [name, entry] of Object.entries(ENTRIES)) {
    await writeFile(join(LIB, `${name}.d.ts`), `export * from './types/${entry}.js';\n`);
  }
}

/** @param {string} folder @returns {Promise<string[]>} */
async function listFiles(folder) {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

async function reportSizes() {
  for (const file of (await listFiles(join(ROOT, 'dist'))).sort()) {
    if (!/\.(js|css|html)$/.test(file)) continue;
    const bytes = await readFile(file);
    const kb = (/** @type {number} */ n) => (n / 1000).toFixed(1).padStart(8);
    console.log(`${kb(bytes.length)} kB ${kb(gzipSync(bytes).length)} kB gzip  ${relative(ROOT, file)}`);
  }
}
