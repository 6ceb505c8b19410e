import { css, html, nothing, type TemplateResult } from 'lit';
import type { Attachment } from './attachment.ts';
import { mediaFacts } from './attachment-text.ts';
import { strings } from './strings.ts';
import type { UserTurn } from './turns.ts';
import './thumbnail.ts';

/** Height of a picture in the conversation, and how wide it may be, in CSS pixels. */
const HEIGHT = 144;
const WIDTHS = { least: 64, most: 256 };

/** What was attached to a message, as pictures that open large. */
export function messageMedia(turn: UserTurn, open: (index: number) => void): TemplateResult | typeof nothing {
  const { attachments, unseen } = turn;
  if (attachments.length === 0) return nothing;
  return html`
    <ul class="media ${unseen ? 'media-unseen' : ''}" part="media" aria-label=${strings.attachments}>
      ${attachments.map(
        (
          attachment,
          index,
        ) => html`<li><button type="button" class="media-open" part="medium" title=${title(attachment)}
          aria-label=${strings.openLarge(title(attachment))} @click=${() => open(index)}>
          <qwen-thumbnail .style=${`aspect-ratio: ${shape(attachment)}`} .attachment=${attachment}></qwen-thumbnail></button></li>`,
      )}
    </ul>
    ${unseen ? html`<p class="quiet media-note">${strings.unseen}</p>` : nothing}`;
}

function title(attachment: Attachment): string {
  const facts = mediaFacts(attachment);
  return facts ? `${attachment.name}, ${facts}` : attachment.name;
}

/** Its own, as far as that leaves something to see; a square while it is not known. Known before it loads, so nothing moves. */
function shape({ width, height }: Attachment): string {
  if (!width || !height) return '1';
  return String(Math.min(WIDTHS.most, Math.max(WIDTHS.least, (width / height) * HEIGHT)) / HEIGHT);
}

export const messageMediaStyles = css`
  .media {
    display: flex;
    flex-wrap: wrap;
    justify-content: end;
    gap: 6px;
    max-width: 100%;
    margin: 0;
    padding: 0;
    list-style: none;
  }
  .media-unseen {
    opacity: 0.5;
  }
  .media-open {
    display: block;
    padding: 0;
    border: 0;
    border-radius: var(--_radius-small);
    background: none;
    color: inherit;
    font: inherit;
    cursor: zoom-in;
  }
  .media-open qwen-thumbnail {
    height: 144px;
    border: 1px solid var(--_border);
    border-radius: inherit;
  }
  @container (width < 30rem) {
    .media-open qwen-thumbnail {
      height: 112px;
    }
  }
  .media-note {
    margin: 0;
    text-align: end;
  }
`;
