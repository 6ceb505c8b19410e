/** What can go wrong with a file, a server, the store or the device: the page says what and what to do, and goes on. */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { expect, type Page } from 'playwright/test';
import { writeGguf } from '../tools/gguf-writer.ts';
import { type Behaviour, startTestServer, type TestServer } from '../tools/test-server.ts';
import {
  chatABit,
  composer,
  expectReady,
  loadTestModel,
  openDemo,
  openPanel,
  progressOf,
  statusLine,
  watchProgress,
} from './demo-page.ts';
import { test } from './policy.ts';
import { talkativeModel } from './talkative-model.ts';

const { bytes: good } = await talkativeModel();
const GOOD = '/good.gguf';
const BAD = '/bad.gguf';

let server: TestServer;

test.beforeEach(async ({ page }) => {
  server = await startTestServer({ files: { [GOOD]: good } });
  await watchProgress(page);
});

test.afterEach(() => server.close());

/** The error is shown with its title, a next step, the file's address and a button; the status line names the model. */
async function expectTrouble(page: Page, title: string, step: string | RegExp, code: string): Promise<void> {
  const alert = page.getByRole('alert');
  await expect(alert).toContainText(title);
  await expect(alert).toContainText(step);
  await alert.getByText('Details').click();
  await expect(alert.locator('dl')).toContainText(code);
  await expect(alert.getByRole('button', { name: 'Try again' })).toBeVisible();
  await expect(statusLine(page)).toContainText('could not be loaded');
}

const tensor = { name: 'token_embd.weight', shape: [2, 256], data: new Uint8Array(2048) };

/** ggml's number of TQ1_0, which no published Qwen uses. */
const TQ1_0 = 34;

const BAD_FILES: readonly {
  what: string;
  bytes?: Uint8Array;
  behaviour?: Behaviour;
  title: string;
  step: string | RegExp;
  code: string;
}[] = [
  {
    what: 'a file that is not there',
    title: 'The file is not there',
    step: 'Check the address',
    code: 'not-found',
  },
  {
    what: 'a file that may not be read',
    behaviour: { fail: { status: 403 } },
    title: 'The server refused the file',
    step: 'Use a public link',
    code: 'http-error',
  },
  {
    what: 'a web page instead of a file',
    behaviour: { html: true },
    title: 'This is not a GGUF model',
    step: 'Use the link of the file itself',
    code: 'not-a-gguf',
  },
  {
    what: 'a file of another kind',
    bytes: new TextEncoder().encode('PK\u0003\u0004'.padEnd(5000, 'x')),
    title: 'This is not a GGUF model',
    step: /\./,
    code: 'not-a-gguf',
  },
  {
    what: 'a file that was cut off',
    bytes: good.slice(0, good.length / 2),
    title: 'The model file is incomplete',
    step: /again/i,
    code: 'truncated',
  },
  {
    what: 'a tensor type that is not run',
    bytes: writeGguf({ metadata: { 'general.architecture': 'qwen35' }, tensors: [{ ...tensor, typeId: TQ1_0 }] }),
    title: 'This model cannot be run here',
    step: /TQ1_0.*(use|choose)/is,
    code: 'unsupported-gguf',
  },
  {
    what: 'a model of another architecture',
    bytes: writeGguf({ metadata: { 'general.architecture': 'llama' }, tensors: [{ ...tensor, typeId: 0 }] }),
    title: 'This model cannot be run here',
    step: /llama/,
    code: 'unsupported-gguf',
  },
  {
    what: 'a server that does not let this page read',
    bytes: good,
    behaviour: { cors: false },
    title: 'The server does not allow this page to read from it',
    step: 'Have the server send Access-Control-Allow-Origin',
    code: 'cors',
  },
];

for (const { what, bytes, behaviour, title, step, code } of BAD_FILES) {
  test(`${what} is told as such, and a good model loads afterwards`, async ({ page }) => {
    if (bytes) server.setFile(BAD, bytes);
    if (behaviour) server.behave(BAD, behaviour);
    await openDemo(page, { model: server.url(BAD) });
    await expectTrouble(page, title, step, code);
    await expect(page.getByRole('alert'), 'the file’s name').toContainText('bad');
    await expect.poll(() => page.workers().length, 'workers that are left').toBe(0);
    await loadTestModel(page);
  });
}

