/**
 * A model's Markdown to safe HTML, block by block.
 *
 * Nothing in an answer may act on the page or fetch anything: raw HTML is shown as the text it is (but for a few
 * harmless inline tags), pictures become links, links must be absolute http(s) or mailto, and DOMPurify with a short
 * list of tags has the last word.
 */
import DOMPurify from 'dompurify';
import { Lexer, Marked, type MarkedOptions, Parser, type Token, type TokensList } from 'marked';
import { Late } from './late.ts';
import { mathsMarks } from './maths-marks.ts';
import { strings } from './strings.ts';

/** A top-level piece of the text. `start` and `end` are offsets into it. */
export interface MarkdownBlock {
  readonly start: number;
  readonly end: number;
  readonly html: string;
}

/**
 * Splits `text` from offset `from` on into blocks. `links` collects link definitions (`[name]: address`) across calls,
 * but not one at the very end, whose address may still be growing.
 */
export function parseBlocks(text: string, from: number, links: TokensList['links']): MarkdownBlock[] {
  const lexer = new Lexer(options);
  Object.assign(lexer.tokens.links, links);
  const tokens = lexer.lex(text.slice(from));
  const blocks: MarkdownBlock[] = [];
  let at = from;
  for (const token of tokens) {
    const start = at;
    at += token.raw.length;
    if (token.type === 'def' && token !== tokens.at(-1)) links[token.tag] = { href: token.href, title: token.title };
    if (token.type === 'space' || token.type === 'def') continue;
    blocks.push({ start, end: at, html: parse(token) });
  }
  return blocks;
}

const highlighter = new Late(() => import('./highlight.ts'));
const mathematician = new Late(() => import('./maths.ts'));

/** A longer block of code gets its colours when it is complete: doing it with every token would take the frame's time. */
const MOST_WHILE_GROWING = 12_000;
/** And beyond this it has none. */
const MOST_COLOURED = 200_000;

export interface RenderOptions {
  /** The block may get longer. */
  readonly growing?: boolean;
  /** Called when what colours code or draws formulas has come: rendering again is better then. */
  readonly better?: () => void;
}

