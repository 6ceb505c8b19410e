/** What an answer may bring onto the page: code with its preview, formulas, attacks. A scripted engine, no model, no GPU. */
import { expect, type Page, test } from 'playwright/test';
import { hostile } from '../src/ui/hostile.fixture.ts';
import type { QwenChat } from '../src/ui/qwen-chat.ts';
import { ask, open, openAt, said } from './chat-alone.ts';

/** The code's own frame, within the one that holds it. */
const running = (page: Page, place = 0) =>
  page.locator('qwen-code-preview iframe').nth(place).contentFrame().locator('iframe').contentFrame();

test('code is coloured, formulas are drawn, and what they need is fetched with the first of them', async ({ page }) => {
  const scripts: string[] = [];
  page.on('request', (request) => scripts.push(new URL(request.url()).pathname));
  await open(page, { say: 'No code.' }, { say: '```js\nconst a = 1;\n```\n\nand $\\frac{1}{2}$.' });
  await ask(page, 'One');
  await expect(said(page, 'No code.')).toBeVisible();
  expect(scripts.filter((path) => /highlight|maths/.test(path))).toEqual([]);
  await ask(page, 'Two');
  await expect(page.locator('.hljs-keyword')).toHaveText('const');
  await expect(page.locator('math mfrac')).toBeVisible();
  expect(scripts.filter((path) => /highlight|maths/.test(path))).toHaveLength(2);
});

test('what is finished stays where it is while the answer goes on', async ({ page }) => {
  const piece = (i: number) =>
    `## Part ${i}\n\n- one\n- **two**\n\n\`\`\`js\nconst a = ${i}; // long enough\n\`\`\`\n\n| a | b |\n|---|--:|\n| 1 | $x_${i}$ |\n\nSome words with $\\frac{1}{${i}}$.\n\n`;
  await open(page, { say: piece(1) }, { say: [2, 3, 4].map(piece).join(''), delayMs: 8 });
  await ask(page, 'First, for what colours and draws');
  await expect(page.locator('.hljs-keyword')).toHaveCount(1);
  await expect(page.locator('math')).toHaveCount(2);
  await page.evaluate(() => {
    const moves: string[] = [];
    Object.assign(window, { moves });
    const places = new Map<Element, string>();
    const look = () => {
      const view = [...(document.querySelector('qwen-chat')?.shadowRoot?.querySelectorAll('qwen-markdown') ?? [])].at(
        -1,
      );
      const top = view?.getBoundingClientRect().top ?? 0;
      // The last block may grow; those before it are finished.
      for (const block of [...(view?.children ?? [])].slice(0, -1)) {
        const box = block.getBoundingClientRect();
        const place = `${box.top - top} ${box.height}`;
        if ((places.get(block) ?? place) !== place) moves.push(`${block.textContent}: ${places.get(block)} → ${place}`);
        places.set(block, place);
      }
      requestAnimationFrame(look);
    };
    look();
  });
  await ask(page, 'Go on');
  await expect(page.locator('.hljs-keyword')).toHaveCount(4);
  await expect(page.getByRole('button', { name: 'Answer again' }).last()).toBeVisible();
  expect(await page.evaluate(() => (window as unknown as { moves: string[] }).moves)).toEqual([]);
});

test('all of it works under a strict Content-Security-Policy', async ({ page }) => {
  const refused: string[] = [];
  page.on('console', (message) => /Content.Security.Policy/i.test(message.text()) && refused.push(message.text()));
  await page.addInitScript(() => {
    addEventListener('securitypolicyviolation', ({ violatedDirective, sample }) =>
      console.error('Content-Security-Policy', violatedDirective, sample),
    );
  });
  const say =
    'So $\\color{red}\\boxed{x}$:\n\n```html\n<h1>No</h1><script>document.querySelector("h1").textContent = "Hello"</script>\n```\n\nDone.';
  await openAt(page, '/e2e/policy.html', { think: 'Hm.', say, sees: true });
  await page.evaluate(async () => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 64, height: 32 });
    const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve));
    await (document.querySelector('qwen-chat') as QwenChat).attach([
      new File([blob ?? ''], 'x.png', { type: 'image/png' }),
    ]);
  });
  await ask(page, 'Show me');
  await expect(said(page, 'Done.')).toBeVisible();
  await page.getByRole('button', { name: 'Preview', exact: true }).click();
  await expect(running(page).getByRole('heading')).toHaveText('Hello');
  await expect(page.locator('math')).toBeVisible();
  expect(await page.locator('math mi').evaluate((letter) => getComputedStyle(letter).color)).toBe('rgb(255, 0, 0)');
  await expect(page.locator('.media img')).toBeVisible();
  expect(refused).toEqual([]);
});

