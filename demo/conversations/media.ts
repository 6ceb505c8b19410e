/** Plain data with references in the places of its pictures and videos: what is written down beside them, or in a file. */

/** In the place of a Blob. */
interface MediaReference {
  readonly $media: string;
}

/** The same value with a reference for each Blob in it. */
export function withReferences(value: unknown, keyOf: (blob: Blob) => string): unknown {
  if (value instanceof Blob) return { $media: keyOf(value) } satisfies MediaReference;
  return mapValues(value, (each) => withReferences(each, keyOf));
}

/** The other way round. Of a Blob that is not there an empty one is left. */
export function withMedia(value: unknown, blobOf: (key: string) => Blob | undefined): unknown {
  const key = (value as MediaReference | null | undefined)?.$media;
  if (typeof key === 'string') return blobOf(key) ?? new Blob();
  return mapValues(value, (each) => withMedia(each, blobOf));
}

function mapValues(value: unknown, map: (each: unknown) => unknown): unknown {
  if (Array.isArray(value)) return value.map(map);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, map(each)]));
}
