import { css, html, nothing } from 'lit';
import { property } from 'lit/decorators.js';
import type { LoadProgress } from '../engine/types.ts';
import { ChatPart, define } from './part.ts';
import { strings } from './strings.ts';

/** How far loading is, in words and as a bar, with a way to stop it. */
export class LoadProgressView extends ChatPart {
  /** Name of what is being loaded. */
  @property() name = '';
  @property({ attribute: false }) progress?: LoadProgress;

  private spokenPhase = '';
  private spokenQuarter = 0;

  protected override render() {
    const { progress } = this;
    const fraction = progress && progress.totalBytes > 0 ? progress.loadedBytes / progress.totalBytes : undefined;
    const percent = fraction === undefined ? undefined : Math.floor(fraction * 100);
    // Only the weights are measured in bytes: in the other phases the bar shows that something goes on, not how far.
    const source = this.source();
    const measured = progress?.phase === 'weights' && percent !== undefined;
    return html`
      <div class="loading" part="progress">
        <p class="loading-title">${strings.loading(this.name)}</p>
        <div class="bar ${measured ? '' : 'bar-unmeasured'}" role="progressbar" aria-label=${strings.progress}
          aria-valuemin="0" aria-valuemax="100" aria-valuenow=${measured ? percent : nothing}
          aria-valuetext=${this.phase()}>
          <div .style=${measured ? `inline-size: ${((fraction ?? 0) * 100).toFixed(2)}%` : ''}></div>
        </div>
        <div class="loading-row">
          <div class="quiet">
            <div>${this.phase()}</div>
            <div class="loading-figures">${this.figures() || html`&nbsp;`}</div>
            ${source ? html`<div>${source}</div>` : nothing}
          </div>
          <button type="button" class="button" @click=${() => this.tell('chat-stop-loading')}>${strings.stop}
            <span class="hidden-but-spoken">${strings.stopLoading}</span></button>
        </div>
      </div>`;
  }

  protected override updated(): void {
    const { progress } = this;
    if (!progress) return;
    if (progress.phase !== this.spokenPhase) {
      this.spokenPhase = progress.phase;
      this.tell('chat-announce', this.phase());
    }
    const quarter = Math.floor((4 * progress.loadedBytes) / Math.max(1, progress.totalBytes));
    if (quarter > this.spokenQuarter && quarter < 4) {
      this.spokenQuarter = quarter;
      this.tell('chat-announce', strings.percentLoaded(quarter * 25));
    }
  }

  private phase(): string {
    const { progress } = this;
    if (!progress) return strings.phases.start;
    if (progress.phase === 'weights' && progress.networkBytes > 0) return strings.downloading;
    return strings.phases[progress.phase];
  }

  private figures(): string {
    if (this.progress?.phase !== 'weights') return '';
    const { loadedBytes, totalBytes, bytesPerSecond, secondsLeft } = this.progress;
    const figures = [strings.bytesOf(loadedBytes, totalBytes)];
    if (bytesPerSecond > 0) figures.push(strings.perSecond(bytesPerSecond));
    if (secondsLeft !== undefined) figures.push(strings.timeLeft(secondsLeft));
    return figures.join(' · ');
  }

  private source(): string {
    const { networkBytes = 0, storeBytes = 0 } = this.progress ?? {};
    if (storeBytes === 0) return '';
    return networkBytes > 0 ? strings.partlyFromDevice(storeBytes, networkBytes) : strings.fromDevice;
  }
}

define('qwen-load-progress', LoadProgressView);

export const progressStyles = css`
  qwen-load-progress {
    display: block;
    width: 100%;
  }
  .loading {
    display: grid;
    gap: 12px;
    text-align: start;
  }
  .loading-title {
    margin: 0;
    font-weight: 600;
    overflow-wrap: anywhere;
  }
  .bar {
    height: 6px;
    border-radius: 3px;
    background: color-mix(in oklab, var(--_text) 12%, transparent);
    overflow: hidden;
  }
  .bar > div {
    height: 100%;
    border-radius: 3px;
    background: var(--_accent);
    transition: inline-size var(--_speed) linear;
  }
  .bar-unmeasured > div {
    inline-size: 30%;
    animation: qwen-to-and-fro 1.6s ease-in-out infinite alternate;
  }
  @keyframes qwen-to-and-fro {
    to {
      margin-inline-start: 70%;
    }
  }
  .loading-row {
    display: flex;
    justify-content: space-between;
    align-items: start;
    gap: 16px;
    line-height: 1.6;
  }
  .loading-figures {
    font-variant-numeric: tabular-nums;
  }
`;
