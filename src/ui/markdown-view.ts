import { css } from 'lit';
import { property } from 'lit/decorators.js';
import type { TokensList } from 'marked';
import { startPreviews, togglePreview } from './code-preview-toggle.ts';
import { copyText } from './copy.ts';
import { parseBlocks, renderBlock } from './markdown.ts';
import { morph } from './morph.ts';
import { ChatPart, define } from './part.ts';
import { strings } from './strings.ts';

interface ShownBlock {
  html: string;
  start: number;
  /** It was drawn as one that may get longer. */
  growing: boolean;
  readonly view: HTMLElement;
}

/**
 * Markdown that may still be growing. Only the last block can change while text is appended, so only that one is parsed
 * and touched again; all blocks before it keep their nodes.
 */
export class MarkdownView extends ChatPart {
  @property() text = '';
  /** More text will follow. When it turns false the whole text is parsed once more, for what only the end can tell. */
  @property({ type: Boolean }) growing = false;

  private shown: ShownBlock[] = [];
  private parsed = '';
  private links: TokensList['links'] = {};

  override connectedCallback(): void {
    super.connectedCallback();
    this.addEventListener('click', this.onClick);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.removeEventListener('click', this.onClick);
  }

  protected override updated(): void {
    // The parser turns CR LF into LF; done here, so that its offsets are ours.
    const text = this.text.replaceAll('\r', '');
    const appended = this.growing && text.startsWith(this.parsed);
    if (appended && text.length === this.parsed.length) return;
    // The last block may still grow (a list takes further items, a paragraph further lines); those before it are done.
    const first = appended ? Math.max(0, this.shown.length - 1) : 0;
    const from = appended ? (this.shown[first]?.start ?? 0) : 0;
    if (!appended) this.links = {};
    const blocks = parseBlocks(text, from, this.links);
    blocks.forEach(({ html, start }, i) => {
      this.show(first + i, html, start);
    });
    for (const { view } of this.shown.splice(first + blocks.length)) view.remove();
    for (const block of this.shown) if (block.growing && !this.isGrowing(block)) this.draw(block);
    this.parsed = text;
  }

  private isGrowing(block: ShownBlock): boolean {
    return this.growing && block === this.shown.at(-1);
  }

  private draw(block: ShownBlock): void {
    block.growing = this.isGrowing(block);
    const { html } = block;
    const better = () => block.html === html && this.shown.includes(block) && this.draw(block);
    morph(block.view, renderBlock(html, { growing: block.growing, better }));
    if (!block.growing) startPreviews(block.view);
  }

  private show(index: number, html: string, start: number): void {
    let block = this.shown[index];
    if (!block) {
      const view = document.createElement('div');
      view.className = 'block';
      block = { html: '', start, growing: false, view };
      this.shown.push(block);
      this.append(view);
    }
    block.start = start;
    if (block.html === html) return;
    block.html = html;
    this.draw(block);
  }

  private onClick = async (event: Event): Promise<void> => {
    const target = event.target instanceof Element ? event.target : undefined;
    const preview = target?.closest<HTMLElement>('button[data-preview]');
    if (preview) {
      const block = this.shown.find(({ view }) => view.contains(preview));
      togglePreview(preview, block !== undefined && !this.isGrowing(block));
    }
    const button = target?.closest<HTMLElement>('button[data-copy]');
    if (!button) return;
    const code = button.closest('.code')?.querySelector('code')?.textContent ?? '';
    const done = await copyText(code);
    button.textContent = done ? strings.copied : strings.copyCode;
    this.tell('chat-announce', done ? strings.copied : strings.copyFailed);
    setTimeout(() => {
      button.textContent = strings.copyCode;
    }, 2000);
  };
}

define('qwen-markdown', MarkdownView);

