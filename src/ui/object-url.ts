import type { ReactiveController, ReactiveControllerHost } from 'lit';

/** The address under which an element shows a file. It is revoked when the element shows another, or nothing any more. */
export class ObjectUrl implements ReactiveController {
  private blob?: Blob;
  private url = '';

  constructor(private readonly host: ReactiveControllerHost) {
    host.addController(this);
  }

  /** An address is its own; of the same file it is the same one each time. */
  of(source: string | Blob | undefined): string {
    if (!(source instanceof Blob)) {
      this.hostDisconnected();
      return source ?? '';
    }
    if (source !== this.blob) {
      this.hostDisconnected();
      this.blob = source;
      this.url = URL.createObjectURL(source);
    }
    return this.url;
  }

  /** An element that was only moved shows its file again. */
  hostConnected(): void {
    this.host.requestUpdate();
  }

  hostDisconnected(): void {
    if (this.blob) URL.revokeObjectURL(this.url);
    this.blob = undefined;
  }
}
