import { css, html, nothing, type TemplateResult } from 'lit';
import { property, state } from 'lit/decorators.js';
import { type AnswerTurn, isRunning, type Turn, type UserTurn } from './conversation.ts';
import { copyText } from './copy.ts';
import { errorBox } from './error-box.ts';
import { errorCode } from './error-text.ts';
import { formatDuration } from './format.ts';
import { icons } from './icons.ts';
import './markdown-view.ts';
import { messageMedia } from './message-media.ts';
import { ChatPart, define } from './part.ts';
import { strings } from './strings.ts';
import './thinking-block.ts';
import './tool-calls.ts';
import { Ticker } from './ticker.ts';

/** One message, of the user or of the model, with what can be done with it. */
export class MessageView extends ChatPart {
  @property({ attribute: false }) turn!: Turn;
  /** It can be asked again or edited: it is the last of its kind, nothing is running, and a model is there. */
  @property({ attribute: false }) repeatable = false;
  @state() private copied = false;

  protected readonly ticker = new Ticker(this, () => this.turn.role === 'assistant' && this.turn.phase === 'reading');

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
          ${turn.content ? this.copyButton(turn.content, strings.copyMessage) : nothing}
          ${this.repeatable ? this.iconButton(icons.edit, strings.edit, () => this.tell('chat-edit-last')) : nothing}
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
          ${turn.content && !running ? this.copyButton(turn.content.trim(), strings.copy) : nothing}
          ${
            this.repeatable && turn.phase !== 'failed'
              ? this.iconButton(icons.again, strings.regenerate, () => this.tell('chat-regenerate'))
              : nothing
          }
        </div>`;
  }

  private opening(turn: AnswerTurn): TemplateResult | typeof nothing {
    if (turn.phase === 'reading') {
      const waited = performance.now() - turn.askedAt;
      const clock = waited < 2000 ? undefined : Math.round(waited / 1000) * 1000;
      return html`<p class="reading" part="waiting">${waitingFor(turn, clock)}</p>`;
    }
    if (!turn.reasoning) return nothing;
    const interrupted = turn.content.trim() === '' && (turn.phase === 'stopped' || turn.phase === 'failed');
    return html`<qwen-thinking .text=${turn.reasoning} .since=${turn.thinkingSince ?? 0}
      .took=${turn.phase === 'thinking' ? undefined : (turn.thinkingMs ?? 0)} .interrupted=${interrupted}></qwen-thinking>`;
  }

  private ending(turn: AnswerTurn): TemplateResult | typeof nothing {
    const note = (text: string) => html`<p class="note quiet">${text}</p>`;
    switch (turn.phase) {
      case 'stopped':
        return note(turn.content || turn.reasoning || turn.calls.length > 0 ? strings.stopped : strings.stoppedEmpty);
      case 'cut':
        return note(strings.lengthReached);
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

  /** The error with the step that may help: what is too long gets shorter, an engine that is gone is loaded again. */
  private failure(error: unknown): TemplateResult {
    const button = (label: string, event: 'chat-clear' | 'chat-edit-last' | 'chat-regenerate' | 'chat-reload') =>
      html`<button type="button" class="button" @click=${() => this.tell(event)}>${label}</button>`;
    switch (errorCode(error)) {
      case 'context-overflow':
        return errorBox(error, {
          hint: strings.contextOverflow,
          actions: [button(strings.newChat, 'chat-clear'), button(strings.edit, 'chat-edit-last')],
        });
      case 'device-lost':
      case 'out-of-memory':
      case 'worker-crashed':
      case 'disposed':
        return errorBox(error, { actions: button(strings.loadAgain, 'chat-reload') });
      case 'bad-image':
      case 'bad-video':
      case 'no-vision':
        return errorBox(error, {
          actions: [button(strings.edit, 'chat-edit-last'), button(strings.retry, 'chat-regenerate')],
        });
      default:
        return errorBox(error, { actions: button(strings.retry, 'chat-regenerate') });
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
    flex-direction: row-reverse;
    align-items: end;
    gap: 4px;
    margin-block: 12px 4px;
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
    opacity: 0;
    transition: opacity var(--_speed);
  }
  .user:is(:hover, :focus-within) .actions {
    opacity: 1;
  }
  @media (hover: none) {
    .user .actions {
      opacity: 1;
    }
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
