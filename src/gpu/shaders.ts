import { link } from 'wesl/core';

/**
 * Shader sources, linked when a pipeline is first wanted: WESL's imports and `@if` conditions give one file a kernel
 * for all its variants. Linking takes 1–2 ms a kernel.
 */
const sources: Record<string, string> = Object.fromEntries(
  Object.entries(import.meta.glob<string>('/shaders/**/*.wgsl', { query: '?raw', import: 'default', eager: true })).map(
    ([path, text]) => [path.replace('/shaders/', ''), text],
  ),
);

/** Names this state of all shaders: whatever was measured of others says nothing. FNV-1a. */
export function shadersVersion(): string {
  let hash = 0x811c9dc5;
  for (const path of Object.keys(sources).sort()) {
    for (const text of [path, sources[path]]) {
      for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
    }
  }
  return (hash >>> 0).toString(16);
}

export interface ShaderVariant {
  /** File under `shaders/`, without `.wgsl`. */
  name: string;
  /** `@if` conditions; every name a shader tests must be given. */
  conditions?: Readonly<Record<string, boolean>>;
  /** Which module stands in for an imported one, e.g. `{ 'lib/weights': 'lib/weights/q4_k' }`. */
  modules?: Readonly<Record<string, string>>;
  /** Values of `import constants::NAME`: sizes that decide code shape. */
  constants?: Readonly<Record<string, number>>;
}

export interface LinkedShader {
  code: string;
  /** Bindings of group 1 by variable name. */
  bindings: ReadonlyMap<string, { index: number; type: GPUBufferBindingType }>;
  /** Fields of `struct Params`, in order; all are 4-byte scalars. */
  params: readonly { name: string; type: 'u32' | 'i32' | 'f32' }[];
  /** It may raise the step's halt: its group 0 is writable. */
  writesStep: boolean;
}

/**
 * The linker refuses names that it does not know, such as an experimental extension's. They pass it as names of textures, which
 * no shader here has.
 */
const STAND_INS: readonly (readonly [name: string, standIn: string])[] = [
  ['subgroup_matrix_left', 'texture_storage_1d'],
  ['subgroup_matrix_right', 'texture_storage_2d'],
  ['subgroup_matrix_result', 'texture_storage_3d'],
  ['subgroupMatrixLoad', 'textureLoad'],
  ['subgroupMatrixStore', 'textureStore'],
  ['subgroupMatrixMultiplyAccumulate', 'textureGather'],
  ['row_major', 'rgba8unorm'],
  ['col_major', 'rgba8snorm'],
];

export async function linkShader({ name, conditions, modules = {}, constants }: ShaderVariant): Promise<LinkedShader> {
  const weslSrc = { ...sources };
  for (const [alias, target] of Object.entries(modules)) {
    const text = sources[`${target}.wgsl`];
    if (text === undefined) throw new Error(`shader module ${target} does not exist`);
    weslSrc[`${alias}.wgsl`] = text;
  }
  if (!(`${name}.wgsl` in weslSrc)) throw new Error(`shader ${name} does not exist`);
  for (const [own, standIn] of STAND_INS) weslSrc[`${name}.wgsl`] = weslSrc[`${name}.wgsl`].replaceAll(own, standIn);
  const { dest } = await link({
    weslSrc,
    rootModuleName: name,
    conditions,
    constants,
    keepComments: false,
    sourceMap: false,
  });
  let code = dest;
  for (const [own, standIn] of STAND_INS) code = code.replaceAll(standIn, own);
  const writesStep = /@group\(0\)\s*@binding\(0\)\s*var<storage\s*,\s*read_write>/.test(code);
  return { code, bindings: parseBindings(code), params: parseParams(code), writesStep };
}

/** Layouts follow from the declarations in the shader, so that they are written once. */
function parseBindings(code: string): LinkedShader['bindings'] {
  const bindings = new Map<string, { index: number; type: GPUBufferBindingType }>();
  for (const [, index, space, access, name] of code.matchAll(
    /@group\(1\)\s*@binding\((\d+)\)\s*var<(\w+)(?:\s*,\s*(\w+))?>\s*(\w+)/g,
  )) {
    const type = space === 'uniform' ? 'uniform' : access === 'read_write' ? 'storage' : 'read-only-storage';
    bindings.set(name, { index: Number(index), type });
  }
  return bindings;
}

function parseParams(code: string): LinkedShader['params'] {
  const body = /struct Params\s*\{([^}]*)\}/.exec(code)?.[1] ?? '';
  return [...body.matchAll(/(\w+)\s*:\s*(u32|i32|f32)/g)].map(([, name, type]) => ({
    name,
    type: type as 'u32' | 'i32' | 'f32',
  }));
}
