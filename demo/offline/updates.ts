/** Registers the service worker, and tells when a newer build of the page waits. */
import type { ReactiveController, ReactiveControllerHost } from 'lit';
import { SKIP_WAITING } from './messages.ts';

/** How often a page that stays open looks for a newer build. */
const LOOK_EVERY_MS = 60 * 60 * 1000;

export class Updates implements ReactiveController {
  /** A newer build waits, or has taken over under this page. */
  newer = false;
  /** The page is kept on this device: it opens without a network. */
  offline = false;
  private registration?: ServiceWorkerRegistration;
  private lookedAt = 0;
  private reloading = false;

  constructor(private readonly host: ReactiveControllerHost) {
    host.addController(this);
  }

  hostConnected(): void {
    // In development nothing is built that could be kept.
    if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return;
    document.addEventListener('visibilitychange', this.look);
    navigator.serviceWorker.addEventListener('controllerchange', this.onController);
    void this.register();
  }

  hostDisconnected(): void {
    document.removeEventListener('visibilitychange', this.look);
    navigator.serviceWorker?.removeEventListener('controllerchange', this.onController);
  }

  /** Shows the newer build. */
  reload(): void {
    this.reloading = true;
    const waiting = this.registration?.waiting;
    // It takes over, and that reloads.
    if (waiting) waiting.postMessage(SKIP_WAITING);
    else location.reload();
  }

  private async register(): Promise<void> {
    // What the page itself needs comes first.
    if (document.readyState !== 'complete') {
      await new Promise((resolve) => addEventListener('load', resolve, { once: true }));
    }
    try {
      const { serviceWorker } = navigator;
      this.controlled = serviceWorker.controller !== null;
      this.registration = await serviceWorker.register('./service-worker.js', { updateViaCache: 'none' });
      this.lookedAt = Date.now();
      this.registration.addEventListener('updatefound', () => this.follow(this.registration?.installing));
      this.follow(this.registration.installing);
      this.tell();
    } catch (error) {
      console.warn('This page will not open without a network:', error);
    }
  }

  /** There was a build before the one that comes. */
  private controlled = false;

  private follow(installing: ServiceWorker | null | undefined): void {
    installing?.addEventListener('statechange', () => this.tell());
  }

  private tell(): void {
    const { registration } = this;
    this.offline = registration?.active !== null;
    if (registration?.waiting && registration.active) this.newer = true;
    this.host.requestUpdate();
  }

  private onController = (): void => {
    if (this.reloading) location.reload();
    // The first one only takes this page over; a later one was let in by another tab.
    else if (this.controlled) this.newer = true;
    this.controlled = true;
    this.tell();
  };

  private look = (): void => {
    if (document.visibilityState !== 'visible' || Date.now() - this.lookedAt < LOOK_EVERY_MS) return;
    this.lookedAt = Date.now();
    this.registration?.update().catch(() => {}); // Without a network there is nothing newer.
  };
}
