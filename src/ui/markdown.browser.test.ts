import { beforeEach, expect, test } from 'vitest';
import { hostile } from './hostile.fixture.ts';
import { renderBlock } from './markdown.ts';
import './markdown-view.ts';
import type { MarkdownView } from './markdown-view.ts';

let view: MarkdownView;

beforeEach(() => {
  document.body.replaceChildren();
  view = document.createElement('qwen-markdown') as MarkdownView;
  document.body.append(view);
});

async function show(text: string, growing = false): Promise<MarkdownView> {
  view.text = text;
  view.growing = growing;
  await view.updateComplete;
  return view;
}

test('what draws formulas and colours code is here', { timeout: 60_000 }, async () => {
  await show('$x$\n\n```js\nlet x\n```');
  await expect.poll(() => view.querySelectorAll('math, .hljs-keyword').length, { timeout: 50_000 }).toBe(2);
});

test.each(hostile)('%s does nothing', async (text) => {
  await show(`Before\n\n${text}\n\nAfter ${text}`);
  expect(view.textContent).toMatch(/Before[\s\S]*After/);
  expect(trouble(view)).toEqual([]);
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect((window as { attacked?: boolean }).attacked).toBeUndefined();
});

/** Elements and attributes that an answer has no business to bring onto the page. */
function trouble(root: Element): string[] {
  return [...root.querySelectorAll('*')].flatMap((each) => {
    const own = each.closest('[data-own]') !== null;
    const tags =
      /^(a|b|blockquote|br|code|del|div|em|h[1-6]|hr|i|ins|kbd|li|mark|math|menclose|m[a-z]+|ol|p|pre|s|span|strong|sub|sup|table|tbody|td|th|thead|tr|u|ul)$/i;
    const wrong = own || tags.test(each.tagName) ? [] : [each.tagName];
    for (const { name, value } of each.attributes) {
      if (/^(on.*|src|srcdoc|style|id|name|form.*|xlink:.*|ping)$/.test(name)) wrong.push(`${each.tagName} ${name}`);
      if (name === 'href' && !/^(https?:|mailto:)/.test(value)) wrong.push(value);
      if (name === 'class' && /hidden-but-spoken|drop-here|message/.test(value)) wrong.push(value);
    }
    return wrong;
  });
}

test('links open in a tab of their own that cannot reach back', async () => {
  await show('[a](https://a.example/x) and https://b.example');
  const links = [...view.querySelectorAll('a')];
  expect(links.map(({ target, rel }) => [target, rel])).toEqual([
    ['_blank', 'noopener noreferrer'],
    ['_blank', 'noopener noreferrer'],
  ]);
});

test('a relative link is only text', async () => {
  await show('[here](/admin)');
  expect(view.querySelector('a')).toBeNull();
  expect(view.textContent?.trim()).toBe('here');
});

test('unknown tags are shown as text, harmless ones work', async () => {
  await show('A Map<string, number> and H<sub>2</sub>O');
  expect(view.textContent?.trim()).toBe('A Map<string, number> and H2O');
  expect(view.querySelector('sub')?.textContent).toBe('2');
});

test('formulas are drawn, and half of one is text', async () => {
  await show('Sum $\\frac{a_1}{2}$ and \\(x^2\\), for $5 and $10.\n\n$$\n\\int_0^1 x\\,dx\n$$\n\n\\[ a*b*c \\]');
  await expect.poll(() => view.querySelectorAll('math').length).toBe(4);
  expect(view.querySelectorAll('math[display=block]')).toHaveLength(2);
  expect(view.textContent).toContain('for $5 and $10.');
  expect(view.querySelector('em')).toBeNull();
  expect(view.querySelector('mfrac msub')?.textContent).toBe('a1');
  for (const half of ['And $$\\frac{a', '$$\nx_1 *y* x_2', '\\[\n*a* \\frac', 'Now $\\frac{1}{']) {
    await show(half, true);
    expect(view.textContent?.trim()).toBe(half);
  }
  await show('$\\frac{$ and $\\nonsense{x}$');
  expect(view.textContent?.trim()).toBe('$\\frac{$ and $\\nonsense{x}$');
});

