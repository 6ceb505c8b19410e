import type { ModelFile, ModelInput } from '../engine/types.ts';
import { strings } from './strings.ts';

/** What to call a model before its own name is known: its file, without folder, shard number and `.gguf`. */
export function modelName(model: ModelInput): string {
  const first = (Array.isArray(model) ? model[0] : model) as ModelFile | undefined;
  const path = typeof first === 'string' ? first : first && 'name' in first ? String(first.name) : '';
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
