import { html, nothing, type TemplateResult } from 'lit';
import { customElement, property, state } from 'lit/decorators.js';
import { messageOf } from '../src/errors.ts';
import type { StoredFile } from '../src/index.ts';
import { formatBytes } from '../src/ui/format.ts';
import { PageElement } from './element.ts';
import { fileName } from './file-name.ts';
import { readSettings, type Settings, saveSettings } from './settings.ts';
import { keyOf, type StoredWork, type StoredWorks } from './stored-work.ts';
import { strings } from './strings.ts';

type Stored = Pick<StoredFile, 'url' | 'store'>;

/** What is stored on this device, file by file: checking it, going on with a download, freeing it. Tells `stored-changed` when it did. */
@customElement('demo-storage')
export class StoragePanel extends PageElement {
  @property({ attribute: false }) works!: StoredWorks;
  @property({ attribute: false }) running: ReadonlyMap<string, StoredWork> = new Map();
  @property({ attribute: false }) files: readonly StoredFile[] = [];
  @property({ attribute: false }) freeBytes?: number;
  /** The page itself is kept on this device. */
  @property({ attribute: false }) offline = false;
  @property({ attribute: false }) error?: unknown;
  @state() private store = readSettings().store;
  /** Deleting is asked for twice: this is what was asked for once, `*` for everything. */
  @state() private asked = '';

  protected override render() {
    if (this.error) {
      return html`<p class="notice" role="alert"><b>${strings.storageFailed}.</b> ${messageOf(this.error)}</p>`;
    }
    return html`
      ${this.files.length === 0 ? html`<p class="quiet">${strings.storageEmpty}</p>` : nothing}
      <ul class="stored">
        ${this.files.map((file) => this.row(file))}
      </ul>
      <div class="row">
        <p class="quiet row-text">${this.files.length > 1 ? strings.storedInAll(formatBytes(this.sum), this.files.length) : nothing}
          ${this.freeBytes === undefined ? nothing : strings.storageFree(this.freeBytes)}</p>
        ${this.files.length > 1 ? this.deleteButton('*', strings.deleteAll, strings.deleteAll, this.files) : nothing}
      </div>
      ${this.offline ? html`<p class="quiet">${strings.worksOffline}</p>` : nothing}
      ${this.storeChoice()}`;
  }

  private get sum(): number {
    return this.files.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
  }

  private row(file: StoredFile): TemplateResult {
    const { url, store, size, storedBytes } = file;
    const name = fileName(url);
    const work = this.running.get(keyOf(file));
    const partial = storedBytes < size;
    return html`
      <li>
        <div class="row">
          <div class="row-text">
            <h3>${name}</h3>
            <p class="quiet address-line">${url}</p>
            ${store === 'opfs' ? html`<p class="quiet">${strings.stores.opfs.name}</p>` : nothing}
          </div>
          <span class="figure quiet">${partial ? strings.storedPart(storedBytes, size) : strings.storedWhole(size)}</span>
        </div>
        ${this.progress(name, work)}
        <div class="row row-end">
          ${
            work && work.kind !== 'ended'
              ? html`<button class="button" aria-label=${strings.stopNamed[work.kind](name)} @click=${() => this.works.stop(file)}>
                  ${strings.stopWork[work.kind]}</button>`
              : html`
                  ${
                    partial
                      ? html`<button class="button" aria-label=${strings.resumeNamed(name)} @click=${() => this.works.download(file)}>
                          ${strings.resume}</button>`
                      : nothing
                  }
                  <button class="button" title=${strings.verifyHint} aria-label=${strings.verifyNamed(name)} @click=${() => this.works.verify(file)}>
                    ${strings.verify}</button>`
          }
          ${this.deleteButton(keyOf(file), strings.delete, strings.deleteNamed(name), [file])}
        </div>
      </li>`;
  }

  private progress(name: string, work: StoredWork | undefined): TemplateResult | typeof nothing {
    if (!work) return nothing;
    if (work.kind === 'ended') {
      return work.failed
        ? html`<p class="notice" role="alert">${work.text}</p>`
        : html`<p role="status" class="quiet">${work.text}</p>`;
    }
    const { kind, doneBytes, totalBytes } = work;
    return html`
      <progress aria-label=${strings.workNamed[kind](name)} max="1" .value=${totalBytes > 0 ? doneBytes / totalBytes : 0}></progress>
      <p class="quiet figure">${strings.storedPart(doneBytes, totalBytes)}</p>`;
  }

  private storeChoice() {
    // Browsers without a private file system leave nothing to choose.
    if (!navigator.storage?.getDirectory) return nothing;
    const stores = Object.entries(strings.stores) as Array<[Settings['store'], { name: string; text: string }]>;
    return html`
      <fieldset class="stores">
        <legend>${strings.storeChoice}</legend>
        <p class="quiet" id="stores-hint">${strings.storeChoiceHint}</p>
        ${stores.map(
          ([store, { name, text }]) => html`
            <label><input type="radio" name="store" value=${store} .checked=${store === this.store} aria-describedby="store-${store} stores-hint"
              @change=${() => this.chooseStore(store)}><span>${name}</span></label>
            <p class="quiet stores-text" id="store-${store}">${text}</p>`,
        )}
      </fieldset>`;
  }

  private chooseStore(store: Settings['store']): void {
    this.store = store;
    saveSettings({ store });
  }

  private deleteButton(key: string, text: string, label: string, files: readonly Stored[]) {
    const sure = this.asked === key;
    return html`<button class="button ${sure ? 'danger' : ''}" aria-label=${sure ? `${strings.reallyDelete} ${label}` : label}
      @click=${() => this.delete(key, files)} @blur=${() => this.forget(key)}>${sure ? strings.reallyDelete : text}</button>`;
  }

  private async delete(key: string, files: readonly Stored[]): Promise<void> {
    if (this.asked !== key) {
      this.asked = key;
      return;
    }
    this.asked = '';
    try {
      const { deleteStored } = await import('../src/index.ts');
      for (const file of files) {
        this.works.forget(file);
        await deleteStored(file.url, file.store);
      }
    } catch (error) {
      this.error = error;
    }
    this.tell('stored-changed');
  }

  private forget(key: string): void {
    if (this.asked === key) this.asked = '';
  }
}
