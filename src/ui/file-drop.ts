import type { ReactiveController, ReactiveControllerHost } from 'lit';

export interface FileDropListener {
  /** Files of known types hang over the element, or do not any more. */
  hovering(over: boolean): void;
  /** Files were dropped or pasted. */
  files(files: readonly File[]): void;
}

/**
 * Files that are dropped on an element or pasted into it. Files without a type, such as models, are left to the page
 * around it: it may know what to do with them.
 */
export class FileDrop implements ReactiveController {
  constructor(
    private readonly host: ReactiveControllerHost & HTMLElement,
    private readonly listener: FileDropListener,
  ) {
    host.addController(this);
  }

  hostConnected(): void {
    for (const type of ['dragenter', 'dragover'] as const) this.host.addEventListener(type, this.onOver);
    this.host.addEventListener('dragleave', this.onLeave);
    this.host.addEventListener('drop', this.onDrop);
    this.host.addEventListener('paste', this.onPaste);
  }

  hostDisconnected(): void {
    for (const type of ['dragenter', 'dragover'] as const) this.host.removeEventListener(type, this.onOver);
    this.host.removeEventListener('dragleave', this.onLeave);
    this.host.removeEventListener('drop', this.onDrop);
    this.host.removeEventListener('paste', this.onPaste);
  }

  private readonly onOver = (event: DragEvent): void => {
    if (!isOurs(event.dataTransfer)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = 'copy';
    this.listener.hovering(true);
  };

  private readonly onLeave = (event: DragEvent): void => {
    // Going from one part of the element to another is no leaving.
    const to = event.relatedTarget;
    if (to instanceof Node && (to === this.host || this.host.contains(to))) return;
    this.listener.hovering(false);
  };

  private readonly onDrop = (event: DragEvent): void => {
    this.listener.hovering(false);
    if (!isOurs(event.dataTransfer)) return;
    event.preventDefault();
    this.listener.files([...event.dataTransfer.files]);
  };

  private readonly onPaste = (event: ClipboardEvent): void => {
    const { clipboardData } = event;
    const files = [...(clipboardData?.files ?? [])];
    if (!clipboardData || files.length === 0) return;
    // Office programs put a picture of the text beside the text: then the text is meant. File managers put the file's name.
    const text = clipboardData.getData('text/plain').trim();
    if (text !== '' && !files.some(({ name }) => text.includes(name))) return;
    event.preventDefault();
    this.listener.files(files);
  };
}

/** While files hang over the page only their types are told, not their names. */
function isOurs(data: DataTransfer | null): data is DataTransfer {
  return data !== null && [...data.items].some(({ kind, type }) => kind === 'file' && type !== '');
}
