import { html, nothing } from 'lit';
import { customElement, property } from 'lit/decorators.js';
import type { StoredFile } from '../src/index.ts';
import { icons } from '../src/ui/icons.ts';
import { isTower } from '../src/weights/tower-name.ts';
import type { ConversationKeeper } from './conversations/keeper.ts';
import './conversations/list.ts';
import type { ConversationSummary } from './conversations/store.ts';
import { PageElement } from './element.ts';
import { fileName } from './file-name.ts';
import { embeddedModel } from './models.ts';
import { pageIcons } from './page-icons.ts';
import { readSettings } from './settings.ts';
import { strings } from './strings.ts';

/** What opens over the page. */
export type Panel = 'menu' | 'models' | 'storage' | 'conversations' | 'settings';

/** The left column, and the same as a drawer. Tells `new-chat`, `choose` with a model, and `open-panel` with its name. */
@customElement('demo-sidebar')
export class Sidebar extends PageElement {
  @property({ attribute: false }) keeper!: ConversationKeeper;
  @property({ attribute: false }) conversations: readonly ConversationSummary[] = [];
  /** Ids of the conversation that is shown and of the one that was deleted just now. */
  @property({ attribute: false }) current?: string;
  @property({ attribute: false }) removed?: ConversationSummary;
  @property({ attribute: false }) stored: readonly StoredFile[] = [];
  @property({ attribute: false }) modelUrl = '';

  protected override render() {
    const bytes = this.stored.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
    const open = (panel: Panel) => () => this.tell('open-panel', panel);
    return html`
      <p class="brand">${strings.title}</p>
      <button class="side-button" @click=${() => this.tell('new-chat')}>${icons.plus}<span>${strings.newChat}</span></button>
      <demo-conversations .keeper=${this.keeper} .list=${this.conversations} .current=${this.current}
        .removed=${this.removed}></demo-conversations>
      <div class="side-end">
        <nav aria-label=${strings.models}>
          ${this.storedModels()}
          <button class="side-button" @click=${open('models')}>${pageIcons.model}<span>${strings.chooseModel}</span></button>
        </nav>
        <button class="side-button" @click=${open('storage')}>${pageIcons.disk}
          <span>${bytes > 0 ? strings.storageUsed(bytes) : strings.storage}</span></button>
        <button class="side-button" @click=${open('conversations')}>${pageIcons.chats}<span>${strings.filesOfConversations}</span></button>
        <button class="side-button" @click=${open('settings')}>${pageIcons.settings}<span>${strings.settingsTitle}</span></button>
      </div>`;
  }

  /** Those that are here whole, but for the page's own. */
  private storedModels() {
    const embedded = new URL(embeddedModel.url, document.baseURI).href;
    const whole = this.stored.filter(
      ({ size, storedBytes, url }, i, all) =>
        storedBytes >= size &&
        url !== embedded &&
        !laterShard(url) &&
        !isTower(fileName(url)) &&
        all.findIndex((other) => other.url === url) === i,
    );
    if (whole.length === 0) return nothing;
    return html`
      <h2>${strings.onThisDevice}</h2>
      <ul class="plain">
        ${whole.map(
          ({ url }) => html`<li><button class="side-button" aria-current=${url === this.modelUrl} title=${url}
            @click=${() => this.tell('choose', { model: url, tower: readSettings().towers[url] })}><span>${fileName(url).replace(/\.gguf$/i, '')}</span></button></li>`,
        )}
      </ul>`;
  }
}

/** The second and later files of a model: the first leads to them. */
function laterShard(url: string): boolean {
  const [, number] = /-(\d{5})-of-\d{5}\.gguf/i.exec(url) ?? [];
  return number !== undefined && Number(number) > 1;
}
