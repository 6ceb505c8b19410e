/** Read at a time, so that a long video is never in memory as a whole. */
const CHUNK_BYTES = 16 * 2 ** 20;

/** SHA-256 of a file, in hex; of one longer than a chunk, the SHA-256 of its chunks' one after another. */
export async function sha256(file: Blob, signal?: AbortSignal): Promise<string> {
  if (file.size <= CHUNK_BYTES) return hex(await digest(file));
  const parts: ArrayBuffer[] = [];
  for (let at = 0; at < file.size; at += CHUNK_BYTES) {
    signal?.throwIfAborted();
    parts.push(await digest(file.slice(at, at + CHUNK_BYTES)));
  }
  return hex(await digest(new Blob(parts)));
}

async function digest(file: Blob): Promise<ArrayBuffer> {
  return crypto.subtle.digest('SHA-256', await file.arrayBuffer());
}

function hex(hash: ArrayBuffer): string {
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
