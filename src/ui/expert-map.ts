/**
 * `<qwen-expert-map>`: where the experts of a model are, a row for each layer and a cell for each expert, with how often
 * they were found in GPU memory and what was waited for. While experts still come it is what shows how far that is.
 *
 * Give it the engine of a `<qwen-chat>` (`chat.engine`, or the detail of `qwen-ready`). It looks at the engine's figures
 * four times a second at most, and only while it is seen and something changes.
 */
import { html, LitElement, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { property, query, state } from 'lit/decorators.js';
import type { EngineStats } from '../engine/types.ts';
import type { ChatEngine } from './chat-engine.ts';
import { mapStyles } from './expert-map-styles.ts';
import { formatBytes, formatNumber } from './format.ts';
import {
  type Cell,
  cellAt,
  cellBeside,
  countByLayer,
  countPlaces,
  type MapShape,
  mapGeometry,
  placeNames,
  SHARED,
} from './map-cells.ts';
import { FADE_MS, type MapColours, MapPainter } from './map-painter.ts';
import { expertsToCome, MapWatch } from './map-watch.ts';
import { define } from './part.ts';
import { strings } from './strings.ts';
import { themeStyles } from './theme.ts';

const words = strings.map;

/** Events of `<qwen-expert-map>`, by name, with their `detail`. All bubble and cross shadow roots. */
export interface ExpertMapEvents {
  /** The map has looked: the engine's figures, and whether experts are still expected from the server. */
  'qwen-experts': { stats: EngineStats; arriving: boolean };
}

/** @element qwen-expert-map */
export class ExpertMap extends LitElement {
  static override styles = [themeStyles, mapStyles];

  /** Whose experts are shown. Of a model without experts nothing is. */
  @property({ attribute: false }) engine?: ChatEngine;
  /** An answer is under way: the map goes on looking. */
  @property({ type: Boolean }) active = false;
  /** Without the figures. */
  @property({ type: Boolean }) compact = false;

  @state() private stats?: EngineStats;
  /** Under the pointer, or else the keyboard's. */
  @state() private pointed?: Cell;
  @state() private cursor?: Cell;
  @state() private spoken = '';
  @state() private tabulated = false;
  @query('canvas') private readonly canvas!: HTMLCanvasElement;
  @query('.box') private readonly box!: HTMLElement;

  private watch = new MapWatch();
  private painter?: MapPainter;
  private painterKey = '';
  private seen = false;
  private looking = false;
  private timer?: ReturnType<typeof setTimeout>;
  private frame = 0;
  private readonly stillness = matchMedia('(prefers-reduced-motion: reduce)');
  private readonly darkness = matchMedia('(prefers-color-scheme: dark)');
  private readonly sight = new IntersectionObserver((entries) => {
    this.seen = entries[entries.length - 1].isIntersecting;
    void this.look();
  });
  private readonly size = new ResizeObserver(() => this.requestUpdate());
  /** A page switches its colours by an attribute of its root, mostly. */
  private readonly scheme = new MutationObserver(() => this.requestUpdate());

  override connectedCallback(): void {
    super.connectedCallback();
    this.sight.observe(this);
    this.size.observe(this);
    this.scheme.observe(document.documentElement, { attributes: true });
    document.addEventListener('visibilitychange', this.onVisibility);
    for (const preference of [this.stillness, this.darkness]) preference.addEventListener('change', this.onPreference);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.seen = false;
    for (const observer of [this.sight, this.size, this.scheme]) observer.disconnect();
    document.removeEventListener('visibilitychange', this.onVisibility);
    for (const preference of [this.stillness, this.darkness]) {
      preference.removeEventListener('change', this.onPreference);
    }
    clearTimeout(this.timer);
    cancelAnimationFrame(this.frame);
    this.frame = 0;
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (!changed.has('engine')) return;
    this.watch = new MapWatch();
    this.stats = undefined;
    this.pointed = undefined;
    this.cursor = undefined;
    this.spoken = '';
  }

  protected override updated(changed: PropertyValues<this>): void {
    if (changed.has('engine') || (changed.has('active') && this.active)) void this.look();
    this.paint();
  }

  protected override render() {
    const { shape, stats } = this;
    if (!shape || !stats?.experts) return nothing;
    const shown = this.pointed ?? this.cursor;
    return html`
      <section part="base" aria-label=${words.title}>
        ${this.arrival(stats, stats.experts)}
        <div class="box" part="map">
          <canvas tabindex="0" role="application" aria-roledescription=${words.roleDescription} aria-label=${words.title}
            aria-describedby="hint" @pointermove=${this.onPointer} @pointerdown=${this.onPointer}
            @pointerleave=${this.onPointerLeave} @focus=${this.onFocus} @blur=${this.onBlur} @keydown=${this.onKey}></canvas>
        </div>
        <p class="quiet readout" part="readout">${shown ? this.describe(shown) : words.point}</p>
        <p id="hint" class="hidden-but-spoken">${words.hint}</p>
        <p class="hidden-but-spoken" role="status">${this.spoken}</p>
        ${this.legend(stats.experts)}
        ${this.compact ? nothing : this.figures(stats)}
        <details @toggle=${this.onToggle}>
          <summary>${words.table}</summary>
          ${this.tabulated ? table(stats.experts, shape) : nothing}
        </details>
      </section>`;
  }

  /** What is still on its way, in words. */
  private arrival(stats: EngineStats, map: Uint8Array): TemplateResult | typeof nothing {
    if (!this.watch.arriving(performance.now())) return nothing;
    const [remote] = countPlaces(map);
    const { bytesPerSecond } = this.watch;
    const each = this.expertBytes;
    const parts = each > 0 ? [strings.bytesOf((map.length - remote) * each, map.length * each)] : [];
    if (bytesPerSecond > 0) {
      parts.push(strings.perSecond(bytesPerSecond));
      if (each > 0 && remote > 0) parts.push(strings.timeLeft((remote * each) / bytesPerSecond));
    }
    return html`<p class="arriving" part="arriving">${words.arriving(expertsToCome(stats))}
      <span class="quiet">${parts.join(' · ')}</span></p>`;
  }

  private legend(map: Uint8Array): TemplateResult {
    const counts = countPlaces(map);
    return html`
      <ul class="legend" part="legend" aria-label=${words.legend}>
        ${placeNames.map(
          (name, place) =>
            html`<li><span class="swatch ${name}"></span>${words.places[name]}<b>${formatNumber(counts[place])}</b></li>`,
        )}
        <li class="quiet">${words.shared}</li>
      </ul>`;
  }

  private figures({ expertHits, expertMisses, expertStallMs, expertTraffic }: EngineStats): TemplateResult {
    const rows: [string, string][] = [
      [words.hitRate, words.hitRateOf(expertHits, expertHits + expertMisses)],
      [words.stalls, words.stallsOf(expertMisses, expertStallMs)],
    ];
    if (expertTraffic) {
      rows.push(
        [words.slotBytes, formatBytes(expertTraffic.slotBytes)],
        [words.storeBytes, formatBytes(expertTraffic.storeBytes)],
        [words.networkBytes, formatBytes(expertTraffic.networkBytes)],
      );
    }
    return html`
      <dl class="figures" part="figures" aria-label=${words.figures}>
        ${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
      </dl>`;
  }

  private get shape(): MapShape | undefined {
    const experts = this.engine?.info.experts ?? 0;
    const map = this.stats?.experts;
    return map && experts > 0 ? { layers: map.length / experts, experts } : undefined;
  }

  /** Of an average one; 0 where it is not known. */
  private get expertBytes(): number {
    const { plan } = this.engine?.info ?? {};
    const count = this.stats?.experts?.length ?? 0;
    return plan && count > 0 ? (plan.expertBytes + plan.streamedBytes) / count : 0;
  }

  private describe({ layer, expert }: Cell): string {
    if (expert === SHARED) return words.sharedCell(layer);
    const index = layer * (this.shape?.experts ?? 0) + expert;
    const place = words.places[placeNames[this.stats?.experts?.[index] ?? 0]];
    const types = this.engine?.info.expertTypes?.[layer] ?? [];
    return words.cell(layer, expert, place, types, this.expertBytes, this.watch.uses(index));
  }

  /** Asks the engine how things stand, and again as long as there is something to see. */
  private look = async (): Promise<void> => {
    clearTimeout(this.timer);
    const { engine } = this;
    if (!engine || engine.info.experts === 0 || !this.seen || document.hidden || this.looking) return;
    this.looking = true;
    // An engine that has just been lost or unloaded has no figures; the chat itself says so.
    const stats = await this.ask(engine).catch(() => undefined);
    this.looking = false;
    if (engine !== this.engine) return this.look();
    if (!stats) return;
    const now = performance.now();
    this.watch.see(stats, now);
    this.stats = stats;
    const detail: ExpertMapEvents['qwen-experts'] = { stats, arriving: this.watch.arriving(now) };
    this.dispatchEvent(new CustomEvent('qwen-experts', { detail, bubbles: true, composed: true }));
    const wait = this.watch.next(now, this.active);
    if (wait !== undefined && this.isConnected) this.timer = setTimeout(this.look, wait);
  };

  private async ask(engine: ChatEngine): Promise<EngineStats> {
    return engine.refreshStats ? engine.refreshStats() : engine.stats();
  }

  private paint(): void {
    const map = this.stats?.experts;
    const painter = map && this.currentPainter();
    if (!painter) return;
    const now = performance.now();
    painter.paint(map, now);
    painter.point(this.pointed ?? this.cursor, now);
    if (this.frame === 0 && painter.fading) this.frame = requestAnimationFrame(this.onFrame);
  }

  /** Another size, shape or colour needs a map drawn from the beginning. */
  private currentPainter(): MapPainter | undefined {
    const { shape, canvas, box } = this;
    const width = box?.clientWidth ?? 0;
    const surface = canvas?.getContext('2d');
    if (!shape || !surface || width === 0) return undefined;
    const ratio = devicePixelRatio;
    const colours = this.colours();
    const key = JSON.stringify([shape, width, ratio, colours, this.stillness.matches]);
    if (this.painter && key === this.painterKey) return this.painter;
    const geometry = mapGeometry(shape, width, ratio);
    canvas.width = geometry.width;
    canvas.height = geometry.height;
    canvas.style.inlineSize = `${geometry.width / ratio}px`;
    canvas.style.blockSize = `${geometry.height / ratio}px`;
    this.painter = new MapPainter(surface, geometry, colours, this.stillness.matches ? 0 : FADE_MS);
    this.painterKey = key;
    return this.painter;
  }

  /** The legend has the colours as the theme's properties make them; a canvas understands no properties. */
  private colours(): MapColours {
    const swatch = (name: string) => {
      const element = this.renderRoot.querySelector(`.swatch.${name}`);
      return element ? getComputedStyle(element).backgroundColor : '';
    };
    const { color } = getComputedStyle(this);
    return {
      remote: swatch('remote'),
      stored: swatch('stored'),
      resident: swatch('resident'),
      inUse: swatch('inUse'),
      mark: color,
      cursor: color,
    };
  }

  private onFrame = (): void => {
    const again = this.painter?.fade(performance.now()) ?? false;
    this.frame = again ? requestAnimationFrame(this.onFrame) : 0;
  };

  private onVisibility = (): void => {
    void this.look();
  };

  private onPreference = (): void => {
    this.requestUpdate();
  };

  private onToggle = (event: Event): void => {
    this.tabulated = (event.target as HTMLDetailsElement).open;
  };

  private onPointer = ({ offsetX, offsetY }: PointerEvent): void => {
    if (!this.painter) return;
    this.pointed = cellAt(this.painter.geometry, offsetX * devicePixelRatio, offsetY * devicePixelRatio);
  };

  private onPointerLeave = (): void => {
    this.pointed = undefined;
  };

  private onFocus = (): void => {
    this.moveTo(this.pointed ?? { layer: 0, expert: 0 });
  };

  private onBlur = (): void => {
    this.cursor = undefined;
    this.spoken = '';
  };

  private onKey = (event: KeyboardEvent): void => {
    const { shape, cursor } = this;
    if (!shape || !cursor || event.ctrlKey || event.metaKey || event.altKey) return;
    const next = cellBeside(shape, cursor, event.key);
    if (!next) return;
    event.preventDefault();
    this.pointed = undefined;
    this.moveTo(next);
  };

  private moveTo(cell: Cell): void {
    this.cursor = cell;
    this.spoken = this.describe(cell);
  }
}

/** The map's counts by layer, for those who do not see it. */
function table(map: Uint8Array, shape: MapShape): TemplateResult {
  return html`
    <table part="table">
      <caption class="hidden-but-spoken">${words.title}</caption>
      <thead>
        <tr><th scope="col">${words.layer}</th>${placeNames.map((name) => html`<th scope="col">${words.places[name]}</th>`)}</tr>
      </thead>
      <tbody>
        ${countByLayer(map, shape).map(
          (counts, layer) =>
            html`<tr><th scope="row">${layer}</th>${counts.map((count) => html`<td>${formatNumber(count)}</td>`)}</tr>`,
        )}
      </tbody>
    </table>`;
}

define('qwen-expert-map', ExpertMap);

declare global {
  interface HTMLElementTagNameMap {
    'qwen-expert-map': ExpertMap;
  }
}
