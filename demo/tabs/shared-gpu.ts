/**
 * One tab of the page has the GPU, by a Web Lock; the others ask it, and the next in line takes over when it closes. Two models
 * in two tabs would share the GPU's memory badly, and the same model twice is a waste of it.
 */
import type { ReactiveController, ReactiveControllerHost } from 'lit';
import type { ChatEngine } from '../../src/ui/qwen-chat.ts';
import type { GuestMessage, OwnerMessage, OwnerState, TabMessage } from './messages.ts';
import { ServedEngine } from './served-engine.ts';
import { TabEngine } from './tab-engine.ts';

const LOCK = 'qwen-webgpu-demo gpu';
const CHANNEL = 'qwen-webgpu-demo engine';

export interface GpuListener {
  /** This tab has the GPU now. */
  granted(): void;
  /** Another tab has it, and this is what is there. */
  elsewhere(state: OwnerState): void;
  /** Another tab wants it: unload what is here. */
  release(): void;
  /** This tab's engine, as other tabs may ask it. */
  engine(): ChatEngine | undefined;
  /** What this tab has, for the others. */
  state(): Omit<OwnerState, 'owner' | 'counts'>;
}

export class SharedGpu implements ReactiveController {
  /** What another tab has on the GPU, while it is another's. */
  other?: OwnerState;
  private owner?: string;
  private channel?: BroadcastChannel;
  private readonly served: ServedEngine;
  private guest?: TabEngine;
  /** Gives the lock back. */
  private letGo?: () => void;
  private queue?: AbortController;

  constructor(
    private readonly host: ReactiveControllerHost,
    private readonly listener: GpuListener,
  ) {
    this.served = new ServedEngine(
      () => listener.engine(),
      (message) => this.send(message),
    );
    host.addController(this);
  }

  hostConnected(): void {}

  hostDisconnected(): void {
    this.queue?.abort();
    this.letGo?.();
    this.channel?.close();
    this.channel = undefined;
  }

  /** Asks for the GPU. `granted` or `elsewhere` follows. */
  join(): void {
    if (!navigator.locks) {
      this.listener.granted();
      return;
    }
    this.channel = new BroadcastChannel(CHANNEL);
    this.channel.addEventListener('message', ({ data }: MessageEvent<TabMessage>) => this.receive(data));
    this.lineUp();
    this.send({ kind: 'hello' });
  }

  /** Tells the other tabs what is here now. */
  announce(): void {
    const { owner } = this;
    if (!owner) return;
    const counts = this.listener.engine()?.countMediaTokens !== undefined;
    this.send({ kind: 'state', state: { ...this.listener.state(), counts, owner } });
  }

  /** An engine that asks the tab which has the GPU; undefined while that has nothing to ask. */
  engineElsewhere(): TabEngine | undefined {
    const { other } = this;
    if (!other?.info) return undefined;
    if (this.guest?.owner !== other.owner || this.guest.info !== other.info) {
      this.guest?.end();
      this.guest = new TabEngine({ ...other, info: other.info }, (message) => this.send(message));
    }
    return this.guest;
  }

  /** Takes the GPU from the tab that has it; `granted` follows. */
  takeOver(): void {
    this.send({ kind: 'release' });
  }

  private lineUp(): void {
    const queue = new AbortController();
    this.queue = queue;
    navigator.locks
      .request(LOCK, { signal: queue.signal }, () => this.hold())
      .catch((error) => {
        if (!queue.signal.aborted) console.warn('The GPU cannot be shared between tabs:', error);
      });
  }

  /** @returns what ends when this tab gives the GPU back */
  private hold(): Promise<void> {
    this.owner = crypto.randomUUID();
    this.other = undefined;
    this.guest?.end();
    this.guest = undefined;
    const held = new Promise<void>((resolve) => {
      this.letGo = resolve;
    });
    this.listener.granted();
    this.announce();
    this.host.requestUpdate();
    return held;
  }

  private receive(message: TabMessage): void {
    switch (message.kind) {
      case 'hello':
        this.announce();
        break;
      case 'release':
        this.makeWay();
        break;
      case 'state':
        this.see(message.state);
        break;
      case 'chunk':
      case 'media':
      case 'done':
      case 'failed':
        this.guest?.receive(message);
        break;
      default:
        if (this.owner) this.served.receive(message);
    }
  }

  private see(state: OwnerState): void {
    if (this.owner) return;
    const { info } = this.other ?? {};
    // The same model as before is the same engine: what it answers goes on.
    const same =
      this.other?.owner === state.owner &&
      info &&
      state.info &&
      info.name === state.info.name &&
      this.other.model === state.model;
    this.other = same ? { ...state, info } : state;
    this.listener.elsewhere(this.other);
    this.host.requestUpdate();
  }

  /** Whoever asked for the GPU comes first; this tab lines up behind. */
  private makeWay(): void {
    if (this.owner) {
      this.served.close();
      this.listener.release();
      this.owner = undefined;
      this.letGo?.();
    } else {
      this.queue?.abort();
    }
    // The one who asked waits already.
    this.lineUp();
  }

  private send(message: GuestMessage | OwnerMessage): void {
    this.channel?.postMessage(message);
  }
}