export const markdownStyles = css`
  qwen-markdown {
    display: block;
    line-height: 1.6;
    overflow-wrap: break-word;
  }
  qwen-markdown .block + .block {
    margin-block-start: 0.75em;
  }
  qwen-markdown :is(p, ul, ol, blockquote, h1, h2, h3, h4, h5, h6, hr) {
    margin: 0;
  }
  qwen-markdown :is(h1, h2, h3, h4, h5, h6) {
    font-weight: 600;
    line-height: 1.3;
    text-wrap: balance;
  }
  qwen-markdown .block + .block:has(> :is(h1, h2, h3)) {
    margin-block-start: 1.25em;
  }
  qwen-markdown h1 {
    font-size: 1.35em;
  }
  qwen-markdown h2 {
    font-size: 1.2em;
  }
  qwen-markdown h3 {
    font-size: 1.08em;
  }
  qwen-markdown :is(h4, h5, h6) {
    font-size: 1em;
  }
  qwen-markdown :is(ul, ol) {
    padding-inline-start: 1.5em;
  }
  qwen-markdown li + li,
  qwen-markdown li > :is(ul, ol) {
    margin-block-start: 0.25em;
  }
  qwen-markdown li > p + p,
  qwen-markdown blockquote > * + * {
    margin-block-start: 0.5em;
  }
  qwen-markdown li::marker {
    color: var(--_muted);
  }
  qwen-markdown blockquote {
    border-inline-start: 3px solid var(--_border);
    padding-inline-start: 1em;
    color: var(--_muted);
  }
  qwen-markdown hr {
    border: 0;
    border-block-start: 1px solid var(--_border);
    margin-block: 1.25em;
  }
  qwen-markdown a {
    color: var(--_accent);
    text-underline-offset: 0.15em;
    text-decoration-thickness: 1px;
  }
  qwen-markdown :is(code, kbd) {
    font-family: var(--_mono);
    font-size: 0.875em;
  }
  qwen-markdown :is(:not(pre) > code, kbd) {
    background: var(--_raised);
    border-radius: 4px;
    padding: 0.1em 0.35em;
  }
  qwen-markdown mark {
    background: color-mix(in oklab, var(--_accent) 20%, transparent);
    color: inherit;
  }
  .code {
    border: 1px solid var(--_border);
    border-radius: var(--_radius-small);
    overflow: hidden;
    background: var(--_raised);
  }
  .code-head {
    display: flex;
    align-items: center;
    gap: 4px;
    padding: 4px 4px 4px 12px;
    color: var(--_muted);
    font-size: 0.8em;
    user-select: none;
  }
  .code-button {
    border: 0;
    background: none;
    color: inherit;
    font: inherit;
    padding: 4px 8px;
    border-radius: 4px;
    cursor: pointer;
  }
  .code-button:hover {
    color: var(--_text);
    background: var(--_hover);
  }
  .code pre {
    margin: 0;
    padding: 4px 12px 12px;
    overflow-x: auto;
    line-height: 1.5;
    tab-size: 4;
  }
  .code-language {
    margin-inline-end: auto;
  }
  .hljs-comment,
  .hljs-quote,
  .hljs-meta {
    color: var(--_muted);
  }
  :is(.hljs-keyword, .hljs-selector-tag, .hljs-literal, .hljs-section, .hljs-doctag) {
    color: var(--_code-keyword);
  }
  :is(.hljs-name, .hljs-type, .hljs-title, .hljs-built_in, .hljs-template-tag) {
    color: var(--_code-name);
  }
  :is(.hljs-string, .hljs-regexp, .hljs-addition, .hljs-attribute, .hljs-template-variable) {
    color: var(--_code-string);
  }
  :is(.hljs-number, .hljs-symbol, .hljs-bullet, .hljs-link, .hljs-variable, .hljs-attr, .hljs-selector-class) {
    color: var(--_code-number);
  }
  .hljs-deletion {
    color: var(--_error);
  }
  .hljs-emphasis {
    font-style: italic;
  }
  .hljs-strong,
  .hljs-section {
    font-weight: 600;
  }
  .formula-display {
    display: block;
    overflow: auto hidden;
    padding-block: 2px;
  }
  qwen-markdown math {
    font-size: 1.1em;
    line-height: normal;
  }
  math.tml-display {
    display: block math;
  }
  math * {
    border-color: currentColor;
  }
  mtable.tml-jot > mtr > mtd {
    padding-block: 0.7ex;
  }
  .tml-left {
    text-align: left;
  }
  .tml-right {
    text-align: right;
  }
  .tml-overline {
    border-block-start: 0.065em solid;
  }
  .tml-underline {
    border-block-end: 0.065em solid;
  }
  .tml-fbox {
    padding: 3pt;
    border: 1px solid;
  }
  menclose {
    position: relative;
  }
  :is(.tml-cancel, .tml-xcancel) {
    position: absolute;
    inset: 0;
    background: currentColor;
  }
  .tml-cancel.upstrike {
    clip-path: polygon(0 calc(100% - 0.06em), 0 100%, 0.06em 100%, 100% 0.06em, 100% 0, calc(100% - 0.06em) 0);
  }
  .tml-cancel.downstrike {
    clip-path: polygon(0 0, 0.06em 0, 100% calc(100% - 0.06em), 100% 100%, calc(100% - 0.06em) 100%, 0 0.06em);
  }
  .tml-cancel.sout {
    clip-path: inset(52% 0 42% 0);
  }
  qwen-markdown li:has(> .task, > p > .task) {
    list-style: none;
    margin-inline-start: -1.25em;
  }
  .table {
    overflow-x: auto;
  }
  .table table {
    border-collapse: collapse;
    font-variant-numeric: tabular-nums;
    font-size: 0.95em;
  }
  .table :is(th, td) {
    padding: 6px 12px;
    text-align: start;
    vertical-align: top;
    border-block-end: 1px solid var(--_border);
  }
  .table :is(th, td):first-child {
    padding-inline-start: 0;
  }
  .table :is(th, td):not([align]) {
    min-width: 6rem;
  }
  .table th {
    font-weight: 600;
    white-space: nowrap;
  }
  .table [align='right'] {
    text-align: end;
  }
  .table [align='center'] {
    text-align: center;
  }
`;
