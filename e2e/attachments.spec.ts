/** Pictures and videos in the chat element, with a scripted double in place of the engine. */
import { expect, type Page, test } from 'playwright/test';
import type { QwenChat } from '../src/ui/qwen-chat.ts';
import { findBrowser, launchOptions } from '../tools/browser.mjs';
import { expectAccessible, OF_PAGES } from './accessible.ts';
import { chips, choose, clip, drop, expectAttached, mediaFigure, paste, picture, thumbnails } from './attach.ts';
import { type Script, scriptedEngine } from './scripted-engine.ts';

// A camera that shows a moving pattern. Whether a page may use it is up to each test.
const browser = await findBrowser();
const { args = [], ...options } = browser ? launchOptions(browser) : {};
test.use({ launchOptions: { ...options, args: [...args, '--use-fake-device-for-media-stream'] } });

const composer = (page: Page) => page.getByRole('textbox', { name: 'Message' });
const spoken = (page: Page) => page.locator('.speech p');
const large = (page: Page) => page.getByRole('dialog', { name: 'Attachment' });

declare global {
  /** What the engine was asked, and addresses made and not yet revoked. */
  var attachmentsTest: { contents: unknown[]; urls: Set<string>; tracks: MediaStreamTrack[] };
}

async function open(page: Page, ...scripts: Script[]): Promise<void> {
  await page.addInitScript(() => {
    globalThis.attachmentsTest = { contents: [], urls: new Set(), tracks: [] };
    const { urls, tracks } = globalThis.attachmentsTest;
    const { createObjectURL, revokeObjectURL } = URL;
    URL.createObjectURL = (source) => {
      const url = createObjectURL.call(URL, source);
      urls.add(url);
      return url;
    };
    URL.revokeObjectURL = (url) => {
      urls.delete(url);
      revokeObjectURL.call(URL, url);
    };
    const { getUserMedia } = MediaDevices.prototype;
    MediaDevices.prototype.getUserMedia = async function (constraints) {
      const stream = await getUserMedia.call(this, constraints);
      tracks.push(...stream.getTracks());
      return stream;
    };
  });
  await page.goto('/e2e/ui.html');
  await page.waitForFunction(() => customElements.get('qwen-chat') !== undefined);
  await page.addScriptTag({ content: `window.scriptedEngine = ${scriptedEngine.toString()}` });
  await page.evaluate((given) => {
    const { scriptedEngine: make } = window as unknown as { scriptedEngine: typeof scriptedEngine };
    const engine = make(...given);
    const create = engine.chat.completions.create.bind(engine.chat.completions);
    Object.assign(engine.chat.completions, {
      create: (...call: Parameters<typeof create>) => {
        globalThis.attachmentsTest.contents.push(call[0].messages.map(({ content }) => content));
        return create(...call);
      },
    });
    (document.querySelector('qwen-chat') as QwenChat).engine = engine;
  }, scripts);
  await expect(page.getByText('Qwen3.5-9B is ready', { exact: true })).toBeVisible();
}

/** Contents of the messages of each request; of parts their type, and of files their name and size. */
function requested(page: Page): Promise<unknown[]> {
  return page.evaluate(() =>
    JSON.parse(
      JSON.stringify(globalThis.attachmentsTest.contents, (_key, value) =>
        value instanceof File ? value.name : value,
      ),
    ),
  );
}

const SEES: Script = { sees: true, say: 'A picture.' };

test('pictures are chosen by the button, several at once, with their cost, and go with the message', async ({
  page,
}) => {
  await open(page, SEES);
  const wide = await picture(page, { name: 'wide.png', width: 640, height: 320 });
  const tall = await picture(page, {
    name: 'tall.jpg',
    width: 320,
    height: 640,
    colour: 'gold',
    mimeType: 'image/jpeg',
  });
  await choose(page, [wide, tall]);
  await expectAttached(page, 'wide.png', 'tall.jpg');
  await expect(chips(page).first()).toContainText('640 × 320 · 200 tokens');
  await expect(page.locator('.attachments-note')).toHaveText(/Together they take 400 of the context’s 32,768 tokens/);
  await expect(composer(page)).toBeFocused();
  await expect(spoken(page).filter({ hasText: 'tall.jpg is attached.' })).toHaveCount(1);
  await page.keyboard.type('What is this?');
  await page.keyboard.press('Enter');
  await expect(chips(page)).toHaveCount(0);
  await expect(thumbnails(page)).toHaveCount(2);
  await expect(thumbnails(page).first()).toHaveAccessibleName('Show wide.png, 640 × 320 · 200 tokens large');
  await expect(page.locator('.bubble')).toHaveText('What is this?');
  expect(await requested(page)).toEqual([
    [
      [
        { type: 'image_url', image_url: { url: 'wide.png' } },
        { type: 'image_url', image_url: { url: 'tall.jpg' } },
        { type: 'text', text: 'What is this?' },
      ],
    ],
  ]);
});

