import { css, html, nothing } from 'lit';
import { property, state } from 'lit/decorators.js';
import { formatClock } from './format.ts';
import { icons } from './icons.ts';
import './markdown-view.ts';
import { ChatPart, define } from './part.ts';
import { strings } from './strings.ts';
import { Ticker } from './ticker.ts';

/** What the model thought before it answered: folded, with how long it took. */
export class ThinkingBlock extends ChatPart {
  @property() text = '';
  /** `performance.now()` when thinking began. */
  @property({ attribute: false }) since = 0;
  /** How long it took; undefined while it goes on. */
  @property({ attribute: false }) took?: number;
  /** It did not end by itself. */
  @property({ type: Boolean }) interrupted = false;
  @state() private open = false;

  protected readonly ticker = new Ticker(this, () => this.took === undefined);

  protected override render() {
    const running = this.took === undefined;
    return html`
      <details part="thinking" @toggle=${this.onToggle}>
        <summary part="thinking-summary">
          <span class="thinking-chevron">${icons.chevron}</span>
          <span class=${running ? 'thinking-running' : ''}>${this.label()}</span>
        </summary>
        ${
          this.open
            ? html`<div class="thinking-text" part="thinking-text">
                <qwen-markdown .text=${this.text} .growing=${running}></qwen-markdown>
              </div>`
            : nothing
        }
      </details>`;
  }

  private label(): string {
    if (this.took === undefined) return strings.thinkingFor(formatClock(performance.now() - this.since));
    return this.interrupted ? strings.thoughtStopped(this.took) : strings.thoughtFor(this.took);
  }

  private onToggle(event: Event): void {
    this.open = (event.currentTarget as HTMLDetailsElement).open;
  }
}

define('qwen-thinking', ThinkingBlock);

export const thinkingStyles = css`
  qwen-thinking {
    display: block;
    margin-block-end: 12px;
    color: var(--_muted);
    font-size: 0.925em;
  }
  qwen-thinking summary {
    display: inline-flex;
    align-items: center;
    gap: 4px;
    min-height: 32px;
    margin-inline-start: -4px;
    padding-inline: 2px 8px;
    border-radius: 8px;
    cursor: pointer;
    list-style: none;
    font-variant-numeric: tabular-nums;
    transition: color var(--_speed);
  }
  qwen-thinking summary::-webkit-details-marker {
    display: none;
  }
  qwen-thinking summary:hover {
    color: var(--_text);
  }
  .thinking-chevron {
    font-size: 0.85em;
    transition: rotate var(--_speed);
  }
  qwen-thinking details[open] .thinking-chevron {
    rotate: 90deg;
  }
  .thinking-running {
    animation: qwen-breathe 2s ease-in-out infinite;
  }
  .thinking-text {
    margin-block-start: 4px;
    padding-inline-start: 16px;
    border-inline-start: 2px solid var(--_border);
    margin-inline-start: 6px;
  }
  @keyframes qwen-breathe {
    50% {
      opacity: 0.55;
    }
  }
`;
