/** A model for the tests of this room: it says what it is told to, on the small vocabulary. Imported by tests alone. */
import { NO_FIGURES } from '../engine/no-figures.ts';
import type {
  EngineStats,
  GeneratedToken,
  GenerateOptions,
  ModelInfo,
  TokenModel,
  Trace,
  VisionLimits,
} from '../engine/types.ts';
import { QwenError, throwIfAborted } from '../errors.ts';
import { smallVocabulary } from '../text/fixtures.ts';
import { Tokenizer } from '../text/index.ts';
import type { GgufMetadata } from '../weights/types.ts';
import { EngineHost } from './engine-host.ts';

export interface GenerateCall {
  readonly promptIds: readonly number[];
  readonly options: GenerateOptions;
}

export class ScriptedModel implements TokenModel {
  readonly info: ModelInfo;
  readonly calls: GenerateCall[] = [];
  /** Ids to say, one answer after another; the last one is repeated. */
  script: number[][] = [];
  /** Awaited before each token: lets a test hold the model. */
  beforeToken: (index: number, signal?: AbortSignal) => Promise<void> | void = () => {};
  reusedTokens = 0;
  /** `generate` calls that were begun and not ended. */
  running = 0;
  mostRunning = 0;
  disposals = 0;

  constructor(contextLength = 2048) {
    this.info = {
      name: 'scripted',
      architecture: 'qwen35',
      layers: 4,
      hiddenSize: 256,
      vocabularySize: 757,
      contextLength,
      experts: 0,
      expertsUsed: 0,
      parameters: 1e6,
      fileBytes: 1e6,
      quantization: 'Q4_K',
      vision: false,
      adapter: 'none',
      precision: 'f32',
      kvCache: 'f32',
    };
  }

  async *generate(
    promptIds: readonly number[],
    options: GenerateOptions,
    signal?: AbortSignal,
  ): AsyncGenerator<GeneratedToken> {
    this.calls.push({ promptIds, options });
    const ids = this.script[Math.min(this.calls.length, this.script.length) - 1] ?? [];
    this.mostRunning = Math.max(this.mostRunning, ++this.running);
    try {
      for (let i = 0; i < Math.min(options.maxTokens, ids.length); i++) {
        await this.beforeToken(i, signal);
        throwIfAborted(signal);
        const id = ids[i];
        yield options.topLogprobs === undefined
          ? { id }
          : { id, logprob: -0.5, top: Array.from({ length: options.topLogprobs }, (_, k) => ({ id: k, logprob: -k })) };
        if (options.stopIds.has(id)) return;
      }
    } finally {
      this.running--;
    }
  }

  async vision(): Promise<VisionLimits> {
    throw new QwenError('no-vision', 'The scripted model sees nothing.');
  }

  async logits(ids: readonly number[], { all }: { all?: boolean } = {}): Promise<Float32Array> {
    return new Float32Array((all ? ids.length : 1) * this.info.vocabularySize).fill(ids.length);
  }

  async trace(ids: readonly number[], tokens: number): Promise<Trace> {
    return { resolution: 'pass', promptTokens: ids.length - 1, tokens, prompt: [], token: [] };
  }

  stats(): EngineStats {
    if (this.disposals > 0) throw new Error('disposed');
    return {
      ...NO_FIGURES,
      promptTokens: this.calls.reduce((sum, call) => sum + call.promptIds.length, 0),
      reusedTokens: this.reusedTokens,
    };
  }

  async dispose(): Promise<void> {
    this.disposals++;
  }
}

export interface Stage {
  readonly model: ScriptedModel;
  readonly tokenizer: Tokenizer;
  readonly metadata: GgufMetadata;
  readonly host: EngineHost;
  /** Sets what the model says next: texts in which markers are tokens. */
  say(...answers: string[]): void;
}

/** A host that is not loaded yet. */
export async function stage(contextLength?: number): Promise<Stage> {
  const metadata = await smallVocabulary();
  const tokenizer = new Tokenizer(metadata);
  const model = new ScriptedModel(contextLength);
  const host = new EngineHost(async ({ signal, onProgress }) => {
    onProgress?.({
      phase: 'ready',
      loadedBytes: 1,
      totalBytes: 1,
      networkBytes: 1,
      storeBytes: 0,
      bytesPerSecond: 1,
      file: 'scripted.gguf',
    });
    throwIfAborted(signal);
    return { model, metadata };
  });
  const say = (...answers: string[]) => {
    model.calls.length = 0;
    model.script = answers.map((text) => tokenizer.encode(text, { special: true }));
  };
  return { model, tokenizer, metadata, host, say };
}
