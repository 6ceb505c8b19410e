/**
 * The parts of the chat render into the chat's own shadow root, not into roots of their own: a selection can then run
 * from one message to the next, and `::part()` reaches everything without forwarding. Each part's styles live beside it
 * and are put together in `qwen-chat.ts`.
 */
import { LitElement } from 'lit';
import type { Attachment } from './attachment.ts';

export abstract class ChatPart extends LitElement {
  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  /** An event for the chat around this part; it does not leave the chat's shadow root. */
  protected tell<K extends keyof ChatPartEvents>(type: K, ...detail: ChatPartEvents[K]): void {
    this.dispatchEvent(new CustomEvent(type, { bubbles: true, detail: detail[0] }));
  }
}

/** Events between the parts and the chat, with their details. */
export interface ChatPartEvents {
  'chat-send': [message: { text: string; attachments: readonly Attachment[] }];
  'chat-stop': [];
  /** By the id of the answer, or of the message of the user; the last one if there is none. */
  'chat-regenerate': [id?: number];
  'chat-edit-last': [];
  'chat-edit': [id: number];
  'chat-remove': [id: number];
  'chat-branch': [to: { id: number; forward: boolean }];
  'chat-continue': [];
  'chat-forget': [];
  'chat-larger-context': [];
  'chat-cancel-edit': [];
  'chat-thinking': [on: boolean];
  'chat-stop-loading': [];
  'chat-reload': [];
  'chat-clear': [];
  'chat-announce': [sentence: string];
  'chat-focus': [];
  'chat-attach': [files: readonly File[]];
  'chat-detach': [item: number];
  'chat-camera': [];
  'chat-open-media': [shown: { attachments: readonly Attachment[]; index: number }];
}

/** Registers an element once, however often the module's code is on the page. */
export function define(name: string, element: CustomElementConstructor): void {
  if (!customElements.get(name)) customElements.define(name, element);
}
