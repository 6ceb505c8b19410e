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
} as const satisfies Record<string, TemplateResult>;
