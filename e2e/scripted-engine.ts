/**
 * A double of the engine for tests of the UI alone: it answers what the test wrote down, piece by piece, in the shapes
 * and with the timing of the real one. Both functions run in the page, so they use nothing from outside themselves.
 */
import type { ChatEngine, ChatStreamChunk } from '../src/ui/chat-engine.ts';

export interface Script {
  think?: string;
  say?: string;
  /** Tools to call after what was said, by name, with the JSON text of their arguments. */
  call?: Record<string, string>;
  /** Milliseconds between pieces; 0 sends all at once. */
  delayMs?: number;
  /** Never ends by itself after what it said. */
  hang?: boolean;
  finish?: 'stop' | 'length';
  /** In the first script: the model sees, and counts a token for 32 × 32 pixels. */
  sees?: boolean;
  error?: { code: string; message: string; file?: string; status?: number };
}

/** Makes the engine. It takes the scripts one after the other and repeats the last. */
export function scriptedEngine(...scripts: Script[]): ChatEngine {
  let asked = 0;
  const sees = scripts[0]?.sees ?? false;
  const seen = new Set<unknown>();
  const pieces = (text = '') => text.match(/\s*\S+|\s+$/g) ?? [];
  const pause = (ms: number, signal?: AbortSignal) =>
    new Promise<void>((resolve, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
      if (ms >= 0) setTimeout(resolve, ms);
    });
  async function* answer(script: Script, signal?: AbortSignal): AsyncGenerator<ChatStreamChunk> {
    const { think, say, call = {}, delayMs = 4, hang, finish = 'stop', error } = script;
    const thoughts = pieces(think).map((reasoning_content) => ({ reasoning_content }));
    const words = pieces(say).map((content) => ({ content }));
    const calls = Object.entries(call).flatMap(([name, json], index) => [
      { tool_calls: [{ index, id: `call-${asked}-${index}`, function: { name, arguments: '' } }] },
      ...[...json].map((character) => ({ tool_calls: [{ index, function: { arguments: character } }] })),
    ]);
    for (const delta of [...thoughts, ...words, ...calls]) {
      await pause(delayMs, signal);
      yield { choices: [{ delta }] };
    }
    if (hang) await pause(-1, signal);
    if (error) throw Object.assign(new Error(error.message), { name: 'QwenError', ...error });
    yield { choices: [{ delta: {}, finish_reason: finish }] };
    yield { choices: [], usage: { prompt_tokens: 214, completion_tokens: thoughts.length + words.length } };
  }
  return {
    info: {
      name: 'Qwen3.5-9B',
      architecture: 'qwen35',
      layers: 32,
      hiddenSize: 4096,
      vocabularySize: 248_320,
      contextLength: 32_768,
      experts: 0,
      expertsUsed: 0,
      parameters: 9e9,
      fileBytes: 5.4e9,
      quantization: 'Q4_K',
      vision: sees,
      adapter: 'scripted',
      precision: 'f32',
      kvCache: 'f32',
    },
    chat: {
      completions: {
        create: ({ messages }, { signal } = {}) => {
          for (const part of messages.flatMap(({ content }) => (typeof content === 'string' ? [] : content))) {
            if (part.type === 'image_url') seen.add(part.image_url.url);
            if (part.type === 'video_url') seen.add(part.video_url.url);
          }
          return answer(scripts[Math.min(asked++, scripts.length - 1)], signal);
        },
      },
    },
    countMediaTokens: async (part) => {
      if (part.type === 'video_url') return { tokens: 96, width: 128, height: 96, frames: 8, seconds: 2 };
      const { width, height } = await createImageBitmap(part.image_url.url as Blob);
      const across = (pixels: number) => Math.max(1, Math.round(pixels / 32));
      return { tokens: across(width) * across(height), width: across(width) * 32, height: across(height) * 32 };
    },
    stats: () => ({
      prefillTokensPerSecond: 412.3,
      decodeTokensPerSecond: 21.44,
      timeToFirstTokenMs: 640,
      promptTokens: 214,
      reusedTokens: 180 * asked,
      completionTokens: 96,
      gpuBytes: 5.9e9,
      peakGpuBytes: 6.1e9,
      dispatchesPerToken: 420,
      readbackBytesPerToken: 256,
      weightBytesPerToken: 5.1e9,
      expertSlots: 0,
      expertHits: 0,
      expertMisses: 0,
      expertStallMs: 0,
      bytesFromNetwork: 0,
      bytesFromStore: 5.4e9,
      visionRuns: seen.size,
      visionCached: 0,
      visionMs: 0,
      draftedTokens: 0,
      acceptedTokens: 0,
    }),
    dispose: () => {},
  };
}
