import { css, html, nothing, type TemplateResult } from 'lit';
import { describeError } from './error-text.ts';
import { icons } from './icons.ts';
import { strings } from './strings.ts';

/** An error where it happened: what, why, the next step, and the details for whoever wants them. */
export function errorBox(error: unknown, options: { hint?: string; actions?: unknown } = {}): TemplateResult {
  const { title, message, facts } = describeError(error);
  return html`
    <div class="error" part="error" role="alert">
      <span class="error-icon">${icons.warning}</span>
      <div class="error-body">
        <p class="error-title">${title}</p>
        <p>${message}</p>
        ${options.hint ? html`<p class="quiet">${options.hint}</p>` : nothing}
        ${
          facts.length > 0
            ? html`<details>
                <summary>${strings.details}</summary>
                <dl>${facts.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
              </details>`
            : nothing
        }
        ${options.actions ? html`<div class="error-actions">${options.actions}</div>` : nothing}
      </div>
    </div>`;
}

export const errorStyles = css`
  .error {
    display: grid;
    grid-template-columns: auto 1fr;
    gap: 12px;
    padding: 16px;
    border: 1px solid color-mix(in oklab, var(--_error) 45%, var(--_border));
    border-radius: var(--_radius-small);
    background: color-mix(in oklab, var(--_error) 5%, var(--_background));
    text-align: start;
    line-height: 1.5;
  }
  .error-icon {
    color: var(--_error);
    padding-block-start: 2px;
  }
  .error-body {
    display: grid;
    gap: 8px;
    min-width: 0;
    overflow-wrap: anywhere;
  }
  .error p {
    margin: 0;
  }
  .error-title {
    font-weight: 600;
  }
  .error summary {
    width: fit-content;
    padding-block: 2px;
    color: var(--_muted);
    font-size: 0.875em;
    cursor: pointer;
  }
  .error dl {
    display: grid;
    gap: 4px;
    margin: 8px 0 0;
    font-size: 0.875em;
  }
  .error dl div {
    display: grid;
    grid-template-columns: 6.5rem 1fr;
    gap: 8px;
  }
  .error dt {
    color: var(--_muted);
  }
  .error dd {
    margin: 0;
    font-family: var(--_mono);
    font-size: 0.95em;
  }
  .error-actions {
    display: flex;
    flex-wrap: wrap;
    gap: 8px;
    margin-block-start: 4px;
  }
`;
