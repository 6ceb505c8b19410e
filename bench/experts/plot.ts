/** A line chart as SVG that reads in light and dark: axes and words take the page's text colour where they can. */

export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface PlotOptions {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  /** A level to compare with. */
  readonly line?: { readonly value: number; readonly label: string };
}

const [WIDTH, HEIGHT] = [760, 420];
const MARGIN = { left: 56, right: 210, top: 40, bottom: 48 };
const COLOURS = ['#1f77b4', '#d9822b', '#2a9d55', '#b5485d', '#7a5bb5', '#6b7280', '#a8760a'];

export function plot(series: readonly Series[], { title, x, y, line }: PlotOptions): string {
  const xs = series.flatMap(({ points }) => points.map(([value]) => value));
  const ys = [...series.flatMap(({ points }) => points.map(([, value]) => value)), line?.value ?? 0];
  const [x0, x1, y1] = [Math.min(...xs), Math.max(...xs), Math.max(...ys) * 1.05];
  const px = (value: number) => MARGIN.left + ((value - x0) / (x1 - x0)) * (WIDTH - MARGIN.left - MARGIN.right);
  const py = (value: number) => HEIGHT - MARGIN.bottom - (value / y1) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const parts: string[] = [];
  const text = (at: [number, number], words: string, more = '') =>
    parts.push(`<text x="${round(at[0])}" y="${round(at[1])}" ${more}>${escapeXml(words)}</text>`);
  text([MARGIN.left, 22], title, 'font-weight="600"');
  for (const value of ticks(y1)) {
    parts.push(`<path d="M${MARGIN.left} ${round(py(value))}H${WIDTH - MARGIN.right}" stroke="#8884" fill="none"/>`);
    text([MARGIN.left - 8, py(value) + 4], String(value), 'text-anchor="end"');
  }
  for (const value of [...new Set(xs)])
    text([px(value), HEIGHT - MARGIN.bottom + 18], String(round(value)), 'text-anchor="middle"');
  text([(MARGIN.left + WIDTH - MARGIN.right) / 2, HEIGHT - 10], x, 'text-anchor="middle"');
  text([-HEIGHT / 2, 14], y, 'text-anchor="middle" transform="rotate(-90)"');
  if (line) {
    parts.push(
      `<path d="M${MARGIN.left} ${round(py(line.value))}H${WIDTH - MARGIN.right}" stroke="#888" stroke-dasharray="6 4" fill="none"/>`,
    );
    text([MARGIN.left + 8, py(line.value) - 6], line.label);
  }
  series.forEach(({ name, points }, i) => {
    const colour = COLOURS[i % COLOURS.length];
    const path = points.map(([a, b], j) => `${j ? 'L' : 'M'}${round(px(a))} ${round(py(b))}`).join('');
    parts.push(`<path d="${path}" stroke="${colour}" stroke-width="2" fill="none"/>`);
    const at = MARGIN.top + 20 + i * 22;
    parts.push(`<path d="M${WIDTH - MARGIN.right + 16} ${at - 4}h22" stroke="${colour}" stroke-width="3"/>`);
    text([WIDTH - MARGIN.right + 46, at], name);
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="system-ui, sans-serif" font-size="13" fill="#808890">\n${parts.join('\n')}\n</svg>\n`;
}

function ticks(most: number): number[] {
  const step = [1, 2, 5, 10, 20, 50].find((size) => most / size <= 8) ?? 100;
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, i) => i * step);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escapeXml(words: string): string {
  return words.replace(/&/g, '&amp;').replace(/</g, '&lt;');
}
