import { html, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { customElement, query, state } from 'lit/decorators.js';
import type { EngineStats, ModelInput, StoredFile, StoreKind } from '../src/index.ts';
import { formatRate } from '../src/ui/format.ts';
import { icons } from '../src/ui/icons.ts';
import { percentResident } from '../src/ui/map-cells.ts';
import { expertsToCome } from '../src/ui/map-watch.ts';
import type { AnswerFigures, ChatTool, ExpertMapEvents, QwenChat, QwenChatEvents } from '../src/ui/qwen-chat.ts';
import { type Choice, fromFiles } from './choice.ts';
import '../src/ui/qwen-chat.ts';
import './conversations/files-panel.ts';
import { ConversationKeeper } from './conversations/keeper.ts';
import { type Device, examineDevice } from './device.ts';
import { PageElement } from './element.ts';
import { fileName } from './file-name.ts';
import './model-panel.ts';
import { embeddedModel } from './models.ts';
import { Updates } from './offline/updates.ts';
import { pageIcons } from './page-icons.ts';
import { applyTheme, readSettings, rememberAddress, rememberTower, samplingOf } from './settings.ts';
import './settings-panel.ts';
import type { Panel } from './sidebar.ts';
import './sidebar.ts';
import './statistics-panel.ts';
import './storage-panel.ts';
import { fileTools } from './file-tool.ts';
import { StoredWorks } from './stored-work.ts';
import { strings } from './strings.ts';
import type { OwnerState } from './tabs/messages.ts';
import { ServedRequests } from './tabs/served-requests.ts';
import { SharedGpu } from './tabs/shared-gpu.ts';
import { tools } from './tools.ts';

/** Narrower than this, the left column is a drawer. The style sheet knows the same width. */
const narrow = matchMedia('(width < 52rem)');
/** How often the status line looks at the engine's figures while an answer runs. */
const FIGURES_EVERY_MS = 500;

/** The page around `<qwen-chat>`: which model, where it is kept, how fast it is. */
@customElement('demo-page')
export class DemoPage extends PageElement {
  @state() private device?: Device;
  @state() private stored: readonly StoredFile[] = [];
  @state() private storeError?: unknown;
  @state() private model?: ModelInput;
  private tower?: ModelInput;
  @state() private status: { kind: 'none' | 'ready' | 'failed' | 'stopped' } | { kind: 'loading'; percent?: number } = {
    kind: 'none',
  };
  @state() private stats?: EngineStats;
  /** Of the last answer. */
  @state() private figures?: AnswerFigures;
  /** Experts still come from the server. */
  @state() private arriving = false;
  @state() private answering = false;
  @state() private panel?: Panel;
  @state() private statistics = false;
  @state() private settings = readSettings();
  /** Files that the model may read, for this visit. */
  @state() private readable: readonly File[] = [];
  /** Made anew only where they change, so that a render sets nothing. */
  private tools: readonly ChatTool[] = [];
  @state() private dropping = false;
  @query('qwen-chat') private readonly chat?: QwenChat;
  @query('dialog') private readonly dialog?: HTMLDialogElement;

  private readonly keeper = new ConversationKeeper(
    this,
    () => this.chat,
    () => this.modelName,
  );
  private readonly works = new StoredWorks(this, () => this.lookAround());
  private readonly updates = new Updates(this);
  private readonly gpu = new SharedGpu(this, {
    granted: () => this.loadHere(this.wanted),
    elsewhere: (state) => this.seeOtherTab(state),
    release: () => this.unload(),
    engine: () => this.ready,
    state: () => ({ model: this.modelUrl || this.modelName, name: this.modelName, info: this.ready?.info }),
  });
  private readonly requests = new ServedRequests();
  /** What is to be loaded as soon as this tab has the GPU. */
  private wanted: Choice = { model: embeddedModel.url, tower: embeddedModel.tower };
  /** Answers come from the tab that has the GPU. */
  @state() private viaOtherTab = false;
  private readonly parameters = new URLSearchParams(location.search);
  private figuresTimer?: ReturnType<typeof setInterval>;

  override connectedCallback(): void {
    super.connectedCallback();
    narrow.addEventListener('change', this.onNarrow);
    document.addEventListener('keydown', this.onKeyDown);
    for (const type of ['dragover', 'dragleave', 'drop'] as const) window.addEventListener(type, this.onDrag);
    this.figuresTimer = setInterval(() => this.chat?.busy && void this.readFigures(), FIGURES_EVERY_MS);
    void this.start();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    narrow.removeEventListener('change', this.onNarrow);
    document.removeEventListener('keydown', this.onKeyDown);
    for (const type of ['dragover', 'dragleave', 'drop'] as const) window.removeEventListener(type, this.onDrag);
    clearInterval(this.figuresTimer);
    this.requests.use(undefined);
  }

  protected override updated(): void {
    this.requests.use(this.ready);
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (!changed.has('settings') && !changed.has('readable')) return;
    this.tools = [...(this.settings.tools ? tools : []), ...fileTools(this.readable)];
  }

  protected override render() {
    const webgpu = this.device?.webgpu ?? 'ok';
    return html`
      ${narrow.matches ? nothing : html`<aside aria-label=${strings.menu}>${this.sidebar()}</aside>`}
      <main>
        <header class="status">
          ${
            narrow.matches
              ? html`<button class="icon-button" title=${strings.menu} aria-label=${strings.menu} @click=${() => this.open('menu')}>
                  ${pageIcons.menu}</button>`
              : nothing
          }
          <h1 class="hidden-but-spoken">${strings.title}</h1>
          <button class="status-line" title=${strings.showStatistics} aria-expanded=${this.statistics} aria-controls="statistics-panel"
            @click=${this.toggleStatistics}>${this.statusLine()}${icons.chevron}</button>
          ${
            narrow.matches
              ? html`<button class="icon-button end" title=${strings.newChat} aria-label=${strings.newChat} @click=${this.newChat}>
                  ${icons.plus}</button>`
              : nothing
          }
        </header>
        <div class="banners">${this.keepingProblem()}${this.newerVersion()}${this.otherTabNote()}</div>
        <div id="statistics-panel" class="panel" ?hidden=${!this.statistics && !this.arriving} role="region"
          aria-label=${this.statistics ? strings.statistics : strings.arriving} tabindex="0">
          ${this.expertMap()}
          ${
            this.statistics
              ? html`<demo-statistics .engine=${this.ready} .info=${this.ready?.info} .stats=${this.stats} .figures=${this.figures}></demo-statistics>`
              : nothing
          }
        </div>
        ${webgpu === 'ok' ? this.conversation() : this.withoutWebGpu(strings.noWebGpu[webgpu])}
      </main>
      <dialog class=${this.panel ?? ''} aria-label=${this.panelTitle()} @close=${this.onClosed} @click=${this.onDialogClick}>
        ${this.panel ? this.panelContent() : nothing}
      </dialog>
      ${this.dropping ? html`<div class="drop" role="status">${strings.dropHere}</div>` : nothing}`;
  }

  private conversation(): TemplateResult {
    const { settings } = this;
    const context = Number(this.parameters.get('context')) || settings.contextLength;
    return html`
      <qwen-chat manual preview-page="./preview-page.html" .tools=${this.tools} .contextLength=${context}
        .thinking=${settings.thinking} .system=${settings.system} .sampling=${samplingOf(settings)} .sendKey=${settings.sendKey}
        @qwen-load-progress=${this.onProgress} @qwen-ready=${this.onReady} @qwen-error=${this.onError}
        @qwen-message=${this.onMessage} @qwen-conversation-change=${this.onConversation}>
        ${
          this.model === embeddedModel.url
            ? html`<div slot="empty" class="welcome">
                <h2>${strings.tinyReady}</h2>
                <p class="quiet">${strings.tinyHint}</p>
                <ul class="suggestions" aria-label=${strings.suggestionsTitle}>${strings.suggestions.map(
                  (text) =>
                    html`<li><button class="button" @click=${() => this.chat?.send(text)}>${text}</button></li>`,
                )}</ul>
                <button class="button primary" @click=${() => this.open('models')}>${strings.chooseModel}</button>
              </div>`
            : nothing
        }
        <div slot="no-model" class="welcome">${this.gpu.other ? this.otherTab(this.gpu.other) : this.noModel()}</div>
      </qwen-chat>`;
  }

  private noModel(): TemplateResult {
    return html`
      <h2>${strings.title}</h2>
      <p class="quiet">${strings.noModelHint}</p>
      <button class="button primary" @click=${() => this.open('models')}>${strings.chooseModel}</button>`;
  }

  /** Another tab has the GPU, and its model is not used here (yet). */
  private otherTab({ name, info }: OwnerState): TemplateResult {
    const here = () => this.load(this.wanted);
    if (this.status.kind === 'loading') return html`<p class="quiet">${strings.takingOver}</p>`;
    return html`
      <h2>${info ? strings.otherTabHas(name) : strings.otherTabLoads(name)}</h2>
      <p class="quiet">${strings.otherTabHint}</p>
      <div class="row">
        ${info ? html`<button class="button primary" @click=${() => this.askOtherTab()}>${strings.askOtherTab}</button>` : nothing}
        <button class="button" @click=${here}>${strings.loadHere}</button>
      </div>`;
  }

  /** Kept while the panel is closed, for what it has counted; unseen, it does not look at the engine. */
  private expertMap(): TemplateResult | typeof nothing {
    const { ready } = this;
    if (!ready || ready.info.experts === 0) return nothing;
    return html`<qwen-expert-map .engine=${ready} .active=${this.answering} .compact=${!this.statistics}
      @qwen-experts=${this.onExperts}></qwen-expert-map>`;
  }

  private withoutWebGpu({ title, text }: { title: string; text: string }): TemplateResult {
    return html`
      <div class="welcome alone" role="alert">
        <h2>${title}</h2>
        <p>${text}</p>
        <button class="button" @click=${() => location.reload()}>${strings.tryAgain}</button>
      </div>`;
  }

  private sidebar(): TemplateResult {
    const { list, current, removed } = this.keeper;
    return html`<demo-sidebar class="sidebar" .keeper=${this.keeper} .conversations=${list} .current=${current?.id} .removed=${removed}
      .stored=${this.stored} .modelUrl=${this.modelUrl} @new-chat=${this.newChat} @choose=${this.onChoose}
      @open-panel=${({ detail }: CustomEvent<Panel>) => this.open(detail)}
      @opened-conversation=${() => this.dialog?.close()}></demo-sidebar>`;
  }

  private panelTitle(): string {
    const titles = {
      menu: strings.menu,
      models: strings.modelsTitle,
      storage: strings.storageTitle,
      conversations: strings.conversations,
      settings: strings.settingsTitle,
    };
    return this.panel ? titles[this.panel] : '';
  }

  private panelContent(): TemplateResult {
    const contents = {
      menu: () => this.sidebar(),
      models: () => html`<demo-models .device=${this.device} @choose=${this.onChoose}></demo-models>`,
      settings: () =>
        html`<demo-settings .files=${this.readable} @settings-changed=${this.onSettings} @files-picked=${this.onFilesPicked}></demo-settings>`,
      conversations: () => html`<demo-conversation-files .keeper=${this.keeper}></demo-conversation-files>`,
      storage:
        () => html`<demo-storage .works=${this.works} .running=${this.works.all} .files=${this.stored} .freeBytes=${this.device?.freeStorageBytes} .offline=${this.updates.offline} .error=${this.storeError}
        @stored-changed=${this.lookAround}></demo-storage>`,
    };
    const { panel } = this;
    if (!panel) return html``;
    return html`
      <div class="sheet">
        <div class="sheet-head">
          ${panel === 'menu' ? html`<span></span>` : html`<h2>${this.panelTitle()}</h2>`}
          <button class="icon-button" title=${strings.close} aria-label=${strings.close} @click=${() => this.dialog?.close()}>
            ${icons.close}</button>
        </div>
        ${contents[panel]()}
      </div>`;
  }

  private statusLine(): TemplateResult {
    const name = this.modelName;
    const { status, ready } = this;
    switch (status.kind) {
      case 'loading':
        return html`<span>${strings.loading(name, status.percent)}</span>`;
      case 'failed':
        return html`<span>${strings.loadFailed(name)}</span>`;
      case 'stopped':
        return html`<span>${strings.loadStopped(name)}</span>`;
      case 'none':
        return html`<span>${strings.noModel}</span>`;
      default: {
        const rate =
          this.stats && this.stats.decodeTokensPerSecond > 0 ? formatRate(this.stats.decodeTokensPerSecond) : '';
        const resident = percentResident(this.stats?.experts ?? new Uint8Array());
        const facts = [
          this.viaOtherTab ? strings.inOtherTab : '',
          ready?.info.quantization,
          resident < 100 ? strings.resident(resident) : '',
          rate,
        ];
        return html`<b>${name}</b><span class="quiet">${facts.filter(Boolean).join(' · ')}</span>`;
      }
    }
  }

  private get ready() {
    return this.status.kind === 'ready' ? this.chat?.engine : undefined;
  }

  private get modelUrl(): string {
    return typeof this.model === 'string' ? new URL(this.model, document.baseURI).href : '';
  }

  private get modelName(): string {
    if (this.viaOtherTab) return this.gpu.other?.name ?? strings.noModel;
    if (this.model === embeddedModel.url) return embeddedModel.name;
    if (this.ready) return this.ready.info.name;
    if (typeof this.model === 'string') return fileName(this.model);
    const [first] = Array.isArray(this.model) ? this.model : [this.model];
    return first && typeof first === 'object' && 'name' in first ? String(first.name) : strings.noModel;
  }

  private async start(): Promise<void> {
    await this.lookAround();
    await this.updateComplete;
    await this.keeper.restore();
    if (this.device?.webgpu !== 'ok') return;
    const model = this.parameters.get('model');
    if (model) this.wanted = { model, tower: this.parameters.get('mmproj') || undefined };
    this.gpu.join();
  }

  /** Examines the device and what is stored on it. */
  private lookAround = async (): Promise<void> => {
    this.device = await examineDevice();
    try {
      // Like the chat element itself, the page paints before the engine's code has come.
      const { listStored } = await import('../src/index.ts');
      this.stored = await listStored();
      this.storeError = undefined;
    } catch (error) {
      this.storeError = error;
    }
  };

  private choose(choice: Choice): void {
    this.dialog?.close();
    this.load(choice);
  }

  /** A tower alone goes with the model that is here. */
  private load({ model = this.model, tower }: Choice): void {
    if (!model) return;
    this.wanted = { model, tower };
    if (this.gpu.other) {
      this.viaOtherTab = false;
      this.status = { kind: 'loading' };
      this.model = model;
      this.gpu.takeOver();
    } else {
      this.loadHere(this.wanted);
    }
  }

  /** Another tab has the GPU: this one asks it, unless its reader wants another model. */
  private seeOtherTab({ model }: OwnerState): void {
    const { chat } = this;
    if (!chat || this.status.kind === 'loading') return;
    const asked = this.parameters.get('model');
    if (this.viaOtherTab || !asked || new URL(asked, document.baseURI).href === model) this.askOtherTab();
  }

  private askOtherTab(): void {
    this.viaOtherTab = true;
    const model = this.gpu.other?.model ?? '';
    // Files that another tab picked are not this one's to load.
    if (URL.canParse(model)) {
      const embedded = model === new URL(embeddedModel.url, document.baseURI).href;
      this.model = embedded ? embeddedModel.url : model;
      this.wanted = { model: this.model, tower: embedded ? embeddedModel.tower : readSettings().towers[model] };
    }
    const engine = this.gpu.engineElsewhere();
    if (!engine) this.status = { kind: 'none' };
    if (this.chat && this.chat.engine !== engine) this.chat.engine = engine;
  }

  /** Another tab wants the GPU. */
  private unload(): void {
    const { chat } = this;
    if (!chat) return;
    chat.model = undefined;
    chat.engine = undefined;
    this.status = { kind: 'none' };
  }

  private loadHere({ model, tower }: Choice): void {
    if (!this.chat || !model) return;
    this.viaOtherTab = false;
    this.model = model;
    this.tower = tower;
    this.status = { kind: 'loading' };
    this.stats = undefined;
    this.figures = undefined;
    this.arriving = false;
    this.answering = false;
    if (typeof model === 'string' && model !== embeddedModel.url) {
      rememberAddress(model);
      if (tower === undefined || typeof tower === 'string') rememberTower(model, tower);
    }
    this.showInAddress();
    this.chat.store = this.storeFor(model);
    this.chat.model = model;
    this.chat.mmproj = tower;
    this.gpu.announce();
    void this.chat.load().then((engine) => {
      if (!engine && this.model === model && this.status.kind === 'loading') this.status = { kind: 'stopped' };
    });
  }

  /** As the page's address says; else where the model is stored already; else as was set. */
  private storeFor(model: ModelInput): StoreKind {
    const stated = this.parameters.get('store') as StoreKind | null;
    const first = Array.isArray(model) ? model[0] : model;
    const url = typeof first === 'string' ? new URL(first, document.baseURI).href : undefined;
    return stated ?? this.stored.find((file) => file.url === url)?.store ?? readSettings().store;
  }

  /** The page's own address leads back to the model, so that reloading it, or sending it, is enough. */
  private showInAddress(): void {
    const { model, tower } = this;
    const shown = model === embeddedModel.url ? { model: undefined, mmproj: undefined } : { model, mmproj: tower };
    for (const [name, value] of Object.entries(shown)) {
      if (typeof value === 'string') this.parameters.set(name, value);
      else this.parameters.delete(name);
    }
    const query = this.parameters.toString();
    history.replaceState(null, '', query ? `?${query}` : location.pathname);
  }

  /** What is said is not kept: the reader should know before the page is closed. */
  private keepingProblem(): TemplateResult | typeof nothing {
    const { problem } = this.keeper;
    if (!problem) return nothing;
    const text = problem === 'full' ? strings.keepingFailed.full : strings.keepingFailed.failed(problem.reason);
    return html`
      <div class="notice banner" role="alert"><span class="banner-text">${text}</span>
        ${problem === 'full' ? html`<button class="button" @click=${() => this.open('storage')}>${strings.storage}</button>` : nothing}
      </div>`;
  }

  private newerVersion(): TemplateResult | typeof nothing {
    if (!this.updates.newer) return nothing;
    const reload = () => void this.keeper.save().then(() => this.updates.reload());
    return html`
      <div class="notice banner" role="status"><span class="banner-text">${strings.newerVersion}</span>
        <button class="button" @click=${reload}>${strings.reload}</button></div>`;
  }

  private otherTabNote(): TemplateResult | typeof nothing {
    if (!this.viaOtherTab || this.status.kind !== 'ready') return nothing;
    return html`
      <div class="notice banner" role="status"><span class="banner-text">${strings.viaOtherTab}</span>
        <button class="button" @click=${() => this.load(this.wanted)}>${strings.loadHere}</button></div>`;
  }

  private newChat = (): void => {
    this.dialog?.close();
    void this.keeper.begin();
  };

  private onSettings = (): void => {
    this.settings = readSettings();
    applyTheme(this.settings.theme);
  };

  private onFilesPicked = ({ detail }: CustomEvent<readonly File[]>): void => {
    this.readable = detail;
  };

  private toggleStatistics = (): void => {
    this.statistics = !this.statistics;
    void this.readFigures();
  };

  private open(panel: Panel): void {
    this.panel = panel;
    void this.updateComplete.then(() => {
      if (!this.dialog?.open) this.dialog?.showModal();
      this.dialog?.scrollTo(0, 0);
    });
    if (panel !== 'menu') void this.lookAround();
  }

  private async readFigures(): Promise<void> {
    try {
      this.stats = await this.chat?.engine?.stats();
    } catch {
      // An engine that has just been lost has no figures; the chat itself says so.
    }
  }

  private onProgress = ({ detail }: CustomEvent<QwenChatEvents['qwen-load-progress']>): void => {
    const { phase, loadedBytes, totalBytes } = detail;
    const percent = phase === 'weights' && totalBytes > 0 ? Math.floor((100 * loadedBytes) / totalBytes) : undefined;
    this.status = { kind: 'loading', percent };
  };

  private onReady = (): void => {
    this.status = { kind: 'ready' };
    this.gpu.announce();
    void this.readFigures().then(() => {
      this.arriving = this.stats !== undefined && expertsToCome(this.stats) > 0;
    });
    void this.lookAround();
    // On a touch screen the keyboard would jump up.
    if (document.activeElement === document.body && matchMedia('(pointer: fine)').matches) this.chat?.focus();
  };

  private onMessage = ({ detail }: CustomEvent<QwenChatEvents['qwen-message']>): void => {
    if (detail.figures) this.figures = detail.figures;
    this.answering = detail.message.role === 'user';
    void this.readFigures();
  };

  private onConversation = ({ detail }: CustomEvent<QwenChatEvents['qwen-conversation-change']>): void => {
    this.keeper.changed(detail.change);
  };

  private onExperts = ({ detail }: CustomEvent<ExpertMapEvents['qwen-experts']>): void => {
    this.stats = detail.stats;
    const complete = this.arriving && !detail.arriving;
    this.arriving = detail.arriving;
    if (complete) void this.lookAround();
  };

  private onError = ({ detail }: CustomEvent<QwenChatEvents['qwen-error']>): void => {
    if (detail.during === 'load') this.status = { kind: 'failed' };
    else this.answering = false;
    void this.lookAround();
  };

  private onChoose = ({ detail }: CustomEvent<Choice>): void => {
    this.choose(detail);
  };

  private onNarrow = (): void => {
    if (this.panel === 'menu') this.dialog?.close();
    this.requestUpdate();
  };

  private onClosed = (): void => {
    this.panel = undefined;
  };

  /** A click beside the sheet closes it. */
  private onDialogClick = (event: Event): void => {
    if (event.target === this.dialog) this.dialog?.close();
  };

  /** Esc stops an answer wherever the focus is; in the chat itself and in dialogs it has been used already. */
  private onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === 'Escape' && !event.defaultPrevented && !this.panel && this.chat?.busy) this.chat.stop();
  };

  private onDrag = (event: DragEvent): void => {
    if (!event.dataTransfer?.types.includes('Files') || this.device?.webgpu !== 'ok') return;
    // Pictures over the chat are the chat's.
    const taken = event.defaultPrevented;
    event.preventDefault();
    this.dropping = event.type === 'dragover' && !taken;
    if (taken) return;
    const files = event.type === 'drop' ? [...event.dataTransfer.files] : [];
    if (files.length > 0 && files.every(({ type }) => /^(image|video)\//.test(type))) void this.chat?.attach(files);
    else if (files.length > 0) this.load(fromFiles(files));
  };
}
