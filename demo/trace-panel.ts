import { html, nothing, svg, type TemplateResult } from 'lit';
import { customElement, property, state } from 'lit/decorators.js';
import type { Engine, Trace, TracedDispatch } from '../src/index.ts';
import { formatBytes, formatNumber } from '../src/ui/format.ts';
import { PageElement } from './element.ts';
import { strings } from './strings.ts';

/** One kernel's dispatches of a token, together. */
interface KernelRow {
  readonly name: string;
  readonly dispatches: number;
  readonly ms: number;
  readonly bytes: number;
  /** One of the colours of the timeline; rows beyond them share the last. */
  readonly colour: number;
}

/** Colours that tell kernels apart; `page.css` has them. */
const COLOURS = 6;

const WIDTH = 600;
const HEIGHT = 28;

/** What the GPU does for a token: asked for by a button, told as a table and drawn as a strip. */
@customElement('demo-trace')
export class TracePanel extends PageElement {
  @property({ attribute: false }) engine?: Engine;
  @state() private trace?: Trace;
  @state() private running = false;
  @state() private failure?: string;

  protected override willUpdate(changed: Map<PropertyKey, unknown>): void {
    if (!changed.has('engine')) return;
    this.trace = undefined;
    this.failure = undefined;
  }

  protected override render() {
    const { trace, failure } = this;
    return html`
      <h2 class="facts-title">${strings.trace.title}</h2>
      <p class="quiet">${strings.trace.hint}</p>
      <button class="button" type="button" ?disabled=${this.running || !this.engine} @click=${this.run}>
        ${this.running ? strings.trace.running : strings.trace.start}
      </button>
      <div role="status">
        ${failure ? html`<p class="quiet">${strings.trace.failed(failure)}</p>` : nothing}
        ${trace ? result(trace) : nothing}
      </div>`;
  }

  /** The panel is low and scrolls: what was asked for should be seen. */
  protected override updated(changed: Map<PropertyKey, unknown>): void {
    if (changed.has('trace') && this.trace) this.querySelector('[role=status]')?.scrollIntoView({ block: 'start' });
  }

  private async run(): Promise<void> {
    const { engine } = this;
    if (!engine) return;
    this.running = true;
    this.failure = undefined;
    try {
      const trace = await engine.trace(await engine.tokenize(strings.trace.prompt));
      if (this.engine === engine) this.trace = trace;
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error);
    } finally {
      this.running = false;
    }
  }
}

function result(trace: Trace): TemplateResult {
  const rows = byKernel(trace.token);
  const total = rows.reduce((sum, { ms }) => sum + ms, 0);
  const colours = new Map(rows.map(({ name, colour }) => [name, colour]));
  const { columns } = strings.trace;
  return html`
    <p>${strings.trace.summary(total, trace.token.length, trace.tokens)}</p>
    ${trace.resolution === 'pass' ? html`<p class="quiet">${strings.trace.wholePasses}</p>` : timeline(trace.token, total, colours)}
    <table class="trace-table">
      <caption class="hidden-but-spoken">${strings.trace.caption}</caption>
      <thead>
        <tr>
          <th scope="col">${columns.kernel}</th>
          ${[columns.dispatches, columns.ms, columns.share, columns.bytes, columns.rate].map(
            (name) => html`<th scope="col">${name}</th>`,
          )}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          ({ name, dispatches, ms, bytes, colour }) => html`
            <tr>
              <th scope="row"><span class="trace-key trace-${colour}" aria-hidden="true"></span>${name}</th>
              <td>${dispatches}</td>
              <td>${formatNumber(ms, 2)}</td>
              <td>${total > 0 ? `${formatNumber((100 * ms) / total, 1)} %` : '–'}</td>
              <td>${bytes > 0 ? formatBytes(bytes) : '–'}</td>
              <td>${bytes > 0 && ms > 0 ? formatNumber(bytes / ms / 1e6, 2) : '–'}</td>
            </tr>`,
        )}
      </tbody>
    </table>`;
}

/** The dispatches of a token side by side; the table says the same in words. */
function timeline(dispatches: readonly TracedDispatch[], total: number, colours: ReadonlyMap<string, number>) {
  let at = 0;
  const bars = dispatches.map((dispatch) => {
    const x = at;
    const width = total > 0 ? (WIDTH * dispatch.ms) / total : 0;
    at += width;
    return svg`<rect class="trace-${colours.get(nameOf(dispatch))}" x=${x} y="0" width=${width} height=${HEIGHT}>
      <title>${strings.trace.bar(dispatch.weights ?? nameOf(dispatch), dispatch.ms)}</title></rect>`;
  });
  return html`<svg class="trace-timeline" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img"
    aria-label=${strings.trace.timeline}>${bars}</svg>`;
}

/** Longest first. */
function byKernel(dispatches: readonly TracedDispatch[]): KernelRow[] {
  const rows = new Map<string, { dispatches: number; ms: number; bytes: number }>();
  for (const dispatch of dispatches) {
    const row = rows.get(nameOf(dispatch)) ?? { dispatches: 0, ms: 0, bytes: 0 };
    rows.set(nameOf(dispatch), row);
    row.dispatches++;
    row.ms += dispatch.ms;
    row.bytes += dispatch.bytes;
  }
  return [...rows]
    .sort(([, a], [, b]) => b.ms - a.ms)
    .map(([name, row], i) => ({ name, ...row, colour: Math.min(i, COLOURS - 1) }));
}

/** `matvec q4_k ffn_up`: the layers of one kind together. */
function nameOf({ kernel, variant, weights }: TracedDispatch): string {
  if (weights === undefined) return kernel;
  const tensor = weights.replace(/^blk\.\d+\./, '').replace(/\.weight$/, '');
  return `${kernel} ${variant.split(' ')[0]} ${tensor}`;
}
