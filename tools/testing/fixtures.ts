/** Files of `fixtures/`, in Node and in a browser served by vitest. */
const inBrowser = typeof window !== 'undefined';

export async function fixture(path: string): Promise<Blob> {
  if (!inBrowser) {
    const name = 'node:fs/promises';
    const { readFile } = (await import(/* @vite-ignore */ name)) as typeof import('node:fs/promises');
    return new File([await readFile(`fixtures/${path}`)], path.split('/').at(-1)!);
  }
  const response = await fetch(`/fixtures/${path}`);
  if (!response.ok) throw new Error(`fixtures/${path}: ${response.status}`);
  return new File([await response.blob()], path.split('/').at(-1)!);
}

export interface Golden {
  model: string;
  n_vocab: number;
  prompts: { ids: number[]; positions: number[]; byte_offset: number; greedy: number[] }[];
}

/** Reference logits of a fixture model, `logits(prompt)` as `[positions, n_vocab]`. */
export async function golden(name: string): Promise<Golden & { logits(prompt: number): Float32Array }> {
  const json = JSON.parse(await (await fixture(`goldens/${name}.json`)).text()) as Golden;
  const data = await (await fixture(`goldens/${name}.f32`)).arrayBuffer();
  return {
    ...json,
    logits: (prompt) => {
      const { byte_offset, positions } = json.prompts[prompt];
      return new Float32Array(data, byte_offset, positions.length * json.n_vocab);
    },
  };
}