/** Everything that code might try to get out of its frame; it writes down what it could do. */
const breakout = `<!doctype html>
<link rel="stylesheet" href="/leak-style"><link rel="prefetch" href="/leak-prefetch">
<img src="/leak-image"><script src="/leak-script"></script><iframe src="/leak-frame"></iframe>
<object data="/leak-object"></object><video src="/leak-video" autoplay></video>
<style>@import url(/leak-import); @font-face { font-family: x; src: url(/leak-font) } body { font-family: x; background: url(/leak-background) }</style>
<form action="/leak-form"></form><a id="top" href="/leak-top" target="_top">top</a><a id="blank" href="/leak-blank" target="_blank">blank</a>
<h1>Hello</h1>
<script>
  const could = [];
  const attempt = async (name, action) => { try { if (await action() !== false) could.push(name); } catch {} };
  (async () => {
    const here = 'HERE';
    await attempt('parent', () => parent.document.title);
    await attempt('outer', () => parent.parent.document.title);
    await attempt('top', () => top.document.querySelector('qwen-chat') !== null);
    await attempt('localStorage', () => localStorage.length >= 0);
    await attempt('sessionStorage', () => sessionStorage.length >= 0);
    await attempt('cookie', () => document.cookie.length >= 0);
    await attempt('indexedDB', () => new Promise((done, fail) => { const r = indexedDB.open('x'); r.onsuccess = done; r.onerror = fail; }));
    await attempt('caches', () => caches.open('x'));
    await attempt('serviceWorker', () => navigator.serviceWorker.register('/leak-worker'));
    await attempt('fetch', () => fetch(here + '/leak-fetch', { mode: 'no-cors' }));
    await attempt('beacon', () => (navigator.sendBeacon(here + '/leak-beacon'), false));
    await attempt('socket', () => new Promise((done, fail) => { const s = new WebSocket(here.replace('http', 'ws') + '/leak-socket'); s.onopen = done; s.onerror = fail; }));
    await attempt('events', () => new Promise((done, fail) => { const s = new EventSource(here + '/leak-events'); s.onopen = done; s.onerror = fail; }));
    await attempt('worker', () => new Promise((done, fail) => { const w = new Worker(URL.createObjectURL(new Blob(['postMessage(1)']))); w.onmessage = done; w.onerror = fail; }));
    await attempt('rtc', () => new RTCPeerConnection().createDataChannel('x'));
    await attempt('open', () => window.open(here + '/leak-open') !== null);
    await attempt('popup', () => (document.getElementById('blank').click(), false));
    await attempt('topLink', () => (document.getElementById('top').click(), false));
    await attempt('form', () => (document.querySelector('form').submit(), false));
    await attempt('alert', () => confirm('?'));
    await attempt('topLocation', () => (top.location = here + '/leak-top-location', false));
    await attempt('parentLocation', () => (parent.location = here + '/leak-parent-location', false));
    document.querySelector('h1').textContent = 'Could: ' + JSON.stringify(could);
  })();
</script>`;

