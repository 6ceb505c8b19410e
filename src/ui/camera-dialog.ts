import { css, html, nothing, type TemplateResult } from 'lit';
import { query, state } from 'lit/decorators.js';
import { icons } from './icons.ts';
import { ObjectUrl } from './object-url.ts';
import { ChatPart, define } from './part.ts';
import { strings } from './strings.ts';

type Stage =
  | { readonly kind: 'closed' }
  /** The browser asks the reader, or the camera starts. */
  | { readonly kind: 'asking' }
  | { readonly kind: 'live'; readonly stream: MediaStream }
  | { readonly kind: 'taken'; readonly photo: File }
  | { readonly kind: 'failed'; readonly message: string };

const JPEG_QUALITY = 0.92;

/** Takes a picture with the device's camera, which is on only while this dialog shows what it sees. */
export class CameraDialog extends ChatPart {
  @state() private stage: Stage = { kind: 'closed' };
  @state() private cameras: readonly MediaDeviceInfo[] = [];
  @query('dialog') private readonly dialog?: HTMLDialogElement;
  @query('video') private readonly video?: HTMLVideoElement;
  private readonly url = new ObjectUrl(this);
  private stream?: MediaStream;
  /** Rises with every start and stop: a camera that comes too late is switched off again. */
  private attempt = 0;

  open(): void {
    void this.start();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.stop();
    this.stage = { kind: 'closed' };
  }

  protected override render() {
    const { stage } = this;
    if (stage.kind !== 'taken') this.url.of(undefined);
    if (stage.kind === 'closed') return nothing;
    return html`
      <dialog class="camera" part="camera-dialog" aria-label=${strings.cameraTitle} @close=${this.onClosed}
        @keydown=${(event: Event) => event.stopPropagation()}>
        <div class="camera-head">
          <h2>${strings.cameraTitle}</h2>
          <button type="button" class="icon-button" title=${strings.close} aria-label=${strings.close} @click=${this.close}>${icons.close}</button>
        </div>
        <div class="camera-stage">${this.view(stage)}</div>
        <div class="camera-buttons">${this.buttons(stage)}</div>
      </dialog>`;
  }

  protected override updated(): void {
    const { dialog, video, stage } = this;
    if (dialog && !dialog.open) dialog.showModal();
    if (stage.kind === 'live' && video && video.srcObject !== stage.stream) video.srcObject = stage.stream;
  }

  private view(stage: Stage): TemplateResult {
    switch (stage.kind) {
      case 'live':
        return html`<video autoplay playsinline muted aria-label=${strings.cameraPreview}></video>`;
      case 'taken':
        return html`<img alt=${strings.takenPicture} src=${this.url.of(stage.photo)}>`;
      case 'failed':
        return html`<p class="camera-message" role="alert">${stage.message}</p>`;
      default:
        return html`<p class="camera-message quiet" role="status">${strings.cameraStarting}</p>`;
    }
  }

  private buttons(stage: Stage): TemplateResult {
    const button = (label: string, action: () => void, primary = false) =>
      html`<button type="button" class="button ${primary ? 'primary' : ''}" ?autofocus=${primary} @click=${action}>${label}</button>`;
    const cancel = button(strings.cancel, this.close);
    switch (stage.kind) {
      case 'live':
        return html`${cancel}
          ${this.cameras.length > 1 ? button(strings.switchCamera, () => this.start(this.nextCamera())) : nothing}
          ${button(strings.takePicture, () => this.take(), true)}`;
      case 'taken':
        return html`${cancel}${button(strings.retake, () => this.start())}
          ${button(strings.usePicture, () => this.use(stage.photo), true)}`;
      case 'failed':
        return html`${cancel}${button(strings.retry, () => this.start(), true)}`;
      default:
        return cancel;
    }
  }

