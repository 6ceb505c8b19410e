/** A halted step must leave alone what layers keep: every kernel of a pass asks first. */
import { expect, test } from 'vitest';

const sources = import.meta.glob<string>('/shaders/*.wgsl', { query: '?raw', import: 'default', eager: true });

/** Not in passes, before every router, or the one that halts. */
const EXEMPT = new Set(['bias_act', 'embed', 'layer_norm', 'repack', 'router']);

const names = Object.keys(sources).map((path) => path.replace('/shaders/', '').replace('.wgsl', ''));

test.each(names.filter((name) => !EXEMPT.has(name) && !name.startsWith('vision_')))(
  '%s returns at once when the step is halted',
  (name) => {
    const body = /fn main\([^{]*\) \{\s*([^}]*\})/s.exec(sources[`/shaders/${name}.wgsl`])?.[1];
    expect(body?.replace(/\s+/g, ' ')).toBe('if (halted()) { return; }');
  },
);
