/** What tabs of the page say to each other about the one engine they share. Everything goes to all of them. */
import type { WireError } from '../../src/errors.ts';
import type { EngineStats } from '../../src/index.ts';
import type { ChatEngine } from '../../src/ui/qwen-chat.ts';

type Create = ChatEngine['chat']['completions']['create'];
export type ChatRequest = Parameters<Create>[0];
export type ChatOptions = NonNullable<Parameters<Create>[1]>;
export type MediaReport = Parameters<NonNullable<ChatOptions['onMediaProgress']>>[0];
export type Count = NonNullable<ChatEngine['countMediaTokens']>;
export type MediaPart = Parameters<Count>[0];

/** What the tab that has the GPU has on it. */
export interface OwnerState {
  /** Made anew by every owner. */
  readonly owner: string;
  /** Absolute address, or name of the files. */
  readonly model: string;
  /** As it is shown. */
  readonly name: string;
  /** Of a model that can be asked. */
  readonly info?: ChatEngine['info'];
  readonly counts: boolean;
}

/** From a guest. `id` is the request's, unlike all others. */
export type GuestMessage =
  | { readonly kind: 'hello' }
  | { readonly kind: 'chat'; readonly id: string; readonly request: ChatRequest }
  | { readonly kind: 'count'; readonly id: string; readonly part: MediaPart }
  | { readonly kind: 'stats'; readonly id: string }
  | { readonly kind: 'abort'; readonly id: string }
  /** It wants the GPU itself. */
  | { readonly kind: 'release' };

/** From the owner. */
export type OwnerMessage =
  | { readonly kind: 'state'; readonly state: OwnerState }
  | { readonly kind: 'chunk'; readonly id: string; readonly chunk: unknown }
  | { readonly kind: 'media'; readonly id: string; readonly report: MediaReport }
  | { readonly kind: 'done'; readonly id: string; readonly result?: unknown }
  | { readonly kind: 'failed'; readonly id: string; readonly error: WireError };

export type TabMessage = GuestMessage | OwnerMessage;

export type Stats = EngineStats;
