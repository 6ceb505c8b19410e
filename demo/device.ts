/** What the browser tells of this device, and what can honestly be concluded from it. */
import { formatBytes } from '../src/ui/format.ts';
import { downloadBytes, memoryBytes, type PublishedSize } from './models.ts';
import { strings } from './strings.ts';

export interface Device {
  readonly webgpu: 'ok' | 'insecure' | 'missing' | 'no-adapter';
  /** As far as the browser tells; empty without WebGPU. */
  readonly adapter: string;
  /** The GPU is imitated by the processor. */
  readonly software: boolean;
  readonly maxBufferBytes: number;
  readonly maxBindingBytes: number;
  /** `navigator.deviceMemory`: rounded, and no larger than `memoryCeiling` however much there is. */
  readonly memoryBytes?: number;
  /** What the browser still grants to this page for storing. */
  readonly freeStorageBytes?: number;
}

/** Browsers report at most this much memory (some 32 GiB, most 8), so this or more means "at least". */
const memoryCeiling = 8 * 2 ** 30;

export async function examineDevice(): Promise<Device> {
  const { deviceMemory } = navigator as Navigator & { deviceMemory?: number };
  const { quota, usage = 0 } = (await navigator.storage?.estimate?.().catch(() => undefined)) ?? {};
  const common = {
    memoryBytes: deviceMemory === undefined ? undefined : deviceMemory * 2 ** 30,
    freeStorageBytes: quota === undefined ? undefined : Math.max(0, quota - usage),
  };
  const without = { ...common, adapter: '', software: false, maxBufferBytes: 0, maxBindingBytes: 0 };
  if (!globalThis.isSecureContext) return { ...without, webgpu: 'insecure' };
  if (!navigator.gpu) return { ...without, webgpu: 'missing' };
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' }).catch(() => null);
  if (!adapter) return { ...without, webgpu: 'no-adapter' };
  const { vendor, architecture, device, description, isFallbackAdapter } = adapter.info;
  const name = description || [vendor, architecture, device].filter(Boolean).join(' ');
  return {
    ...common,
    webgpu: 'ok',
    adapter: name || strings.unnamedGpu,
    software: isFallbackAdapter || /swiftshader|llvmpipe|lavapipe/i.test(`${name} ${architecture}`),
    maxBufferBytes: adapter.limits.maxBufferSize,
    maxBindingBytes: adapter.limits.maxStorageBufferBindingSize,
  };
}

export interface Judgement {
  readonly verdict: 'fits' | 'likely' | 'unknown' | 'too-large';
  readonly reason: string;
  /** What stands against storing it, if anything does. */
  readonly storage?: string;
}

/** @param statedBytes memory that the reader says the GPU can use; it decides where it is given */
export function judge(size: PublishedSize, device: Device, statedBytes?: number): Judgement {
  const need = memoryBytes(size);
  const download = downloadBytes(size);
  const { freeStorageBytes } = device;
  const storage =
    freeStorageBytes !== undefined && freeStorageBytes < download ? strings.storageShort(freeStorageBytes) : undefined;
  return { ...judgeMemory(need, device, statedBytes), storage };
}

function judgeMemory(need: number, device: Device, statedBytes?: number): Pick<Judgement, 'verdict' | 'reason'> {
  const needs = formatBytes(need);
  if (statedBytes !== undefined) {
    const verdict = need <= statedBytes ? 'fits' : 'too-large';
    return { verdict, reason: strings.needsOfStated(needs, formatBytes(statedBytes)) };
  }
  const memory = device.memoryBytes;
  if (memory === undefined) return { verdict: 'unknown', reason: strings.needsUntold(needs) };
  const has = `${memory / 2 ** 30} GB`;
  // The system and the browser need their part; half is what a page may reasonably count on.
  if (need <= memory / 2)
    return { verdict: 'likely', reason: strings.needsOfAtLeast(needs, has, memory >= memoryCeiling) };
  if (memory < memoryCeiling && need > memory)
    return { verdict: 'too-large', reason: strings.needsOfAbout(needs, has) };
  return { verdict: 'unknown', reason: strings.needsMore(needs, has) };
}