  private async start(deviceId?: string): Promise<void> {
    this.stop();
    const attempt = this.attempt;
    this.stage = { kind: 'asking' };
    try {
      const stream = await navigator.mediaDevices.getUserMedia({
        audio: false,
        video: {
          width: { ideal: 1920 },
          height: { ideal: 1080 },
          ...(deviceId ? { deviceId: { exact: deviceId } } : { facingMode: 'environment' }),
        },
      });
      if (attempt !== this.attempt) {
        stopTracks(stream);
        return;
      }
      this.stream = stream;
      // A camera that is unplugged, or taken away by the reader, stops without a word.
      for (const track of stream.getTracks()) {
        track.addEventListener('ended', () => this.stream === stream && this.fail(strings.cameraErrors.ended));
      }
      this.stage = { kind: 'live', stream };
      this.focusPrimary();
      const devices = await navigator.mediaDevices.enumerateDevices();
      this.cameras = devices.filter(({ kind }) => kind === 'videoinput');
    } catch (error) {
      if (attempt === this.attempt) this.fail(cameraError(error));
    }
  }

  private fail(message: string): void {
    this.stop();
    this.stage = { kind: 'failed', message };
    this.focusPrimary();
  }

  private async take(): Promise<void> {
    const { video } = this;
    if (!video || video.videoWidth === 0) return;
    const canvas = document.createElement('canvas');
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext('2d')?.drawImage(video, 0, 0);
    this.stop();
    const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/jpeg', JPEG_QUALITY));
    if (!blob) {
      this.fail(strings.cameraErrors.other);
      return;
    }
    this.stage = { kind: 'taken', photo: new File([blob], strings.photoName, { type: blob.type }) };
    this.tell('chat-announce', strings.pictureTaken);
    this.focusPrimary();
  }

  private use(photo: File): void {
    this.dialog?.close();
    this.tell('chat-attach', [photo]);
    this.tell('chat-focus');
  }

  private nextCamera(): string | undefined {
    const current = this.stream?.getVideoTracks()[0]?.getSettings().deviceId;
    const at = this.cameras.findIndex(({ deviceId }) => deviceId === current);
    return this.cameras[(at + 1) % this.cameras.length]?.deviceId;
  }

  /** The buttons change with each step; the focus stays on the one that leads on. */
  private focusPrimary(): void {
    void this.updateComplete.then(() => this.querySelector<HTMLElement>('.button.primary')?.focus());
  }

  private readonly close = (): void => {
    this.dialog?.close();
  };

  private onClosed(): void {
    this.stop();
    this.stage = { kind: 'closed' };
  }

  /** Switches the camera off, or sees to it that one that is still starting will be. */
  private stop(): void {
    this.attempt++;
    const { stream } = this;
    this.stream = undefined;
    if (stream) stopTracks(stream);
  }
}

function stopTracks(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}

function cameraError(error: unknown): string {
  const { cameraErrors } = strings;
  switch (error instanceof DOMException ? error.name : '') {
    case 'NotAllowedError':
    case 'SecurityError':
      return cameraErrors.denied;
    case 'NotFoundError':
    case 'OverconstrainedError':
      return cameraErrors.none;
    case 'NotReadableError':
    case 'AbortError':
      return cameraErrors.busy;
    default:
      return cameraErrors.other;
  }
}

define('qwen-camera-dialog', CameraDialog);

export const cameraStyles = css`
  .camera {
    width: min(44rem, 100vw - 24px);
    max-width: none;
    max-height: calc(100dvh - 24px);
    padding: 0;
    border: 1px solid var(--_border);
    border-radius: var(--_radius);
    background: var(--_background);
    color: var(--_text);
    overflow: hidden;
  }
  .camera::backdrop {
    background: rgb(0 0 0 / 45%);
  }
  .camera[open] {
    display: grid;
    grid-template-rows: auto minmax(0, 1fr) auto;
  }
  .camera-head {
    display: flex;
    align-items: center;
    justify-content: space-between;
    padding: 8px 8px 8px 16px;
  }
  .camera-head h2 {
    margin: 0;
    font-size: 1em;
    font-weight: 600;
  }
  .camera-stage {
    display: grid;
    place-items: center;
    min-height: min(16rem, 50dvh);
    background: var(--_raised);
  }
  .camera-stage :is(video, img) {
    display: block;
    max-width: 100%;
    max-height: min(30rem, 100dvh - 9rem);
  }
  .camera-message {
    max-width: 32rem;
    margin: 0;
    padding: 24px;
    text-wrap: pretty;
  }
  .camera-buttons {
    display: flex;
    flex-wrap: wrap;
    justify-content: end;
    gap: 8px;
    padding: 12px 16px max(12px, env(safe-area-inset-bottom));
  }
`;
