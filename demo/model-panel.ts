import { html, nothing, type TemplateResult } from 'lit';
import { customElement, property, state } from 'lit/decorators.js';
import { messageOf } from '../src/errors.ts';
import type { RememberedFiles } from '../src/index.ts';
import { formatBytes } from '../src/ui/format.ts';
import { type Choice, fromFiles } from './choice.ts';
import { type Device, judge } from './device.ts';
import { PageElement } from './element.ts';
import { downloadBytes, embeddedModel, type PublishedSize, publishedSizes } from './models.ts';
import { readSettings, saveSettings } from './settings.ts';
import { strings } from './strings.ts';

/** Where a model comes from: the page itself, an address, or files. Tells `choose` with what was chosen. */
@customElement('demo-models')
export class ModelPanel extends PageElement {
  @property({ attribute: false }) device?: Device;
  @state() private settings = readSettings();
  /** Name of the published size whose address is being asked for. */
  @state() private asking?: string;
  @state() private invalid = '';
  @state() private remembered: readonly RememberedFiles[] = [];
  /** What went wrong with files. */
  @state() private notice = '';

  override connectedCallback(): void {
    super.connectedCallback();
    void this.lookForRemembered();
  }

  protected override render() {
    return html`
      <section class="lines">
        <div class="row">
          <div class="row-text">
            <h3>${strings.tinyModel}</h3>
            <p class="quiet">${strings.tinyHint}</p>
          </div>
          <span class="quiet figure">${formatBytes(embeddedModel.bytes)}</span>
          <button class="button" @click=${() => this.choose({ model: embeddedModel.url, tower: embeddedModel.tower })}>${strings.load}</button>
        </div>
      </section>
      <section class="lines">
        <h3>${strings.fromAddress}</h3>
        ${this.addressForm('')}
        <p class="quiet">${strings.addressHint}</p>
        ${this.recent()}
      </section>
      <section class="lines">
        <h3>${strings.fromFiles}</h3>
        <div class="row">
          <label class="button file">${strings.chooseFiles}
            <input type="file" multiple accept=".gguf" @click=${this.onPick} @change=${this.onFiles}></label>
          <p class="quiet row-text">${strings.filesHint}</p>
        </div>
        ${this.notice ? html`<p class="notice" role="alert">${this.notice}</p>` : nothing}
        ${this.pickedEarlier()}
      </section>
      <section class="lines">
        <h3>${strings.published}</h3>
        <p class="quiet">${strings.publishedHint}</p>
        ${this.device?.software ? html`<p class="notice">${strings.softwareGpu}</p>` : nothing}
        <label class="stated"><span>${strings.statedMemory}</span>
          <input type="number" min="1" max="10000" step="any" inputmode="decimal" .value=${String(this.settings.memoryGb ?? '')}
            @input=${this.onMemory}></label>
        <ul class="sizes">${publishedSizes.map((size) => this.sizeRow(size))}</ul>
        ${this.explanation()}
      </section>`;
  }

  private sizeRow(size: PublishedSize): TemplateResult {
    const { name, shape } = size;
    const { memoryGb } = this.settings;
    const judgement = this.device && judge(size, this.device, memoryGb === undefined ? undefined : memoryGb * 1e9);
    const kind =
      'experts' in shape.ffn ? strings.sparseKind(shape.ffn.experts, shape.ffn.used) : strings.denseKind(shape.layers);
    const open = this.asking === name;
    const toggle = () => {
      this.asking = open ? undefined : name;
      this.invalid = '';
    };
    return html`
      <li>
        <div class="row">
          <div class="row-text">
            <h4>${name}</h4>
            <p class="quiet">${kind} · ${strings.downloadOf(downloadBytes(size))}</p>
            ${
              judgement
                ? html`<p class="verdict"><span class="mark ${judgement.verdict}">${strings.verdicts[judgement.verdict]}</span>
                    <span class="quiet">${judgement.reason} ${judgement.storage ?? ''}</span></p>`
                : nothing
            }
          </div>
          <button class="button" aria-expanded=${open} aria-label="${name}: ${strings.giveAddress}" @click=${toggle}>
            ${strings.giveAddress}</button>
        </div>
        ${open ? this.addressForm(name) : nothing}
      </li>`;
  }

  /** @param size name of the published size it is for; empty for any model */
  private addressForm(size: string): TemplateResult {
    const id = `address-${size || 'any'}`;
    const known = size ? (this.settings.addresses[size] ?? '') : (this.settings.recent[0] ?? '');
    const example = size ? strings.addressExample.replace('Qwen3.5-9B', size) : strings.addressExample;
    const error = `${id}-error`;
    const [url, tower] = ['url', 'tower'].map((name) => this.invalid === `${id}-${name}`);
    return html`
      <form class="address" novalidate @submit=${(event: SubmitEvent) => this.onAddress(event, size, id)}>
        <input type="url" name="url" required spellcheck="false" autocomplete="off" aria-label=${size ? `${strings.address}: ${size}` : strings.address}
          aria-invalid=${url} aria-describedby=${url ? error : nothing} placeholder=${example} .value=${known}>
        <button class="button primary">${strings.load}</button>
        <input type="url" name="tower" spellcheck="false" autocomplete="off" aria-label=${size ? `${strings.tower}: ${size}` : strings.tower}
          aria-invalid=${tower} aria-describedby=${tower ? error : nothing} placeholder=${strings.tower} .value=${this.settings.towers[known] ?? ''}>
        ${url || tower ? html`<p class="invalid" id=${error} role="alert">${strings.addressInvalid}</p>` : nothing}
      </form>`;
  }

