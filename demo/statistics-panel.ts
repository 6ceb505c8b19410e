import { html, type TemplateResult } from 'lit';
import { customElement, property } from 'lit/decorators.js';
import type { EngineStats, ModelInfo } from '../src/index.ts';
import { formatBytes, formatDuration, formatNumber, formatRate } from '../src/ui/format.ts';
import type { AnswerFigures } from '../src/ui/qwen-chat.ts';
import { draftFigure, mediaFigure } from '../src/ui/statistics.ts';
import { PageElement } from './element.ts';
import { strings } from './strings.ts';

/** All figures there are: of the model, of the last answer, since loading. */
@customElement('demo-statistics')
export class StatisticsPanel extends PageElement {
  @property({ attribute: false }) info?: ModelInfo;
  @property({ attribute: false }) stats?: EngineStats;
  /** Of the last answer. */
  @property({ attribute: false }) figures?: AnswerFigures;

  protected override render() {
    const { info, stats } = this;
    if (!info || !stats) return html`<p class="quiet">${strings.statisticsNone}</p>`;
    const { figures } = strings;
    const experts = info.experts > 0 ? `, ${strings.sparseKind(info.experts, info.expertsUsed)}` : '';
    return html`
      ${group(strings.model, [
        [figures.architecture, info.architecture],
        [figures.parameters, formatNumber(info.parameters)],
        [figures.layers, `${info.layers}${experts}`],
        [figures.context, strings.tokens(info.contextLength)],
        [figures.file, formatBytes(info.fileBytes)],
        [figures.quantization, info.quantization],
        [figures.adapter, info.adapter],
        [figures.precision, info.precision],
      ])}
      ${group(strings.lastAnswer, [
        [figures.decode, formatRate(stats.decodeTokensPerSecond)],
        [figures.prefill, formatRate(stats.prefillTokensPerSecond)],
        [figures.firstToken, stats.timeToFirstTokenMs > 0 ? formatDuration(stats.timeToFirstTokenMs) : '–'],
        [figures.dispatches, formatNumber(stats.dispatchesPerToken)],
        [figures.readback, formatBytes(stats.readbackBytesPerToken)],
        [figures.weightBytes, formatBytes(stats.weightBytesPerToken)],
        ...(this.figures ? [...draftFigure(this.figures), ...mediaFigure(this.figures)] : []),
      ])}
      ${group(strings.sinceLoading, [
        [figures.prompt, strings.tokens(stats.promptTokens)],
        [figures.reused, strings.tokens(stats.reusedTokens)],
        [figures.answer, strings.tokens(stats.completionTokens)],
        ...(info.vision ? [[figures.visionRuns, formatNumber(stats.visionRuns)] as const] : []),
        [figures.gpuMemory, formatBytes(stats.gpuBytes)],
        [figures.peakGpuMemory, formatBytes(stats.peakGpuBytes)],
        [figures.network, formatBytes(stats.bytesFromNetwork)],
        [figures.store, formatBytes(stats.bytesFromStore)],
      ])}`;
  }
}

function group(title: string, rows: ReadonlyArray<readonly [string, string]>): TemplateResult {
  return html`
    <section>
      <h2 class="facts-title">${title}</h2>
      <dl class="facts">${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
    </section>`;
}
