import { css, html, nothing, type TemplateResult } from 'lit';
import { property, state } from 'lit/decorators.js';
import { copyText } from './copy.ts';
import { errorBox } from './error-box.ts';
import { errorCode } from './error-text.ts';
import { formatDuration } from './format.ts';
import { icons } from './icons.ts';
import { type AnswerTurn, isEmpty, isRunning, type Turn, type UserTurn } from './turns.ts';
import './markdown-view.ts';
import { messageMedia } from './message-media.ts';
import { ChatPart, define } from './part.ts';
import { statistics } from './statistics.ts';
import { strings } from './strings.ts';
import './thinking-block.ts';
import './tool-calls.ts';
import { Ticker } from './ticker.ts';
import type { Siblings } from './turn-tree.ts';

/** What makes room in a context that is full. */
export interface RoomChoice {
  /** Earlier messages can be left out. */
  readonly forget?: boolean;
  /** Tokens of context with which the model can be loaded instead. */
  readonly larger?: number;
}

const differ = (a: unknown, b: unknown) => JSON.stringify(a) !== JSON.stringify(b);

/** One message, of the user or of the model, with what can be done with it. */
export class MessageView extends ChatPart {
  @property({ attribute: false }) turn!: Turn;
  /** A model is there, and nothing is running: it can be asked again, edited, removed. */
  @property({ attribute: false }) free = false;
  /** Nothing follows it. */
  @property({ attribute: false }) last = false;
  /** It is being edited. */
  @property({ type: Boolean, reflect: true }) edited = false;
  /** The branches at this place; each render brings a new object. */
  @property({ attribute: false, hasChanged: differ }) branches: Siblings = { ids: [], place: 0 };
  /** What can be done when it failed for want of context. */
  @property({ attribute: false, hasChanged: differ }) room: RoomChoice = {};
  @state() private copied = false;
  @state() private figuresShown = false;

  protected readonly ticker = new Ticker(this, () => this.turn.role === 'assistant' && this.turn.phase === 'reading');

  /** @returns false where there is no switch between branches */
  focusBranchSwitch(forward: boolean): boolean {
    const button = this.querySelector<HTMLElement>(`.branch-step:${forward ? 'last' : 'first'}-of-type`);
    button?.focus();
    return button !== null;
  }

  protected override render() {
    return this.turn.role === 'user' ? this.userMessage(this.turn) : this.answer(this.turn);
  }

  private userMessage(turn: UserTurn): TemplateResult {
    return html`
      <article class="message user" part="message message-user" aria-label=${strings.you}>
        <div class="said">
          ${messageMedia(turn, (index) => this.tell('chat-open-media', { attachments: turn.attachments, index }))}
          ${turn.content ? html`<div class="bubble" part="bubble">${turn.content}</div>` : nothing}
        </div>
        <div class="actions">
          ${this.branchSwitch()}
          ${turn.content ? this.copyButton(turn.content, strings.copyMessage) : nothing}
          ${this.whenFree(icons.edit, strings.edit, () => this.tell('chat-edit', turn.id))}
          ${this.last ? this.whenFree(icons.again, strings.answerThis, () => this.tell('chat-regenerate', turn.id)) : nothing}
          ${this.removeButton()}
        </div>
      </article>`;
  }

  private answer(turn: AnswerTurn): TemplateResult {
    const running = isRunning(turn);
    // The row of buttons always has its place: nothing moves when an answer ends.
    return html`
      <article class="message answer" part="message message-answer" aria-label=${strings.assistant} aria-busy=${running}>
        ${this.opening(turn)}
        <qwen-markdown part="answer" .text=${turn.content.trimStart()} .growing=${running}></qwen-markdown>
        ${turn.calls.map((call) => html`<qwen-tool-call .call=${call}></qwen-tool-call>`)}
        ${this.ending(turn)}
        ${turn.calls.length > 0 && turn.phase !== 'limit' && turn.phase !== 'stopped' ? nothing : this.actions(turn, running)}
      </article>`;
  }

  private actions(turn: AnswerTurn, running: boolean): TemplateResult {
    return html`
        <div class="actions">
          ${this.branchSwitch()}
          ${turn.content && !running ? this.copyButton(turn.content.trim(), strings.copy) : nothing}
          ${
            turn.phase !== 'failed'
              ? this.whenFree(icons.again, strings.regenerate, () => this.tell('chat-regenerate', turn.id))
              : nothing
          }
          ${turn.figures && !running ? this.figuresButton() : nothing}
          ${this.removeButton()}
        </div>
        ${turn.figures && this.figuresShown ? statistics(turn.figures, strings.statisticsOfThis, facts(turn)) : nothing}`;
  }

