/** The preview below a block of code, and the button above it that shows it. */
import type { CodePreview } from './code-preview.ts';
import './code-preview.ts';
import { strings } from './strings.ts';

/** @param complete no more code will come; the preview waits for that, or it would start anew with every token */
export function togglePreview(button: HTMLElement, complete: boolean): void {
  const preview = button.closest('.code')?.querySelector<CodePreview>('qwen-code-preview');
  if (!preview) return;
  preview.hidden = !preview.hidden;
  button.setAttribute('aria-expanded', String(!preview.hidden));
  button.textContent = preview.hidden ? strings.preview : strings.hidePreview;
  preview.code = preview.hidden || !complete ? undefined : codeOf(preview);
}

/** Starts the previews that wait in a block which is complete now. */
export function startPreviews(block: HTMLElement): void {
  for (const preview of block.querySelectorAll<CodePreview>('qwen-code-preview:not([hidden])')) {
    preview.code = codeOf(preview);
  }
}

function codeOf(preview: CodePreview): string {
  return preview.closest('.code')?.querySelector('code')?.textContent ?? '';
}
