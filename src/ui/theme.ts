/**
 * Colours, sizes and the few shapes that all parts share. A page restyles them by the `--qwen-*` properties; light and
 * dark follow the `color-scheme` of where the element stands. Inside, only the `--_*` names are used.
 */
import { css } from 'lit';

export const themeStyles = css`
  :host {
    --_background: var(--qwen-background, light-dark(#ffffff, #15171a));
    --_text: var(--qwen-text, light-dark(#1b1f23, #e7e9eb));
    --_muted: var(--qwen-muted, light-dark(#59636d, #9ba5ae));
    --_border: var(--qwen-border, light-dark(#dfe3e7, #2d3238));
    --_edge: var(--qwen-edge, light-dark(#bcc3ca, #434a52));
    --_raised: var(--qwen-raised, light-dark(#f4f6f7, #1e2125));
    --_accent: var(--qwen-accent, light-dark(#0b6b66, #5fcac1));
    --_on-accent: var(--qwen-on-accent, light-dark(#ffffff, #062523));
    --_error: var(--qwen-error, light-dark(#a8271d, #ff9e94));
    --_code-keyword: var(--qwen-code-keyword, light-dark(#7b3aa8, #d3a4f5));
    --_code-name: var(--qwen-code-name, light-dark(#1f5fa8, #85bdf8));
    --_code-string: var(--qwen-code-string, light-dark(#256b2c, #92d59a));
    --_code-number: var(--qwen-code-number, light-dark(#95500f, #e8b27a));
    --_measure: var(--qwen-measure, 46rem);
    --_radius: var(--qwen-radius, 16px);
    --_radius-small: calc(var(--_radius) / 2);
    --_mono: var(--qwen-font-mono, ui-monospace, SFMono-Regular, Menlo, Consolas, monospace);
    --_hover: color-mix(in oklab, var(--_text) 7%, transparent);
    --_speed: 150ms;
    font-size: var(--qwen-font-size, inherit);
    color: var(--_text);
    background: var(--_background);
  }
  *,
  *::before,
  *::after {
    box-sizing: border-box;
  }
  :focus-visible {
    outline: 2px solid var(--_accent);
    outline-offset: 2px;
  }
  .icon {
    display: block;
    flex: none;
    width: 1.25em;
    height: 1.25em;
  }
  .button {
    display: inline-flex;
    align-items: center;
    justify-content: center;
    gap: 6px;
    min-height: 36px;
    padding: 4px 14px;
    border: 1px solid var(--_edge);
    border-radius: var(--_radius-small);
    background: none;
    color: inherit;
    font: inherit;
    font-size: 0.925em;
    cursor: pointer;
    transition: background-color var(--_speed);
  }
  .button:hover {
    background: var(--_hover);
  }
  .button.primary {
    border-color: transparent;
    background: var(--_accent);
    color: var(--_on-accent);
  }
  .button.primary:hover {
    background: color-mix(in oklab, var(--_accent) 88%, var(--_text));
  }
  .icon-button {
    display: inline-grid;
    place-items: center;
    width: 32px;
    height: 32px;
    padding: 0;
    border: 0;
    border-radius: 8px;
    background: none;
    color: var(--_muted);
    font: inherit;
    font-size: 0.875em;
    cursor: pointer;
    transition:
      background-color var(--_speed),
      color var(--_speed);
  }
  .icon-button:hover {
    background: var(--_hover);
    color: var(--_text);
  }
  .quiet {
    color: var(--_muted);
    font-size: 0.875em;
  }
  .hidden-but-spoken {
    position: absolute;
    width: 1px;
    height: 1px;
    margin: -1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
  @media (prefers-reduced-motion: reduce) {
    *,
    *::before,
    *::after {
      animation: none !important;
      transition: none !important;
    }
  }
`;
