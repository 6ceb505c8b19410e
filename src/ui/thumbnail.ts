import { css, html, nothing } from 'lit';
import { property } from 'lit/decorators.js';
import type { Attachment } from './attachment.ts';
import { formatClockTime } from './format.ts';
import { icons } from './icons.ts';
import { ObjectUrl } from './object-url.ts';
import { ChatPart, define } from './part.ts';

/** A picture, or a frame of a video with its length, small. What it is called is said by whatever it stands in. */
export class Thumbnail extends ChatPart {
  @property({ attribute: false }) attachment?: Attachment;
  private readonly url = new ObjectUrl(this);

  protected override render() {
    const { attachment } = this;
    if (!attachment) return html`<span class="thumbnail-blank"></span>`;
    const { kind, preview, seconds } = attachment;
    return html`
      ${
        preview === undefined
          ? html`<span class="thumbnail-blank">${kind === 'video' ? icons.film : icons.picture}</span>`
          : html`<img alt="" decoding="async" draggable="false" src=${this.url.of(preview)}>`
      }
      ${
        kind === 'video'
          ? html`<span class="thumbnail-length" aria-hidden="true">${icons.play}${seconds === undefined ? nothing : formatClockTime(seconds)}</span>`
          : nothing
      }`;
  }
}

define('qwen-thumbnail', Thumbnail);

export const thumbnailStyles = css`
  qwen-thumbnail {
    position: relative;
    display: block;
    overflow: hidden;
    background: color-mix(in oklab, var(--_text) 6%, transparent);
  }
  qwen-thumbnail img {
    display: block;
    width: 100%;
    height: 100%;
    object-fit: cover;
  }
  .thumbnail-blank {
    display: grid;
    place-items: center;
    width: 100%;
    height: 100%;
    color: var(--_muted);
  }
  .thumbnail-length {
    position: absolute;
    inset-block-end: 4px;
    inset-inline-start: 4px;
    display: inline-flex;
    align-items: center;
    gap: 2px;
    padding: 1px 6px 1px 3px;
    border-radius: 6px;
    background: rgb(0 0 0 / 72%);
    color: #fff;
    font-size: 0.75rem;
    line-height: 1.4;
    font-variant-numeric: tabular-nums;
  }
  .thumbnail-length .icon {
    width: 1em;
    height: 1em;
  }
`;
