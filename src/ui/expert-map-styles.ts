import { css } from 'lit';

/** The four colours differ in lightness too, for those who see no hues. */
export const mapStyles = css`
  :host {
    --_map-remote: var(--qwen-map-remote, light-dark(#e3e7ea, #2a2f35));
    --_map-stored: var(--qwen-map-stored, light-dark(#a3b0bb, #56626d));
    --_map-resident: var(--qwen-map-resident, light-dark(#2f8f88, #3f9d95));
    --_map-in-use: var(--qwen-map-in-use, light-dark(#c2410c, #ffc46b));
    display: block;
    line-height: 1.5;
  }
  :host([hidden]) {
    display: none;
  }
  section {
    display: grid;
    gap: 8px;
    min-width: 0;
  }
  p,
  ul,
  dl {
    margin: 0;
    padding: 0;
  }
  .arriving {
    font-size: 0.925em;
  }
  .arriving .quiet {
    display: block;
    font-size: 0.95em;
    font-variant-numeric: tabular-nums;
  }
  .box {
    min-width: 0;
    overflow-x: auto;
    /* Room for the focus ring. */
    padding: 4px;
    margin: -4px;
  }
  canvas {
    display: block;
  }
  .readout {
    min-height: 1.5em;
    font-variant-numeric: tabular-nums;
  }
  .legend {
    display: flex;
    flex-wrap: wrap;
    gap: 4px 16px;
    list-style: none;
    font-size: 0.875em;
  }
  .legend li {
    display: flex;
    align-items: center;
    gap: 6px;
  }
  .legend b {
    font-weight: 600;
    font-variant-numeric: tabular-nums;
  }
  .legend .quiet {
    font-size: inherit;
  }
  .swatch {
    flex: none;
    width: 12px;
    height: 12px;
    --mark: color-mix(in oklab, var(--_text) 55%, transparent);
    forced-color-adjust: none;
  }
  .remote {
    background: linear-gradient(135deg, transparent 43%, var(--mark) 43% 57%, transparent 57%) var(--_map-remote);
  }
  .stored {
    background: radial-gradient(circle, var(--mark) 2.5px, transparent 3px) var(--_map-stored);
  }
  .resident {
    background: var(--_map-resident);
  }
  .inUse {
    background: linear-gradient(transparent 42%, var(--mark) 42% 58%, transparent 58%) var(--_map-in-use);
  }
  .figures {
    display: grid;
    grid-template-columns: repeat(auto-fill, minmax(min(100%, 13rem), 1fr));
    gap: 4px 24px;
    font-size: 0.875em;
  }
  .figures dt {
    color: var(--_muted);
  }
  .figures dd {
    margin: 0;
    font-variant-numeric: tabular-nums;
  }
  details {
    font-size: 0.875em;
  }
  summary {
    width: fit-content;
    color: var(--_muted);
    cursor: pointer;
  }
  table {
    border-collapse: collapse;
    font-variant-numeric: tabular-nums;
  }
  th,
  td {
    padding: 2px 12px 2px 0;
    font-weight: 400;
    text-align: end;
  }
  thead th {
    color: var(--_muted);
  }
`;
