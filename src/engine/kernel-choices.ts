/** Shapes of kernels for this device: measured at the first load, remembered by device and shaders, or from their tables. */
import { createStore, get, set, type UseStore } from 'idb-keyval';
import { type Gpu, shadersVersion } from '../gpu/index.ts';
import { type AutotuneSettings, autotune } from '../kernels/autotune.ts';
import { choose, type KernelChoices } from '../kernels/choices.ts';
import type { KernelInfo } from './types.ts';

export interface ChooseSettings
  extends Pick<AutotuneSettings, 'type' | 'deltaNet' | 'f16' | 'int8' | 'signal' | 'measure'> {
  /** `LoadOptions.autotune`. */
  wanted: boolean | undefined;
  /** Whether what was measured may be kept in IndexedDB; else it is for this process. */
  keep: boolean;
  /** A device like the one that is to be chosen for, which may fail. */
  open(): Promise<Gpu>;
}

const DATABASE = 'qwen-webgpu-kernels';
let store: UseStore | undefined;
const remembered = new Map<string, KernelChoices>();

/**
 * Chooses for the device, and says how.
 * @throws the signal's reason on abort, and nothing else: a measurement that fails leaves the tables' shapes
 */
export async function chooseKernels(gpu: Gpu, settings: ChooseSettings): Promise<KernelInfo> {
  // The tables of software adapters are measured, and compiling two candidates would use the budget up.
  const { wanted = !gpu.capabilities.software, keep, signal } = settings;
  if (!wanted) return { from: 'table' };
  const key = choicesKey(gpu, settings);
  const known = remembered.get(key) ?? (keep ? await read(key) : undefined);
  if (known) {
    choose(gpu, known);
    return { from: 'remembered', ...known };
  }
  let chosen: KernelChoices;
  try {
    const own = await settings.open();
    try {
      chosen = await autotune(own, settings);
    } finally {
      own.dispose();
    }
  } catch (error) {
    signal?.throwIfAborted();
    console.warn('Kernels could not be measured and keep their usual shapes:', error);
    return { from: 'table' };
  }
  choose(gpu, chosen);
  remembered.set(key, chosen);
  if (keep) await write(key, chosen);
  return { from: 'measured', ...chosen };
}

/** What the choice depends on: the adapter, what it can do, what was measured, and the shaders. */
export function choicesKey(
  { adapterName, capabilities, limits }: Gpu,
  { type, deltaNet, f16, int8 = false }: Pick<ChooseSettings, 'type' | 'deltaNet' | 'f16' | 'int8'>,
): string {
  const { maxComputeWorkgroupStorageSize, maxComputeInvocationsPerWorkgroup } = limits;
  const able = [capabilities, maxComputeWorkgroupStorageSize, maxComputeInvocationsPerWorkgroup];
  return JSON.stringify([adapterName, able, type, deltaNet, f16, int8, shadersVersion()]);
}

async function read(key: string): Promise<KernelChoices | undefined> {
  if (typeof indexedDB === 'undefined') return undefined;
  try {
    store ??= createStore(DATABASE, 'choices');
    return await get<KernelChoices>(key, store);
  } catch (error) {
    // A help for speed alone: where the browser refuses it, the kernels are measured again.
    console.warn('The choice of kernels could not be read:', error);
    return undefined;
  }
}

async function write(key: string, chosen: KernelChoices): Promise<void> {
  if (typeof indexedDB === 'undefined') return;
  try {
    store ??= createStore(DATABASE, 'choices');
    await set(key, chosen, store);
  } catch (error) {
    console.warn('The choice of kernels could not be kept:', error);
  }
}