  private figuresButton(): TemplateResult {
    const toggle = () => {
      this.figuresShown = !this.figuresShown;
    };
    return html`<button type="button" class="icon-button" part="action" title=${strings.figures} aria-label=${strings.figures}
      aria-expanded=${this.figuresShown} @click=${toggle}>${icons.gauge}</button>`;
  }

  /** `‹ 2/3 ›`, where a message was edited or an answer given again. */
  private branchSwitch(): TemplateResult | typeof nothing {
    const { ids, place } = this.branches;
    if (ids.length < 2) return nothing;
    const step = (icon: TemplateResult, label: string, by: 1 | -1) => {
      const id = this.free ? ids[place + by] : undefined;
      const show = () => id !== undefined && this.tell('chat-branch', { id, forward: by > 0 });
      return html`<button type="button" class="icon-button branch-step" title=${label} aria-label=${label}
        aria-disabled=${id === undefined} @click=${show}>${icon}</button>`;
    };
    return html`
      <div class="branches" part="branches" role="group" aria-label=${strings.branches}>
        ${step(icons.previous, strings.previousBranch, -1)}
        <span aria-label=${strings.branchSpoken(place + 1, ids.length)} role="img">${strings.branchOf(place + 1, ids.length)}</span>
        ${step(icons.chevron, strings.nextBranch, 1)}
      </div>`;
  }

  private removeButton(): TemplateResult | typeof nothing {
    return this.whenFree(icons.remove, strings.removeMessage, () => this.tell('chat-remove', this.turn.id));
  }

  private whenFree(icon: TemplateResult, label: string, action: () => void): TemplateResult | typeof nothing {
    return this.free ? this.iconButton(icon, label, action) : nothing;
  }

  private opening(turn: AnswerTurn): TemplateResult | typeof nothing {
    if (turn.phase === 'reading' && isEmpty(turn)) return this.waiting(turn);
    if (!turn.reasoning) return nothing;
    const interrupted = turn.content.trim() === '' && (turn.phase === 'stopped' || turn.phase === 'failed');
    return html`<qwen-thinking .text=${turn.reasoning} .since=${turn.thinkingSince ?? 0}
      .took=${turn.phase === 'thinking' ? undefined : (turn.thinkingMs ?? 0)} .interrupted=${interrupted}></qwen-thinking>`;
  }

  private waiting(turn: AnswerTurn): TemplateResult {
    const waited = performance.now() - turn.askedAt;
    const clock = waited < 2000 ? undefined : Math.round(waited / 1000) * 1000;
    return html`<p class="reading" part="waiting">${waitingFor(turn, clock)}</p>`;
  }

  private ending(turn: AnswerTurn): TemplateResult | typeof nothing {
    const note = (text: string) => html`<p class="note quiet">${text}</p>`;
    switch (turn.phase) {
      case 'reading':
        return isEmpty(turn) ? nothing : this.waiting(turn); // it goes on
      case 'stopped':
        if (isEmpty(turn)) return note(strings.stoppedEmpty);
        return html`${note(strings.stopped)}${this.goOnButton(turn)}`;
      case 'cut':
        return html`${note(strings.lengthReached)}${this.goOnButton(turn)}`;
      case 'done':
        if (turn.misreadCall) return note(strings.misreadCall);
        return turn.content.trim() || turn.calls.length > 0 ? nothing : note(strings.emptyAnswer);
      case 'limit':
        return note(strings.toolLimit);
      case 'failed':
        return this.failure(turn.error);
      default:
        return nothing;
    }
  }

  private goOnButton(turn: AnswerTurn): TemplateResult | typeof nothing {
    if (!this.free || !this.last || turn.calls.length > 0) return nothing;
    return html`<button type="button" class="button go-on" part="continue" @click=${() => this.tell('chat-continue')}>
      ${icons.goOn}${strings.goOn}</button>`;
  }

