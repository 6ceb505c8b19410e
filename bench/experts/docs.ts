/** Tables of docs/performance.md that a benchmark writes, between `<!-- NAME -->` and `<!-- end -->`. */
import { readFileSync, writeFileSync } from 'node:fs';

const FILE = new URL('../../docs/performance.md', import.meta.url);

export function writeTables(name: string, lines: readonly string[]): void {
  const begin = `<!-- ${name} -->\n`;
  const text = readFileSync(FILE, 'utf8');
  const from = text.indexOf(begin);
  const to = text.indexOf('<!-- end -->', from);
  if (from < 0 || to < 0) throw new Error(`docs/performance.md has no place marked ${begin.trim()}`);
  writeFileSync(FILE, `${text.slice(0, from + begin.length)}\n${lines.join('\n')}\n\n${text.slice(to)}`);
}

/** In Markdown. */
export function table(heads: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const lines = [heads, ...rows].map((cells) => `| ${cells.join(' | ')} |`);
  return [lines[0], `|${'---|'.repeat(heads.length)}`, ...lines.slice(1)];
}
