import { css, html, nothing, type PropertyValues } from 'lit';
import { property, query, state } from 'lit/decorators.js';
import { icons } from './icons.ts';
import { ChatPart, define } from './part.ts';
import { strings } from './strings.ts';

/** Where one writes. Enter sends, Shift+Enter breaks the line, ↑ in an empty field takes up the last message again. */
export class Composer extends ChatPart {
  /** A model is there to answer. */
  @property({ type: Boolean }) ready = false;
  /** An answer is under way. */
  @property({ type: Boolean }) busy = false;
  @property({ type: Boolean }) thinking = false;
  /** What is written replaces the last message. */
  @property({ type: Boolean }) editing = false;
  @state() private draft = '';
  @query('textarea') private readonly field!: HTMLTextAreaElement;

  /** The unsent text, and the way to fill it in. */
  get text(): string {
    return this.draft;
  }

  set text(text: string) {
    this.draft = text;
  }

  focusField(): void {
    this.field?.focus();
    this.field?.setSelectionRange(this.draft.length, this.draft.length);
  }

  protected override render() {
    const { busy, thinking } = this;
    const label = busy ? strings.stopHint : strings.send;
    return html`
      ${
        this.editing
          ? html`<div class="editing quiet"><span>${strings.editing}</span>
              <button type="button" class="icon-button" title=${strings.cancelEditing} aria-label=${strings.cancelEditing}
                @click=${() => this.tell('chat-cancel-edit')}>${icons.close}</button></div>`
          : nothing
      }
      <div class="field" part="composer" @click=${this.onFrameClick}>
        <textarea part="input" rows="1" aria-label=${strings.message} autocomplete="off"
          placeholder=${this.ready ? strings.messagePlaceholder : strings.waitingPlaceholder}
          .value=${this.draft} @input=${this.onInput} @keydown=${this.onKeyDown}></textarea>
        <div class="field-row">
          <button type="button" class="toggle" part="thinking-toggle" role="switch" aria-checked=${thinking}
            title=${strings.thinkingHint} @click=${() => this.tell('chat-thinking', !thinking)}>
            ${icons.bulb}<span>${strings.thinking}</span></button>
          <button type="button" class="send" part="send" title=${label} aria-label=${label}
            ?disabled=${!busy && !this.sendable} @click=${() => (busy ? this.tell('chat-stop') : this.send())}>
            ${busy ? icons.stop : icons.send}</button>
        </div>
      </div>`;
  }

  protected override updated(changed: PropertyValues): void {
    // Browsers without field-sizing get the height set by hand.
    if (changed.has('draft') && !CSS.supports('field-sizing', 'content')) {
      this.field.style.height = 'auto';
      this.field.style.height = `${this.field.scrollHeight}px`;
    }
  }

  private get sendable(): boolean {
    return this.ready && !this.busy && this.draft.trim() !== '';
  }

  private send(): void {
    if (!this.sendable) return;
    const text = this.draft.trim();
    this.draft = '';
    this.tell('chat-send', text);
  }

  private onInput(): void {
    this.draft = this.field.value;
  }

  private onKeyDown(event: KeyboardEvent): void {
    // While an input method composes (229: Safari reports its last Enter only so), the keys are its own.
    if (event.isComposing || event.keyCode === 229) return;
    const plain = !event.shiftKey && !event.ctrlKey && !event.metaKey && !event.altKey;
    // A touch keyboard has no Shift+Enter: there Enter breaks the line and the button sends.
    const touch = matchMedia('(hover: none) and (pointer: coarse)').matches;
    if (event.key === 'Enter' && plain && !touch) {
      event.preventDefault();
      this.send();
    } else if (event.key === 'ArrowUp' && plain && this.draft === '' && !this.busy) {
      event.preventDefault();
      this.tell('chat-edit-last');
    }
  }

  /** The whole frame is the field: a click beside the text writes too. */
  private onFrameClick(event: Event): void {
    if (event.target instanceof Element && !event.target.closest('button, textarea')) this.field.focus();
  }
}

define('qwen-composer', Composer);

export const composerStyles = css`
  qwen-composer {
    display: block;
  }
  .field {
    border: 1px solid var(--_edge);
    border-radius: var(--_radius);
    background: var(--_background);
    padding: 4px;
    cursor: text;
    transition: border-color var(--_speed);
  }
  .field:focus-within {
    border-color: var(--_accent);
    box-shadow: 0 0 0 1px var(--_accent);
  }
  .field textarea {
    display: block;
    width: 100%;
    max-height: 16rem;
    padding: 8px 10px 4px;
    border: 0;
    background: none;
    color: inherit;
    font: inherit;
    line-height: 1.5;
    resize: none;
    field-sizing: content;
    outline: none;
  }
  .field textarea::placeholder {
    color: var(--_muted);
    opacity: 1;
  }
  .field-row {
    display: flex;
    align-items: center;
    justify-content: space-between;
    gap: 8px;
  }
  .toggle {
    display: inline-flex;
    align-items: center;
    gap: 4px;
    min-height: 32px;
    padding: 0 12px 0 8px;
    border: 1px solid transparent;
    border-radius: calc(var(--_radius) - 4px);
    background: none;
    color: var(--_muted);
    font: inherit;
    font-size: 0.875em;
    cursor: pointer;
    transition:
      background-color var(--_speed),
      color var(--_speed);
  }
  .toggle:hover {
    background: var(--_hover);
  }
  .toggle[aria-checked='true'] {
    color: var(--_accent);
    background: color-mix(in oklab, var(--_accent) 12%, transparent);
  }
  .send {
    display: grid;
    place-items: center;
    width: 36px;
    height: 36px;
    padding: 0;
    border: 0;
    border-radius: calc(var(--_radius) - 4px);
    background: var(--_accent);
    color: var(--_on-accent);
    font: inherit;
    font-size: 0.95em;
    cursor: pointer;
    transition:
      background-color var(--_speed),
      opacity var(--_speed);
  }
  .send:disabled {
    background: var(--_hover);
    color: var(--_muted);
    cursor: default;
  }
  .editing {
    display: flex;
    align-items: center;
    justify-content: space-between;
    padding-inline: 12px 4px;
  }
`;
