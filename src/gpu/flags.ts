/**
 * WebGPU's bit flags, by value. Browsers also have them as globals, but an implementation handed over in Node (Dawn's
 * `create([])`) brings none. Source: WebGPU, sections 5.1, 5.3 and 8.1.
 */
export const BufferUsage = {
  MAP_READ: 0x0001,
  COPY_SRC: 0x0004,
  COPY_DST: 0x0008,
  UNIFORM: 0x0040,
  STORAGE: 0x0080,
  QUERY_RESOLVE: 0x0200,
} as const;

export const SHADER_STAGE_COMPUTE = 0x4;

export const MAP_MODE_READ = 0x1;
