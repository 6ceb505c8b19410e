import { html, nothing, type TemplateResult } from 'lit';
import { customElement, property, state } from 'lit/decorators.js';
import { formatBytes } from '../src/ui/format.ts';
import { PageElement } from './element.ts';
import {
  type OwnSampling,
  readSettings,
  resetPreferences,
  type SamplingChoice,
  type Settings,
  samplingOf,
  saveSettings,
} from './settings.ts';
import { strings } from './strings.ts';

interface Range {
  readonly min: number;
  readonly max: number;
  readonly step: number | 'any';
}

/** Of the fields of a request; the engine checks the same. */
const RANGES: Record<keyof OwnSampling, Range> = {
  temperature: { min: 0, max: 2, step: 'any' },
  top_p: { min: 0, max: 1, step: 'any' },
  top_k: { min: 0, max: 1000, step: 1 },
  min_p: { min: 0, max: 1, step: 'any' },
  presence_penalty: { min: -2, max: 2, step: 'any' },
  repetition_penalty: { min: 0.01, max: 10, step: 'any' },
};
const TOKENS: Range = { min: 1, max: 1_000_000, step: 1 };
const CONTEXT: Range = { min: 256, max: 1_048_576, step: 1 };

/**
 * What the reader may set, each with what it does. Kept at once; tells `settings-changed`. Which files the model may read is the
 * page's to hold, for this visit: tells `files-picked` with all of them.
 */
@customElement('demo-settings')
export class SettingsPanel extends PageElement {
  @property({ attribute: false }) files: readonly File[] = [];
  @state() private settings = readSettings();
  /** Name of the field whose number cannot be taken. */
  @state() private invalid = '';
  /** Resetting is asked for twice. */
  @state() private asked = false;

  protected override render() {
    const { settings } = this;
    const { settings: words } = strings;
    return html`
      <section class="lines">
        <h3>${words.answers}</h3>
        ${this.checkbox('thinking', words.thinking, words.thinkingHint)}
        ${this.checkbox('tools', strings.tools, strings.toolsHint)}
        ${this.readableFiles()}
        <label class="field-label">${words.system}
          <textarea rows="3" aria-describedby="system-hint" .value=${settings.system}
            @change=${(event: Event) => this.save({ system: (event.target as HTMLTextAreaElement).value })}></textarea></label>
        <p class="quiet" id="system-hint">${words.systemHint}</p>
        ${this.number('maxTokens', words.maxTokens, words.maxTokensHint, TOKENS, settings.maxTokens, words.noLimit, (maxTokens) => this.save({ maxTokens }))}
        ${this.number('contextLength', words.contextLength, words.contextLengthHint, CONTEXT, settings.contextLength, words.engineDefault, (contextLength) => this.save({ contextLength }))}
      </section>
      <section class="lines">
        <h3>${words.sampling}</h3>
        <label class="field-label">${words.samplingChoice}
          <select aria-describedby="sampling-hint" @change=${this.onSampling}>
            ${Object.entries(words.samplings).map(
              ([choice, { name }]) =>
                html`<option value=${choice} ?selected=${choice === settings.sampling}>${name}</option>`,
            )}
          </select></label>
        <p class="quiet" id="sampling-hint">${words.samplings[settings.sampling].text}</p>
        ${settings.sampling === 'own' ? this.ownValues() : nothing}
      </section>
      <section class="lines">
        <h3>${words.page}</h3>
        ${this.radios('theme', strings.theme, strings.themes, words.themeHint)}
        ${this.radios('sendKey', words.sendKey, words.sendKeys, words.sendKeyHint)}
      </section>
      <section class="lines">
        <div class="row">
          <p class="quiet row-text">${words.resetHint}</p>
          <button class="button ${this.asked ? 'danger' : ''}" @click=${this.onReset}
            @blur=${() => {
              this.asked = false;
            }}>${this.asked ? words.reallyReset : words.reset}</button>
        </div>
      </section>`;
  }

