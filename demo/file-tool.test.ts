import { expect, it } from 'vitest';
import { fileTools } from './file-tool.ts';

const lines = (count: number) => Array.from({ length: count }, (_, i) => `line ${i + 1}`).join('\n');
const files = [
  new File(['Two\r\nlines'], 'short.txt'),
  new File([lines(5000)], 'long.txt'),
  new File(['x'.repeat(40_000), '\nend'], 'wide.txt'),
  new File([Uint8Array.of(0x89, 0x50, 0x4e, 0x47)], 'picture.png'),
  new File(['a\0b'], 'zero.bin'),
];
const [tool] = fileTools(files);
const read = async (args: Record<string, unknown>) => tool.run(args, { signal: new AbortController().signal });

it('is there only when a file was picked, and names those that were', () => {
  expect(fileTools([])).toEqual([]);
  expect(tool.description).toContain('short.txt');
  expect(tool.parameters).toMatchObject({ properties: { name: { enum: files.map(({ name }) => name) } } });
});

it('gives a short file whole', async () => {
  expect(await read({ name: 'short.txt' })).toBe('Two\nlines');
});

it('gives a long one in parts that follow on each other and leave nothing out', async () => {
  let whole = '';
  let next: number | undefined = 1;
  let calls = 0;
  while (next !== undefined) {
    const part: string = String(await read({ name: 'long.txt', first_line: next }));
    expect(part.length).toBeLessThan(17_000);
    const [, text, goOn]: string[] = /^(.*)\n\n\(Lines .*?(?:first_line (\d+)\.)?\)$/s.exec(part)!;
    whole += (whole && '\n') + text;
    next = goOn === undefined ? undefined : Number(goOn);
    calls++;
  }
  expect(whole).toBe(lines(5000));
  expect(calls).toBeGreaterThan(2);
});

it('cuts a line that no result has room for, and says so', async () => {
  const part = String(await read({ name: 'wide.txt' }));
  expect(part).toMatch(/^x{16000}… \(the line goes on\)\n\n\(Lines 1 to 1 of 2\. Go on with first_line 2\.\)$/);
  expect(await read({ name: 'wide.txt', first_line: 2 })).toBe('end\n\n(Lines 2 to 2 of 2.)');
});

it.each([
  [{ name: 'other.txt' }, /no file other\.txt.*short\.txt/],
  [{ name: '../short.txt' }, /no file/],
  [{}, /no file/],
  [{ name: 'short.txt', first_line: 3 }, /from 1 to 2/],
  [{ name: 'short.txt', first_line: 0 }, /from 1 to 2/],
  [{ name: 'short.txt', first_line: 'two' }, /from 1 to 2/],
  [{ name: 'picture.png' }, /no text/],
  [{ name: 'zero.bin' }, /no text/],
])('refuses %j', async (args, reason) => {
  await expect(read(args)).rejects.toThrow(reason);
});

it('says that a file which has gone has to be picked again', async () => {
  const gone = new File(['x'], 'gone.txt');
  gone.arrayBuffer = () => Promise.reject(new DOMException('moved', 'NotReadableError'));
  await expect(
    fileTools([gone])[0].run({ name: 'gone.txt' }, { signal: new AbortController().signal }),
  ).rejects.toThrow(/pick it again/);
});
