import { expect, test } from 'vitest';
import type { ChatMessage } from '../../src/ui/qwen-chat.ts';
import { type ConversationFormat, type FiledConversation, readConversations, writeConversations } from './file.ts';
import { titleOf } from './title.ts';

const picture = new File([new Uint8Array([1, 2, 3, 250])], 'häuser [1].png', { type: 'image/png' });
const film = new File([new Uint8Array(70_000).fill(7)], 'film.webm', { type: 'video/webm' });

const messages: ChatMessage[] = [
  {
    role: 'user',
    content: [
      { type: 'image_url', image_url: { url: picture } },
      { type: 'video_url', video_url: { url: film } },
      { type: 'text', text: '# What is this?\n\n<!-- assistant -->\n\\<!-- text -->\n[media-1]: data:text/plain,x' },
    ],
  },
  {
    role: 'assistant',
    content: '',
    reasoning_content: 'I could\n\n</details>\n\ncalculate. <!-- call {} -->',
    tool_calls: [
      { id: 'a', type: 'function', function: { name: 'calculate', arguments: '{"expression":"```\\n-->"}' } },
      { id: 'b', type: 'function', function: { name: 'now', arguments: '{}' } },
    ],
  },
  { role: 'tool', tool_call_id: 'a', content: '3' },
  { role: 'tool', tool_call_id: 'b', content: 'Monday\n<!-- tool {"id":"a"} -->' },
  { role: 'assistant', content: 'A house:\n\n```html\n<!-- user -->\n<b>house</b>\n```' },
];

const conversations: FiledConversation[] = [
  {
    title: 'Houses --> <!-- user -->',
    created: 1_700_000_000_000,
    updated: 1_700_000_100_000,
    model: 'Qwen',
    messages,
  },
  { title: 'Two', created: 1, updated: 2, model: '', messages: [{ role: 'user', content: 'Only this' }] },
];

/** Files are the same when their names and bytes are. */
async function comparable(value: unknown): Promise<unknown> {
  if (value instanceof File)
    return { name: value.name, type: value.type, bytes: [...new Uint8Array(await value.arrayBuffer())] };
  if (Array.isArray(value)) return Promise.all(value.map(comparable));
  if (typeof value !== 'object' || value === null) return value;
  const entries = await Promise.all(Object.entries(value).map(async ([key, each]) => [key, await comparable(each)]));
  return Object.fromEntries(entries.filter(([, each]) => each !== undefined));
}

test.each(['json', 'markdown'] as ConversationFormat[])('what is written as %s is read back', async (format) => {
  const file = await writeConversations(conversations, format);
  expect(await comparable(await readConversations(file))).toEqual(await comparable(conversations));
});

test('JSON keeps all branches, and each picture once', async () => {
  const tree = { version: 1, messages: [{ role: 'user', attachments: [{ source: picture }] }] };
  const file = await writeConversations([{ ...conversations[0], tree }], 'json');
  expect((await file.text()).match(/"data:image\/png/g)).toHaveLength(1);
  const [read] = await readConversations(file);
  expect(await comparable(read.tree)).toEqual(await comparable(tree));
});

test('the file is named after the only conversation, without what file systems refuse', async () => {
  const one = await writeConversations([{ ...conversations[1], title: 'a/b: "c"?' }], 'markdown');
  expect([one.name, one.type]).toEqual(['a b c.md', 'text/markdown']);
  expect((await writeConversations(conversations, 'json')).name).toBe('Conversations.json');
});

test.each([
  ['{"format":"else"}', 'holds no conversations'],
  ['{"format":', 'is damaged'],
  ['# A heading\n\nand text', 'holds no conversations'],
  ['{"format":"qwen-webgpu conversations","version":2,"conversations":[]}', 'newer version'],
  [
    '{"format":"qwen-webgpu conversations","version":1,"conversations":[{"messages":[{"role":"system"}]}]}',
    'is damaged',
  ],
  [
    '{"format":"qwen-webgpu conversations","version":1,"conversations":[{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://tracker.example/x.png"}}]}]}]}',
    'is damaged',
  ],
  [
    '{"format":"qwen-webgpu conversations","version":1,"conversations":[],"media":["data:text/html;base64,AAAA"]}',
    'is damaged',
  ],
])('%s is refused in words', async (text, reason) => {
  await expect(readConversations(new File([text], 'x.json'))).rejects.toThrow(reason);
});

test.each([
  ['Short', 'Short'],
  ['\n## A heading\nand more', 'A heading'],
  ['word '.repeat(30), `${'word '.repeat(11)}word…`],
  ['x'.repeat(80), `${'x'.repeat(60)}…`],
  ['', 'New conversation'],
])('a conversation that begins with %j is called %j', (content, title) => {
  expect(titleOf([{ role: 'user', content }])).toBe(title);
});

test('a conversation without words is called by its picture', () => {
  expect(titleOf([{ role: 'user', content: [{ type: 'image_url', image_url: { url: picture } }] }])).toBe(
    'häuser [1].png',
  );
});
