import { html, nothing } from 'lit';
import { customElement, property, state } from 'lit/decorators.js';
import { messageOf } from '../../src/errors.ts';
import { PageElement } from '../element.ts';
import { strings } from '../strings.ts';
import { download } from './download.ts';
import { type ConversationFormat, readConversations, writeConversations } from './file.ts';
import type { ConversationKeeper } from './keeper.ts';

/** All conversations to a file, and files to conversations. */
@customElement('demo-conversation-files')
export class ConversationFiles extends PageElement {
  @property({ attribute: false }) keeper!: ConversationKeeper;
  @state() private done = '';
  @state() private failed = '';

  protected override render() {
    const none = this.keeper.list.length === 0;
    return html`
      <section class="lines">
        <p class="quiet">${strings.saveAllHint}</p>
        <div class="row">
          <button class="button" ?disabled=${none} @click=${() => this.save('json')}>${strings.saveAllJson}</button>
          <button class="button" ?disabled=${none} @click=${() => this.save('markdown')}>${strings.saveAllMarkdown}</button>
        </div>
      </section>
      <section class="lines">
        <p class="quiet">${strings.openConversationsHint}</p>
        <div class="row">
          <label class="button file">${strings.openConversations}
            <input type="file" multiple accept=".json,.md,application/json,text/markdown" @change=${this.onFiles}></label>
        </div>
      </section>
      <p role="status" class="quiet">${this.done}</p>
      ${this.failed ? html`<p class="notice" role="alert">${this.failed}</p>` : nothing}`;
  }

  private async save(format: ConversationFormat): Promise<void> {
    await this.attempt(async () => download(await writeConversations(await this.keeper.read(), format)));
  }

  private async onFiles(event: Event): Promise<void> {
    const input = event.currentTarget as HTMLInputElement;
    const files = [...(input.files ?? [])];
    input.value = '';
    await this.attempt(async () => {
      const conversations = (await Promise.all(files.map(readConversations))).flat();
      await this.keeper.add(conversations);
      this.done = strings.opened(conversations.length);
    });
  }

  private async attempt(work: () => Promise<void>): Promise<void> {
    this.done = '';
    this.failed = '';
    try {
      await work();
    } catch (error) {
      this.failed = messageOf(error);
    }
  }
}
