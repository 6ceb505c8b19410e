import { formatBytes } from '../src/ui/format.ts';
import type { ChatTool } from '../src/ui/qwen-chat.ts';

/** Most characters of one call's result: some four thousand tokens, which every model's context has room for. */
const MOST_CHARACTERS = 16_000;
/** Whole files are held as text while a call runs. */
const MOST_BYTES = 64 * 2 ** 20;

/**
 * Lets the model read text files that the reader picked, and no others, a run of lines at a time.
 * @returns none where no file was picked: a tool that can do nothing only costs tokens
 */
export function fileTools(files: readonly File[]): ChatTool[] {
  if (files.length === 0) return [];
  const listed = files.map(({ name, size }) => `${name} (${formatBytes(size)})`).join(', ');
  return [
    {
      name: 'read_file',
      description: `Reads a text file that the user picked, from a line on. There are: ${listed}.`,
      parameters: {
        type: 'object',
        properties: {
          name: { type: 'string', enum: files.map(({ name }) => name) },
          first_line: { type: 'integer', minimum: 1, description: 'Where to begin; 1 if left out' },
        },
        required: ['name'],
      },
      run: ({ name, first_line }) => readLines(files, String(name), first_line),
    },
  ];
}

/** @throws Error in words for the model */
async function readLines(files: readonly File[], name: string, first: unknown): Promise<string> {
  const file = files.find((each) => each.name === name);
  if (!file) throw new Error(`There is no file ${name}. There are: ${files.map((each) => each.name).join(', ')}.`);
  if (file.size > MOST_BYTES) throw new Error(`${name} has ${formatBytes(file.size)}, too many to read.`);
  const lines = (await textOf(file)).split(/\r\n|\n|\r/);
  const from = first === undefined ? 1 : Number(first);
  if (!Number.isInteger(from) || from < 1 || from > lines.length) {
    throw new Error(`first_line must be a whole number from 1 to ${lines.length}.`);
  }
  let end = from - 1;
  for (let characters = 0; end < lines.length; end++) {
    characters += lines[end].length + 1;
    // A single line that is too long comes cut: else nothing would ever come.
    if (characters > MOST_CHARACTERS && end >= from) break;
  }
  const text = lines.slice(from - 1, end).join('\n');
  const cut = text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}… (the line goes on)` : text;
  if (from === 1 && end === lines.length) return cut;
  const rest = end < lines.length ? ` Go on with first_line ${end + 1}.` : '';
  return `${cut}\n\n(Lines ${from} to ${end} of ${lines.length}.${rest})`;
}

async function textOf(file: File): Promise<string> {
  let text: string | undefined;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(await file.arrayBuffer());
  } catch (error) {
    // Moved or changed since it was picked, or bytes that are no UTF-8.
    if (error instanceof DOMException)
      throw new Error(`${file.name} can no longer be read. Ask the user to pick it again.`);
  }
  if (text === undefined || text.includes('\0')) throw new Error(`${file.name} is no text.`);
  return text;
}
