import { expect, test } from 'vitest';
import type { Attachment } from './attachment.ts';
import { describeError } from './error-text.ts';
import { readStored, storeTree } from './stored-conversation.ts';
import { TurnTree } from './turn-tree.ts';
import { type AnswerTurn, nextTurnId, userTurn } from './turns.ts';

const picture: Attachment = { id: 1, kind: 'image', source: new File(['…'], 'cat.png'), name: 'cat.png', width: 64 };
const figures = {
  decodeTokensPerSecond: 21.4,
  prefillTokensPerSecond: 400,
  timeToFirstTokenMs: 600,
  promptTokens: 12,
  reusedTokens: 8,
  completionTokens: 5,
  draftedTokens: 3,
  acceptedTokens: 2,
  mediaTokens: 0,
  mediaRead: 0,
  mediaRemembered: 0,
};

function answer(fields: Partial<AnswerTurn>): AnswerTurn {
  const id = nextTurnId();
  return {
    role: 'assistant',
    id,
    at: 5,
    content: 'Yes.',
    reasoning: '',
    calls: [],
    phase: 'done',
    askedAt: 1,
    ...fields,
  };
}

/** Everything that a conversation can hold, in two branches. */
function whole(): TurnTree {
  const asked = userTurn('Well?', [picture]);
  const first = answer({ reasoning: 'Hm.', thinkingMs: 1200, figures, model: 'Qwen3.5' });
  const tree = TurnTree.of([asked, first]);
  const call = { id: 'x', name: 'add', arguments: '{"a":1}', state: 'failed', result: 'Error: No.' } as const;
  const second = answer({ calls: [call], misreadCall: true });
  tree.add(second, asked.id);
  const error = Object.assign(new Error('The server said 503.'), { code: 'http-error', file: 'm.gguf', status: 503 });
  tree.add(answer({ content: '', phase: 'failed', error, forgotten: true }), second.id);
  tree.show(first.id);
  return tree;
}

test('what is read is what was stored', () => {
  const stored = storeTree(whole());
  expect(storeTree(readStored(stored))).toEqual(stored);
  expect(readStored(stored).path.map(({ content }) => content)).toEqual(['Well?', 'Yes.']);
  expect(stored.messages.map(({ after, shown }) => [after, shown])).toEqual([
    [undefined, true],
    [0, true],
    [0, undefined],
    [2, true],
  ]);
});

test('it can be cloned, and without media it is JSON', () => {
  const stored = storeTree(whole());
  const cloned = structuredClone({ ...stored, messages: stored.messages.slice(1, 2) });
  expect(cloned.messages[0]).toEqual(stored.messages[1]);
  const [asked, ...answers] = stored.messages;
  const plain = { ...stored, messages: [{ ...asked, attachments: [] }, ...answers] };
  expect(JSON.parse(JSON.stringify(plain))).toEqual(plain);
});

test('an error is told as before', () => {
  const failed = readStored(storeTree(whole()))
    .list()
    .map(({ turn }) => turn)
    .find((turn) => turn.role === 'assistant' && turn.phase === 'failed') as AnswerTurn;
  expect(describeError(failed.error)).toMatchObject({
    title: 'The server refused the file',
    message: 'The server said 503.',
  });
});

test('an answer that was still coming is a stopped one', () => {
  const calls = [{ id: 'x', name: 'add', arguments: '{', state: 'running' }] as const;
  const tree = TurnTree.of([answer({ phase: 'thinking', thinkingSince: performance.now() - 50, calls })]);
  const stored = storeTree(tree);
  expect(stored.messages[0]).toMatchObject({ ended: 'stopped', thinkingMs: expect.any(Number) });
  expect(readStored(stored).path[0]).toMatchObject({ phase: 'stopped', calls: [{ state: 'not-run' }] });
});

const said = { role: 'user', content: 'Well?', at: 0 };
test.each<[unknown, string]>([
  [undefined, 'conversation'],
  [[], 'conversation'],
  [{ version: 2, messages: [] }, 'conversation.version'],
  [{ version: 1 }, 'conversation.messages'],
  [{ version: 1, messages: ['Well?'] }, 'conversation.messages[0]'],
  [{ version: 1, messages: [{ ...said, role: 'system' }] }, 'conversation.messages[0].role'],
  [{ version: 1, messages: [{ ...said, content: 7 }] }, 'conversation.messages[0].content'],
  [{ version: 1, messages: [{ ...said, after: 0 }] }, 'conversation.messages[0].after'],
  [{ version: 1, messages: [said, { ...said, after: 1.5 }] }, 'conversation.messages[1].after'],
  [{ version: 1, messages: [{ ...said, role: 'assistant' }] }, 'conversation.messages[0].ended'],
  [
    { version: 1, messages: [{ ...said, attachments: [{ kind: 'script' }] }] },
    'conversation.messages[0].attachments[0].kind',
  ],
  [
    { version: 1, messages: [{ ...said, attachments: [{ kind: 'image', name: '', source: {} }] }] },
    'conversation.messages[0].attachments[0].source',
  ],
  [
    { version: 1, messages: [{ ...said, role: 'assistant', ended: 'done', calls: [{ id: 'x' }] }] },
    'conversation.messages[0].calls[0].name',
  ],
  [
    { version: 1, messages: [{ ...said, role: 'assistant', ended: 'done', figures: { promptTokens: '<b>' } }] },
    'conversation.messages[0].figures.promptTokens',
  ],
])('%j is refused, with the place', (stored, param) => {
  expect(() => readStored(stored)).toThrow(expect.objectContaining({ code: 'invalid-request', param }));
});