test('a picture alone is a message, and the next request still has it', async ({ page }) => {
  await open(page, SEES, { say: 'Another.' });
  await choose(page, await picture(page, {}));
  await expectAttached(page, 'picture.png');
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  await expect(page.getByRole('button', { name: 'Answer again' })).toBeVisible();
  await expect(page.locator('.bubble')).toHaveCount(0);
  await composer(page).fill('And?');
  await composer(page).press('Enter');
  await expect(page.getByRole('log').getByText('Another.')).toBeVisible();
  const image = [{ type: 'image_url', image_url: { url: 'picture.png' } }];
  expect(await requested(page)).toEqual([[image], [image, 'A picture.', 'And?']]);
});

test('files over the chat are invited to drop; dropped they are attached', async ({ page }) => {
  await open(page, SEES);
  const file = await picture(page, { name: 'dropped.png' });
  const log = page.getByRole('log');
  const invitation = page.getByText('Drop pictures or videos to attach them');
  await drop(log, [file], 'hover');
  await expect(invitation).toBeVisible();
  await page.locator('qwen-chat').dispatchEvent('dragleave');
  await expect(invitation).toBeHidden();
  await drop(log, [file]);
  await expect(invitation).toBeHidden();
  await expectAttached(page, 'dropped.png');
});

test('files without a type, as models are, are left to the page', async ({ page }) => {
  await open(page, SEES);
  await page.evaluate(() => {
    addEventListener('drop', (event) => Object.assign(window, { prevented: event.defaultPrevented }));
  });
  await drop(page.getByRole('log'), [{ name: 'model.gguf', mimeType: '', buffer: Buffer.from('GGUF') }]);
  expect(await page.evaluate(() => (window as { prevented?: boolean }).prevented)).toBe(false);
  await expect(chips(page)).toHaveCount(0);
  await expect(page.getByRole('alert')).toHaveCount(0);
});

test('a picture is pasted from the clipboard; a text with its picture is pasted as text', async ({ page, context }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await open(page, SEES);
  const file = await picture(page, { width: 96, height: 64 });
  await page.evaluate(async (base64) => {
    const blob = await (await fetch(`data:image/png;base64,${base64}`)).blob();
    await navigator.clipboard.write([new ClipboardItem({ 'image/png': blob })]);
  }, file.buffer.toString('base64'));
  await composer(page).focus();
  await page.keyboard.press('ControlOrMeta+V');
  await expectAttached(page, 'Pasted picture');
  await expect(composer(page)).toHaveValue('');
  await paste(composer(page), [file], 'cells of a table');
  await expect(chips(page)).toHaveCount(1);
  await paste(composer(page), [{ ...file, name: 'photo.png' }], 'photo.png');
  await expectAttached(page, 'Pasted picture', 'photo.png');
});

test('an attachment is removed by button or key; that is announced, and the focus stays near', async ({ page }) => {
  await open(page, SEES);
  await choose(page, await Promise.all(['a.png', 'b.png', 'c.png'].map((name) => picture(page, { name }))));
  await expectAttached(page, 'a.png', 'b.png', 'c.png');
  await page.getByRole('button', { name: 'Remove b.png' }).press('Enter');
  await expectAttached(page, 'a.png', 'c.png');
  await expect(spoken(page).filter({ hasText: 'b.png is removed.' })).toHaveCount(1);
  await expect(page.getByRole('button', { name: 'Remove c.png' })).toBeFocused();
  await page.keyboard.press('Delete');
  await expect(page.getByRole('button', { name: 'Remove a.png' })).toBeFocused();
  await page.keyboard.press('Backspace');
  await expect(chips(page)).toHaveCount(0);
  await expect(composer(page)).toBeFocused();
  await expect.poll(() => page.evaluate(() => globalThis.attachmentsTest.urls.size), 'addresses left').toBe(0);
});

