/**
 * Picked files, read where they lie, and remembered for the next visit by their handles. A handle outlives the page; the
 * permission to read through it may not, and is asked for again in a click.
 */
import { createStore, del, entries, set, type UseStore } from 'idb-keyval';
import { messageOf, QwenError } from '../errors.ts';
import { isTower } from './tower-name.ts';

/** A model whose files were picked earlier. */
export interface RememberedFiles {
  /** Of the first file; it names the model in `forgetFiles`. */
  readonly name: string;
  /** All shards in order of their names, to pass to `Engine.load` as `model`; towers, if any were given, after them. */
  readonly handles: readonly FileSystemFileHandle[];
  /** Whether they can be read now (`granted`), after `allowFiles` in a click (`prompt`), or not at all. */
  readonly access: PermissionState;
}

/** What Chromium's handles have beyond TypeScript's DOM types. */
interface AskableHandle {
  queryPermission?(options: { mode: 'read' }): Promise<PermissionState>;
  requestPermission?(options: { mode: 'read' }): Promise<PermissionState>;
}

let store: UseStore | undefined;

function handles(): UseStore {
  if (typeof indexedDB === 'undefined') throw unavailable(new ReferenceError('indexedDB is not defined'));
  store ??= createStore('qwen-webgpu-picked', 'handles');
  return store;
}

/**
 * Remembers picked files, all shards of one model and perhaps its vision tower (`mmproj` in its name), for the next visit.
 * Nothing is copied.
 * @returns the name under which they are remembered
 * @throws QwenError `store-unavailable` where the browser keeps no handles (private browsing)
 */
export async function rememberFiles(files: FileSystemFileHandle | readonly FileSystemFileHandle[]): Promise<string> {
  const all = (Array.isArray(files) ? files : [files]) as readonly FileSystemFileHandle[];
  // Vision towers last: different models come with towers of the same name.
  const order = ({ name }: FileSystemFileHandle) => `${isTower(name) ? 1 : 0}${name}`;
  const sorted = [...all].sort((a, b) => (order(a) < order(b) ? -1 : 1));
  if (sorted.length === 0) throw new QwenError('invalid-request', 'There is no file to remember.', { param: 'files' });
  await available(set(sorted[0].name, sorted, handles()));
  return sorted[0].name;
}

/** Models whose files were remembered, by name. */
export async function rememberedFiles(): Promise<RememberedFiles[]> {
  const kept = await available(entries<string, FileSystemFileHandle[]>(handles()));
  return Promise.all(
    kept.map(async ([name, own]) => ({ name, handles: own, access: await ask(own, 'queryPermission') })),
  );
}

/** Asks the user for leave to read remembered files again. To be called in a click or key press. Resolves to whether it was given. */
export async function allowFiles(files: Pick<RememberedFiles, 'handles'>): Promise<boolean> {
  return (await ask(files.handles, 'requestPermission')) === 'granted';
}

/** Forgets files by the name under which they are remembered. The files themselves stay. */
export async function forgetFiles(name: string): Promise<void> {
  await available(del(name, handles()));
}

async function ask(
  files: readonly FileSystemFileHandle[],
  question: 'queryPermission' | 'requestPermission',
): Promise<PermissionState> {
  let answer: PermissionState = 'granted';
  for (const file of files) {
    // Handles without the question need no permission: those of the origin's own files.
    const state = (await (file as AskableHandle)[question]?.({ mode: 'read' })) ?? 'granted';
    if (state === 'denied') return 'denied';
    if (state === 'prompt') answer = 'prompt';
  }
  return answer;
}

export function isHandle(input: unknown): input is FileSystemFileHandle {
  return typeof input === 'object' && input !== null && 'getFile' in input;
}

/**
 * The file behind a handle.
 * @param shards how many files were given
 * @throws QwenError `permission-needed`, `missing-shard`, `not-found`
 */
export async function fileOf(handle: FileSystemFileHandle, shards: number): Promise<File> {
  try {
    return await handle.getFile();
  } catch (cause) {
    const file = handle.name;
    const name = cause instanceof Error ? cause.name : '';
    if (name === 'NotAllowedError' || name === 'SecurityError') {
      throw new QwenError(
        'permission-needed',
        `The browser wants leave to read ${file} again. Ask for it in a click (allowFiles), or pick the file again.`,
        { file, cause },
      );
    }
    if (name === 'NotFoundError') {
      throw new QwenError(
        shards > 1 ? 'missing-shard' : 'not-found',
        shards > 1
          ? `${file} is missing: it was moved, renamed or deleted since it was picked. Put it back beside the other ${shards - 1} files, or pick all ${shards} again.`
          : `${file} was moved, renamed or deleted since it was picked. Put it back, or pick it again.`,
        { file, cause },
      );
    }
    throw new QwenError('file-changed', `${file} cannot be read (${String(cause)}). Pick it again.`, { file, cause });
  }
}

async function available<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw unavailable(error);
  }
}

function unavailable(cause: unknown): QwenError {
  return new QwenError(
    'store-unavailable',
    `This browser does not remember files (${messageOf(cause)}). Leave private browsing, or pick them at every visit.`,
    { cause },
  );
}
