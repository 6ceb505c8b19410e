import { defineConfig, type UserConfig } from 'vite';
import { builtFiles } from './tools/built-files.ts';
import { contentSecurityPolicy } from './tools/content-security-policy.ts';
import { shipFiles } from './tools/ship-files.ts';
import {
  copyBuiltWorkers,
  grammarLibrary,
  hideSourceMapWords,
  referToBuiltWorkers,
  stripShaders,
} from './tools/vite-plugins.ts';

/**
 * `vite` alone serves the demo from source. `tools/build.mjs` builds in steps: `--mode worker-NAME` for each file
 * in workers/, `--mode library`, `--mode service-worker`, `--mode demo`, which takes the workers from the library, and
 * `--mode page-service-worker`, which lists what the page is made of.
 */
export default defineConfig(async ({ mode }): Promise<UserConfig> => {
  if (mode === 'library') return library({ index: 'src/index.ts', 'qwen-chat': 'src/ui/qwen-chat.ts' });
  if (mode === 'service-worker') return serviceWorker();
  if (mode.startsWith('worker-')) {
    const name = mode.slice('worker-'.length);
    return library({ [name]: `workers/${name}.ts` });
  }
  if (mode === 'page-service-worker') return pageServiceWorker();
  return {
    base: './',
    plugins: [
      stripShaders(),
      grammarLibrary(),
      copyBuiltWorkers('dist/lib'),
      shipFiles(SHIPPED),
      contentSecurityPolicy(),
    ],
    build: { outDir: PAGE, target: TARGET },
  };
});

const PAGE = 'dist/demo';

/** Files that the page refers to by their names. */
const SHIPPED = {
  'preview-page.html': 'src/ui/preview-page.html',
  ...Object.fromEntries(
    [
      'models/tiny.gguf',
      'models/tiny-mmproj.gguf',
      'manifest.webmanifest',
      'icons/icon.svg',
      'icons/icon-192.png',
      'icons/icon-512.png',
      'icons/maskable-512.png',
      'icons/apple-touch-icon.png',
    ].map((path) => [path, `demo/${path}`]),
  ),
};

/** Every browser with WebGPU has these; Safari 26 came last. */
const TARGET = ['chrome113', 'firefox141', 'safari26'];

/** One script that is no module, so that every browser takes it. */
async function pageServiceWorker(): Promise<UserConfig> {
  return {
    publicDir: false,
    define: { __BUILD__: JSON.stringify(await builtFiles(PAGE)) },
    build: {
      outDir: PAGE,
      emptyOutDir: false,
      target: TARGET,
      lib: { entry: 'demo/offline/service-worker.ts', formats: ['iife'], name: 'serviceWorker' },
      rolldownOptions: { output: { entryFileNames: 'service-worker.js' } },
    },
  };
}

function library(entries: Record<string, string>): UserConfig {
  const name = Object.keys(entries)[0];
  return {
    base: './',
    publicDir: false,
    plugins: [stripShaders(), grammarLibrary(), hideSourceMapWords(), referToBuiltWorkers()],
    build: {
      outDir: 'dist/lib',
      emptyOutDir: false,
      target: TARGET,
      sourcemap: true,
      license: { fileName: `licenses/${name}.md` },
      lib: { entry: entries, formats: ['es'] },
      rolldownOptions: {
        output: {
          entryFileNames: '[name].js',
          chunkFileNames: 'chunk-[name]-[hash].js',
          // Names stay: a stack trace in a report is worth more than the 13 kB (gzip) that mangling saves.
          minify: { compress: true, mangle: false, codegen: { removeWhitespace: true } },
        },
      },
    },
  };
}

/** One file without imports, for service workers of either kind: a module, and a classic script for `importScripts`. */
function serviceWorker(): UserConfig {
  const config = library({ 'service-worker': 'src/api/service-worker.ts' });
  const lib = {
    entry: 'src/api/service-worker.ts',
    name: 'qwenServiceWorker',
    formats: ['es' as const, 'iife' as const],
    fileName: (format: string) => (format === 'es' ? 'service-worker.js' : 'service-worker.classic.js'),
  };
  return { ...config, build: { ...config.build, lib, rolldownOptions: undefined } };
}
