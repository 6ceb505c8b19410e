import { beforeEach, expect, test } from 'vitest';
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

const hostile = [
  '<script>window.attacked = true</script>',
  '<img src=x onerror="window.attacked = true">',
  '![x](x" onerror="window.attacked=true)',
  '![tracker](https://tracker.example/pixel.png)',
  '[click](javascript:window.attacked=true)',
  '[click](JaVaScRiPt&colon;window.attacked=true)',
  '<a href="javascript:window.attacked=true">x</a>',
  '[x](data:text/html,<script>window.attacked=true</script>)',
  '<javascript:window.attacked=true>',
  '[x](<https://ok.example" onclick="window.attacked=true>)',
  '<svg onload="window.attacked=true">',
  '<iframe srcdoc="<script>parent.attacked=true</script>"></iframe>',
  '<style>body { display: none }</style>',
  '<form action="https://evil.example"><input name=password><button>Go</button></form>',
  '<kbd onclick="window.attacked=true">x</kbd>',
  '```html\n<script>window.attacked = true</script>\n```',
  '```"><img src=x onerror=window.attacked=true>\ncode\n```',
  '<math><mtext><table><mglyph><style><img src=x onerror="window.attacked=true">',
];

test.each(hostile)('%s does nothing', async (text) => {
  await show(`Before\n\n${text}\n\nAfter ${text}`);
  expect(view.textContent).toMatch(/Before[\s\S]*After/);
  const elements = [...view.querySelectorAll('*')];
  expect(
    elements.filter((each) => /^(script|img|svg|iframe|style|form|input|math|object|embed)$/i.test(each.tagName)),
  ).toEqual([]);
  for (const element of elements) {
    for (const { name, value } of element.attributes) {
      expect(name).not.toMatch(/^(on|src|style$|id$)/);
      if (name === 'href') expect(value).toMatch(/^(https?:|mailto:)/);
    }
  }
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect((window as { attacked?: boolean }).attacked).toBeUndefined();
});

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

test('code keeps its text and says its language', async () => {
  await show('```ts\nconst a = 1 < 2;\n```');
  expect(view.querySelector('code')?.textContent).toBe('const a = 1 < 2;');
  expect(view.querySelector('.code-language')?.textContent).toBe('ts');
});

const long = [
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
