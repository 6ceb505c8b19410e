import type { Gpu } from '../gpu/index.ts';

/** Narrow subgroups are those of processors: software adapters, which reward other things than a GPU. */
export function isSoftware({ capabilities }: Gpu): boolean {
  return capabilities.subgroups && capabilities.subgroupMaxSize <= 8;
}

/** Subgroups of four lanes are SwiftShader's, which optimises so little that its kernels are written otherwise. */
export function subgroupsAreQuads({ capabilities }: Gpu): boolean {
  return capabilities.subgroups && capabilities.subgroupMinSize === 4 && capabilities.subgroupMaxSize === 4;
}

/** Lanes of a workgroup that reduces a long row: many on a GPU; few on a software adapter, where barriers cost most. */
export function reductionLanes({ capabilities }: Gpu): number {
  return capabilities.subgroupMinSize >= 16 ? 256 : 64;
}

/** Workgroups along x may exceed the device's limit per dimension (65,535): fold the rest over y. */
export function foldGrid({ limits }: Gpu, workgroups: number, z = 1): readonly [number, number, number] {
  const x = Math.min(workgroups, limits.maxComputeWorkgroupsPerDimension);
  return [x, Math.ceil(workgroups / x), z];
}