test('what cannot be attached is refused with words that say what to do', async ({ page }) => {
  await open(page, SEES);
  const refused = page.getByRole('alert');
  const good = await picture(page, { name: 'good.png' });
  await choose(page, [{ name: 'report.pdf', mimeType: 'application/pdf', buffer: Buffer.from('%PDF') }, good]);
  await expect(refused).toContainText('report.pdf was not attached: it is neither a picture nor a video.');
  await expectAttached(page, 'good.png');
  await choose(page, { name: 'broken.png', mimeType: 'image/png', buffer: Buffer.from('no picture') });
  await expect(refused).toContainText('broken.png was not attached: this browser cannot read it as a picture.');
  await expect(refused).not.toContainText('report.pdf');
  await choose(page, { name: 'broken.webm', mimeType: 'video/webm', buffer: Buffer.from('no video') });
  await expect(refused).toContainText('broken.webm was not attached: this browser cannot play it.');
  await choose(page, { name: 'empty.png', mimeType: 'image/png', buffer: Buffer.alloc(0) });
  await expect(refused).toContainText('empty.png was not attached: it is empty.');
  await page.evaluate(() => {
    const huge = new File([new Uint8Array(51e6)], 'huge.png', { type: 'image/png' });
    return (document.querySelector('qwen-chat') as QwenChat).attach([huge]);
  });
  await expect(refused).toContainText('huge.png was not attached: it is larger than 50 MB. Make it smaller');
  await choose(
    page,
    Array.from({ length: 8 }, (_, i) => ({ ...good, name: `${i}.png` })),
  );
  await expect(refused).toContainText('7.png was not attached: a message takes 8 at most.');
  await expectAttached(page, 'good.png', ...Array.from({ length: 7 }, (_, i) => `${i}.png`));
  await page.getByRole('button', { name: 'Dismiss' }).click();
  await expect(refused).toHaveCount(0);
  await expect(composer(page)).toBeFocused();
  await expect(composer(page)).toHaveValue('');
});

test('a model that cannot see says so, at the button, on a drop, and for what was attached before', async ({
  page,
}) => {
  await open(page, { say: 'I cannot see.' });
  const button = page.getByRole('button', { name: /^Attach pictures or videos/ });
  await expect(button).toHaveAttribute('aria-disabled', 'true');
  await expect(button).toHaveAccessibleName(/Qwen3.5-9B cannot see: it was loaded without a vision tower/);
  await button.press('Enter');
  await expect(page.getByRole('alert')).toContainText('Load it with its mmproj file');
  await page.getByRole('button', { name: 'Dismiss' }).click();
  const file = await picture(page, {});
  await drop(page.getByRole('log'), [file]);
  await expect(page.getByRole('alert')).toContainText('Qwen3.5-9B cannot see');
  await expect(chips(page)).toHaveCount(0);
  // Attached while no model was there.
  await page.evaluate(() => {
    const chat = document.querySelector('qwen-chat') as QwenChat;
    Object.assign(window, { blind: chat.engine });
    chat.engine = undefined;
  });
  await drop(page.getByRole('log'), [file]);
  await expect(chips(page)).toHaveCount(1);
  await page.evaluate(() => {
    (document.querySelector('qwen-chat') as QwenChat).engine = (
      window as unknown as { blind: QwenChat['engine'] }
    ).blind;
  });
  await expect(page.getByRole('alert')).toContainText(
    'Remove the attachments, or load the model with its mmproj file.',
  );
  await composer(page).fill('What is this?');
  await expect(page.getByRole('button', { name: 'Send', exact: true })).toBeDisabled();
  await page.getByRole('button', { name: 'Remove picture.png' }).click();
  await expect(page.getByRole('button', { name: 'Send', exact: true })).toBeEnabled();
});

