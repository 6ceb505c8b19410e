import type { ReactiveController, ReactiveControllerHost } from 'lit';

/** Nearer to the end than this counts as at the end, in CSS pixels. */
const slack = 32;

/**
 * Keeps the end of a growing column in view, but only for a reader who is there: whoever scrolls up stays where they
 * are until they come back to the end.
 */
export class FollowScroll implements ReactiveController {
  atEnd = true;
  private lastTop = 0;
  private readonly observer = new ResizeObserver(() => this.grown());

  constructor(
    private readonly host: ReactiveControllerHost,
    private readonly scroller: () => HTMLElement | null,
    /** Whether growth is to be followed now. What grows because the reader unfolded it is not. */
    private readonly following: () => boolean,
  ) {
    host.addController(this);
  }

  /** To be called once the scroller and its one child are there. */
  watch(): void {
    const scroller = this.scroller();
    if (!scroller?.firstElementChild) return;
    this.observer.disconnect();
    this.observer.observe(scroller);
    this.observer.observe(scroller.firstElementChild);
    scroller.addEventListener('scroll', this.onScroll, { passive: true });
  }

  hostDisconnected(): void {
    this.observer.disconnect();
    this.scroller()?.removeEventListener('scroll', this.onScroll);
  }

  toEnd(): void {
    this.set(true);
    const scroller = this.scroller();
    if (scroller) scroller.scrollTop = scroller.scrollHeight;
  }

  private grown(): void {
    if (this.atEnd && this.following()) this.toEnd();
    else this.set(this.nearEnd());
  }

  private onScroll = (): void => {
    const top = this.scroller()?.scrollTop ?? 0;
    // Content may have grown since we last scrolled: only a move upwards is the reader leaving the end.
    if (this.nearEnd()) this.set(true);
    else if (top < this.lastTop) this.set(false);
    this.lastTop = top;
  };

  private nearEnd(): boolean {
    const scroller = this.scroller();
    return !scroller || scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < slack;
  }

  private set(atEnd: boolean): void {
    if (atEnd === this.atEnd) return;
    this.atEnd = atEnd;
    this.host.requestUpdate();
  }
}
