import { html, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { customElement, property, query, state } from 'lit/decorators.js';
import { repeat } from 'lit/directives/repeat.js';
import { icons } from '../../src/ui/icons.ts';
import { PageElement } from '../element.ts';
import { pageIcons } from '../page-icons.ts';
import { strings } from '../strings.ts';
import { download } from './download.ts';
import { type ConversationFormat, writeConversations } from './file.ts';
import type { ConversationKeeper } from './keeper.ts';
import type { ConversationSummary } from './store.ts';

/** The conversations of the left column: finding, opening, renaming, saving to files, deleting. Tells `opened-conversation`. */
@customElement('demo-conversations')
export class ConversationList extends PageElement {
  @property({ attribute: false }) keeper!: ConversationKeeper;
  @property({ attribute: false }) list: readonly ConversationSummary[] = [];
  @property({ attribute: false }) current?: string;
  @property({ attribute: false }) removed?: ConversationSummary;
  @state() private search = '';
  /** Ids of the conversations whose text has what is searched. */
  @state() private found?: ReadonlySet<string>;
  /** Whose buttons are shown, and whose title is being written. */
  @state() private unfolded?: string;
  @state() private renaming?: string;
  @query('.rename-field') private readonly titleField?: HTMLInputElement;

  protected override render() {
    const shown = this.shown();
    // A row moves whole when an answer is saved: a pointer on its way to one must not reach the buttons of another.
    const rows = repeat(
      shown,
      ({ id }) => id,
      (each) => this.row(each),
    );
    return html`
      ${
        this.list.length > 0
          ? html`<label class="search"><span class="search-icon">${pageIcons.search}</span><input type="search" aria-label=${strings.searchConversations}
              placeholder=${strings.searchConversations} .value=${this.search} @input=${this.onSearch} @keydown=${this.onSearchKey}></label>`
          : html`<p class="quiet aside-note">${strings.noConversations}</p>`
      }
      <nav aria-label=${strings.conversations}>
        <ul class="plain">${rows}</ul>
      </nav>
      <div role="status">
        ${this.search && shown.length === 0 ? html`<p class="quiet aside-note">${strings.noneFound}</p>` : nothing}
        ${
          this.removed
            ? html`<p class="undo"><span class="undo-text">${strings.deletedConversation(this.removed.title)}</span>
                <button class="link undo-button" @click=${() => this.keeper.undoRemove()}>${strings.undo}</button></p>`
            : nothing
        }
      </div>`;
  }

  private shown(): readonly ConversationSummary[] {
    const wanted = this.search.trim().toLowerCase();
    if (wanted === '') return this.list;
    return this.list.filter(({ id, title }) => title.toLowerCase().includes(wanted) || this.found?.has(id));
  }

  private row({ id, title }: ConversationSummary): TemplateResult {
    if (id === this.renaming) {
      return html`<li><form class="rename" @submit=${(event: Event) => this.onRename(event, id)}>
        <input class="rename-field" aria-label=${strings.newTitle} .value=${title} @keydown=${this.onRenameKey} @blur=${this.endRename}></form></li>`;
    }
    const open = id === this.unfolded;
    return html`
      <li class="conversation">
        <button class="side-button" aria-current=${id === this.current} title=${title} @click=${() => this.open(id)}><span>${title}</span></button>
        <button class="icon-button conversation-more" aria-expanded=${open} title=${strings.moreFor(title)} aria-label=${strings.moreFor(title)}
          @click=${() => {
            this.unfolded = open ? undefined : id;
          }}>${pageIcons.more}</button>
        ${open ? this.actions(id) : nothing}
      </li>`;
  }

  private actions(id: string): TemplateResult {
    return html`
      <div class="actions">
        <button class="side-button" @click=${() => this.startRename(id)}>${icons.edit}<span>${strings.rename}</span></button>
        <button class="side-button" @click=${() => this.save(id, 'markdown')}>${pageIcons.save}<span>${strings.saveMarkdown}</span></button>
        <button class="side-button" @click=${() => this.save(id, 'json')}>${pageIcons.save}<span>${strings.saveJson}</span></button>
        <button class="side-button" @click=${() => this.delete(id)}>${pageIcons.bin}<span>${strings.delete}</span></button>
      </div>`;
  }

  protected override updated(changed: PropertyValues): void {
    if (changed.has('renaming') && this.renaming) this.titleField?.select();
  }

  private async open(id: string): Promise<void> {
    this.unfolded = undefined;
    await this.keeper.open(id);
    this.tell('opened-conversation');
  }

  private startRename(id: string): void {
    this.unfolded = undefined;
    this.renaming = id;
  }

  private onRename(event: Event, id: string): void {
    event.preventDefault();
    void this.keeper.rename(id, this.titleField?.value ?? '');
    this.renaming = undefined;
    this.focusRow(id);
  }

  private onRenameKey(event: KeyboardEvent): void {
    if (event.key !== 'Escape') return;
    // Neither a dialog around this nor an answer under way is meant.
    event.preventDefault();
    event.stopPropagation();
    const id = this.renaming;
    this.renaming = undefined;
    if (id) this.focusRow(id);
  }

  private endRename(): void {
    this.renaming = undefined;
  }

  private focusRow(id: string): void {
    const index = this.shown().findIndex((each) => each.id === id);
    void this.updateComplete.then(() =>
      this.querySelectorAll<HTMLElement>('nav .plain > li')[index]?.querySelector('button')?.focus(),
    );
  }

  private async save(id: string, format: ConversationFormat): Promise<void> {
    this.unfolded = undefined;
    download(await writeConversations(await this.keeper.read(id), format));
  }

  private async delete(id: string): Promise<void> {
    this.unfolded = undefined;
    await this.keeper.remove(id);
    await this.updateComplete;
    this.querySelector<HTMLElement>('.undo button')?.focus();
  }

  private async onSearch(event: Event): Promise<void> {
    const { value } = event.currentTarget as HTMLInputElement;
    this.search = value;
    this.found = undefined;
    if (value.trim() === '') return;
    const found = await this.keeper.search(value.trim());
    if (value === this.search) this.found = found;
  }

  private onSearchKey(event: KeyboardEvent): void {
    if (event.key !== 'Escape' || this.search === '') return;
    event.preventDefault();
    event.stopPropagation();
    this.search = '';
  }
}
