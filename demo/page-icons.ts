/** Icons of the page around the chat, in the same hand as the chat's own. */
import { html, svg, type TemplateResult } from 'lit';

const icon = (content: TemplateResult<2>): TemplateResult => html`
  <svg class="icon" viewBox="0 0 20 20" width="20" height="20" fill="none" stroke="currentColor" stroke-width="1.5"
    stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">${content}</svg>`;

export const pageIcons = {
  menu: icon(svg`<path d="M3.5 6h13M3.5 10h13M3.5 14h13"/>`),
  model: icon(
    svg`<path d="m10 3 6.5 3.5L10 10 3.5 6.5 10 3Z"/><path d="M3.5 10 10 13.5l6.5-3.5M3.5 13.5 10 17l6.5-3.5"/>`,
  ),
  disk: icon(
    svg`<ellipse cx="10" cy="5.5" rx="6" ry="2.5"/><path d="M4 5.5v9C4 15.9 6.7 17 10 17s6-1.1 6-2.5v-9M4 10c0 1.4 2.7 2.5 6 2.5s6-1.1 6-2.5"/>`,
  ),
  search: icon(svg`<circle cx="9" cy="9" r="5"/><path d="m12.8 12.8 3.7 3.7"/>`),
  more: icon(svg`<path d="M5 10v.01M10 10v.01M15 10v.01" stroke-width="2.2"/>`),
  save: icon(svg`<path d="M10 3.5v9M6.5 9.5l3.5 3.5 3.5-3.5M4 16.5h12"/>`),
  bin: icon(svg`<path d="M4 6h12M8 6V4h4v2M5.5 6l.7 10.5h7.6L14.5 6M8.5 9v4.5M11.5 9v4.5"/>`),
  settings: icon(
    svg`<path d="M3.5 6h7m4 0h2M3.5 14h2m4 0h7"/><circle cx="12.5" cy="6" r="2"/><circle cx="7.5" cy="14" r="2"/>`,
  ),
  chats: icon(
    svg`<path d="M4 5.5A1.5 1.5 0 0 1 5.5 4h9A1.5 1.5 0 0 1 16 5.5v6a1.5 1.5 0 0 1-1.5 1.5H9l-4 3v-3.1a1.5 1.5 0 0 1-1-1.4v-6Z"/>`,
  ),
} as const satisfies Record<string, TemplateResult>;