test('a server that is not there is told as such; once it is, trying again is enough', async ({ page }) => {
  const port = await freePort();
  await openDemo(page, { model: `http://127.0.0.1:${port}${GOOD}` });
  await expectTrouble(page, 'The connection failed', 'Check the address and the connection', 'network');
  const late = await startTestServer({ files: { [GOOD]: good }, port });
  try {
    await page.getByRole('alert').getByRole('button', { name: 'Try again' }).click();
    await expectReady(page);
    await chatABit(page, 'There you are?');
  } finally {
    await late.close();
  }
});

test('a server that goes away half way: what came is kept, and trying again goes on from there', async ({ page }) => {
  server.behave(GOOD, { bytesPerSecond: 400_000 });
  await openDemo(page, { model: server.url(GOOD) });
  await server.until(() => server.count().bodyBytes > good.length / 2);
  const port = Number(new URL(server.origin).port);
  await server.close();
  await expectTrouble(page, 'The connection failed', 'Check the', 'network');
  server = await startTestServer({ files: { [GOOD]: good }, port });
  await page.getByRole('alert').getByRole('button', { name: 'Try again' }).click();
  await expectReady(page);
  expect(server.count().bodyBytes, 'bytes of the second attempt').toBeLessThan(0.75 * good.length);
});

test('a shard that is missing is named', async ({ page }) => {
  const name = (n: number) => `moe-q4_k_m-0000${n}-of-00004.gguf`;
  for (const n of [1, 2, 4]) server.setFile(`/${name(n)}`, await readFile(`fixtures/models/${name(n)}`));
  await openDemo(page, { model: server.url(`/${name(1)}`) });
  await expectTrouble(page, 'A part of the model is missing', name(3), 'missing-shard');
  await loadTestModel(page);
});

test('room that runs out stops the download; what is stored stays, and loading goes on when there is room again', async ({
  page,
  baseURL,
}) => {
  const session = await page.context().newCDPSession(page);
  const origin = new URL(baseURL!).origin;
  // Chromium's estimate does not tell of this quota: only the writes meet it.
  await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 2_500_000 });
  server.behave(GOOD, { bytesPerSecond: 400_000 });
  await openDemo(page, { model: server.url(GOOD) });
  await expectTrouble(page, 'There is no room left on this device', 'What is stored already is kept', 'quota-exceeded');
  await expect(page.getByRole('alert')).not.toContainText('available to this site');
  expect(server.count().bodyBytes, 'the download was stopped').toBeLessThan(0.9 * good.length);
  await session.send('Storage.overrideQuotaForOrigin', { origin });
  server.behave(GOOD);
  await openDemo(page, { model: server.url(GOOD) });
  await expectReady(page);
  const { storeBytes } = (await progressOf(page)).at(-1)!;
  expect(storeBytes, 'bytes kept from the first attempt').toBeGreaterThan(good.length / 8);
});

test('a browser without WebGPU is told so, by the page and by the engine', async ({ page }) => {
  await page.addInitScript(() => Object.defineProperty(Navigator.prototype, 'gpu', { value: undefined }));
  await openDemo(page);
  await expect(page.getByRole('alert')).toContainText('This browser has no WebGPU');
  await expect(page.getByRole('alert')).toContainText('current versions of Chrome');
  await page.goto('/e2e/library.html');
  await page.waitForFunction(() => 'library' in globalThis);
  const error = await page.evaluate(async (model) => {
    const { Engine, QwenError } = globalThis.library;
    return Engine.load({ model }).then(
      () => 'loaded',
      (error) => ({ typed: error instanceof QwenError, code: error.code, message: error.message }),
    );
  }, server.url(GOOD));
  expect(error).toMatchObject({ typed: true, code: 'no-webgpu', message: expect.stringMatching(/Chrome/) });
});

/** Runs `script` in each of the engine's workers before their own, until `mendWorkers`. */
async function beforeWorker(page: Page, script: () => void): Promise<void> {
  await page.addInitScript((prefix) => {
    const Plain = globalThis.Worker;
    globalThis.Worker = class extends Plain {
      constructor(url: string | URL, options?: WorkerOptions) {
        if (globalThis.workersAreSound) {
          super(url, options);
          return;
        }
        const request = new XMLHttpRequest();
        request.open('GET', url, false);
        request.send();
        super(URL.createObjectURL(new Blob([prefix, request.responseText], { type: 'text/javascript' })), options);
      }
    };
  }, `(${script})();\n`);
}

