/** Handles of the origin's own file system stand in for picked files: they differ in asking for no permission. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type WriterTensor, writeGguf } from '../../tools/gguf-writer.ts';
import {
  allowFiles,
  forgetFiles,
  listStored,
  openWeights,
  rememberedFiles,
  rememberFiles,
  type Weights,
} from './index.ts';

const names = [1, 2, 3].map((n) => `picked-0000${n}-of-00003.gguf`);
const tensors = ['a', 'b', 'c'].map((name, i): WriterTensor => {
  return { name, typeId: 0, shape: [1000 + i], data: new Uint8Array((1000 + i) * 4).fill(i + 1) };
});
let folder: FileSystemDirectoryHandle;
let handles: FileSystemFileHandle[];
let opened: Weights[] = [];

beforeEach(async () => {
  const root = await navigator.storage.getDirectory();
  folder = await root.getDirectoryHandle('picked', { create: true });
  handles = await Promise.all(
    names.map(async (name, i) => {
      const handle = await folder.getFileHandle(name, { create: true });
      const split = { 'split.no': i, 'split.count': 3, 'split.tensors.count': 3 };
      const metadata = i === 0 ? { 'general.architecture': 'qwen35', ...split } : split;
      const writable = await handle.createWritable();
      await writable.write(writeGguf({ metadata, tensors: [tensors[i]] }));
      await writable.close();
      return handle;
    }),
  );
});

afterEach(async () => {
  for (const weights of opened) weights.close();
  opened = [];
  for (const { name } of await rememberedFiles()) await forgetFiles(name);
  await (await navigator.storage.getDirectory()).removeEntry('picked', { recursive: true });
});

async function open(input: Parameters<typeof openWeights>[0]): Promise<Weights> {
  const weights = await openWeights(input, { store: 'indexeddb' });
  opened.push(weights);
  return weights;
}

test('shards are read through their handles, in any order, and nothing is stored', async () => {
  const weights = await open([handles[2], handles[0], handles[1]]);
  expect([...weights.tensors.keys()]).toEqual(['a', 'b', 'c']);
  const b = weights.tensors.get('b')!;
  expect(await b.read(100, 3, undefined, 'urgent')).toEqual(new Uint8Array([2, 2, 2]));
  expect(b.isLocal(0, b.byteLength)).toBe(true);
  expect(weights).toMatchObject({ missingBytes: 0, networkBytes: 0, storeBytes: 3 });
  await weights.download();
  expect(await listStored()).toEqual([]);
});

test('a shard that was not picked is named', async () => {
  await expect(open([handles[0], handles[2]])).rejects.toMatchObject({ code: 'missing-shard', file: names[1] });
  await expect(open(handles[0])).rejects.toMatchObject({ code: 'missing-shard', file: names[1] });
});

test('a shard that was deleted since is named', async () => {
  await folder.removeEntry(names[1]);
  await expect(open(handles)).rejects.toMatchObject({ code: 'missing-shard', file: names[1] });
  const lone = await folder.getFileHandle('lone.gguf', { create: true });
  await folder.removeEntry('lone.gguf');
  await expect(open(lone)).rejects.toMatchObject({ code: 'not-found', file: 'lone.gguf' });
});

test('files are remembered for the next visit, and forgotten', async () => {
  expect(await rememberFiles([handles[1], handles[0], handles[2]])).toBe(names[0]);
  const [again] = await rememberedFiles();
  expect(again).toMatchObject({ name: names[0], access: 'granted' });
  expect(again.handles.map(({ name }) => name)).toEqual(names);
  expect(await allowFiles(again)).toBe(true);
  const weights = await open(again.handles);
  expect(await weights.tensors.get('c')!.read(0, 2)).toEqual(new Uint8Array([3, 3]));
  await forgetFiles(again.name);
  expect(await rememberedFiles()).toEqual([]);
});

test('a permission that has lapsed is told, and can be asked for', async () => {
  const picked = handles.map((handle, i) => ({
    kind: 'file',
    name: handle.name,
    queryPermission: async () => (i === 1 ? 'prompt' : 'granted'),
    requestPermission: async () => 'granted',
    getFile: async () => {
      if (i === 1) throw new DOMException('The user has to agree', 'NotAllowedError');
      return handle.getFile();
    },
  })) as unknown as FileSystemFileHandle[];
  await expect(open(picked)).rejects.toMatchObject({ code: 'permission-needed', file: names[1] });
  expect(await allowFiles({ handles: picked })).toBe(true);
});
