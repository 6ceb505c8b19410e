import { QwenError } from '../errors.ts';
import type { Gpu, GpuBuffer } from '../gpu/index.ts';
import { VisionTower } from '../model/vision.ts';
import { openWeights } from '../weights/index.ts';
import type { ModelInput, StoreKind, Weights } from '../weights/types.ts';
import type { PlacedImage } from './step-runner.ts';
import type { PromptImage, VisionLimits } from './types.ts';

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

/** Pictures to embeddings. The tower is loaded when the first picture comes. */
export class ImageReader {
  /** Pictures that the tower has read. */
  runs = 0;
  readonly #embeddings = new Map<string, GpuBuffer>();
  #loading: Promise<VisionTower> | undefined;
  #weights: Weights | undefined;

  constructor(
    private readonly gpu: Gpu,
    private readonly options: ImageReaderOptions,
  ) {}

  get networkBytes(): number {
    return this.#weights?.networkBytes ?? 0;
  }

  get storeBytes(): number {
    return this.#weights?.storeBytes ?? 0;
  }

  /** What pictures the tower takes. @throws QwenError `no-vision` when the model was loaded without one */
  async limits(signal?: AbortSignal): Promise<VisionLimits> {
    const tower = await this.#tower(signal);
    return {
      factor: tower.config.patchSize * tower.config.merge,
      minPixels: MIN_PIXELS,
      maxPixels: Math.min(MAX_PIXELS, tower.maxPixels),
    };
  }

  /** Embeds what is not known yet. The buffers stay until the next call. */
  async place(images: readonly PromptImage[], signal?: AbortSignal): Promise<PlacedImage[]> {
    if (images.length === 0) return [];
    const tower = await this.#tower(signal);
    const factor = tower.config.patchSize * tower.config.merge;
    const placed: PlacedImage[] = [];
    for (const image of images) {
      const { first, key, width, height } = image;
      let embeddings = this.#embeddings.get(key);
      if (!embeddings) {
        embeddings = await tower.embed(
          { width, height, rgba: await image.pixels() },
          { f16: this.options.f16, signal },
        );
        this.runs++;
      }
      this.#embeddings.delete(key);
      this.#embeddings.set(key, embeddings); // last used last
      placed.push({ first, grid: [height / factor, width / factor], embeddings });
    }
    this.#forget(new Set(placed.map(({ embeddings }) => embeddings)));
    return placed;
  }

  dispose(): void {
    for (const buffer of this.#embeddings.values()) buffer.dispose();
    this.#embeddings.clear();
    this.#loading?.then((tower) => tower.dispose()).catch(() => {}); // the failed load was reported to its caller
    this.#weights?.close();
  }

  #forget(inUse: ReadonlySet<GpuBuffer>): void {
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

  /** A load that fails or is aborted is tried again by the next picture. */
  #tower(signal?: AbortSignal): Promise<VisionTower> {
    this.#loading ??= this.#load(signal).catch((error) => {
      this.#loading = undefined;
      throw error;
    });
    return this.#loading;
  }

  async #load(signal?: AbortSignal): Promise<VisionTower> {
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
      const tower = await VisionTower.load(this.gpu, weights, signal);
      if (tower.config.projection !== hidden) {
        tower.dispose();
        throw new QwenError(
          'unsupported-gguf',
          `${weights.name} makes embeddings of ${tower.config.projection} values, but ${modelName} takes ${hidden}. Give the mmproj file of the same model.`,
          { file: weights.name },
        );
      }
      this.#weights = weights;
      return tower;
    } catch (error) {
      weights.close();
      throw error;
    }
  }
}
