import { build } from 'vite';

/** Bundles a script of a test for its page, which finds it at `/e2e-built/NAME/NAME.js`. */
export async function bundle(name: string, entry: string): Promise<void> {
  await build({
    configFile: false,
    publicDir: false,
    logLevel: 'warn',
    define: { 'process.env.NODE_ENV': '"production"' },
    build: {
      outDir: `dist/e2e/${name}`,
      target: 'chrome113',
      minify: false,
      lib: { entry, formats: ['es'], fileName: name },
    },
  });
}
