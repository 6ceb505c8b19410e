import { css, html, type TemplateResult } from 'lit';
import { formatDuration, formatRate } from './format.ts';
import { strings } from './strings.ts';
import type { AnswerFigures } from './turns.ts';

/** The figures of one answer. @param more what else is told of it, before them */
export function statistics(
  figures: AnswerFigures | undefined,
  label: string = strings.statisticsOf,
  more: ReadonlyArray<readonly [string, string]> = [],
): TemplateResult {
  if (!figures) return html`<p class="quiet statistics" part="statistics">${strings.noStatistics}</p>`;
  const rows: Array<readonly [string, string]> = [
    ...more,
    [strings.decodeRate, formatRate(figures.decodeTokensPerSecond)],
    [strings.timeToFirstToken, formatDuration(figures.timeToFirstTokenMs)],
    [strings.prefillRate, formatRate(figures.prefillTokensPerSecond)],
    [strings.promptTokens, strings.tokens(figures.promptTokens)],
    [strings.reusedTokens, strings.tokens(figures.reusedTokens)],
    [strings.completionTokens, strings.tokens(figures.completionTokens)],
    ...draftFigure(figures),
    ...mediaFigure(figures),
  ];
  return html`
    <dl class="statistics" part="statistics" aria-label=${label}>
      ${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
    </dl>`;
}

/** How many drafts were right, and what that spared: every right one a pass. Nothing where none were made. */
export function draftFigure({
  draftedTokens,
  acceptedTokens,
  completionTokens,
}: AnswerFigures): Array<[string, string]> {
  if (draftedTokens === 0) return [];
  const passes = Math.max(1, completionTokens - acceptedTokens);
  return [[strings.drafts, strings.draftsRight(draftedTokens, acceptedTokens, completionTokens / passes)]];
}

/** What the prompt's pictures took, and whether the model had seen them before; nothing without any. */
export function mediaFigure({ mediaTokens, mediaRead, mediaRemembered }: AnswerFigures): Array<[string, string]> {
  if (mediaRead + mediaRemembered === 0) return [];
  const how = strings.mediaRead(mediaRead, mediaRemembered);
  return [[strings.media, mediaTokens > 0 ? `${strings.tokens(mediaTokens)}, ${how}` : how]];
}

export const statisticsStyles = css`
  .statistics {
    display: grid;
    grid-template-columns: repeat(auto-fill, minmax(6.25rem, 1fr));
    gap: 8px 16px;
    margin: 0;
    padding: 8px 4px 4px;
  }
  p.statistics {
    display: block;
  }
  .statistics div {
    display: flex;
    flex-direction: column;
  }
  .statistics dt {
    color: var(--_muted);
    font-size: 0.8em;
  }
  .statistics dd {
    margin: 0;
    font-size: 0.925em;
    font-variant-numeric: tabular-nums;
  }
`;
