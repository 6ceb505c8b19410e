import { QwenError } from '../errors.ts';
import type { Gpu, GpuBuffer } from '../gpu/index.ts';
import { maxVisionPixels, readVisionConfig, type VisionConfig, VisionTower } from '../model/vision.ts';
import { openWeights } from '../weights/index.ts';
import type { ModelInput, StoreKind, Weights } from '../weights/types.ts';
import { SharedLoad } from './shared-load.ts';
import type { PlacedImage } from './step-runner.ts';
import type { OnVision, PromptImage, VisionLimits } from './types.ts';

/** Embeddings kept for later questions about the same pictures: 16 pictures of 4,096 tokens at 1,024 values. */
const KEPT_BYTES = 256 * 2 ** 20;
const MIN_PIXELS = 65_536;
const MAX_PIXELS = 16_777_216;

export interface ImageReaderOptions {
  /** The text model's. */
  hidden: number;
  modelName: string;
  mmproj: ModelInput | undefined;
  store: StoreKind;
  f16: boolean;
}

export interface PlaceOptions {
  /** Tokens of the prompt that need not be read: pictures before them need no embeddings. */
  from?: number;
  signal?: AbortSignal;
  onVision?: OnVision;
}

/** The directory of the tower's file: enough to know what pictures it takes. */
interface TowerFile {
  readonly weights: Weights;
  readonly config: VisionConfig;
}

/** Pictures to embeddings. The tower is loaded when the first picture comes. */
export class ImageReader {
  /** Pictures that the tower has read, and how long that took. */
  runs = 0;
  runMs = 0;
  /** Pictures that it did not have to read again. */
  cached = 0;
  /** Bytes read of files that were closed. */
  #closed = { network: 0, store: 0 };
  readonly #embeddings = new Map<string, GpuBuffer>();
  readonly #file = new SharedLoad<TowerFile>((signal) => this.#openFile(signal));
  readonly #tower = new SharedLoad<VisionTower>(async (signal, onLoaded) => {
    const { weights } = await this.#file.get(signal);
    try {
      return await VisionTower.load(this.gpu, weights, { signal, onLoaded });
    } catch (error) {
      this.#closeFile(); // it may have changed: the next load begins with its header
      throw error;
    }
  });

  constructor(
    private readonly gpu: Gpu,
    private readonly options: ImageReaderOptions,
  ) {}

  get networkBytes(): number {
    return this.#closed.network + (this.#file.value?.weights.networkBytes ?? 0);
  }

  get storeBytes(): number {
    return this.#closed.store + (this.#file.value?.weights.storeBytes ?? 0);
  }

  /**
   * What pictures the tower takes; reads no more than its file's header.
   * @throws QwenError `no-vision` when the model was loaded without one
   */
  async limits(signal?: AbortSignal): Promise<VisionLimits> {
    const { config } = await this.#file.get(signal);
    return {
      factor: config.patchSize * config.merge,
      minPixels: MIN_PIXELS,
      maxPixels: Math.min(MAX_PIXELS, maxVisionPixels(this.gpu, config)),
    };
  }

  /** Embeds what is not known yet. The buffers stay until the next call. */
  async place(
    images: readonly PromptImage[],
    { from = 0, signal, onVision }: PlaceOptions = {},
  ): Promise<PlacedImage[]> {
    if (images.length === 0) return [];
    const { factor } = await this.limits(signal);
    const spans = images.map(({ first, key, width, height }) => ({
      first,
      key,
      grid: [height / factor, width / factor] as const,
    }));
    const needed = spans.map(({ first, grid }) => first + grid[0] * grid[1] > from);
    const unknown = images.filter(({ key }, i) => needed[i] && !this.#embeddings.has(key)).length;
    let read = 0;
    const placed: PlacedImage[] = [];
    for (const [i, image] of images.entries()) {
      let embeddings = this.#embeddings.get(image.key);
      if (embeddings || !needed[i]) {
        this.cached++;
      } else {
        embeddings = await this.#read(image, signal, onVision);
        onVision?.({ phase: 'vision', loaded: ++read, total: Math.max(read, unknown) });
      }
      if (embeddings) {
        this.#embeddings.delete(image.key);
        this.#embeddings.set(image.key, embeddings); // last used last
      }
      placed.push({ ...spans[i], embeddings });
    }
    this.#forget(new Set(placed.map(({ embeddings }) => embeddings)));
    return placed;
  }

  dispose(): void {
    for (const buffer of this.#embeddings.values()) buffer.dispose();
    this.#embeddings.clear();
    this.#tower.drop((tower) => tower.dispose());
    this.#closeFile();
  }

  #closeFile(): void {
    this.#closed = { network: this.networkBytes, store: this.storeBytes };
    this.#file.drop(({ weights }) => weights.close());
  }

  async #read(image: PromptImage, signal: AbortSignal | undefined, onVision?: OnVision): Promise<GpuBuffer> {
    const { width, height } = image;
    const tower = await this.#tower.get(signal, (loaded, total) => onVision?.({ phase: 'tower', loaded, total }));
    const pixels = await image.pixels(signal);
    const start = performance.now();
    const embeddings = await tower.embed({ width, height, ...pixels }, { f16: this.options.f16, signal });
    this.runMs += performance.now() - start;
    this.runs++;
    return embeddings;
  }

  #forget(inUse: ReadonlySet<GpuBuffer | undefined>): void {
    let bytes = 0;
    for (const buffer of this.#embeddings.values()) bytes += buffer.size;
    for (const [key, buffer] of this.#embeddings) {
      if (bytes <= KEPT_BYTES) return;
      if (inUse.has(buffer)) continue;
      this.#embeddings.delete(key);
      bytes -= buffer.size;
      buffer.dispose();
    }
  }

  async #openFile(signal: AbortSignal): Promise<TowerFile> {
    const { mmproj, modelName, store, hidden } = this.options;
    if (mmproj === undefined) {
      throw new QwenError(
        'no-vision',
        `${modelName} was loaded without a vision tower, so it cannot see images. Load it with mmproj, the mmproj GGUF that is published beside the model.`,
        { param: 'mmproj' },
      );
    }
    const weights = await openWeights(mmproj, { store, signal });
    try {
      const config = readVisionConfig(weights);
      if (config.projection !== hidden) {
        throw new QwenError(
          'unsupported-gguf',
          `${weights.name} makes embeddings of ${config.projection} values, but ${modelName} takes ${hidden}. Give the mmproj file of the same model.`,
          { file: weights.name },
        );
      }
      return { weights, config };
    } catch (error) {
      weights.close();
      throw error;
    }
  }
}
