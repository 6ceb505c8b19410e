import { css, html, nothing, type TemplateResult } from 'lit';
import { property } from 'lit/decorators.js';
import { repeat } from 'lit/directives/repeat.js';
import { mediaFacts } from './attachment-text.ts';
import { icons } from './icons.ts';
import { counted, type DraftItem } from './media-draft.ts';
import { ChatPart, define } from './part.ts';
import { strings } from './strings.ts';
import './thumbnail.ts';

/** What goes with the message being written: each with its cost, and a way to take it out again. */
export class Attachments extends ChatPart {
  @property({ attribute: false }) items: readonly DraftItem[] = [];
  /** Tokens that the model's context holds; 0 without a model. */
  @property({ attribute: false }) contextLength = 0;
  /** Why the model cannot see them. Empty if it can, and while that is not known. */
  @property() blind = '';

  protected override render() {
    const { items, blind } = this;
    if (items.length === 0) return nothing;
    return html`
      <ul class="attachments" part="attachments" aria-label=${strings.attachments}>
        ${repeat(
          items,
          ({ id }) => id,
          (item, index) => this.chip(item, index),
        )}
      </ul>
      ${blind ? html`<p class="attachments-note attachments-trouble" role="alert">${blind} ${strings.blindRemedy}</p>` : this.total()}`;
  }

  private chip(item: DraftItem, index: number): TemplateResult {
    const { attachment, name, trouble } = item;
    const open = () => {
      const looked = this.items.filter((each) => each.attachment);
      this.tell('chat-open-media', { attachments: looked.flatMap(counted), index: looked.indexOf(item) });
    };
    const remove = () => this.takeOut(item, index);
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== 'Delete' && event.key !== 'Backspace') return;
      event.preventDefault();
      remove();
    };
    return html`
      <li class="chip ${trouble || this.blind ? 'chip-trouble' : ''}" part="attachment" @keydown=${onKey}>
        <button type="button" class="chip-open" title=${name} aria-label=${strings.openLarge(name)} ?disabled=${!attachment} @click=${open}>
          <qwen-thumbnail .attachment=${attachment}></qwen-thumbnail></button>
        <span class="chip-text">
          <span class="chip-name">${name}</span>
          <span class="chip-facts" title=${trouble ?? nothing}>${this.facts(item)}</span>
        </span>
        <button type="button" class="icon-button chip-remove" title=${strings.remove(name)} aria-label=${strings.remove(name)}
          @click=${remove}>${icons.close}</button>
      </li>`;
  }

  private facts({ attachment, cost, trouble }: DraftItem): string {
    if (trouble) return trouble;
    if (!attachment) return strings.lookingAtFile;
    return mediaFacts({ ...attachment, tokens: cost?.tokens, frames: cost?.frames });
  }

  /** What all of them take of the context, said once everything is counted. */
  private total(): TemplateResult | typeof nothing {
    const { items, contextLength } = this;
    const tokens = items.reduce((sum, { cost }) => sum + (cost?.tokens ?? 0), 0);
    if (tokens === 0) return nothing;
    const tooMuch = tokens >= contextLength;
    return html`<p class="attachments-note ${tooMuch ? 'attachments-trouble' : ''}" role="status">
      ${tooMuch ? strings.costTooMuch(tokens, contextLength) : strings.costOf(items.length, tokens, contextLength)}</p>`;
  }

  private takeOut({ id }: DraftItem, index: number): void {
    this.tell('chat-detach', id);
    void this.updateComplete.then(async () => {
      // The chat draws this list anew, then the focus goes to what has moved up, or to the text.
      await new Promise(requestAnimationFrame);
      const buttons = this.querySelectorAll<HTMLElement>('.chip-remove');
      const next = buttons[Math.min(index, buttons.length - 1)];
      if (next) next.focus();
      else this.tell('chat-focus');
    });
  }
}

define('qwen-attachments', Attachments);

export const attachmentsStyles = css`
  qwen-attachments {
    display: block;
  }
  .attachments {
    display: flex;
    flex-wrap: wrap;
    gap: 8px;
    max-height: 14.5rem;
    margin: 0;
    padding: 4px 4px 0;
    overflow-y: auto;
    list-style: none;
  }
  .chip {
    display: grid;
    grid-template-columns: auto minmax(0, 1fr) auto;
    align-items: center;
    gap: 8px;
    width: 17.5rem;
    max-width: 100%;
    padding: 4px;
    border: 1px solid var(--_border);
    border-radius: calc(var(--_radius) - 4px);
    background: var(--_raised);
    cursor: default;
  }
  .chip-trouble {
    border-color: color-mix(in oklab, var(--_error) 45%, var(--_border));
  }
  .chip-open {
    display: block;
    padding: 0;
    border: 0;
    border-radius: calc(var(--_radius) - 8px);
    background: none;
    color: inherit;
    font: inherit;
    cursor: zoom-in;
  }
  .chip-open:disabled {
    cursor: default;
  }
  .chip qwen-thumbnail {
    width: 56px;
    height: 56px;
    border-radius: inherit;
  }
  .chip .thumbnail-length {
    font-size: 0.6875rem;
  }
  .chip-text {
    display: grid;
    min-width: 0;
    line-height: 1.35;
  }
  .chip-name {
    overflow: hidden;
    font-size: 0.875em;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  .chip-facts {
    color: var(--_muted);
    font-size: 0.8em;
    font-variant-numeric: tabular-nums;
  }
  .chip-trouble .chip-facts {
    display: -webkit-box;
    overflow: hidden;
    color: var(--_error);
    -webkit-box-orient: vertical;
    -webkit-line-clamp: 2;
  }
  .attachments-note {
    margin: 0;
    padding: 6px 10px 0;
    color: var(--_muted);
    font-size: 0.8em;
    font-variant-numeric: tabular-nums;
  }
  .attachments-trouble {
    color: var(--_error);
  }
  @container (width < 30rem) {
    .attachments {
      flex-direction: column;
      flex-wrap: nowrap;
      gap: 4px;
    }
    .chip {
      flex: none;
      width: 100%;
    }
    .chip qwen-thumbnail {
      width: 48px;
      height: 48px;
    }
  }
`;
