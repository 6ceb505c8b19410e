/**
 * `<qwen-chat model="https://host/model.gguf">`: a conversation with a model that runs in this tab.
 *
 * Properties in, events out; everything it knows of the engine is the package's public surface. Restyle it with the
 * `--qwen-*` properties of `theme.ts` and with `::part()`.
 */
import { html, LitElement, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { property, query, state } from 'lit/decorators.js';
import { repeat } from 'lit/directives/repeat.js';
import type { LoadProgress, ModelInput, StoreKind } from '../engine/types.ts';
import { Announcer } from './announcer.ts';
import { type Attachment, messageContent } from './attachment.ts';
import './camera-dialog.ts';
import type { CameraDialog } from './camera-dialog.ts';
import type { ChatEngine, ChatModelInfo, ChatSampling } from './chat-engine.ts';
import { chatStyles } from './chat-styles.ts';
import type { Composer, SendKey } from './composer.ts';
import './composer.ts';
import { type AskOptions, Conversation, type ConversationChange } from './conversation.ts';
import { connectEndpoint, type EndpointEngine } from './endpoint-engine.ts';
import { errorBox } from './error-box.ts';
import './expert-map.ts';
import { FileDrop } from './file-drop.ts';
import { FollowScroll } from './follow-scroll.ts';
import { icons } from './icons.ts';
import './load-progress.ts';
import './media-dialog.ts';
import type { MediaDialog } from './media-dialog.ts';
import './message-view.ts';
import type { MessageView, RoomChoice } from './message-view.ts';
import { type EngineSource, ModelLoader } from './model-loader.ts';
import { modelName } from './model-name.ts';
import { type ChatPartEvents, define } from './part.ts';
import { statistics } from './statistics.ts';
import type { StoredConversation } from './stored-conversation.ts';
import { strings } from './strings.ts';
import type { ChatTool } from './tools.ts';
import type { AnswerFigures, AnswerTurn, ChatMessage, Turn } from './turns.ts';

export type { ChatContentPart, ChatEngine, ChatSampling } from './chat-engine.ts';
export type { SendKey } from './composer.ts';
export type { ConversationChange } from './conversation.ts';
export { connectEndpoint, type EndpointEngine, type EndpointOptions } from './endpoint-engine.ts';
export { ExpertMap, type ExpertMapEvents } from './expert-map.ts';
export type {
  StoredAnswer,
  StoredAttachment,
  StoredConversation,
  StoredError,
  StoredMessage,
  StoredUserMessage,
} from './stored-conversation.ts';
export type { ChatTool } from './tools.ts';
export type { AnswerFigures, ChatMessage } from './turns.ts';

/** Events of `<qwen-chat>`, by name, with their `detail`. All bubble and cross shadow roots. */
export interface QwenChatEvents {
  /** Some ten times a second while a model loads. */
  'qwen-load-progress': LoadProgress;
  /** A model is loaded and can be asked. */
  'qwen-ready': { engine: ChatEngine; info: ChatModelInfo };
  /** A message was sent, or an answer ended; an answer comes with its figures. */
  'qwen-message': { message: ChatMessage; figures?: AnswerFigures };
  /**
   * The conversation is another than before, and may be kept: at every message, answer, branch, removal, and every other
   * second while an answer grows. `change: 'clear'` begins a new one. Setting `conversation` or `messages` does not tell it.
   */
  'qwen-conversation-change': { change: ConversationChange; conversation: StoredConversation };
  /** Loading or an answer failed; the element shows the error already. */
  'qwen-error': { error: unknown; during: 'load' | 'answer' };
}

/** The same, as events: `addEventListener` knows them on every element, the document and the window. */
export type QwenChatEventMap = { [Type in keyof QwenChatEvents]: CustomEvent<QwenChatEvents[Type]> };

/** What a page may set on `<qwen-chat>`, for the bindings of frameworks. */
export type QwenChatProperties = Pick<
  QwenChat,
  | 'model'
  | 'mmproj'
  | 'contextLength'
  | 'store'
  | 'endpoint'
  | 'apiKey'
  | 'endpointModel'
  | 'engine'
  | 'manual'
  | 'thinking'
  | 'system'
  | 'tools'
  | 'maxToolSteps'
  | 'statistics'
  | 'messages'
  | 'conversation'
>;

/**
 * @element qwen-chat
 * @slot empty - shown with a loaded model before the first message, in place of the usual line
 * @slot no-model - shown while there is no model and none is loading
 */
export class QwenChat extends LitElement {
  static override styles = chatStyles;

  /** URL of a `.gguf` (or of its first shard); as a property also files, or several shards. Setting it loads it. */
  @property() model?: ModelInput;
  /**
   * Base address (`https://host/v1`) of an OpenAI-compatible server, such as vLLM, that answers in place of an engine in
   * this page. Setting it asks the server for its models; `model` is not loaded then.
   */
  @property() endpoint?: string;
  /** Sent to the endpoint. Whoever can read the page can read it. */
  @property({ attribute: 'api-key' }) apiKey?: string;
  /** One of the endpoint's models, by its name; the first that it lists if not given. */
  @property({ attribute: 'endpoint-model' }) endpointModel?: string;
  /** URL of the vision tower that goes with it. Taken at the next load. */
  @property() mmproj?: ModelInput;
  /** Tokens of context; the engine's default if not given. Taken at the next load. */
  @property({ attribute: 'context-length', type: Number }) contextLength?: number;
  /** Where downloaded bytes are kept. Taken at the next load. */
  @property() store?: StoreKind;
  /** Whether the model thinks before it answers; `thinking="off"` as an attribute. The reader can switch it. */
  @property({ converter: { fromAttribute: (value) => value !== 'off' && value !== 'false' } }) thinking = true;
  /** System prompt. */
  @property() system = '';
  /**
   * What the model may do: functions of this page, with a JSON schema of their arguments. The element runs them when the
   * model asks, shows what was given and what came back, and lets the model go on.
   */
  @property({ attribute: false }) tools: readonly ChatTool[] = [];
  /** Most times in a row that the model gets results of tools before an answer ends. */
  @property({ attribute: 'max-tool-steps', type: Number }) maxToolSteps = 8;
  /**
   * Address of the page in which previews of HTML run, for a site whose Content-Security-Policy forbids inline scripts: a
   * copy of `preview-page.html` from the package. By default it is written into the frame.
   */
  @property({ attribute: 'preview-page' }) previewPage?: string;
  /** How answers are sampled; default: as the model's card says for the mode. */
  @property({ attribute: false }) sampling: ChatSampling = {};
  /** What sends a message: Enter, or Ctrl (⌘) with Enter, where Enter alone breaks the line. */
  @property({ attribute: 'send-key' }) sendKey: SendKey = 'enter';
  /** Load only when `load()` is called. */
  @property({ type: Boolean }) manual = false;
  /** Show the figures of the last answer. The reader can switch it. */
  @property({ type: Boolean, reflect: true }) statistics = false;
  /** The engine that answers. Give one that is loaded already to share it; it is then yours to dispose. */
  @property({ attribute: false })
  get engine(): ChatEngine | undefined {
    return this.loader.engine;
  }

  set engine(engine: ChatEngine | undefined) {
    if (engine !== this.engine) this.loader.give(engine);
  }

  /** Id of the message that what is written will replace. */
  @state() private editing?: number;
  /** Files hang over the chat. */
  @state() private dropping = false;
  @query('.log') private readonly log!: HTMLElement;
  @query('.speech') private readonly speech!: HTMLElement;
  @query('qwen-composer') private readonly composer!: Composer;
  @query('qwen-media-dialog') private readonly mediaDialog!: MediaDialog;
  @query('qwen-camera-dialog') private readonly camera!: CameraDialog;

  private readonly talk = new Conversation(
    () => this.requestUpdate(),
    (change) => this.emit('qwen-conversation-change', { change, conversation: this.conversation }),
  );
  private readonly follow = new FollowScroll(
    this,
    () => this.log,
    () => this.following,
  );
  private readonly announcer = new Announcer(() => this.speech);
  private readonly loader = new ModelLoader({
    changed: () => this.onLoader(),
    progress: (progress) => this.emit('qwen-load-progress', progress),
    failed: (error) => this.emit('qwen-error', { error, during: 'load' }),
  });
  private announcedEngine?: ChatEngine;
  private draftBeforeEdit: { text: string; attachments: readonly Attachment[] } = { text: '', attachments: [] };
  /** What grows is kept in view: an answer is under way, or has just ended. */
  private following = false;

  constructor() {
    super();
    new FileDrop(this, {
      hovering: (over) => {
        this.dropping = over;
      },
      files: (files) => void this.attach(files),
    });
  }

  /** The conversation in OpenAI's shape. Setting it replaces the conversation. */
  get messages(): ChatMessage[] {
    return this.talk.messages;
  }

  set messages(messages: readonly ChatMessage[]) {
    this.talk.messages = messages;
  }

  /**
   * The conversation with all its branches, thoughts, calls, media and figures, as plain data to keep and to give back.
   * @throws QwenError `invalid-request` when something else is set
   */
  get conversation(): StoredConversation {
    return this.talk.stored;
  }

  set conversation(conversation: StoredConversation) {
    this.talk.stored = conversation;
    this.endEdit();
  }

  /** An answer is under way. */
  get busy(): boolean {
    return this.talk.busy;
  }

  /** Figures of the last answer that has any. */
  get figures(): AnswerFigures | undefined {
    return this.talk.turns.findLast((turn): turn is AnswerTurn => turn.role === 'assistant' && !!turn.figures)?.figures;
  }

  /** Names of the models that the endpoint lists, once it has been asked. */
  get endpointModels(): readonly string[] {
    return (this.engine as Partial<EndpointEngine> | undefined)?.models ?? [];
  }

  /**
   * Loads `model`, or asks `endpoint` for its models (stopping and unloading what this element loaded before), and resolves
   * with an engine, or with undefined if that failed or was stopped; the element shows why, and `qwen-error` tells it.
   */
  async load(): Promise<ChatEngine | undefined> {
    const source = this.source();
    return source && this.loader.load(source);
  }

  private source(): EngineSource | undefined {
    const { endpoint, apiKey, endpointModel, model, mmproj, contextLength, store } = this;
    if (endpoint) {
      const open: EngineSource['open'] = (_, signal) =>
        connectEndpoint({ endpoint, apiKey, model: endpointModel, signal });
      return { name: hostOf(endpoint), open };
    }
    if (!model) return undefined;
    return {
      name: modelName(model),
      open: async (onProgress, signal) => {
        // The engine is most of the code: the element shows itself before that has come.
        const { Engine } = await import('../index.ts');
        return Engine.load({ model, mmproj, contextLength, store, onProgress, signal });
      },
    };
  }

  /** Ends the answer under way, or else the loading. What has come of it stays. */
  stop(): void {
    if (this.talk.busy) this.talk.stop();
    else this.loader.stop();
  }

  /** Starts a new conversation. The model stays. */
  clear(): void {
    this.endEdit();
    this.talk.clear();
    this.focus();
  }

  /**
   * Attaches pictures and videos to the message being written, as if they were dropped on the element; it says why files
   * are not attached. Resolves when all have been looked at.
   */
  async attach(files: readonly File[]): Promise<void> {
    await this.updateComplete;
    await this.composer.attach(files.map(named));
    this.focus();
  }

  /** Sends `text` as if it were typed; what is attached to the message being written stays there. Resolves when the answer has ended. */
  async send(text: string): Promise<void> {
    await this.say(text, []);
  }

  private async say(text: string, attachments: readonly Attachment[]): Promise<void> {
    const content = messageContent(text, attachments);
    if (!this.engine || this.talk.busy || (typeof content === 'string' && content.trim() === '')) return;
    const { editing } = this;
    this.editing = undefined;
    this.emit('qwen-message', { message: { role: 'user', content } });
    const { talk, engine, askOptions } = this;
    await this.watch(
      editing === undefined
        ? talk.ask(engine, text, askOptions, attachments)
        : talk.edit(engine, editing, text, askOptions, attachments),
    );
  }

  /** Answers the last message again; the answer so far stays as another branch. */
  async regenerate(): Promise<void> {
    await this.answerAgain();
  }

  private async answerAgain(id?: number): Promise<void> {
    if (this.talk.lastUserTurn) await this.run((engine, options) => this.talk.answerAgain(engine, options, id));
  }

  /** Follows an answer that `begin` asks for, where there is a model and no other answer. */
  private async run(begin: (engine: ChatEngine, options: AskOptions) => Promise<AnswerTurn>): Promise<void> {
    if (!this.engine || this.talk.busy) return;
    await this.watch(begin(this.engine, this.askOptions));
  }

  override focus(): void {
    this.composer?.focusField();
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.addEventListener('keydown', this.onKeyDown);
    if (this.hasUpdated) {
      this.follow.watch();
      if (!this.engine && !this.manual && this.loader.state.kind !== 'loading') void this.load();
    }
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.removeEventListener('keydown', this.onKeyDown);
    // Being moved within the page is a disconnect and a connect in a row; only what stays away is unloaded.
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.talk.stop();
      this.loader.release();
    });
  }

  protected override firstUpdated(): void {
    this.follow.watch();
  }

  protected override updated(changed: PropertyValues<this>): void {
    if (!this.loader.given) this.followSource(changed);
    this.announcer.follow(this.talk.turns);
  }

  private followSource(changed: PropertyValues<this>): void {
    const names = this.endpoint ? (['endpoint', 'apiKey', 'endpointModel'] as const) : (['model', 'endpoint'] as const);
    if (!names.some((name) => changed.has(name))) return;
    if (!this.source()) {
      if (changed.get('endpoint')) this.loader.give(undefined); // nothing is sent to a server that was taken away
    } else if (!this.manual) void this.load();
  }

  protected override render() {
    const { turns } = this.talk;
    return html`
      <div class="chat" part="base"
        @chat-send=${this.on('chat-send', ({ text, attachments }) => this.say(text, attachments))}
        @chat-attach=${this.on('chat-attach', (files) => this.attach(files))}
        @chat-detach=${this.on('chat-detach', (item) => this.composer.detach(item))}
        @chat-camera=${() => this.camera.open()}
        @chat-open-media=${this.on('chat-open-media', ({ attachments, index }) => this.openMedia(attachments, index))}
        @chat-focus=${() => this.focus()}
        @chat-stop=${() => this.stop()}
        @chat-stop-loading=${() => this.loader.stop()}
        @chat-regenerate=${this.on('chat-regenerate', (id) => this.answerAgain(id))}
        @chat-continue=${() => this.run((engine, options) => this.talk.goOn(engine, options))}
        @chat-larger-context=${() => this.enlargeContext()}
        @chat-forget=${() => this.run((engine, options) => this.talk.forgetEarliest(engine, options))}
        @chat-branch=${this.on('chat-branch', (to) => this.showBranch(to))}
        @chat-remove=${this.on('chat-remove', (id) => this.removeTurn(id))}
        @chat-edit=${this.on('chat-edit', (id) => this.startEdit(id))}
        @chat-edit-last=${() => this.startEdit(this.talk.lastUserTurn?.id)}
        @chat-cancel-edit=${() => this.endEdit()}
        @chat-reload=${() => this.reload()}
        @chat-clear=${() => this.clear()}
        @chat-thinking=${this.on('chat-thinking', (on) => {
          this.thinking = on;
        })}
        @chat-announce=${this.on('chat-announce', (sentence) => this.announcer.say(sentence))}>
        <div class="log" part="log" role="log" aria-live="off" aria-label=${strings.conversation} tabindex="0">
          <div class="column ${turns.length === 0 ? 'column-empty' : ''}">
            ${turns.length === 0 ? this.beforeFirstMessage() : this.messageList()}
          </div>
        </div>
        <div class="dock" part="dock">
          ${
            this.follow.atEnd
              ? nothing
              : html`<button type="button" class="to-end" part="to-end" title=${strings.jumpToEnd}
                  aria-label=${strings.jumpToEnd} @click=${() => this.follow.toEnd()}>${icons.down}</button>`
          }
          ${this.talk.canPutBack ? this.removedNote() : nothing}
          <qwen-composer .engine=${this.engine} .sendKey=${this.sendKey} .busy=${this.talk.busy} .thinking=${this.thinking}
            .editing=${this.editing !== undefined}></qwen-composer>
          ${this.foot()}
        </div>
        ${this.dropping ? html`<div class="drop-here" part="drop" aria-hidden="true">${icons.picture}${strings.dropHere}</div>` : nothing}
        <qwen-media-dialog></qwen-media-dialog>
        <qwen-camera-dialog></qwen-camera-dialog>
        <div class="speech hidden-but-spoken" role="status" aria-live="polite" aria-relevant="additions"></div>
      </div>`;
  }

  private messageList(): TemplateResult {
    const { turns } = this.talk;
    const free = this.engine !== undefined && !this.talk.busy;
    return html`
      ${repeat(
        turns,
        ({ id }) => id,
        (turn, i) => html`
          <qwen-message .turn=${turn} .free=${free} .last=${i === turns.length - 1} .edited=${turn.id === this.editing}
            ?forgotten=${turn.forgotten} .branches=${this.talk.siblings(turn.id)} .room=${this.room(turn)}></qwen-message>
          ${turn.forgotten && !turns[i + 1]?.forgotten ? this.forgottenNote(free) : nothing}`,
      )}
      ${this.loader.state.kind === 'ready' ? nothing : html`<div class="reload">${this.loadState()}</div>`}`;
  }

  /** Where the model's knowledge of the conversation begins. */
  private forgottenNote(free: boolean): TemplateResult {
    return html`
      <div class="forgotten" part="forgotten" role="note">
        <p class="quiet">${strings.forgotten}</p>
        ${free ? html`<button type="button" class="foot-button" @click=${() => this.talk.remember()}>${strings.remember}</button>` : nothing}
      </div>`;
  }

  private removedNote(): TemplateResult {
    const undo = () => {
      this.talk.undoRemove();
      this.announcer.say(strings.broughtBack);
      this.focus();
    };
    return html`
      <div class="removed" part="removed">
        <span class="quiet">${strings.removedMessage}</span>
        <button type="button" class="foot-button" @click=${undo}>${strings.undo}</button>
      </div>`;
  }

  /** What makes room for an answer that found none. */
  private room(turn: Turn): RoomChoice {
    if (turn.role === 'user' || turn.phase !== 'failed') return {};
    return { forget: this.talk.canForget, larger: this.largerContext };
  }

  /** Twice what there is, as far as the model goes; undefined where that is not ours to change. */
  private get largerContext(): number | undefined {
    const { contextLength = 0, longestContext = 0 } = this.engine?.info ?? {};
    if (!this.model || this.loader.given || longestContext <= contextLength) return undefined;
    return Math.min(2 * contextLength, longestContext);
  }

  /** Loads the model again with more room, and answers. Where that does not work, the next try is as before. */
  private async enlargeContext(): Promise<void> {
    const { contextLength } = this;
    this.contextLength = this.largerContext ?? contextLength;
    if (await this.load()) await this.run((engine, options) => this.talk.retry(engine, options));
    else this.contextLength = contextLength;
  }

  private beforeFirstMessage(): TemplateResult {
    const { state } = this.loader;
    if (state.kind !== 'ready') return this.loadState();
    return html`<slot name="empty">
      <p class="title">${strings.readyTitle(state.name)}</p>
      <p class="quiet">${this.engine?.host ? strings.remoteHint(this.engine.host) : strings.readyHint}</p>
    </slot>`;
  }

  private loadState(): TemplateResult {
    const { state } = this.loader;
    const loadButton = (label: string, primary = false) =>
      html`<button type="button" class="button ${primary ? 'primary' : ''}" @click=${() => this.load()}>${label}</button>`;
    switch (state.kind) {
      case 'loading':
        if (this.endpoint) return html`<p class="title">${strings.connecting(state.name)}</p>`;
        return html`<qwen-load-progress .name=${state.name} .progress=${state.progress}></qwen-load-progress>`;
      case 'stopped':
        return html`<p class="title">${strings.loadingStopped}</p>
          <p class="quiet">${strings.loadingStoppedHint}</p>
          ${loadButton(strings.continueLoading, true)}`;
      case 'failed':
        return errorBox(state.error, {
          hint: this.talk.turns.length > 0 ? strings.loadFailedHint : undefined,
          actions: this.endpoint || this.model ? loadButton(strings.retry) : undefined,
        });
      default:
        if (this.endpoint || this.model) {
          return html`<p class="title">${strings.modelWaiting}</p>
            <p class="quiet">${this.source()?.name}</p>
            ${loadButton(strings.load, true)}`;
        }
        return html`<slot name="no-model">
          <p class="title">${strings.noModel}</p>
          <p class="quiet">${strings.noModelHint}</p>
        </slot>`;
    }
  }

  private foot(): TemplateResult {
    const toggle = () => {
      this.statistics = !this.statistics;
    };
    return html`
      <div class="foot" part="foot">
        <span class="privacy">${this.engine?.host ? strings.sentTo(this.engine.host) : strings.privacy}</span>
        <span class="foot-buttons">
          ${this.endpointModels.length > 1 ? this.endpointModelChoice() : nothing}
          ${
            this.talk.turns.length > 0
              ? html`<button type="button" class="foot-button" part="new-chat" title=${strings.newChat} @click=${() => this.clear()}>
                  ${icons.plus}<span>${strings.newChat}</span></button>`
              : nothing
          }
          <button type="button" class="foot-button" part="statistics-toggle" title=${strings.statistics} aria-expanded=${this.statistics}
            aria-controls="statistics" @click=${toggle}>${icons.gauge}<span>${strings.statistics}</span></button>
        </span>
      </div>
      <div id="statistics" ?hidden=${!this.statistics}>${this.statistics ? statistics(this.figures) : nothing}</div>`;
  }

  private endpointModelChoice(): TemplateResult {
    const choose = (event: Event) => {
      this.endpointModel = (event.target as HTMLSelectElement).value;
    };
    return html`
      <select class="foot-button" part="endpoint-model" aria-label=${strings.endpointModel} @change=${choose}>
        ${this.endpointModels.map((name) => html`<option ?selected=${name === this.engine?.info.name}>${name}</option>`)}
      </select>`;
  }

  private get askOptions() {
    const { thinking, system, tools, maxToolSteps, sampling } = this;
    return { thinking, system, tools, maxToolSteps, sampling };
  }

  /** Follows an answer to its end, and tells the page. */
  private async watch(answering: Promise<AnswerTurn>): Promise<void> {
    this.following = true;
    this.follow.toEnd();
    const { phase, content, reasoning, figures, error } = await answering;
    // What the end adds (a note, an error, buttons) is still followed; what the reader unfolds later is not.
    setTimeout(() => {
      this.following = this.talk.busy;
    }, 300);
    if (phase === 'failed') this.emit('qwen-error', { error, during: 'answer' });
    else {
      const message: ChatMessage = { role: 'assistant', content };
      if (reasoning) message.reasoning_content = reasoning;
      this.emit('qwen-message', { message, figures });
    }
  }

  /** Loads the model anew and answers the last message with it. */
  private async reload(): Promise<void> {
    if (await this.load()) await this.regenerate();
  }

  private startEdit(id?: number): void {
    const turn = this.talk.turns.find((each) => each.id === id);
    if (turn?.role !== 'user' || this.talk.busy || this.editing === turn.id) return;
    const { text, attachments } = this.composer;
    if (this.editing === undefined) this.draftBeforeEdit = { text, attachments };
    this.editing = turn.id;
    this.composer.text = turn.content;
    this.composer.attachments = turn.attachments;
    void this.composer.updateComplete.then(() => this.composer.focusField());
  }

  private endEdit(): void {
    if (this.editing === undefined) return;
    this.editing = undefined;
    this.composer.text = this.draftBeforeEdit.text;
    this.composer.attachments = this.draftBeforeEdit.attachments;
  }

  private showBranch({ id, forward }: { id: number; forward: boolean }): void {
    this.endEdit();
    this.talk.show(id);
    const { ids, place } = this.talk.siblings(id);
    this.announcer.say(`${strings.branchSpoken(place + 1, ids.length)}.`);
    // The message that had the focus is another one now; its switch is where one goes on from.
    void this.updateComplete.then(() => {
      const views = [...this.renderRoot.querySelectorAll<MessageView>('qwen-message')];
      views.find((view) => view.branches.ids.includes(id) && view.focusBranchSwitch(forward));
    });
  }

  private removeTurn(id: number): void {
    this.endEdit();
    this.talk.remove(id);
    this.announcer.say(strings.removedMessage);
    this.focus();
  }

  /** Those of the conversation belong together: the arrow keys lead from one message's to the next. */
  private openMedia(attachments: readonly Attachment[], index: number): void {
    const said = this.talk.turns.flatMap((turn) => (turn.role === 'user' ? turn.attachments : []));
    const at = said.indexOf(attachments[index]);
    if (at < 0) this.mediaDialog.open(attachments, index);
    else this.mediaDialog.open(said, at);
  }

  private onKeyDown = (event: KeyboardEvent): void => {
    if (event.key !== 'Escape' || event.isComposing || event.defaultPrevented) return;
    if (this.talk.busy) this.talk.stop();
    else if (this.editing !== undefined) this.endEdit();
    else return;
    event.preventDefault();
  };

  private onLoader(): void {
    const { engine } = this.loader;
    this.requestUpdate();
    if (engine === this.announcedEngine) return;
    this.announcedEngine = engine;
    // Whatever was being answered was answered by an engine that is not here any more.
    this.talk.stop();
    if (!engine) return;
    const { info } = engine;
    void this.updateComplete.then(() => this.announcer.say(strings.modelReady(info.name)));
    this.emit('qwen-ready', { engine, info });
  }

  private on<K extends keyof ChatPartEvents>(_type: K, action: (detail: ChatPartEvents[K][0]) => unknown) {
    // An event without a detail has null for it.
    return (event: CustomEvent<ChatPartEvents[K][0]>) => action((event.detail ?? undefined) as ChatPartEvents[K][0]);
  }

  private emit<K extends keyof QwenChatEvents>(type: K, detail: QwenChatEvents[K]): void {
    this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true }));
  }
}

/** Of an address that may be none: the error that follows says so. */
function hostOf(endpoint: string): string {
  return URL.canParse(endpoint, location.href) ? new URL(endpoint, location.href).host : endpoint;
}

/** Browsers call every pasted picture `image.png`. */
function named(file: File): File {
  if (file.name !== '' && file.name !== 'image.png') return file;
  const name = file.type.startsWith('video/') ? strings.pasted.video : strings.pasted.image;
  return new File([file], name, { type: file.type, lastModified: file.lastModified });
}

define('qwen-chat', QwenChat);

declare global {
  interface HTMLElementTagNameMap {
    'qwen-chat': QwenChat;
  }
  interface GlobalEventHandlersEventMap extends QwenChatEventMap {}
}