test('code is coloured while it grows, and a selection in it stays', async () => {
  await show('```js\nconst a = 1;\n', true);
  await expect.poll(() => view.querySelector('.hljs-keyword')?.textContent).toBe('const');
  const word = view.querySelector('.hljs-keyword')?.firstChild as Text;
  getSelection()?.selectAllChildren(word.parentElement as Element);
  await show('```js\nconst a = 1;\nreturn "x" + a; // so', true);
  expect(view.querySelector('.hljs-keyword')?.firstChild).toBe(word);
  expect(getSelection()?.toString()).toBe('const');
  expect(view.querySelector('.hljs-comment')?.textContent).toBe('// so');
  await show(`\`\`\`js\n${'let x = 1;\n'.repeat(2000)}`, true);
  expect(view.querySelector('.hljs-keyword'), 'long code waits').toBeNull();
  await show(`\`\`\`js\n${'let x = 1;\n'.repeat(2000)}`);
  expect(view.querySelectorAll('.hljs-keyword')).toHaveLength(2000);
  expect(view.querySelector('code')?.textContent).toBe('let x = 1;\n'.repeat(2000).trimEnd());
});

test('tasks say whether they are done', async () => {
  await show('- [x] one\n- [ ] two');
  expect([...view.querySelectorAll('.task')].map((box) => box.getAttribute('aria-label'))).toEqual(['Done:', 'Open:']);
});

test('code keeps its text and says its language', async () => {
  await show('```ts\nconst a = 1 < 2;\n```');
  expect(view.querySelector('code')?.textContent).toBe('const a = 1 < 2;');
  expect(view.querySelector('.code-language')?.textContent).toBe('ts');
});

const long = [
  'With $a_1$ and costs of $5.\n\n$$\n\\frac{1}{2}\n$$\n\n- [x] done: \\(y\\)\n\n',
  '# Title\n\nA paragraph of *two*\nlines.\n\n',
  '- one\n- two\n\n  more of two\n- three\n\n',
  '```js\nlet x = 1;\n\nlet y = 2;\n```\n\n',
  '| a | b |\n|---|--:|\n| 1 | 2 |\n| 3 | 4 |\n\n',
  '> quoted\n> twice\n\nSee [the link].\r\n\r\n[the link]: https://x.example\n\nPoints:\n- last',
].join('');

test('streamed letter by letter it ends as if it had come at once', async () => {
  for (let length = 1; length <= long.length; length++) await show(long.slice(0, length), true);
  await show(long);
  const streamed = view.innerHTML;
  view.remove();
  view = document.createElement('qwen-markdown') as MarkdownView;
  document.body.append(view);
  await show(long);
  expect(streamed).toBe(view.innerHTML);
});

test('finished blocks keep their nodes while the text grows, and so does a selection', async () => {
  await show('# Title\n\nFirst paragraph.\n\nSecond', true);
  const [title, first, second] = [...view.children];
  const range = document.createRange();
  const text = second.querySelector('p')?.firstChild as Text;
  range.setStart(text, 0);
  range.setEnd(text, 6);
  getSelection()?.removeAllRanges();
  getSelection()?.addRange(range);
  await show('# Title\n\nFirst paragraph.\n\nSecond paragraph grows.\n\nThird', true);
  expect([...view.children].slice(0, 3)).toEqual([title, first, second]);
  expect(second.querySelector('p')?.firstChild).toBe(text);
  expect(getSelection()?.toString()).toBe('Second');
});

test('underlining dashes never flash as a heading', async () => {
  await show('Points:\n-', true);
  expect(view.querySelector('h2')).toBeNull();
});

test('long text is parsed from its last block only', async () => {
  const paragraphs = 'Words in a paragraph, some **bold**, some `code`.\n\n'.repeat(2000);
  await show(paragraphs, true);
  const started = performance.now();
  for (let i = 1; i <= 50; i++) await show(`${paragraphs}${'more '.repeat(i)}`, true);
  // Parsing all 100 kB anew takes tens of milliseconds each time.
  expect((performance.now() - started) / 50).toBeLessThan(8);
});

test('renderBlock gives nodes that are not in the page yet', () => {
  expect(renderBlock('<p>a</p>').isConnected).toBe(false);
});