  private readableFiles(): TemplateResult {
    const add = (event: Event) => {
      const input = event.target as HTMLInputElement;
      const added = [...(input.files ?? [])];
      const names = new Set(added.map(({ name }) => name));
      this.tell('files-picked', [...this.files.filter(({ name }) => !names.has(name)), ...added]);
      input.value = ''; // so that the same file can be picked again
    };
    const remove = (file: File) =>
      this.tell(
        'files-picked',
        this.files.filter((each) => each !== file),
      );
    return html`
      <p class="field-label" id="readable">${strings.readableFiles}</p>
      ${
        this.files.length > 0
          ? html`<ul class="plain" aria-labelledby="readable">${this.files.map(
              (
                file,
              ) => html`<li class="row"><span class="row-text">${file.name} <span class="quiet">${formatBytes(file.size)}</span></span>
                <button class="button" aria-label=${strings.removeReadable(file.name)} @click=${() => remove(file)}>${strings.remove}</button></li>`,
            )}</ul>`
          : nothing
      }
      <div class="row">
        <label class="button file">${strings.addReadable}
          <input type="file" multiple @change=${add}></label>
        <p class="quiet row-text">${strings.readableFilesHint}</p>
      </div>`;
  }

  private ownValues(): TemplateResult[] {
    const { own } = this.settings;
    return (Object.keys(RANGES) as (keyof OwnSampling)[]).map((name) => {
      const [label, hint] = strings.settings.own[name];
      return this.number(name, label, hint, RANGES[name], own[name], '', (value) =>
        this.save({ own: { ...own, [name]: value } }),
      );
    });
  }

  private checkbox(name: 'thinking' | 'tools', label: string, hint: string): TemplateResult {
    const change = (event: Event) => this.save({ [name]: (event.target as HTMLInputElement).checked });
    return html`
      <label class="check"><input type="checkbox" aria-describedby="${name}-hint" .checked=${this.settings[name]} @change=${change}>
        <span>${label}</span></label>
      <p class="quiet" id="${name}-hint">${hint}</p>`;
  }

  /** @param placeholder for none; empty where there has to be a number */
  private number(
    name: string,
    label: string,
    hint: string,
    { min, max, step }: Range,
    value: number | undefined,
    placeholder: string,
    save: (value: number | undefined) => void,
  ): TemplateResult {
    const wrong = this.invalid === name;
    const change = (event: Event) => {
      const field = event.target as HTMLInputElement;
      const right = field.checkValidity() && (field.value !== '' || placeholder !== '');
      this.invalid = right ? '' : name;
      if (right) save(field.value === '' ? undefined : field.valueAsNumber);
    };
    return html`
      <label class="stated"><span>${label}</span>
        <input type="number" min=${min} max=${max} step=${step} inputmode="decimal" placeholder=${placeholder}
          aria-invalid=${wrong} aria-describedby="${name}-hint${wrong ? ` ${name}-wrong` : ''}" .value=${String(value ?? '')} @change=${change}></label>
      ${wrong ? html`<p class="invalid" id="${name}-wrong" role="alert">${strings.settings.outOfRange(min, max)}</p>` : nothing}
      <p class="quiet" id="${name}-hint">${hint}</p>`;
  }

  private radios<Name extends 'theme' | 'sendKey'>(
    name: Name,
    legend: string,
    choices: Record<Settings[Name], string>,
    hint: string,
  ): TemplateResult {
    return html`
      <fieldset class="choices">
        <legend>${legend}</legend>
        ${Object.entries<string>(choices).map(
          ([
            choice,
            label,
          ]) => html`<label class="check"><input type="radio" name=${name} value=${choice} aria-describedby="${name}-hint"
            .checked=${choice === this.settings[name]} @change=${() => this.save({ [name]: choice })}><span>${label}</span></label>`,
        )}
      </fieldset>
      <p class="quiet" id="${name}-hint">${hint}</p>`;
  }

  private onSampling(event: Event): void {
    const sampling = (event.target as HTMLSelectElement).value as SamplingChoice;
    const { settings } = this;
    // One's own values begin as those that were chosen before.
    const own =
      sampling === 'own' ? { ...settings.own, ...samplingOf({ ...settings, maxTokens: undefined }) } : settings.own;
    this.save({ sampling, own });
  }

  private onReset(): void {
    if (!this.asked) {
      this.asked = true;
      return;
    }
    this.asked = false;
    this.invalid = '';
    this.settings = resetPreferences();
    this.tell('settings-changed');
  }

  private save(changes: Partial<Settings>): void {
    this.settings = saveSettings(changes);
    this.tell('settings-changed');
  }
}