for (const [frame, path] of [
  ['written into it', '/e2e/ui.html'],
  ['with an address', '/e2e/policy.html'],
]) {
  test(`a preview, its frame ${frame}, runs and reaches neither page nor storage nor network`, async ({
    page,
    baseURL,
  }) => {
    const leaks: string[] = [];
    await page.context().route('**/leak*', (route) => {
      leaks.push(route.request().url());
      return route.abort();
    });
    const here = new URL(baseURL ?? '').origin;
    const codes = [
      breakout.replace('HERE', here),
      `<h1>Going</h1><script>setTimeout(() => { location = '${here}/leak-location'; }, 100)</script>`,
      '<h1>Refreshing</h1><meta http-equiv="refresh" content="0;url=/leak-refresh">',
      '<h1><a href="/leak-link">Following</a></h1><script>document.querySelector("a").click()</script>',
    ];
    await openAt(page, path, {
      say: `${codes.map((code) => `\`\`\`html\n${code}\n\`\`\``).join('\n\n')}\n\nDone.`,
      delayMs: 0,
    });
    await ask(page, 'Try');
    await expect(said(page, 'Done.')).toBeVisible();
    for (const _ of codes) await page.getByRole('button', { name: 'Preview', exact: true }).first().click();
    await expect(running(page).getByRole('heading')).toHaveText('Could: []');
    // Where a frame would go, nothing is: the browser shows that it was refused.
    for (const place of [1, 2, 3]) await expect(running(page, place).getByRole('heading')).toHaveCount(0);
    expect(leaks).toEqual([]);
    expect(page.context().pages()).toHaveLength(1);
    expect(page.url()).toContain(path);
  });
}

test('a preview waits for the end of its block, is sized and run again by keyboard, and closes', async ({ page }) => {
  await open(page, { say: '```html\n<button onclick="this.textContent = 1">0</button>', hang: true });
  await ask(page, 'A button');
  await expect(page.locator('qwen-markdown code')).toContainText('0</button>');
  const toggle = page.getByRole('button', { name: 'Preview', exact: true });
  await toggle.press('Enter');
  await expect(page.getByText('The preview begins when the code is complete.')).toBeVisible();
  await page.keyboard.press('Escape');
  await running(page).getByRole('button', { name: '0' }).click();
  await expect(running(page).getByRole('button', { name: '1' })).toBeVisible();
  const slider = page.getByRole('slider', { name: 'Height of the preview' });
  const height = async () => (await page.locator('qwen-code-preview iframe').boundingBox())?.height ?? 0;
  const before = await height();
  await slider.press('ArrowDown');
  await expect.poll(height).toBe(before + 40);
  await page.getByRole('button', { name: 'Run again' }).press('Enter');
  await expect(running(page).getByRole('button', { name: '0' })).toBeVisible();
  await page.getByRole('button', { name: 'Full screen' }).click();
  await expect.poll(() => page.evaluate(() => document.fullscreenElement?.tagName)).toBe('QWEN-CHAT');
  await page.evaluate(() => document.exitFullscreen());
  const hide = page.getByRole('button', { name: 'Hide preview' });
  await expect(hide).toHaveAttribute('aria-expanded', 'true');
  await hide.press('Enter');
  await expect(page.locator('qwen-code-preview iframe')).toHaveCount(0);
});

test('attacks in answers, thoughts, messages, calls and restored conversations do nothing', async ({ page }) => {
  const all = hostile.join('\n\n');
  const outside: string[] = [];
  page.on('request', (request) => outside.push(request.url()));
  page.on('dialog', (dialog) => outside.push(dialog.message()));
  await open(page, { think: all, say: `${all}\n\nThe end.`, delayMs: 0, call: { [all]: '{}' } }, { say: 'Over.' });
  outside.length = 0;
  const before = await page.evaluate(() => Object.keys(window).sort().join());
  await page.evaluate(
    async ({ all, hostile }) => {
      const chat = document.querySelector('qwen-chat') as QwenChat;
      chat.tools = [{ name: all, run: () => all }];
      await chat.send(all);
      const { version, messages } = chat.conversation;
      const error = { code: '__proto__', message: all, file: all };
      const attachments = [
        { kind: 'image' as const, source: 'data:image/svg+xml,<svg onload="window.attacked=1"/>', name: all },
      ];
      chat.conversation = {
        version,
        messages: [
          ...messages,
          { role: 'user', content: all, at: 0, after: messages.length - 1, shown: true, attachments },
          {
            role: 'assistant',
            content: hostile.join('\n'),
            at: 0,
            after: messages.length,
            shown: true,
            ended: 'failed',
            error,
            calls: [{ id: 'x', name: all, arguments: all, state: 'failed', result: all }],
            model: all,
          },
        ],
      };
    },
    { all, hostile },
  );
  await expect(page.locator('qwen-markdown').last()).toContainText('Copy');
  for (const summary of await page.getByRole('log').locator('summary').all()) await summary.click();
  await expect(page.locator('.bubble').first()).toHaveText(all.trim());
  await page.evaluate(() => {
    for (const each of document.querySelector('qwen-chat')?.shadowRoot?.querySelectorAll('qwen-markdown *') ?? []) {
      for (const type of ['mouseover', 'focus', 'toggle']) each.dispatchEvent(new Event(type));
      if (!each.closest('button, a[href^=http]'))
        each.dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true }));
    }
  });
  const state = await page.evaluate(() => ({
    attacked: (window as { attacked?: unknown }).attacked,
    names: Object.keys(window).sort().join(),
    bad: [...(document.querySelector('qwen-chat')?.shadowRoot?.querySelectorAll('.log *') ?? [])]
      .filter((each) => /^(script|iframe|style|form|input|object|embed|link|meta|base|audio)$/i.test(each.tagName))
      .map((each) => each.outerHTML),
  }));
  expect(state).toEqual({ attacked: undefined, names: before, bad: [] });
  expect(outside.filter((each) => !each.startsWith('data:') && !/chunk-(highlight|maths)/.test(each))).toEqual([]);
});
