import type { ReactiveController, ReactiveControllerHost } from 'lit';

/** Draws its host again every second for as long as `active` says that a clock is running in it. */
export class Ticker implements ReactiveController {
  private timer?: ReturnType<typeof setInterval>;

  constructor(
    private readonly host: ReactiveControllerHost,
    private readonly active: () => boolean,
  ) {
    host.addController(this);
  }

  hostUpdated(): void {
    if (this.active()) this.timer ??= setInterval(() => this.host.requestUpdate(), 1000);
    else this.hostDisconnected();
  }

  hostDisconnected(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }
}