test('pictures open large, and the keyboard leads from one to the next and back', async ({ page }) => {
  await open(page, { ...SEES, hang: true });
  await choose(page, [
    await picture(page, { name: 'one.png', colour: 'red' }),
    await picture(page, { name: 'two.png', width: 1600, height: 900 }),
  ]);
  await expectAttached(page, 'one.png', 'two.png');
  await page.getByRole('button', { name: 'Show two.png large' }).press('Enter');
  await expect(large(page).getByRole('img', { name: 'two.png' })).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(large(page)).toHaveCount(0);
  await expect(page.getByRole('button', { name: 'Show two.png large' })).toBeFocused();

  await composer(page).fill('Look.');
  await composer(page).press('Enter');
  await expect(page.getByRole('button', { name: 'Stop' })).toBeVisible();
  await thumbnails(page).first().press('Enter');
  await expect(large(page).getByRole('img', { name: 'one.png' })).toBeVisible();
  await expect(large(page).getByRole('status')).toContainText('1 of 2');
  await page.keyboard.press('ArrowLeft');
  await expect(large(page).getByRole('status')).toContainText('1 of 2');
  await page.keyboard.press('ArrowRight');
  await expect(large(page).getByRole('img', { name: 'two.png' })).toBeVisible();
  await expect(large(page).getByRole('status')).toContainText('1600 × 900');
  await page.keyboard.press('Home');
  await expect(large(page).getByRole('img', { name: 'one.png' })).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(large(page)).toHaveCount(0);
  await expect(thumbnails(page).first()).toBeFocused();
  // That Esc closed the picture; the answer goes on.
  await expect(page.getByRole('button', { name: 'Stop' })).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('log').getByText('Stopped.')).toBeVisible();
});