  /** The error with the step that may help: what is too long gets shorter, an engine that is gone is loaded again. */
  private failure(error: unknown): TemplateResult {
    type Way = 'clear' | 'edit-last' | 'regenerate' | 'reload' | 'forget' | 'larger-context';
    const button = (label: string, way: Way) =>
      html`<button type="button" class="button" @click=${() => this.tell(`chat-${way}`)}>${label}</button>`;
    switch (errorCode(error)) {
      case 'context-overflow':
      case 'context_length_exceeded':
        return errorBox(error, {
          hint: strings.contextOverflow,
          actions: [
            this.room.forget ? button(strings.forgetEarliest, 'forget') : nothing,
            this.room.larger ? button(strings.largerContext(this.room.larger), 'larger-context') : nothing,
            button(strings.newChat, 'clear'),
            button(strings.edit, 'edit-last'),
          ],
        });
      case 'device-lost':
      case 'out-of-memory':
      case 'worker-crashed':
      case 'disposed':
        return errorBox(error, { actions: button(strings.loadAgain, 'reload') });
      case 'bad-image':
      case 'bad-video':
      case 'no-vision':
        return errorBox(error, {
          actions: [button(strings.edit, 'edit-last'), button(strings.retry, 'regenerate')],
        });
      default:
        return errorBox(error, { actions: button(strings.retry, 'regenerate') });
    }
  }

  private copyButton(text: string, label: string): TemplateResult {
    const copy = async () => {
      this.copied = await copyText(text);
      this.tell('chat-announce', this.copied ? strings.copied : strings.copyFailed);
      setTimeout(() => {
        this.copied = false;
      }, 2000);
    };
    return this.iconButton(this.copied ? icons.check : icons.copy, this.copied ? strings.copied : label, copy);
  }

  private iconButton(icon: TemplateResult, label: string, action: () => void): TemplateResult {
    return html`<button type="button" class="icon-button" part="action" title=${label} aria-label=${label}
      @click=${action}>${icon}</button>`;
  }
}

/** What is told of an answer beside its figures. */
function facts({ model, thinkingMs }: AnswerTurn): Array<readonly [string, string]> {
  const told: Array<readonly [string, string]> = [];
  if (model) told.push([strings.model, model]);
  if (thinkingMs !== undefined) told.push([strings.thinkingTime, formatDuration(thinkingMs)]);
  return told;
}

/** What is done before the first word, and for how long already. */
function waitingFor({ preparing }: AnswerTurn, clockMs: number | undefined): string {
  const isOver = preparing && preparing.total > 0 && preparing.loaded >= preparing.total;
  if (!preparing || (preparing.phase === 'vision' && isOver)) {
    return clockMs === undefined ? strings.reading : strings.readingFor(clockMs);
  }
  const { phase, loaded, total } = preparing;
  const words = strings.preparing[phase](loaded, total);
  return clockMs === undefined ? words : `${words} ${formatDuration(clockMs)}`;
}

define('qwen-message', MessageView);

export const messageStyles = css`
  qwen-message {
    display: block;
  }
  .message {
    position: relative;
  }
  .message.user {
    display: flex;
    flex-direction: column;
    align-items: end;
    gap: 2px;
    margin-block: 12px 0;
  }
  qwen-message:first-child .message.user {
    margin-block-start: 0;
  }
  .said {
    display: flex;
    flex-direction: column;
    align-items: end;
    gap: 6px;
    max-width: 85%;
    min-width: 0;
  }
  .bubble {
    max-width: 100%;
    min-width: 0;
    padding: 8px 14px;
    border-radius: var(--_radius);
    background: var(--_raised);
    line-height: 1.5;
    white-space: pre-wrap;
    overflow-wrap: anywhere;
  }
  .actions {
    display: flex;
    gap: 2px;
    min-height: 32px;
    margin: 4px -6px 0;
  }
  .user .actions {
    flex: none;
    margin: 0;
  }
  .user .actions > .icon-button {
    opacity: 0;
    transition: opacity var(--_speed);
  }
  .user:is(:hover, :focus-within) .actions > .icon-button {
    opacity: 1;
  }
  qwen-message:last-child .user .actions > .icon-button {
    opacity: 1;
  }
  @media (hover: none) {
    .user .actions > .icon-button {
      opacity: 1;
    }
  }
  .branches {
    display: flex;
    align-items: center;
    color: var(--_muted);
    font-size: 0.8em;
    font-variant-numeric: tabular-nums;
  }
  .branch-step {
    width: 24px;
  }
  .branch-step[aria-disabled='true'] {
    opacity: 0.4;
    cursor: default;
  }
  .go-on {
    margin-block-start: 8px;
  }
  qwen-message[edited] .bubble {
    outline: 2px solid var(--_accent);
    outline-offset: 2px;
  }
  qwen-message[forgotten] .message {
    color: var(--_muted);
  }
  .reading {
    margin: 0;
    line-height: 32px;
    color: var(--_muted);
    font-size: 0.925em;
    font-variant-numeric: tabular-nums;
    animation: qwen-breathe 2s ease-in-out infinite;
  }
  .note {
    margin: 8px 0 0;
  }
  .answer .error {
    margin-block-start: 8px;
  }
`;
