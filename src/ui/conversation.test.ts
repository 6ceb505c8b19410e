import { beforeEach, expect, test, vi } from 'vitest';
import { QwenError } from '../errors.ts';
import type { ChatEngine, ChatStreamChunk, ChatStreamRequest } from './chat-engine.ts';
import { Conversation } from './conversation.ts';

beforeEach(() => {
  vi.stubGlobal('requestAnimationFrame', (callback: () => void) => setTimeout(callback, 0));
});

const options = { thinking: true, system: '' };

/** An engine that answers with the given pieces and keeps the requests it got. */
function scripted(...pieces: Array<{ think?: string; say?: string; finish?: string; fail?: Error; wait?: boolean }>) {
  const requests: ChatStreamRequest[] = [];
  async function* answer(signal?: AbortSignal): AsyncGenerator<ChatStreamChunk> {
    for (const { think, say, finish, fail, wait } of pieces) {
      if (fail) throw fail;
      if (wait) await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
      yield { choices: [{ delta: { content: say, reasoning_content: think }, finish_reason: finish }] };
    }
    yield { choices: [], usage: { prompt_tokens: 12, completion_tokens: 5 } };
  }
  const engine = {
    chat: {
      completions: {
        create: (request: ChatStreamRequest, { signal }: { signal?: AbortSignal } = {}) => {
          requests.push(request);
          return answer(signal);
        },
      },
    },
    stats: () => ({ decodeTokensPerSecond: 21.4 }),
  } as unknown as ChatEngine;
  return { engine, requests };
}

test('thinking and answer are told apart, and figures come with the end', async () => {
  const chat = new Conversation(() => {});
  const { engine, requests } = scripted(
    { think: 'Hm.' },
    { say: '\n\n' },
    { say: 'Yes' },
    { say: '!', finish: 'stop' },
  );
  const turn = await chat.ask(engine, 'Well?', options);
  expect(turn).toMatchObject({ phase: 'done', reasoning: 'Hm.', content: '\n\nYes!' });
  expect(turn.thinkingMs).toBeGreaterThanOrEqual(0);
  expect(turn.figures).toMatchObject({ decodeTokensPerSecond: 21.4, promptTokens: 12, completionTokens: 5 });
  expect(requests[0]).toMatchObject({ stream: true, chat_template_kwargs: { enable_thinking: true } });
  expect(chat.messages).toEqual([
    { role: 'user', content: 'Well?' },
    { role: 'assistant', content: '\n\nYes!', reasoning_content: 'Hm.' },
  ]);
});

test('a system prompt goes first, and thoughts are not sent back', async () => {
  const chat = new Conversation(() => {});
  const { engine, requests } = scripted({ think: 'Hm.' }, { say: 'Yes.' });
  await chat.ask(engine, 'One?', options);
  await chat.ask(engine, 'Two?', { thinking: false, system: 'Be brief.' });
  expect(requests[1].messages).toEqual([
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'One?' },
    { role: 'assistant', content: 'Yes.' },
    { role: 'user', content: 'Two?' },
  ]);
});

test('stopping keeps what has come', async () => {
  const chat = new Conversation(() => {});
  const { engine } = scripted({ say: 'Half' }, { wait: true });
  const answered = chat.ask(engine, 'Well?', options);
  await vi.waitFor(() => expect(chat.turns[1]).toMatchObject({ content: 'Half' }));
  expect(chat.busy).toBe(true);
  chat.stop();
  expect(await answered).toMatchObject({ phase: 'stopped', content: 'Half', error: undefined });
  expect(chat.busy).toBe(false);
});

test('a failed answer keeps the conversation, and asking again replaces only that answer', async () => {
  const chat = new Conversation(() => {});
  const failing = scripted({ fail: new QwenError('device-lost', 'The GPU went away.') });
  expect(await chat.ask(failing.engine, 'Well?', options)).toMatchObject({ phase: 'failed' });
  expect(chat.messages).toEqual([{ role: 'user', content: 'Well?' }]);
  const { engine, requests } = scripted({ say: 'Yes.' });
  await chat.askAgain(engine, options);
  expect(requests[0].messages).toEqual([{ role: 'user', content: 'Well?' }]);
  expect(chat.messages).toHaveLength(2);
});

test('an edited message takes the place of the last one and of its answer', async () => {
  const chat = new Conversation(() => {});
  const { engine, requests } = scripted({ say: 'Yes.' });
  await chat.ask(engine, 'One?', options);
  await chat.ask(engine, 'Two?', options);
  await chat.askAgain(engine, options, 'Three?');
  expect(requests[2].messages.map(({ content }) => content)).toEqual(['One?', 'Yes.', 'Three?']);
});

test('an answer at the token limit is marked as cut', async () => {
  const chat = new Conversation(() => {});
  const { engine } = scripted({ say: 'And so', finish: 'length' });
  expect(await chat.ask(engine, 'Go on', options)).toMatchObject({ phase: 'cut' });
});

test('given messages become the conversation', () => {
  const changed = vi.fn();
  const chat = new Conversation(changed);
  chat.messages = [
    { role: 'user', content: 'One?' },
    { role: 'assistant', content: 'Yes.' },
  ];
  expect(chat.messages).toHaveLength(2);
  expect(changed).toHaveBeenCalledOnce();
});