test('asking again and editing keep the attachments; addresses are revoked when nothing shows them', async ({
  page,
}) => {
  await open(page, SEES, { say: 'Again.' }, { say: 'Edited.' });
  await choose(page, await picture(page, { name: 'kept.png' }));
  await expectAttached(page, 'kept.png');
  await composer(page).fill('What?');
  await composer(page).press('Enter');
  await page.getByRole('button', { name: 'Answer again' }).click();
  await expect(page.getByRole('log').getByText('Again.')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Answer again' })).toBeVisible();
  // What was being written comes back when editing is given up.
  await choose(page, await picture(page, { name: 'next.png' }));
  await expectAttached(page, 'next.png');
  await page.getByRole('button', { name: 'Edit message' }).click();
  await expectAttached(page, 'kept.png');
  await page.keyboard.press('Escape');
  await expectAttached(page, 'next.png');
  await page.getByRole('button', { name: 'Remove next.png' }).click();
  await expect(composer(page)).toBeFocused();
  await page.keyboard.press('ArrowUp');
  await expectAttached(page, 'kept.png');
  await composer(page).fill('What else?');
  await composer(page).press('Enter');
  await expect(page.getByRole('log').getByText('Edited.')).toBeVisible();
  await expect(thumbnails(page)).toHaveCount(1);
  const asked = (text: string) => [
    [
      { type: 'image_url', image_url: { url: 'kept.png' } },
      { type: 'text', text },
    ],
  ];
  expect(await requested(page)).toEqual([asked('What?'), asked('What?'), asked('What else?')]);
  await page.getByRole('button', { name: 'New chat' }).click();
  await expect.poll(() => page.evaluate(() => globalThis.attachmentsTest.urls.size), 'addresses left').toBe(0);
});

test('a picture that the model cannot read: the error stands there, the message can be edited, the chat goes on', async ({
  page,
}) => {
  const error = { code: 'bad-image', message: 'thin.png has 2001 × 10 pixels; cut it.' };
  await open(page, { sees: true, error }, { say: 'Well then.' }, { say: 'I see.' });
  await choose(page, await picture(page, { name: 'thin.png', width: 2001, height: 10 }));
  await expectAttached(page, 'thin.png');
  await composer(page).fill('What is this?');
  await composer(page).press('Enter');
  const alert = page.getByRole('alert');
  await expect(alert).toContainText('thin.png has 2001 × 10 pixels; cut it.');
  await expect(page.getByText('The model could not read this')).toBeVisible();
  await composer(page).fill('Never mind.');
  await composer(page).press('Enter');
  await expect(page.getByRole('log').getByText('Well then.')).toBeVisible();
  expect((await requested(page))[1]).toEqual(['What is this?', 'Never mind.']);

  // The same trouble again, and this time the message is edited.
  await page.getByRole('button', { name: 'New chat' }).click();
  await page.evaluate((error) => {
    const { scriptedEngine: make } = window as unknown as { scriptedEngine: typeof scriptedEngine };
    (document.querySelector('qwen-chat') as QwenChat).engine = make({ sees: true, error }, { say: 'I see.' });
  }, error);
  await choose(page, await picture(page, { name: 'thin.png', width: 2001, height: 10 }));
  await expectAttached(page, 'thin.png');
  await composer(page).fill('What is this?');
  await composer(page).press('Enter');
  await alert.getByRole('button', { name: 'Edit message' }).click();
  await expect(composer(page)).toHaveValue('What is this?');
  await expectAttached(page, 'thin.png');
  await page.getByRole('button', { name: 'Remove thin.png' }).click();
  await choose(page, await picture(page, { name: 'good.png' }));
  await expectAttached(page, 'good.png');
  await composer(page).press('Enter');
  await expect(page.getByRole('log').getByText('I see.')).toBeVisible();
  await expect(page.getByText('The model could not read this')).toHaveCount(0);
});

test('statistics tell what the pictures took, and whether they were read anew', async ({ page }) => {
  await open(page, SEES, { say: 'Still.' });
  await page.getByRole('button', { name: 'Statistics' }).click();
  await choose(page, await picture(page, {}));
  await expectAttached(page, 'picture.png');
  await composer(page).press('Enter');
  await expect(mediaFigure(page)).toHaveText('64 tokens, read anew');
  await composer(page).fill('And now?');
  await composer(page).press('Enter');
  await expect(mediaFigure(page)).toHaveText('64 tokens, from memory');
});

test('a video is attached with a frame and its length, and plays large', async ({ page }) => {
  await open(page, SEES);
  await choose(page, await clip(page));
  await expectAttached(page, 'clip.webm');
  await expect(chips(page)).toContainText(/128 × 96 · 0:0[1-9] · 8 frames · 96 tokens/);
  await expect
    .poll(() =>
      chips(page)
        .locator('img')
        .evaluate((img: HTMLImageElement) => img.naturalWidth),
    )
    .toBe(128);
  await composer(page).fill('What moves?');
  await composer(page).press('Enter');
  await expect(page.getByRole('log').getByText('A picture.')).toBeVisible();
  expect((await requested(page))[0]).toEqual([
    [
      { type: 'video_url', video_url: { url: 'clip.webm' } },
      { type: 'text', text: 'What moves?' },
    ],
  ]);
  await thumbnails(page).click();
  const video = large(page).locator('video');
  await expect.poll(() => video.evaluate((each: HTMLVideoElement) => each.currentTime)).toBeGreaterThan(0.2);
  await page.keyboard.press('Escape');
  await expect(large(page)).toHaveCount(0);
});

test.describe('camera', () => {
  const dialog = (page: Page) => page.getByRole('dialog', { name: 'Take a picture' });
  const live = (page: Page) =>
    page.evaluate(() => globalThis.attachmentsTest.tracks.filter(({ readyState }) => readyState === 'live').length);

  test('a picture is taken, taken again, and attached; the camera is off afterwards', async ({ page, context }) => {
    await context.grantPermissions(['camera']);
    await open(page, SEES);
    await page.getByRole('button', { name: 'Take a picture' }).press('Enter');
    const video = dialog(page).getByLabel('What the camera sees');
    await expect.poll(() => video.evaluate((each: HTMLVideoElement) => each.videoWidth)).toBeGreaterThan(0);
    expect(await live(page)).toBe(1);
    await expect(dialog(page).getByRole('button', { name: 'Take picture' })).toBeFocused();
    await page.keyboard.press('Enter');
    await expect(dialog(page).getByRole('img', { name: 'The picture just taken' })).toBeVisible();
    expect(await live(page), 'off while one looks').toBe(0);
    await dialog(page).getByRole('button', { name: 'Take another' }).click();
    await expect.poll(() => video.evaluate((each: HTMLVideoElement) => each.videoWidth)).toBeGreaterThan(0);
    await page.keyboard.press('Enter');
    await expect(dialog(page).getByRole('button', { name: 'Use picture' })).toBeFocused();
    await page.keyboard.press('Enter');
    await expect(dialog(page)).toHaveCount(0);
    await expectAttached(page, 'Photo.jpg');
    await expect(composer(page)).toBeFocused();
    expect(await live(page)).toBe(0);
  });

  test('Esc and the button cancel, and switch the camera off', async ({ page, context }) => {
    await context.grantPermissions(['camera']);
    await open(page, { sees: true, say: 'I go', hang: true });
    await composer(page).fill('Go on');
    await composer(page).press('Enter');
    for (const cancel of [
      () => page.keyboard.press('Escape'),
      () => dialog(page).getByRole('button', { name: 'Cancel' }).click(),
    ]) {
      await page.getByRole('button', { name: 'Take a picture' }).click();
      await expect(dialog(page).getByRole('button', { name: 'Take picture' })).toBeFocused();
      await cancel();
      await expect(dialog(page)).toHaveCount(0);
      // A dialog's event “close” comes a task after it has gone.
      await expect.poll(() => live(page)).toBe(0);
    }
    await expect(chips(page)).toHaveCount(0);
    await expect(page.getByRole('button', { name: 'Stop' }), 'the answer goes on').toBeVisible();
  });

  test('a denied permission is explained', async ({ page }) => {
    await open(page, SEES);
    await page.getByRole('button', { name: 'Take a picture' }).click();
    await expect(dialog(page).getByRole('alert')).toContainText('This page may not use the camera. Allow it in');
    await expect(dialog(page).getByRole('button', { name: 'Try again' })).toBeFocused();
    await page.keyboard.press('Escape');
    await expect(page.getByRole('button', { name: 'Take a picture' })).toBeFocused();
  });
});

test('messages with pictures can be read and given', async ({ page }) => {
  await open(page, SEES);
  const file = await picture(page, {});
  const messages = await page.evaluate((base64) => {
    const chat = document.querySelector('qwen-chat') as QwenChat;
    const image = { type: 'image_url' as const, image_url: { url: `data:image/png;base64,${base64}` } };
    chat.messages = [
      { role: 'user', content: [image, { type: 'text', text: 'Earlier?' }] },
      { role: 'assistant', content: 'Indeed.' },
    ];
    return chat.messages;
  }, file.buffer.toString('base64'));
  expect(messages[0].content).toMatchObject([{ type: 'image_url' }, { type: 'text', text: 'Earlier?' }]);
  await expect(thumbnails(page)).toHaveAccessibleName('Show Picture large');
  await expect
    .poll(() =>
      thumbnails(page)
        .locator('img')
        .evaluate((img: HTMLImageElement) => img.naturalWidth),
    )
    .toBe(256);
});

const states: Record<string, (page: Page) => Promise<void>> = {
  'with attachments, one refused': async (page) => {
    await open(page, SEES);
    await choose(page, [
      await picture(page, { name: 'a picture with a name that is far too long for its place.png', discs: 3 }),
      await picture(page, { name: 'two.png', width: 640, height: 320 }),
      { name: 'report.pdf', mimeType: 'application/pdf', buffer: Buffer.from('%PDF') },
    ]);
    await expect(chips(page)).toHaveCount(2);
    await expect(page.getByRole('alert')).toBeVisible();
  },
  'with pictures in the conversation': async (page) => {
    await open(page, SEES);
    await choose(page, [
      await picture(page, { discs: 2 }),
      await picture(page, { name: 'tall.png', width: 50, height: 900 }),
    ]);
    await expectAttached(page, 'picture.png', 'tall.png');
    await composer(page).fill('What is this?');
    await composer(page).press('Enter');
    await expect(page.getByRole('button', { name: 'Answer again' })).toBeVisible();
  },
  'with a picture open large': async (page) => {
    await states['with pictures in the conversation'](page);
    await thumbnails(page).first().click();
    await expect(large(page)).toBeVisible();
  },
  'with a denied camera': async (page) => {
    await open(page, SEES);
    await page.getByRole('button', { name: 'Take a picture' }).click();
    await expect(page.getByRole('alert')).toBeVisible();
  },
  'with files above it': async (page) => {
    await open(page, SEES);
    await drop(page.getByRole('log'), [await picture(page, {})], 'hover');
    await expect(page.getByText('Drop pictures or videos')).toBeVisible();
  },
  'with a model that cannot see': async (page) => {
    await open(page, { say: 'No.' });
    await page.getByRole('button', { name: /^Attach/ }).press('Enter');
    await expect(page.getByRole('alert')).toBeVisible();
  },
};

for (const scheme of ['light', 'dark'] as const) {
  for (const [device, viewport] of Object.entries({
    desktop: { width: 1280, height: 800 },
    'narrow box': { width: 320, height: 560 },
  })) {
    test.describe(`${scheme}, ${device}`, () => {
      test.use({ viewport, colorScheme: scheme, contextOptions: { reducedMotion: 'reduce' } });

      for (const [name, enter] of Object.entries(states)) {
        test(`${name}, nothing bars the way and nothing overflows`, async ({ page }) => {
          await enter(page);
          await expectAccessible(page, OF_PAGES);
          const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          expect(overflow).toBeLessThanOrEqual(0);
          await expect(composer(page)).toBeInViewport();
        });
      }
    });
  }
}
