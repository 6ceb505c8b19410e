/** The page without its server, and the next version of it. */
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { expect, type Page } from 'playwright/test';
import { startTestServer, type TestServer } from '../tools/test-server.ts';
import { answers, expectReady, statusLine } from './demo-page.ts';
import { test } from './policy.ts';
import { askScripted, giveScripts } from './scripted-page.ts';

const FOLDER = 'dist/demo';
const TYPES: Record<string, string> = {
  html: 'text/html',
  js: 'text/javascript',
  css: 'text/css',
  svg: 'image/svg+xml',
  webmanifest: 'application/manifest+json',
};

test.use({ serviceWorkers: 'allow' });

let server: TestServer;

test.beforeEach(async () => {
  server = await startTestServer({ folder: FOLDER });
  for (const path of await filesOfPage()) server.behave(`/${path}`, { headers: typeOf(path) });
  server.setFile('/', await readFile(join(FOLDER, 'index.html')));
  server.behave('/', { headers: typeOf('index.html') });
});

test.afterEach(() => server.close());

async function filesOfPage(): Promise<string[]> {
  const entries = await readdir(FOLDER, { withFileTypes: true, recursive: true });
  return entries
    .filter((each) => each.isFile())
    .map(({ parentPath, name }) => relative(FOLDER, join(parentPath, name)));
}

/** Models have their own store, licences are for readers online, and a service worker is the browser's to keep. */
const NOT_KEPT = /^models\/|\.md$|^service-worker\.js$/;

function typeOf(path: string): Record<string, string> {
  return {
    'content-type': TYPES[path.split('.').at(-1) ?? ''] ?? 'application/octet-stream',
    'cache-control': 'no-cache',
  };
}

/** The page is kept: it is shown by its service worker from now on. */
async function expectKept(page: Page): Promise<void> {
  await page.waitForFunction(() => navigator.serviceWorker.controller?.state === 'activated');
}

test('once loaded, page, model and v1/ work without the server', async ({ page, context }) => {
  await page.goto(server.url('/'));
  await expectReady(page);
  await expectKept(page);
  // Experts follow while one could chat already.
  await expect(page.getByRole('region', { name: 'Experts on their way' })).toBeHidden();
  await server.close();
  await context.setOffline(true);

  // Plain requests of any tab are answered by the engine of one.
  const second = await context.newPage();
  await second.goto(server.url('/'));
  await expect(statusLine(second)).toContainText('in another tab');
  const { id, status, content } = await second.evaluate(async () => {
    const [{ id }] = (await (await fetch('v1/models')).json()).data;
    const request = {
      model: id,
      messages: [{ role: 'user', content: 'Hello' }],
      chat_template_kwargs: { enable_thinking: false },
      // What holds the answer to it is fetched now, from what is kept.
      response_format: { type: 'json_schema', json_schema: { name: 'mood', schema: { enum: ['good', 'bad'] } } },
    };
    const response = await fetch('v1/chat/completions', { method: 'POST', body: JSON.stringify(request) });
    return { id, status: response.status, content: (await response.json()).choices?.[0].message.content };
  });
  expect({ id, status }).toEqual({ id: 'Tiny demonstration model', status: 200 });
  expect(['good', 'bad']).toContain(JSON.parse(content));

  // The tab that is left loads the model from what is stored, and has the engine then.
  await page.close();
  await expect(statusLine(second)).not.toContainText('in another tab');
  await expectReady(second);
  await expect(statusLine(second).locator('b')).toHaveText('Tiny model');
  await expect.poll(() => second.evaluate(async () => (await fetch('v1/models')).status)).toBe(200);
  await askScripted(second, 'What is 27 + 48?');
  await expect(answers(second).last()).toContainText('75');
  await second
    .locator('.sidebar')
    .getByRole('button', { name: /^Storage/ })
    .click();
  await expect(second.getByRole('dialog')).toContainText('also work without a network');
});

test('what is fetched late is kept too: colours, formulas and previews come without the server', async ({
  page,
  context,
}) => {
  await page.goto(server.url('/?model=/none.gguf'));
  const code = '<h1>No</h1><script>document.querySelector("h1").textContent = "At work"</script>';
  await giveScripts(page, { say: `\`\`\`html\n${code}\n\`\`\`\n\nand $\\frac{1}{2}$.` });
  await expectKept(page);
  const kept = await page.evaluate(async () => {
    const [name] = await caches.keys();
    const files = await (await caches.open(name)).keys();
    return files.map(({ url }) => new URL(url).pathname.slice(1)).sort();
  });
  expect(kept).toEqual((await filesOfPage()).filter((path) => !NOT_KEPT.test(path)).sort());
  for (const late of ['grammar', 'highlight', 'maths', 'preview-page']) {
    expect(kept.join(' ')).toContain(late);
  }

  await askScripted(page, 'Show me');
  await server.close();
  await context.setOffline(true);
  await page.reload();
  await expect(page.locator('.hljs-tag').first()).toBeVisible();
  await expect(page.locator('math mfrac')).toBeVisible();
  await page.getByRole('button', { name: 'Preview', exact: true }).click();
  const outer = page.locator('qwen-code-preview iframe').contentFrame();
  await expect(outer.locator('iframe').contentFrame().getByRole('heading')).toHaveText('At work');
});

test('a newer version waits until it is asked for, and what was said stays', async ({ page, context }) => {
  await page.goto(server.url('/?model=/none.gguf'));
  await expectKept(page);
  const other = await context.newPage();
  await other.goto(server.url('/?model=/none.gguf'));

  // The next build: another title, and a service worker that knows its hash.
  const html = (await readFile(join(FOLDER, 'index.html'), 'utf8')).replace('<title>', '<title>Newer: ');
  const script = await readFile(join(FOLDER, 'service-worker.js'), 'utf8');
  const hash = await sha256(html);
  const newer = script
    .replace(/(index\.html[`'"],\s*[`'"])[0-9a-f]{32}/, `$1${hash}`)
    .replace(/(version:\s*[`'"])[0-9a-f]{32}/, `$1${hash}`);
  expect(newer).not.toBe(script);
  for (const path of ['/', '/index.html']) server.setFile(path, Buffer.from(html));
  server.setFile('/service-worker.js', Buffer.from(newer));

  await page.evaluate(async () => void (await navigator.serviceWorker.getRegistration())?.update());
  for (const each of [page, other]) await expect(each.getByText('A newer version of this page is here')).toBeVisible();
  await page.reload();
  await expect(page, 'a mere reload beside another tab still shows the old one').toHaveTitle('Qwen in this tab');
  await page.getByRole('button', { name: 'Reload' }).click();
  await expect(page).toHaveTitle('Newer: Qwen in this tab');
  await expect(page.getByText('A newer version')).toHaveCount(0);
  // The other tab stays as it is until its reader reloads.
  await expect(other).toHaveTitle('Qwen in this tab');
  await other.getByRole('button', { name: 'Reload' }).click();
  await expect(other).toHaveTitle('Newer: Qwen in this tab');
});

async function sha256(text: string): Promise<string> {
  return Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(text)))
    .toString('hex')
    .slice(0, 32);
}
