import { css, html, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { property, query, state } from 'lit/decorators.js';
import type { Attachment } from './attachment.ts';
import './attachments.ts';
import type { ChatEngine } from './chat-engine.ts';
import { icons } from './icons.ts';
import { MediaDraft } from './media-draft.ts';
import { ChatPart, define } from './part.ts';
import { strings } from './strings.ts';

export type SendKey = 'enter' | 'ctrl-enter';

/** Where one writes. Enter sends, Shift+Enter breaks the line, ↑ in an empty field takes up the last message again. */
export class Composer extends ChatPart {
  /** What answers, once it is there. */
  @property({ attribute: false }) engine?: ChatEngine;
  /** An answer is under way. */
  @property({ type: Boolean }) busy = false;
  @property({ type: Boolean }) thinking = false;
  /** What is written replaces the last message. */
  @property({ type: Boolean }) editing = false;
  @property() sendKey: SendKey = 'enter';
  @state() private draft = '';
  @query('textarea') private readonly field!: HTMLTextAreaElement;
  @query('.files') private readonly files!: HTMLInputElement;
  @query('.capture') private readonly capture!: HTMLInputElement;

  private readonly media = new MediaDraft({
    changed: () => this.requestUpdate(),
    say: (sentence) => this.tell('chat-announce', sentence),
  });

  /** The unsent text, and the way to fill it in. */
  get text(): string {
    return this.draft;
  }

  set text(text: string) {
    this.draft = text;
  }

  /** What goes with the unsent text. */
  get attachments(): readonly Attachment[] {
    return this.media.attachments;
  }

  set attachments(attachments: readonly Attachment[]) {
    this.media.attachments = attachments;
  }

  /** Attaches files, or says why not. Resolves when they have been looked at. */
  async attach(files: readonly File[]): Promise<void> {
    if (this.blind) this.media.refuseAll(`${this.blind} ${strings.blindAttach}`);
    else await this.media.add(files);
  }

  detach(item: number): void {
    this.media.remove(item);
  }

  focusField(): void {
    this.field?.focus();
    this.field?.setSelectionRange(this.draft.length, this.draft.length);
  }

  protected override render() {
    const { busy, thinking } = this;
    const label = busy ? strings.stopHint : strings.send;
    const { items } = this.media;
    return html`
      ${
        this.editing
          ? html`<div class="editing quiet"><span>${strings.editing}</span>
              <button type="button" class="icon-button" title=${strings.cancelEditing} aria-label=${strings.cancelEditing}
                @click=${() => this.tell('chat-cancel-edit')}>${icons.close}</button></div>`
          : nothing
      }
      <div class="field" part="composer" @click=${this.onFrameClick}>
        <qwen-attachments .items=${items} .contextLength=${this.engine?.info.contextLength ?? 0} .blind=${items.length > 0 ? this.blind : ''}
          ></qwen-attachments>
        ${this.refusals()}
        <textarea part="input" rows="1" aria-label=${strings.message} autocomplete="off"
          placeholder=${this.engine ? strings.messagePlaceholder : strings.waitingPlaceholder}
          .value=${this.draft} @input=${this.onInput} @keydown=${this.onKeyDown}></textarea>
        <div class="field-row">
          ${this.attachButton(icons.attach, strings.attach, () => this.files.click())}
          ${this.attachButton(icons.camera, strings.camera, () => this.onCamera())}
          <button type="button" class="toggle" part="thinking-toggle" role="switch" aria-checked=${thinking}
            title=${strings.thinkingHint} @click=${() => this.tell('chat-thinking', !thinking)}>
            ${icons.bulb}<span>${strings.thinking}</span></button>
          <button type="button" class="send" part="send" title=${label} aria-label=${label}
            ?disabled=${!busy && !this.sendable} @click=${() => (busy ? this.tell('chat-stop') : this.send())}>
            ${busy ? icons.stop : icons.send}</button>
          <input class="files" type="file" hidden multiple accept="image/*,video/*" aria-label=${strings.attach} @change=${this.onFiles}>
          <input class="capture" type="file" hidden accept="image/*" capture="environment" aria-label=${strings.camera} @change=${this.onFiles}>
        </div>
      </div>`;
  }

  /** With a model that cannot see it stays in reach, to say so. */
  private attachButton(icon: TemplateResult, label: string, action: () => void): TemplateResult {
    const { blind } = this;
    const title = blind ? `${label}. ${blind} ${strings.blindAttach}` : label;
    return html`<button type="button" class="icon-button attach" part="attach" title=${title} aria-label=${title}
      aria-disabled=${blind !== ''} @click=${blind ? () => this.attach([]) : action}>${icon}</button>`;
  }

  private refusals(): TemplateResult | typeof nothing {
    const { refusals } = this.media;
    if (refusals.length === 0) return nothing;
    const dismiss = () => {
      this.media.dismissRefusals();
      this.field.focus();
    };
    return html`
      <div class="refusals" part="refusals" role="alert">
        ${icons.warning}
        <div>${refusals.map((reason) => html`<p>${reason}</p>`)}</div>
        <button type="button" class="icon-button" title=${strings.dismiss} aria-label=${strings.dismiss} @click=${dismiss}>${icons.close}</button>
      </div>`;
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has('engine')) this.media.countFor(this.engine);
  }

  protected override updated(changed: PropertyValues): void {
    // Browsers without field-sizing get the height set by hand.
    if (changed.has('draft') && !CSS.supports('field-sizing', 'content')) {
      this.field.style.height = 'auto';
      this.field.style.height = `${this.field.scrollHeight}px`;
    }
  }

  private get sendable(): boolean {
    const { engine, busy, media, blind } = this;
    if (!engine || busy || !media.settled) return false;
    return media.items.length > 0 ? blind === '' : this.draft.trim() !== '';
  }

  private send(): void {
    if (!this.sendable) return;
    const text = this.draft.trim();
    const { attachments } = this;
    this.draft = '';
    this.attachments = [];
    this.tell('chat-send', { text, attachments });
  }

  /** Why the model cannot see; empty if it can, or is not there yet. */
  private get blind(): string {
    const { engine } = this;
    return engine && !engine.info.vision ? strings.blind(engine.info.name) : '';
  }

  private onFiles(event: Event): void {
    const input = event.currentTarget as HTMLInputElement;
    const files = [...(input.files ?? [])];
    // Choosing the same file once more is a change only from nothing.
    input.value = '';
    if (files.length > 0) void this.attach(files).then(() => this.field.focus());
  }

  /** A telephone's own camera is better than a picture of it in a page; where pages have no camera the files remain. */
  private onCamera(): void {
    const touch = matchMedia('(hover: none) and (pointer: coarse)').matches;
    if (touch || !navigator.mediaDevices?.getUserMedia) this.capture.click();
    else this.tell('chat-camera');
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
    const withControl = (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey;
    if (event.key === 'Enter' && (withControl || (plain && !touch && this.sendKey === 'enter'))) {
      event.preventDefault();
      this.send();
    } else if (event.key === 'ArrowUp' && plain && this.draft === '' && this.media.items.length === 0 && !this.busy) {
      event.preventDefault();
      this.tell('chat-edit-last');
    }
  }

  /** The whole frame is the field: a click beside the text writes too. */
  private onFrameClick(event: Event): void {
    if (event.target instanceof Element && !event.target.closest('button, textarea, .chip, .refusals'))
      this.field.focus();
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
    gap: 4px;
  }
  .field-row :focus-visible {
    outline-offset: -2px;
  }
  .attach {
    width: 36px;
    height: 36px;
    border-radius: calc(var(--_radius) - 4px);
    font-size: 0.95em;
  }
  .attach[aria-disabled='true'] {
    opacity: 0.5;
    cursor: default;
  }
  .refusals {
    display: grid;
    grid-template-columns: auto minmax(0, 1fr) auto;
    align-items: start;
    gap: 8px;
    margin: 4px;
    padding: 4px 4px 4px 10px;
    border: 1px solid color-mix(in oklab, var(--_error) 45%, var(--_border));
    border-radius: calc(var(--_radius) - 4px);
    background: color-mix(in oklab, var(--_error) 5%, var(--_background));
    font-size: 0.875em;
    cursor: default;
  }
  .refusals > .icon {
    margin-block-start: 6px;
    color: var(--_error);
  }
  .refusals p {
    margin: 5px 0;
    overflow-wrap: anywhere;
    text-wrap: pretty;
  }
  .toggle {
    display: inline-flex;
    align-items: center;
    gap: 4px;
    min-height: 36px;
    margin-inline-start: auto;
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
