import { css, html, LitElement, nothing, type TemplateResult } from 'lit';
import { property, query, state } from 'lit/decorators.js';
import { icons } from './icons.ts';
import { define } from './part.ts';
import previewPage from './preview-page.html?raw';
import { strings } from './strings.ts';
import { themeStyles } from './theme.ts';

/** Heights in CSS pixels. */
const HEIGHT = { least: 120, first: 320, most: 1600, step: 40 };

/**
 * What a block of HTML or SVG looks like, at work: in a frame without an origin, without network, and without a way to
 * this page or its storage. Unlike the other parts it has a shadow root: the block around it is redrawn as text is.
 */
export class CodePreview extends LitElement {
  /** Undefined while more of it is coming. */
  @property({ attribute: false }) code?: string;
  @state() private height = HEIGHT.first;
  /** Counted up to run the code again. */
  @state() private run = 0;
  @query('.stage') private readonly stage?: HTMLElement;
  @query('iframe') private readonly frame?: HTMLIFrameElement;

  protected override render(): TemplateResult {
    if (this.code === undefined) return html`<p class="quiet">${strings.previewWaiting}</p>`;
    return html`
      <div class="stage">${this.frameFor(this.run)}</div>
      <div class="bar">
        <button type="button" class="size" role="slider" aria-label=${strings.previewSize} aria-orientation="vertical"
          aria-valuemin=${HEIGHT.least} aria-valuemax=${HEIGHT.most} aria-valuenow=${this.height} title=${strings.previewSize}
          @keydown=${this.onSizeKey} @pointerdown=${this.onGrab} @pointermove=${this.onDrag}><span></span></button>
        <button type="button" class="icon-button" title=${strings.previewReload} aria-label=${strings.previewReload}
          @click=${() => this.run++}>${icons.again}</button>
        ${
          document.fullscreenEnabled
            ? html`<button type="button" class="icon-button" title=${strings.fullScreen} aria-label=${strings.fullScreen}
                @click=${() => this.stage?.requestFullscreen()}>${icons.large}</button>`
            : nothing
        }
      </div>`;
  }

  protected override updated(changed: Map<PropertyKey, unknown>): void {
    // Not as an attribute: that would be an inline style to a page's Content-Security-Policy.
    this.stage?.style.setProperty('height', `${this.height}px`);
    if ((changed.has('code') || changed.has('run')) && this.frame) this.reload();
  }

  /**
   * Embedders whose policy forbids inline scripts give the frame's page as a file; a `srcdoc` would be under their policy. That
   * frame keeps its origin, for service workers give nothing to those without: it would not come when there is no network.
   * The code is not in it, but in a frame within, which has none either way.
   */
  private frameFor(_run: number): TemplateResult {
    const send = () => this.frame?.contentWindow?.postMessage(this.code, '*');
    const page = (this.getRootNode() as Partial<ShadowRoot>).host as { previewPage?: string } | undefined;
    return page?.previewPage
      ? html`<iframe title=${strings.previewTitle} referrerpolicy="no-referrer" src=${page.previewPage} @load=${send}></iframe>`
      : html`<iframe title=${strings.previewTitle} sandbox="allow-scripts" .srcdoc=${previewPage} @load=${send}></iframe>`;
  }

  /** The frame's page takes the code anew and forgets what ran before. */
  private reload(): void {
    this.frame?.contentWindow?.postMessage(this.code, '*');
  }

  private onSizeKey(event: KeyboardEvent): void {
    const steps: Record<string, number> = {
      ArrowUp: -1,
      ArrowLeft: -1,
      ArrowDown: 1,
      ArrowRight: 1,
      PageUp: -5,
      PageDown: 5,
    };
    const by = steps[event.key];
    if (by === undefined) return;
    event.preventDefault();
    this.resize(this.height + by * HEIGHT.step);
  }

  private onGrab(event: PointerEvent): void {
    (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
  }

  private onDrag(event: PointerEvent): void {
    const handle = event.currentTarget as HTMLElement;
    if (handle.hasPointerCapture(event.pointerId)) this.resize(this.height + event.movementY);
  }

  private resize(height: number): void {
    this.height = Math.round(Math.min(HEIGHT.most, Math.max(HEIGHT.least, height)));
  }

  static override styles = [
    themeStyles,
    css`
      :host {
        display: block;
        border-block-start: 1px solid var(--_border);
      }
      :host([hidden]) {
        display: none;
      }
      p {
        margin: 0;
        padding: 12px;
      }
      .stage {
        background: #fff;
      }
      iframe {
        display: block;
        width: 100%;
        height: 100%;
        border: 0;
        background: #fff;
        color-scheme: light;
      }
      .bar {
        display: flex;
        align-items: center;
        gap: 4px;
        padding: 2px 4px;
        border-block-start: 1px solid var(--_border);
      }
      .size {
        display: grid;
        place-items: center;
        flex: 1;
        height: 28px;
        padding: 0;
        border: 0;
        border-radius: 8px;
        background: none;
        cursor: ns-resize;
        touch-action: none;
      }
      .size span {
        width: 40px;
        height: 4px;
        border-radius: 2px;
        background: var(--_edge);
      }
    `,
  ];
}

define('qwen-code-preview', CodePreview);
