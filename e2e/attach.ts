/** Pictures and videos as their readers attach them: files made in the page, and the steps that specs take with them. */
import { expect, type Locator, type Page } from 'playwright/test';

/** As `setInputFiles` takes them. */
export interface TestFile {
  name: string;
  mimeType: string;
  buffer: Buffer;
}

export interface PictureOptions {
  name?: string;
  width?: number;
  height?: number;
  /** CSS colour of the whole picture. */
  colour?: string;
  /** Discs drawn on it in black, so that there is something to count. */
  discs?: number;
  mimeType?: 'image/png' | 'image/jpeg' | 'image/webp';
}

/** A picture drawn by the page's browser. */
export async function picture(
  page: Page,
  {
    name = 'picture.png',
    width = 256,
    height = 256,
    colour = 'teal',
    discs = 0,
    mimeType = 'image/png',
  }: PictureOptions,
): Promise<TestFile> {
  const base64 = await page.evaluate(
    ({ width, height, colour, discs, mimeType }) => {
      const canvas = document.createElement('canvas');
      Object.assign(canvas, { width, height });
      const context = canvas.getContext('2d')!;
      context.fillStyle = colour;
      context.fillRect(0, 0, width, height);
      context.fillStyle = '#000';
      for (let i = 0; i < discs; i++) {
        context.beginPath();
        context.arc(((i + 0.5) * width) / discs, height / 2, Math.min(height, width / discs) / 4, 0, 2 * Math.PI);
        context.fill();
      }
      return canvas.toDataURL(mimeType).split(',')[1];
    },
    { width, height, colour, discs, mimeType },
  );
  return { name, mimeType, buffer: Buffer.from(base64, 'base64') };
}

/** A WebM that the page's browser recorded from a canvas: a bar that moves. It is as long as it takes to record. */
export async function clip(page: Page, { name = 'clip.webm', seconds = 1.5 } = {}): Promise<TestFile> {
  const base64 = await page.evaluate(async (seconds) => {
    const canvas = document.createElement('canvas');
    Object.assign(canvas, { width: 128, height: 96 });
    const context = canvas.getContext('2d')!;
    // Frames are handed over one by one, so that a busy machine records fewer and not none.
    const [track] = canvas.captureStream(0).getVideoTracks() as CanvasCaptureMediaStreamTrack[];
    const recorder = new MediaRecorder(new MediaStream([track]), { mimeType: 'video/webm' });
    const pieces: Blob[] = [];
    recorder.addEventListener('dataavailable', ({ data }) => pieces.push(data));
    const ended = new Promise((resolve) => recorder.addEventListener('stop', resolve));
    recorder.start();
    const start = performance.now();
    await new Promise<void>((resolve) => {
      const draw = () => {
        const t = (performance.now() - start) / 1000;
        context.fillStyle = 'orange';
        context.fillRect(0, 0, 128, 96);
        context.fillStyle = 'navy';
        context.fillRect((t / seconds) * 108, 0, 20, 96);
        track.requestFrame();
        if (t >= seconds) resolve();
        else setTimeout(draw, 50);
      };
      draw();
    });
    recorder.stop();
    await ended;
    const url = await new Promise<string>((resolve) => {
      const reader = new FileReader();
      reader.addEventListener('load', () => resolve(String(reader.result)));
      reader.readAsDataURL(new Blob(pieces, { type: 'video/webm' }));
    });
    return url.split(',')[1];
  }, seconds);
  return { name, mimeType: 'video/webm', buffer: Buffer.from(base64, 'base64') };
}

/** The files chosen by the button's own dialog. */
export async function choose(page: Page, files: TestFile | TestFile[] | string | string[]): Promise<void> {
  const chooser = page.waitForEvent('filechooser');
  await page.getByRole('button', { name: 'Attach pictures or videos' }).click();
  await (await chooser).setFiles(files);
}

/** Drags files over an element, and, unless `hover` is all, drops them there. */
export async function drop(target: Locator, files: readonly TestFile[], hover?: 'hover'): Promise<void> {
  await fire(target, files, hover ? ['dragenter', 'dragover'] : ['dragenter', 'dragover', 'drop']);
}

/** What a paste brings that the browser's own clipboard cannot be given: files with names, or a text beside them. */
export async function paste(target: Locator, files: readonly TestFile[], text = ''): Promise<void> {
  await fire(target, files, ['paste'], text);
}

async function fire(target: Locator, files: readonly TestFile[], types: readonly string[], text = ''): Promise<void> {
  await target.evaluate(
    (element, { files, types, text }) => {
      const data = new DataTransfer();
      if (text) data.setData('text/plain', text);
      for (const { name, mimeType, base64 } of files) {
        const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
        data.items.add(new File([bytes], name, { type: mimeType }));
      }
      const init = { bubbles: true, composed: true, cancelable: true };
      for (const type of types) {
        const event =
          type === 'paste'
            ? new ClipboardEvent(type, { ...init, clipboardData: data })
            : new DragEvent(type, { ...init, dataTransfer: data });
        element.dispatchEvent(event);
      }
    },
    {
      files: files.map(({ name, mimeType, buffer }) => ({ name, mimeType, base64: buffer.toString('base64') })),
      types,
      text,
    },
  );
}

/** What is attached to the message being written. */
export const chips = (page: Page): Locator => page.locator('qwen-composer .chip');

/** Pictures of messages in the conversation. */
export const thumbnails = (page: Page): Locator => page.locator('qwen-message .media-open');

/** All attachments are looked at, and counted. */
export async function expectAttached(page: Page, ...names: string[]): Promise<void> {
  await expect(chips(page).locator('.chip-name')).toHaveText(names);
  await expect(chips(page).locator('.chip-facts', { hasNotText: /token/ })).toHaveCount(0);
}

/** The chat's figures of the last answer about pictures, as the reader finds them. */
export function mediaFigure(page: Page): Locator {
  return page.locator('dl div', { has: page.locator('dt', { hasText: /^Pictures$/ }) }).locator('dd');
}

/** Sends what is written and attached, waits for the first words, and stops the answer: a random model may not end. */
export async function askABit(page: Page, text: string): Promise<Locator> {
  const answer = page.locator('.message.answer').nth(await page.locator('.message.answer').count());
  await page.getByRole('textbox', { name: 'Message', exact: true }).fill(text);
  await page.keyboard.press('Enter');
  await expect(answer.locator('qwen-markdown'), 'the first words').not.toBeEmpty();
  await page.keyboard.press('Escape');
  await expect(answer.getByRole('button', { name: 'Answer again' })).toBeVisible();
  return answer.locator('qwen-markdown');
}
