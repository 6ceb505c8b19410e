import { html, nothing } from 'lit';
import { customElement, property, state } from 'lit/decorators.js';
import type { StoredFile } from '../src/index.ts';
import { PageElement } from './element.ts';
import { fileName } from './file-name.ts';
import { strings } from './strings.ts';

/** What is stored on this device, file by file, and the way to free it. Tells `stored-changed` when it did. */
@customElement('demo-storage')
export class StoragePanel extends PageElement {
  @property({ attribute: false }) files: readonly StoredFile[] = [];
  @property({ attribute: false }) freeBytes?: number;
  @property({ attribute: false }) error?: unknown;
  /** Deleting is asked for twice: this is what was asked for once, `*` for everything. */
  @state() private asked = '';

  protected override render() {
    if (this.error) {
      const message = this.error instanceof Error ? this.error.message : String(this.error);
      return html`<p class="notice" role="alert"><b>${strings.storageFailed}.</b> ${message}</p>`;
    }
    return html`
      ${this.files.length === 0 ? html`<p class="quiet">${strings.storageEmpty}</p>` : nothing}
      <ul class="stored">
        ${this.files.map(
          ({ url, size, storedBytes }) => html`
            <li class="row">
              <div class="row-text">
                <h3>${fileName(url)}</h3>
                <p class="quiet address-line">${url}</p>
              </div>
              <span class="figure quiet">${
                storedBytes < size ? strings.storedPart(storedBytes, size) : strings.storedWhole(size)
              }</span>
              ${this.deleteButton(url, strings.delete, strings.deleteNamed(fileName(url)), [url])}
            </li>`,
        )}
      </ul>
      <div class="row">
        <p class="quiet row-text">${this.freeBytes === undefined ? nothing : strings.storageFree(this.freeBytes)}</p>
        ${
          this.files.length > 1
            ? this.deleteButton(
                '*',
                strings.deleteAll,
                strings.deleteAll,
                this.files.map(({ url }) => url),
              )
            : nothing
        }
      </div>`;
  }

  private deleteButton(key: string, text: string, label: string, urls: readonly string[]) {
    const sure = this.asked === key;
    return html`<button class="button ${sure ? 'danger' : ''}" aria-label=${sure ? `${strings.reallyDelete} ${label}` : label}
      @click=${() => this.delete(key, urls)} @blur=${() => this.forget(key)}>${sure ? strings.reallyDelete : text}</button>`;
  }

  private async delete(key: string, urls: readonly string[]): Promise<void> {
    if (this.asked !== key) {
      this.asked = key;
      return;
    }
    this.asked = '';
    try {
      const { deleteStored } = await import('../src/index.ts');
      for (const url of urls) await deleteStored(url);
    } catch (error) {
      this.error = error;
    }
    this.tell('stored-changed');
  }

  private forget(key: string): void {
    if (this.asked === key) this.asked = '';
  }
}
