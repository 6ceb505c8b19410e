import { html, nothing } from 'lit';
import { customElement, property, state } from 'lit/decorators.js';
import { messageOf } from '../src/errors.ts';
import type { StoredFile } from '../src/index.ts';
import { PageElement } from './element.ts';
import { fileName } from './file-name.ts';
import { readSettings, type Settings, saveSettings } from './settings.ts';
import { strings } from './strings.ts';

type Stored = Pick<StoredFile, 'url' | 'store'>;

/** What is stored on this device, file by file, and the way to free it. Tells `stored-changed` when it did. */
@customElement('demo-storage')
export class StoragePanel extends PageElement {
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
        ${this.files.map(
          ({ url, store, size, storedBytes }) => html`
            <li class="row">
              <div class="row-text">
                <h3>${fileName(url)}</h3>
                <p class="quiet address-line">${url}</p>
                ${store === 'opfs' ? html`<p class="quiet">${strings.stores.opfs.name}</p>` : nothing}
              </div>
              <span class="figure quiet">${
                storedBytes < size ? strings.storedPart(storedBytes, size) : strings.storedWhole(size)
              }</span>
              ${this.deleteButton(`${store} ${url}`, strings.delete, strings.deleteNamed(fileName(url)), [{ url, store }])}
            </li>`,
        )}
      </ul>
      <div class="row">
        <p class="quiet row-text">${this.freeBytes === undefined ? nothing : strings.storageFree(this.freeBytes)}</p>
        ${this.files.length > 1 ? this.deleteButton('*', strings.deleteAll, strings.deleteAll, this.files) : nothing}
      </div>
      ${this.offline ? html`<p class="quiet">${strings.worksOffline}</p>` : nothing}
      ${this.storeChoice()}`;
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
      for (const { url, store } of files) await deleteStored(url, store);
    } catch (error) {
      this.error = error;
    }
    this.tell('stored-changed');
  }

  private forget(key: string): void {
    if (this.asked === key) this.asked = '';
  }
}