/** Sanitised nodes of one block, with the chat's frames around code and tables. */
export function renderBlock(html: string, options: RenderOptions = {}): DocumentFragment {
  const fragment = DOMPurify.sanitize(html, { ...allowed, RETURN_DOM_FRAGMENT: true });
  for (const link of fragment.querySelectorAll('a')) {
    if (!/^(https?:\/\/|mailto:)/i.test(link.getAttribute('href') ?? '')) {
      link.replaceWith(...link.childNodes);
      continue;
    }
    link.target = '_blank';
    link.rel = 'noopener noreferrer';
    link.title = link.href;
  }
  for (const table of fragment.querySelectorAll('table')) frameTable(table);
  for (const pre of fragment.querySelectorAll('pre')) frameCode(pre, options);
  for (const formula of fragment.querySelectorAll<HTMLElement>('span.formula')) drawFormula(formula, options);
  for (const box of fragment.querySelectorAll('span.task')) {
    box.setAttribute('role', 'img');
    box.setAttribute('aria-label', box.textContent === '☑' ? strings.taskDone : strings.taskOpen);
  }
  return fragment;
}

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const escapeHtml = (text: string) => text.replace(/[&<>"']/g, (character) => escapes[character]);

const harmlessTag = /^<\/?(br|sub|sup|kbd|mark|u|s|ins|del)\s*\/?>$/i;

const markdown = new Marked({
  gfm: true,
  tokenizer: {
    // "Points:" over a list's first dash is, until the next character comes, an underlined heading: it would flash.
    lheading: () => undefined,
  },
  renderer: {
    html: ({ text, block }) => {
      if (harmlessTag.test(text.trim())) return text;
      return block ? `<p>${escapeHtml(text.trimEnd()).replaceAll('\n', '<br>')}</p>` : escapeHtml(text);
    },
    // A picture's address would be fetched by showing it, and tell its server what is being talked about.
    image: ({ href, text }) => `<a href="${escapeHtml(href)}">${escapeHtml(text || strings.image)}</a>`,
    checkbox: ({ checked }) => `<span class="task">${checked ? '☑' : '☐'}</span> `,
    code: ({ text, lang }) => {
      const language = /^[\w+#.-]{1,30}/.exec(lang ?? '')?.[0] ?? '';
      return `<pre><code${language && ` class="language-${escapeHtml(language)}"`}>${escapeHtml(text)}</code></pre>`;
    },
  },
});
markdown.use(
  mathsMarks(
    (tex, display) => `<span class="formula${display ? ' formula-display' : ''}">${escapeHtml(tex)}</span>`,
    escapeHtml,
  ),
);
const options = { ...markdown.defaults } as MarkedOptions;

function parse(token: Token): string {
  return new Parser(options).parse([token]);
}

const allowed = {
  ALLOWED_TAGS: (
    'a b blockquote br code del em h1 h2 h3 h4 h5 h6 hr i ins kbd li mark ol p pre s span strong sub sup ' +
    'table tbody td th thead tr u ul'
  ).split(' '),
  ALLOWED_ATTR: ['href', 'class', 'align', 'start'],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
};

function drawFormula(place: HTMLElement, { better = () => {} }: RenderOptions): void {
  const tex = place.textContent ?? '';
  const display = place.classList.contains('formula-display');
  const drawn = mathematician.get(better)?.renderMaths(tex, display);
  if (!drawn) place.textContent = display ? `$$${tex}$$` : `$${tex}$`;
  else if (display) {
    for (const [key, value] of Object.entries(scrollable(strings.formula))) place.setAttribute(key, value);
    place.replaceChildren(drawn);
  } else place.replaceChildren(drawn);
}

function colour(code: Element, language: string, { growing, better = () => {} }: RenderOptions): void {
  const text = code.textContent ?? '';
  if (!language || text.length > (growing ? MOST_WHILE_GROWING : MOST_COLOURED)) return;
  const coloured = highlighter.get(better)?.highlight(text, language.toLowerCase());
  if (coloured) code.replaceChildren(coloured);
}

function frameCode(pre: HTMLPreElement, options: RenderOptions): void {
  const code = pre.querySelector('code');
  const language = code?.className.replace(/^language-/, '') ?? '';
  code?.removeAttribute('class');
  if (code) colour(code, language, options);
  const label = element('span', { class: 'code-language' });
  label.textContent = language || strings.plainText;
  const copy = element('button', { type: 'button', class: 'code-button', 'data-copy': '', 'data-own': '' });
  copy.textContent = strings.copyCode;
  const head = element('div', { class: 'code-head' });
  head.append(label, copy);
  const name = language ? `${strings.code}: ${language}` : strings.code;
  for (const [key, value] of Object.entries(scrollable(name))) pre.setAttribute(key, value);
  const frame = element('div', { class: 'code', part: 'code' });
  pre.before(frame);
  frame.append(head, pre);
  if (!/^(x?html|svg)$/i.test(language)) return;
  const preview = element('button', {
    type: 'button',
    class: 'code-button code-preview-button',
    'data-preview': '',
    'data-own': '',
    'aria-expanded': 'false',
  });
  preview.textContent = strings.preview;
  label.after(preview);
  frame.append(element('qwen-code-preview', { 'data-own': '', hidden: '', part: 'preview' }));
}

function frameTable(table: HTMLTableElement): void {
  const frame = element('div', { class: 'table', part: 'table', ...scrollable(strings.table) });
  table.before(frame);
  frame.append(table);
}

/** What may be wider than the column scrolls sideways by itself, so it must be reachable by keyboard. */
const scrollable = (name: string) => ({ tabindex: '0', role: 'group', 'aria-label': name });

function element(tag: string, attributes: Record<string, string>): HTMLElement {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}
