/** Icons, drawn for this element: 20 × 20, one stroke width, in the colour of the text around them. */
import { html, svg, type TemplateResult } from 'lit';

const icon = (content: TemplateResult<2>): TemplateResult => html`
  <svg class="icon" viewBox="0 0 20 20" width="20" height="20" fill="none" stroke="currentColor" stroke-width="1.5"
    stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">${content}</svg>`;

export const icons = {
  send: icon(svg`<path d="M10 16V4.5M5 9.5l5-5 5 5"/>`),
  stop: icon(svg`<rect x="5.5" y="5.5" width="9" height="9" rx="1.5" fill="currentColor" stroke="none"/>`),
  copy: icon(
    svg`<rect x="7" y="7" width="9" height="9.5" rx="1.5"/><path d="M13 7V5a1.5 1.5 0 0 0-1.5-1.5h-6A1.5 1.5 0 0 0 4 5v6.5A1.5 1.5 0 0 0 5.5 13H7"/>`,
  ),
  remove: icon(svg`<path d="M4 6h12M8 6V4.5h4V6M5.5 6l.7 10h7.6l.7-10M8.5 9v4M11.5 9v4"/>`),
  large: icon(svg`<path d="M11.5 4.5h4v4M8.5 15.5h-4v-4M15.5 4.5 11 9M4.5 15.5 9 11"/>`),
  goOn: icon(svg`<path d="m4.5 5 5 5-5 5m6-10 5 5-5 5"/>`),
  check: icon(svg`<path d="m4.5 10.5 3.5 3.5 7.5-8"/>`),
  again: icon(svg`<path d="M15.5 10a5.5 5.5 0 1 1-1.7-4"/><path d="M14.3 2.8v3.4h-3.4"/>`),
  edit: icon(svg`<path d="m4 16 .7-3.2L13 4.5a1.4 1.4 0 0 1 2 0l.5.5a1.4 1.4 0 0 1 0 2l-8.3 8.3L4 16Z"/>`),
  close: icon(svg`<path d="m5.5 5.5 9 9m0-9-9 9"/>`),
  chevron: icon(svg`<path d="m7.5 5 5 5-5 5"/>`),
  previous: icon(svg`<path d="m12.5 5-5 5 5 5"/>`),
  down: icon(svg`<path d="M10 4v11.5M5 10.5l5 5 5-5"/>`),
  plus: icon(svg`<path d="M10 4.5v11M4.5 10h11"/>`),
  attach: icon(
    svg`<path d="m15.6 9.3-5.7 5.7a3.6 3.6 0 0 1-5.1-5.1l6-6a2.4 2.4 0 0 1 3.4 3.4l-6 6a1.2 1.2 0 0 1-1.7-1.7l5.6-5.6"/>`,
  ),
  camera: icon(
    svg`<path d="M3 7.5A1.5 1.5 0 0 1 4.5 6h1.8l1.2-2h5l1.2 2h1.8A1.5 1.5 0 0 1 17 7.5v7a1.5 1.5 0 0 1-1.5 1.5h-11A1.5 1.5 0 0 1 3 14.5v-7Z"/><circle cx="10" cy="10.7" r="2.8"/>`,
  ),
  picture: icon(
    svg`<rect x="3" y="4" width="14" height="12" rx="1.5"/><circle cx="7" cy="8" r="1.2"/><path d="m3.5 14 4-3.5 2.5 2 3.5-4 3.2 3.5"/>`,
  ),
  film: icon(
    svg`<rect x="3" y="4" width="14" height="12" rx="1.5"/><path d="M6.5 4v12M13.5 4v12M3 8h3.5M3 12h3.5M13.5 8H17M13.5 12H17"/>`,
  ),
  play: icon(svg`<path d="m7 5 8 5-8 5V5Z" fill="currentColor"/>`),
  bulb: icon(
    svg`<path d="M8 14.5h4M8.5 17h3"/><path d="M7.7 12.3a4.8 4.8 0 1 1 4.6 0c-.3.2-.3.5-.3.8v1.4H8v-1.4c0-.3 0-.6-.3-.8Z"/>`,
  ),
  gauge: icon(svg`<path d="M4.3 14.5a7 7 0 1 1 11.4 0"/><path d="m10 11 3-3.5"/>`),
  tool: icon(
    svg`<path d="M12.7 3.7a4 4 0 0 0-4.5 5.4l-5 5a1.4 1.4 0 0 0 0 2l.7.7a1.4 1.4 0 0 0 2 0l5-5a4 4 0 0 0 5.4-4.5l-2.4 2.4-2.6-.9-.9-2.6 2.3-2.5Z"/>`,
  ),
  warning: icon(svg`<path d="M10 3.5 17 16H3L10 3.5Z"/><path d="M10 8.5v3.3M10 14v.1"/>`),
} as const satisfies Record<string, TemplateResult>;
