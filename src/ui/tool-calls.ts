import { css, html, nothing, type TemplateResult } from 'lit';
import { property, state } from 'lit/decorators.js';
import { icons } from './icons.ts';
import { ChatPart, define } from './part.ts';
import { strings } from './strings.ts';
import type { ToolRun } from './tools.ts';

/** One call of a tool: folded, with how it went; unfolded, with what was given and what came back. */
export class ToolCallView extends ChatPart {
  @property({ attribute: false }) call!: ToolRun;
  @state() private open = false;

  protected override render() {
    const { call } = this;
    const running = call.state === 'written' || call.state === 'running';
    return html`
      <details part="tool" @toggle=${this.onToggle}>
        <summary part="tool-summary">
          <span class="tool-icon">${call.state === 'failed' ? icons.warning : icons.tool}</span>
          <span class=${running ? 'tool-running' : ''}>${strings.toolStates[call.state](call.name)}</span>
        </summary>
        ${
          this.open
            ? html`<div class="tool-text" part="tool-text">
                ${block(strings.toolArguments, pretty(call.arguments))}
                ${call.result === undefined ? nothing : block(strings.toolResult, pretty(call.result))}
              </div>`
            : nothing
        }
      </details>`;
  }

  private onToggle(event: Event): void {
    this.open = (event.currentTarget as HTMLDetailsElement).open;
  }
}

function block(title: string, text: string): TemplateResult {
  return html`<p class="tool-title">${title}</p><pre tabindex="0" role="group" aria-label=${title}>${text}</pre>`;
}

/** JSON is indented; anything else, and what is not whole yet, stays as it is. */
function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

define('qwen-tool-call', ToolCallView);

export const toolCallStyles = css`
  qwen-tool-call {
    display: block;
    color: var(--_muted);
    font-size: 0.925em;
  }
  qwen-tool-call summary {
    display: inline-flex;
    align-items: center;
    gap: 6px;
    min-height: 32px;
    max-width: 100%;
    margin-inline-start: -4px;
    padding-inline: 2px 8px;
    border-radius: 8px;
    cursor: pointer;
    list-style: none;
    overflow-wrap: anywhere;
    transition: color var(--_speed);
  }
  qwen-tool-call summary::-webkit-details-marker {
    display: none;
  }
  qwen-tool-call summary:hover {
    color: var(--_text);
  }
  .tool-running {
    animation: qwen-breathe 2s ease-in-out infinite;
  }
  .tool-text {
    margin-block: 4px 8px;
    padding-inline-start: 16px;
    border-inline-start: 2px solid var(--_border);
    margin-inline-start: 6px;
  }
  .tool-title {
    margin: 4px 0;
  }
  .tool-text pre {
    max-height: 16em;
    margin: 0;
    overflow: auto;
    color: var(--_text);
    font-size: 0.925em;
    white-space: pre-wrap;
    overflow-wrap: anywhere;
  }
`;