async function mendWorkers(page: Page): Promise<void> {
  await page.evaluate(() => {
    globalThis.workersAreSound = true;
  });
}

declare global {
  var workersAreSound: boolean | undefined;
}

/** In a worker: what a test says on this channel happens to it. */
const FATE = 'fate of the engine';

test.describe('with workers that a test has changed', () => {
  // They come from a Blob, which the page's policy refuses.
  test.use({ bypassCSP: true });

  test('a device without room says so before the download', async ({ page }) => {
    await beforeWorker(page, () => {
      StorageManager.prototype.estimate = async () => ({ quota: 3_000_000, usage: 1_000_000 });
    });
    await openDemo(page, { model: server.url(GOOD) });
    await expectTrouble(page, 'There is no room left on this device', 'Delete other stored models', 'quota-exceeded');
    await expect(page.getByRole('alert')).toContainText('5 MB are still to come; 2 MB are available to this site');
    expect(server.count().bodyBytes, 'nothing but the header was fetched').toBeLessThan(good.length / 4);
    // Files need no room in the store.
    const dialog = await openPanel(page, 'Choose a model…');
    await dialog
      .getByLabel('Choose files…')
      .setInputFiles({ name: 'good.gguf', mimeType: '', buffer: Buffer.from(good) });
    await expectReady(page);
  });

  for (const [what, script] of Object.entries({
    'no WebGPU': () => Object.defineProperty(Object.getPrototypeOf(navigator), 'gpu', { value: undefined }),
    'no adapter': () => {
      GPU.prototype.requestAdapter = async () => null;
    },
  })) {
    test(`a worker with ${what} is told as such`, async ({ page }) => {
      await beforeWorker(page, script);
      await openDemo(page, { model: server.url(GOOD) });
      await expectTrouble(page, 'This browser has no WebGPU', /Chrome/, 'no-webgpu');
      await mendWorkers(page);
      await page.getByRole('alert').getByRole('button', { name: 'Try again' }).click();
      await expectReady(page);
    });
  }

  test('a GPU that goes away ends the answer with its reason; the button brings the model back', async ({ page }) => {
    await beforeWorker(page, () => {
      const requestDevice = GPUAdapter.prototype.requestDevice;
      GPUAdapter.prototype.requestDevice = async function (descriptor) {
        const device = await requestDevice.call(this, descriptor);
        new BroadcastChannel('fate of the engine').onmessage = () => device.destroy();
        return device;
      };
    });
    await openDemo(page, { model: server.url(GOOD) });
    await expectReady(page);
    await chatABit(page, 'Before?');
    await expectFateAndRecovery(page, 'The GPU stopped working', 'device-lost');
  });

  test('a worker that fails ends the answer with its reason; the button brings the model back', async ({ page }) => {
    await beforeWorker(page, () => {
      new BroadcastChannel('fate of the engine').onmessage = () => {
        throw new Error('out of luck');
      };
    });
    await openDemo(page, { model: server.url(GOOD) });
    await expectReady(page);
    await chatABit(page, 'Before?');
    await expectFateAndRecovery(page, 'The model’s worker stopped working', 'worker-crashed');
  });
});

async function expectFateAndRecovery(page: Page, title: string, code: string): Promise<void> {
  await composer(page).fill('And now?');
  await composer(page).press('Enter');
  const answer = page.locator('.message.answer').nth(1);
  await expect(answer.locator('qwen-markdown')).not.toBeEmpty();
  await page.evaluate((name) => new BroadcastChannel(name).postMessage('now'), FATE);
  const alert = page.getByRole('alert');
  await expect(alert).toContainText(title);
  await expect(alert).toContainText('Load the model again');
  await alert.getByText('Details').click();
  await expect(alert.locator('dl')).toContainText(code);
  await expect(answer.locator('qwen-markdown'), 'what was said stays').not.toBeEmpty();
  await alert.getByRole('button', { name: 'Load the model again' }).click();
  await expectReady(page);
  // The model is back, and the last message is answered anew.
  await expect(page.getByRole('button', { name: 'Stop' })).toBeVisible();
  await expect(page.locator('.message.answer').nth(1).locator('qwen-markdown')).not.toBeEmpty();
  await page.keyboard.press('Escape');
  await expect(page.locator('.bubble')).toHaveText(['Before?', 'And now?']);
  await chatABit(page, 'Still there?');
}

/** A port where nothing listens. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
