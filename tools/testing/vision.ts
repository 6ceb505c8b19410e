/** Reference embeddings and mixed conversations of `fixtures/vision`. */
import { fixture } from './fixtures.ts';
import { readPng, type TestPicture } from './png.ts';

export interface VisionImage {
  file: string;
  height: number;
  width: number;
  grid: [height: number, width: number];
  byte_offset: number;
  tokens: number;
}

export interface VisionCase {
  /** Numbers of images, and texts. */
  parts: (number | 'text')[];
  ids: number[];
  positions: [t: number, h: number, w: number][];
  byte_offset: number;
}

export interface VisionGolden {
  n_embd: number;
  n_vocab: number;
  images: VisionImage[];
  cases: VisionCase[];
  /** `[tokens, n_embd]`. */
  embeddings(image: VisionImage): Float32Array<ArrayBuffer>;
  /** After the last token, `[n_vocab]`. */
  logits(conversation: VisionCase): Float32Array<ArrayBuffer>;
  picture(image: VisionImage): Promise<TestPicture>;
}

export async function visionGolden(): Promise<VisionGolden> {
  const json = JSON.parse(await (await fixture('vision/vision.json')).text()) as Omit<
    VisionGolden,
    'embeddings' | 'logits' | 'picture'
  >;
  const data = await (await fixture('vision/vision.f32')).arrayBuffer();
  return {
    ...json,
    embeddings: ({ byte_offset, tokens }) => new Float32Array(data, byte_offset, tokens * json.n_embd),
    logits: ({ byte_offset }) => new Float32Array(data, byte_offset, json.n_vocab),
    picture: async ({ file }) => readPng(await fixture(`vision/${file}`)),
  };
}