  private recent(): TemplateResult | typeof nothing {
    const rest = this.settings.recent.slice(1);
    if (rest.length === 0) return nothing;
    return html`
      <h4>${strings.recent}</h4>
      <ul class="plain">
        ${rest.map((url) => html`<li><button class="link" @click=${() => this.choose({ model: url, tower: this.settings.towers[url] })}>${url}</button></li>`)}
      </ul>`;
  }

  private pickedEarlier(): TemplateResult | typeof nothing {
    if (this.remembered.length === 0) return nothing;
    return html`
      <h4>${strings.pickedEarlier}</h4>
      <p class="quiet">${strings.pickedEarlierHint}</p>
      <ul class="stored picked">
        ${this.remembered.map(
          (files) => html`
            <li class="row">
              <span class="row-text">${strings.pickedNames(files.name, files.handles.length - 1)}</span>
              <button class="button" aria-label=${strings.loadNamed(files.name)} @click=${() => this.onEarlier(files)}>${strings.load}</button>
              <button class="button" aria-label=${strings.forgetNamed(files.name)} @click=${() => this.onForget(files)}>${strings.forget}</button>
            </li>`,
        )}
      </ul>`;
  }

  private explanation(): TemplateResult {
    const { device } = this;
    const bytes = (value: number | undefined) => (value === undefined ? strings.facts.untold : formatBytes(value));
    return html`
      <details class="how">
        <summary>${strings.howKnown}</summary>
        ${strings.howKnownText.map((text) => html`<p>${text}</p>`)}
        ${
          device
            ? html`<dl class="facts">
                <div><dt>${strings.facts.adapter}</dt><dd>${device.adapter}</dd></div>
                <div><dt>${strings.facts.maxBuffer}</dt><dd>${bytes(device.maxBufferBytes)}</dd></div>
                <div><dt>${strings.facts.maxBinding}</dt><dd>${bytes(device.maxBindingBytes)}</dd></div>
                <div><dt>${strings.facts.memory}</dt>
                  <dd>${device.memoryBytes === undefined ? strings.facts.untold : `${device.memoryBytes / 2 ** 30} GB`}</dd></div>
                <div><dt>${strings.facts.freeStorage}</dt><dd>${bytes(device.freeStorageBytes)}</dd></div>
              </dl>
              <p>${strings.largeTensors}</p>`
            : nothing
        }
      </details>`;
  }

  private onAddress(event: SubmitEvent, size: string, id: string): void {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const data = new FormData(form);
    const [url, tower] = ['url', 'tower'].map((name) => String(data.get(name) ?? '').trim());
    const wrong = !isAddress(url) ? 'url' : tower !== '' && !isAddress(tower) ? 'tower' : undefined;
    this.invalid = wrong ? `${id}-${wrong}` : '';
    if (wrong) {
      form.querySelector<HTMLInputElement>(`[name=${wrong}]`)?.focus();
      return;
    }
    if (size) saveSettings({ addresses: { ...this.settings.addresses, [size]: url } });
    this.choose({ model: url, tower: tower || undefined });
  }

  /** Where the browser can, files are picked so that they are found again at the next visit; the input is for the others. */
  private onPick(event: Event): void {
    const { showOpenFilePicker } = window as PickerWindow;
    if (!showOpenFilePicker) return;
    event.preventDefault();
    const options = {
      multiple: true,
      types: [{ description: 'GGUF', accept: { 'application/octet-stream': ['.gguf'] } }],
    };
    void showOpenFilePicker(options).then(
      (handles) => this.onPicked(handles),
      (error) => {
        // The reader thought better of it.
        if (!(error instanceof DOMException && error.name === 'AbortError')) this.notice = messageOf(error);
      },
    );
  }

  private async onPicked(handles: readonly FileSystemFileHandle[]): Promise<void> {
    const choice = fromFiles(handles);
    this.notice = '';
    try {
      const { rememberFiles } = await import('../src/index.ts');
      // A tower alone goes with a model that was found otherwise.
      if (choice.model) await rememberFiles(handles);
    } catch (error) {
      console.warn(strings.notRemembered(messageOf(error)));
    }
    this.choose(choice);
  }

  private async onEarlier({ name, handles }: RememberedFiles): Promise<void> {
    const { allowFiles } = await import('../src/index.ts');
    const allowed = await allowFiles({ handles });
    this.notice = allowed ? '' : strings.notAllowed(name);
    if (allowed) this.choose(fromFiles(handles));
  }

  private async onForget({ name }: RememberedFiles): Promise<void> {
    const { forgetFiles } = await import('../src/index.ts');
    await forgetFiles(name);
    await this.lookForRemembered();
  }

  private async lookForRemembered(): Promise<void> {
    try {
      const { rememberedFiles } = await import('../src/index.ts');
      this.remembered = await rememberedFiles();
    } catch {
      this.remembered = []; // The browser keeps no handles here.
    }
  }

  private onFiles(event: Event): void {
    const input = event.currentTarget as HTMLInputElement;
    if (input.files?.length) this.choose(fromFiles([...input.files]));
    input.value = '';
  }

  private onMemory(event: Event): void {
    const gigabytes = (event.currentTarget as HTMLInputElement).valueAsNumber;
    this.settings = saveSettings({ memoryGb: gigabytes > 0 ? gigabytes : undefined });
  }

  private choose(choice: Choice): void {
    this.asking = undefined;
    this.tell('choose', choice);
    this.settings = readSettings();
  }
}

/** Chromium's, beyond TypeScript's DOM types. */
interface PickerWindow extends Window {
  showOpenFilePicker?(options: {
    multiple: boolean;
    types: readonly { description: string; accept: Record<string, readonly string[]> }[];
  }): Promise<FileSystemFileHandle[]>;
}

function isAddress(text: string): boolean {
  return URL.canParse(text, document.baseURI) && /^(https?:\/\/|\.{0,2}\/)/i.test(text);
}
