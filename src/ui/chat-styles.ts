/** The chat's frame, and the styles of all its parts. */
import { css } from 'lit';
import { attachmentsStyles } from './attachments.ts';
import { cameraStyles } from './camera-dialog.ts';
import { composerStyles } from './composer.ts';
import { errorStyles } from './error-box.ts';
import { progressStyles } from './load-progress.ts';
import { markdownStyles } from './markdown-view.ts';
import { mediaDialogStyles } from './media-dialog.ts';
import { messageMediaStyles } from './message-media.ts';
import { messageStyles } from './message-view.ts';
import { statisticsStyles } from './statistics.ts';
import { themeStyles } from './theme.ts';
import { thinkingStyles } from './thinking-block.ts';
import { thumbnailStyles } from './thumbnail.ts';
import { toolCallStyles } from './tool-calls.ts';

const frameStyles = css`
  :host {
    display: block;
    height: 100%;
    max-height: 100dvh;
    min-height: min(20rem, 100dvh);
    container-type: inline-size;
    line-height: 1.5;
  }
  :host([hidden]),
  [hidden] {
    display: none !important;
  }
  .chat {
    position: relative;
    display: grid;
    grid-template-rows: minmax(0, 1fr) auto;
    height: 100%;
    max-height: inherit;
    min-height: inherit;
    overflow: hidden;
  }
  .log {
    display: grid;
    overflow-y: auto;
    overscroll-behavior: contain;
    scrollbar-gutter: stable both-edges;
  }
  .log:focus-visible {
    outline-offset: -2px;
  }
  .column {
    width: 100%;
    max-width: calc(var(--_measure) + 32px);
    min-width: 0;
    margin-inline: auto;
    padding: 16px 16px 24px;
    display: flex;
    flex-direction: column;
    gap: 12px;
  }
  .column-empty {
    align-items: center;
    justify-content: center;
    max-width: 36rem;
    text-align: center;
  }
  .reload {
    display: grid;
    gap: 8px;
    justify-items: start;
    padding: 16px;
    border: 1px solid var(--_border);
    border-radius: var(--_radius-small);
  }
  .reload:has(> .error) {
    display: block;
    padding: 0;
    border: 0;
  }
  .forgotten {
    display: grid;
    justify-items: center;
    gap: 4px;
    padding-block-start: 12px;
    border-block-start: 1px dashed var(--_edge);
    font-size: 0.925em;
    text-align: center;
  }
  .removed {
    display: flex;
    align-items: center;
    justify-content: space-between;
    gap: 8px;
    padding-inline: 12px 4px;
  }
  .removed .foot-button,
  .forgotten .foot-button {
    color: var(--_accent);
    font-size: 0.875em;
  }
  .title {
    margin: 0;
    font-size: 1.15em;
    font-weight: 600;
    text-wrap: balance;
    overflow-wrap: anywhere;
  }
  p.quiet {
    margin: 0;
    text-wrap: pretty;
    overflow-wrap: anywhere;
  }
  .dock {
    position: relative;
    width: 100%;
    max-width: calc(var(--_measure) + 32px + 24px);
    margin-inline: auto;
    padding: 0 16px max(8px, env(safe-area-inset-bottom));
  }
  .drop-here {
    position: absolute;
    inset: 8px;
    z-index: 2;
    display: grid;
    place-content: center;
    justify-items: center;
    gap: 8px;
    padding: 24px;
    border: 2px dashed var(--_accent);
    border-radius: var(--_radius);
    background: color-mix(in oklab, var(--_background) 94%, transparent);
    backdrop-filter: blur(6px);
    font-weight: 600;
    text-align: center;
    text-wrap: balance;
    pointer-events: none;
  }
  .drop-here .icon {
    width: 2.5em;
    height: 2.5em;
    color: var(--_accent);
  }
  .to-end {
    position: absolute;
    inset-block-end: calc(100% + 8px);
    inset-inline-start: calc(50% - 18px);
    z-index: 1;
    display: grid;
    place-items: center;
    width: 36px;
    height: 36px;
    padding: 0;
    border: 1px solid var(--_edge);
    border-radius: 50%;
    background: var(--_background);
    color: var(--_text);
    font: inherit;
    font-size: 0.9em;
    cursor: pointer;
    box-shadow: 0 2px 8px rgb(0 0 0 / 12%);
  }
  .foot {
    display: flex;
    align-items: center;
    justify-content: space-between;
    gap: 8px;
    min-height: 32px;
    margin-block-start: 4px;
    padding-inline: 4px 0;
    color: var(--_muted);
    font-size: 0.8em;
  }
  .foot-buttons {
    display: flex;
    flex: none;
  }
  .foot-button {
    display: inline-flex;
    align-items: center;
    gap: 4px;
    min-height: 28px;
    padding: 0 8px;
    border: 0;
    border-radius: 8px;
    background: none;
    color: inherit;
    font: inherit;
    cursor: pointer;
    transition:
      background-color var(--_speed),
      color var(--_speed);
  }
  select.foot-button {
    max-width: min(14rem, 40cqi);
    text-overflow: ellipsis;
  }
  .foot-button option {
    background: var(--_background);
    color: var(--_text);
  }
  .foot-button:hover,
  .foot-button[aria-expanded='true'] {
    color: var(--_text);
  }
  .foot-button:hover {
    background: var(--_hover);
  }
  @container (width < 30rem) {
    .column {
      padding-inline: 12px;
    }
    .dock {
      padding-inline: 12px;
    }
    .foot-button {
      min-width: 32px;
      justify-content: center;
    }
    .foot-button span {
      position: absolute;
      width: 1px;
      height: 1px;
      overflow: hidden;
      clip-path: inset(50%);
      white-space: nowrap;
    }
  }
`;

export const chatStyles = [
  themeStyles,
  frameStyles,
  markdownStyles,
  thinkingStyles,
  toolCallStyles,
  errorStyles,
  thumbnailStyles,
  messageStyles,
  messageMediaStyles,
  attachmentsStyles,
  composerStyles,
  mediaDialogStyles,
  cameraStyles,
  progressStyles,
  statisticsStyles,
];
