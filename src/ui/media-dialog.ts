import { css, html, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { query, state } from 'lit/decorators.js';
import type { Attachment } from './attachment.ts';
import { mediaFacts } from './attachment-text.ts';
import { icons } from './icons.ts';
import { ObjectUrl } from './object-url.ts';
import { ChatPart, define } from './part.ts';
import { strings } from './strings.ts';

/** Pictures and videos of a conversation, large, one at a time. Esc closes it, arrow keys go from one to the next. */
export class MediaDialog extends ChatPart {
  @state() private attachments: readonly Attachment[] = [];
  @state() private index = 0;
  @state() private broken = false;
  @query('dialog') private readonly dialog?: HTMLDialogElement;
  private readonly url = new ObjectUrl(this);

  open(attachments: readonly Attachment[], index: number): void {
    this.attachments = attachments;
    this.index = Math.max(0, index);
  }

  protected override render() {
    const shown = this.attachments[this.index];
    if (!shown) {
      this.url.of(undefined);
      return nothing;
    }
    const count = this.attachments.length;
    const step = (by: number, icon: TemplateResult, label: string) => html`
      <button type="button" class="icon-button large-step" title=${label} aria-label=${label} aria-disabled=${!this.canGo(by)}
        @click=${() => this.go(by)}>${icon}</button>`;
    return html`
      <dialog class="large" part="media-dialog" aria-label=${strings.largeView} @keydown=${this.onKeyDown} @close=${this.onClosed}
        @click=${this.onClick}>
        <div class="large-head">
          <p class="large-caption" role="status"><b>${shown.name}</b> <span class="quiet">${mediaFacts(shown)}${
            count > 1 ? html` <span>${strings.placeOf(this.index + 1, count)}</span>` : nothing
          }</span></p>
          <button type="button" class="icon-button" title=${strings.close} aria-label=${strings.close} @click=${this.close}>${icons.close}</button>
        </div>
        <div class="large-stage">${this.broken ? html`<p class="quiet">${strings.cannotShow(shown.name)}</p>` : this.medium(shown)}</div>
        ${count > 1 ? html`<div class="large-steps">${step(-1, icons.previous, strings.previous)}${step(1, icons.chevron, strings.next)}</div>` : nothing}
      </dialog>`;
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has('index') || changed.has('attachments')) this.broken = false;
  }

  protected override updated(): void {
    if (this.dialog && !this.dialog.open) this.dialog.showModal();
  }

  private medium({ kind, name, source, width, height }: Attachment): TemplateResult {
    const url = this.url.of(source);
    const onError = () => {
      this.broken = true;
    };
    return kind === 'image'
      ? html`<img alt=${name} src=${url} width=${width ?? nothing} height=${height ?? nothing} @error=${onError}>`
      : html`<video controls playsinline autoplay loop aria-label=${name} src=${url} @error=${onError}></video>`;
  }

  private canGo(by: number): boolean {
    return this.attachments[this.index + by] !== undefined;
  }

  private go(by: number): void {
    if (this.canGo(by)) this.index += by;
  }

  private readonly close = (): void => {
    this.dialog?.close();
  };

  private onClosed(): void {
    this.attachments = [];
    this.index = 0;
  }

  /** A click beside the picture closes it. */
  private onClick(event: Event): void {
    if (event.target instanceof Element && event.target.matches('dialog, .large-stage')) this.close();
  }

  private onKeyDown(event: KeyboardEvent): void {
    // Esc closes the dialog, which the browser does; the chat and the page around it have no part in that.
    event.stopPropagation();
    // In a video's controls the arrows go through the video.
    if (event.target instanceof HTMLVideoElement) return;
    const steps: Readonly<Record<string, number>> = {
      ArrowLeft: -1,
      ArrowRight: 1,
      Home: -this.index,
      End: this.attachments.length - 1 - this.index,
    };
    const by = steps[event.key];
    if (by === undefined) return;
    event.preventDefault();
    this.go(by);
  }
}

define('qwen-media-dialog', MediaDialog);

export const mediaDialogStyles = css`
  .large {
    width: 100vw;
    max-width: none;
    height: 100dvh;
    max-height: none;
    margin: 0;
    padding: 0;
    border: 0;
    background: var(--_background);
    color: var(--_text);
    overflow: hidden;
  }
  .large[open] {
    display: grid;
    grid-template-rows: auto minmax(0, 1fr) auto;
  }
  .large-head {
    display: flex;
    align-items: center;
    justify-content: space-between;
    gap: 8px;
    padding: 8px 8px 8px 16px;
  }
  .large-caption {
    margin: 0;
    min-width: 0;
    font-size: 0.925em;
    overflow-wrap: anywhere;
  }
  .large-caption b {
    font-weight: 600;
  }
  .large-caption .quiet > span::before {
    content: '· ';
  }
  .large-stage {
    display: grid;
    place-items: center;
    min-height: 0;
    padding: 0 16px;
    cursor: zoom-out;
  }
  .large-stage > * {
    max-width: 100%;
    max-height: 100%;
    cursor: default;
  }
  .large-stage img,
  .large-stage video {
    width: auto;
    height: auto;
    min-height: 0;
    object-fit: contain;
    border-radius: 4px;
  }
  .large-stage img {
    background: #fff;
  }
  .large-steps {
    display: flex;
    justify-content: center;
    gap: 16px;
    padding: 8px 16px max(12px, env(safe-area-inset-bottom));
  }
  .large-step {
    width: 44px;
    height: 44px;
    font-size: 1em;
  }
  .large-step[aria-disabled='true'] {
    opacity: 0.35;
    cursor: default;
  }
  .large-stage:last-child {
    padding-block-end: 16px;
  }
`;
