import { defineConfig, type UserConfig } from 'vite';
import { contentSecurityPolicy } from './tools/content-security-policy.ts';
import { shipModels } from './tools/ship-model.ts';
import { copyBuiltWorkers, hideSourceMapWords, referToBuiltWorkers, stripShaders } from './tools/vite-plugins.ts';

/**
 * `vite` alone serves the demo from source. `tools/build.mjs` builds in three steps: `--mode worker-NAME` for each file
 * in workers/, `--mode library`, and `--mode demo`, which takes the workers from the library.
 */
export default defineConfig(({ mode }): UserConfig => {
  if (mode === 'library') return library({ index: 'src/index.ts', 'qwen-chat': 'src/ui/qwen-chat.ts' });
  if (mode.startsWith('worker-')) {
    const name = mode.slice('worker-'.length);
    return library({ [name]: `workers/${name}.ts` });
  }
  return {
    base: './',
    plugins: [
      stripShaders(),
      copyBuiltWorkers('dist/lib'),
      shipModels(['tiny.gguf', 'tiny-mmproj.gguf']),
      contentSecurityPolicy(),
    ],
    build: { outDir: 'dist/demo', target: TARGET },
  };
});

/** Every browser with WebGPU has these; Safari 26 came last. */
const TARGET = ['chrome113', 'firefox141', 'safari26'];

function library(entries: Record<string, string>): UserConfig {
  const name = Object.keys(entries)[0];
  return {
    base: './',
    publicDir: false,
    plugins: [stripShaders(), hideSourceMapWords(), referToBuiltWorkers()],
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
