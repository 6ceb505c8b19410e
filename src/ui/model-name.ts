import type { ModelInput } from '../engine/types.ts';
import { strings } from './strings.ts';

/** What to call a model before its own name is known: its file, without folder, shard number and `.gguf`. */
export function modelName(model: ModelInput): string {
  const first: string | Blob | undefined = typeof model === 'string' || model instanceof Blob ? model : model[0];
  const path = typeof first === 'string' ? first : first instanceof File ? first.name : '';
  const file = path.split(/[?#]/)[0].split('/').pop() ?? '';
  return decode(file).replace(/(-\d{5}-of-\d{5})?\.gguf$/i, '') || strings.modelFile;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
