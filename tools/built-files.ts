import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import type { BuiltFiles } from '../demo/offline/precache.ts';

/** Models have a store of their own, and a page that is not online needs no licence texts. */
const LEFT_OUT = /^models\/|\.md$|^service-worker\.js$/;

/** The files that a built page is made of, and a version that changes whenever one of them does. */
export async function builtFiles(folder: string): Promise<{ version: string; files: BuiltFiles }> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll(sep, '/'))
    .filter((path) => !LEFT_OUT.test(path))
    .sort();
  const files = await Promise.all(
    paths.map(async (path) => [path, sha256(await readFile(join(folder, path)))] as const),
  );
  return { version: sha256(JSON.stringify(files)), files };
}

function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 32);
}
