import { beforeEach, describe, expect, test, vi } from 'vitest';
import { QwenError } from '../errors.ts';
import type { Attachment } from './attachment.ts';
import type { ChatEngine, ChatStreamChunk, ChatStreamRequest } from './chat-engine.ts';
import { Conversation } from './conversation.ts';
import type { ChatTool } from './tools.ts';

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
  await chat.answerAgain(engine, options);
  expect(requests[0].messages).toEqual([{ role: 'user', content: 'Well?' }]);
  expect(chat.messages).toHaveLength(2);
});

test('an edited message takes the place of the last one and of its answer', async () => {
  const chat = new Conversation(() => {});
  const { engine, requests } = scripted({ say: 'Yes.' });
  await chat.ask(engine, 'One?', options);
  await chat.ask(engine, 'Two?', options);
  await chat.edit(engine, chat.turns[2].id, 'Three?', options, []);
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

describe('branches', () => {
  const contents = (chat: Conversation) => chat.turns.map(({ content }) => content);

  test('an answer given again and an edited message stand beside the first ones', async () => {
    const changes: string[] = [];
    const chat = new Conversation(
      () => {},
      (change) => change !== 'growing' && changes.push(change),
    );
    await chat.ask(scripted({ say: 'A.' }).engine, 'One?', options);
    await chat.ask(scripted({ say: 'B.' }).engine, 'Two?', options);
    const again = scripted({ say: 'C.' });
    await chat.answerAgain(again.engine, options, chat.turns[1].id);
    expect(again.requests[0].messages).toEqual([{ role: 'user', content: 'One?' }]);
    expect(contents(chat)).toEqual(['One?', 'C.']);
    const { ids, place } = chat.siblings(chat.turns[1].id);
    expect([ids.length, place]).toEqual([2, 1]);
    chat.show(ids[0]);
    expect(contents(chat)).toEqual(['One?', 'A.', 'Two?', 'B.']);
    await chat.edit(scripted({ say: 'D.' }).engine, chat.turns[2].id, 'Three?', options, []);
    expect(contents(chat)).toEqual(['One?', 'A.', 'Three?', 'D.']);
    const { stored } = chat;
    const other = new Conversation(() => {});
    other.stored = stored;
    expect(other.stored).toEqual(stored);
    expect(contents(other)).toEqual(contents(chat));
    expect(changes).toEqual(['message', 'answer', 'message', 'answer', 'answer', 'branch', 'message', 'answer']);
  });

  test('an answer without a word makes no branch', async () => {
    const chat = new Conversation(() => {});
    await chat.ask(scripted({ fail: new QwenError('device-lost', 'Gone.') }).engine, 'One?', options);
    await chat.answerAgain(scripted({ say: 'A.' }).engine, options);
    expect(chat.siblings(chat.turns[1].id).ids).toHaveLength(1);
  });

  test('what is removed goes with what follows, and comes back until something else happens', async () => {
    const chat = new Conversation(() => {});
    await chat.ask(scripted({ say: 'A.' }).engine, 'One?', options);
    await chat.ask(scripted({ say: 'B.' }).engine, 'Two?', options);
    chat.remove(chat.turns[1].id);
    expect(contents(chat)).toEqual(['One?']);
    chat.undoRemove();
    expect(contents(chat)).toEqual(['One?', 'A.', 'Two?', 'B.']);
    chat.remove(chat.turns[2].id);
    await chat.ask(scripted({ say: 'C.' }).engine, 'Three?', options);
    expect(chat.canPutBack).toBe(false);
  });

  test('another conversation is not disturbed by an answer that was still coming', async () => {
    const told = vi.fn();
    const chat = new Conversation(() => {}, told);
    const { engine } = scripted({ say: 'Half' }, { wait: true });
    const answered = chat.ask(engine, 'Well?', options);
    await vi.waitFor(() => expect(chat.turns[1]).toMatchObject({ content: 'Half' }));
    expect(chat.stored.messages[1]).toMatchObject({ content: 'Half', ended: 'stopped' });
    told.mockClear();
    chat.stored = { version: 1, messages: [{ role: 'user', content: 'Other', at: 0 }] };
    await answered;
    expect(contents(chat)).toEqual(['Other']);
    expect(told).not.toHaveBeenCalled();
  });

  test('an answer that was cut goes on where it ended', async () => {
    const chat = new Conversation(() => {});
    await chat.ask(scripted({ think: 'Hm.' }, { say: 'And so', finish: 'length' }).engine, 'Go on', options);
    const { engine, requests } = scripted({ say: ' it ends.', finish: 'stop' });
    expect(await chat.goOn(engine, options)).toMatchObject({ content: 'And so it ends.', phase: 'done' });
    expect(requests[0]).toMatchObject({ continue_final_message: true, add_generation_prompt: false });
    expect(requests[0].messages).toEqual([
      { role: 'user', content: 'Go on' },
      { role: 'assistant', content: 'And so', reasoning_content: 'Hm.' },
    ]);
    expect(chat.turns).toHaveLength(2);
  });
});

test('a full context gets room from the earliest messages, as many as it takes, and they can come back', async () => {
  const chat = new Conversation(() => {});
  chat.messages = [1, 2, 3, 4].flatMap((i) => [
    { role: 'user', content: `Question ${i}?` },
    { role: 'assistant', content: `Answer ${i}.`.repeat(10) },
  ]);
  const requests: ChatStreamRequest[] = [];
  const { engine } = scripted({ say: 'Yes.' });
  const { create } = engine.chat.completions;
  Object.assign(engine.chat.completions, {
    create: (request: ChatStreamRequest, ...rest: []) => {
      requests.push(request);
      if (request.messages.length > 3) throw new QwenError('context-overflow', 'Too long.');
      return create(request, ...rest);
    },
  });
  expect(await chat.ask(engine, 'Last?', options)).toMatchObject({ phase: 'failed' });
  expect(chat.canForget).toBe(true);
  expect(await chat.forgetEarliest(engine, options)).toMatchObject({ phase: 'done', content: 'Yes.' });
  expect(requests.map(({ messages }) => messages.length)).toEqual([9, 5, 3]);
  expect(requests[2].messages[0].content).toBe('Question 4?');
  expect(chat.turns.map(({ forgotten = false }) => forgotten).lastIndexOf(true)).toBe(5);
  expect(chat.messages).toHaveLength(10);
  chat.remember();
  expect(chat.turns.some(({ forgotten }) => forgotten)).toBe(false);
});

test('an answer that found no room to go on goes on when there is', async () => {
  const chat = new Conversation(() => {});
  await chat.ask(scripted({ say: 'Long. '.repeat(20) }).engine, 'One?', options);
  await chat.ask(scripted({ say: 'And so', finish: 'length' }).engine, 'Two?', options);
  const failing = scripted({ fail: new QwenError('context-overflow', 'Too long.') });
  expect(await chat.goOn(failing.engine, options)).toMatchObject({ phase: 'failed', content: 'And so' });
  const { engine, requests } = scripted({ say: ' it ends.' });
  expect(await chat.forgetEarliest(engine, options)).toMatchObject({ phase: 'done', content: 'And so it ends.' });
  expect(requests[0].messages.map(({ content }) => content)).toEqual(['Two?', 'And so']);
  expect(chat.turns).toHaveLength(4);
});

describe('attachments', () => {
  const attach = (name: string): Attachment => ({ id: 1, kind: 'image', source: new File(['…'], name), name });
  const picture = attach('picture.png');
  const imagePart = (attachment: Attachment) => ({ type: 'image_url', image_url: { url: attachment.source } });

  test('they go with their message, stay when it is asked again, and can be replaced', async () => {
    const chat = new Conversation(() => {});
    const { engine, requests } = scripted({ say: 'A dog.' });
    await chat.ask(engine, 'What?', options, [picture]);
    await chat.answerAgain(engine, options);
    await chat.edit(engine, chat.turns[0].id, 'What else?', options, [picture]);
    await chat.edit(engine, chat.turns[0].id, 'Nothing?', options, []);
    const other = attach('other.png');
    await chat.ask(engine, '', options, [other]);
    const first = [imagePart(picture), { type: 'text', text: 'What?' }];
    expect(requests.map(({ messages }) => messages[0].content)).toEqual([
      first,
      first,
      [imagePart(picture), { type: 'text', text: 'What else?' }],
      'Nothing?',
      'Nothing?',
    ]);
    expect(requests[4].messages[2].content).toEqual([imagePart(other)]);
    const again = new Conversation(() => {});
    again.messages = chat.messages;
    expect(again.messages).toEqual(chat.messages);
  });

  test('what they take is in the figures, counted where that was not done before', async () => {
    const chat = new Conversation(() => {});
    const { engine } = scripted({ say: 'A dog.' });
    let visionRuns = 0;
    Object.assign(engine, {
      stats: () => ({ visionRuns }),
      countMediaTokens: async () => ({ tokens: 64, width: 256, height: 256 }),
    });
    const { create } = engine.chat.completions;
    Object.assign(engine.chat.completions, {
      create: (...call: Parameters<typeof create>) => {
        visionRuns = 2;
        return create(...call);
      },
    });
    const counted = { ...attach('counted.png'), tokens: 100 };
    const { figures } = await chat.ask(engine, 'What?', options, [picture, counted]);
    expect(figures).toMatchObject({ mediaTokens: 164, mediaRead: 2, mediaRemembered: 0 });
    const second = await chat.ask(engine, 'And?', options);
    expect(second.figures).toMatchObject({ mediaTokens: 164, mediaRead: 0, mediaRemembered: 2 });
  });

  test.each([
    ['bad-image', 'messages[3].content[0].image_url.url', ['seen', 'unseen']],
    ['bad-image', 'messages[1].content[0].image_url.url', ['unseen', 'seen']],
    ['bad-image', undefined, ['seen', 'unseen']],
    ['no-vision', undefined, ['unseen', 'unseen']],
    ['device-lost', undefined, ['seen', 'seen']],
  ] as const)(
    'after %s at %s the requests that follow leave out what cannot be seen',
    async (code, param, expected) => {
      const chat = new Conversation(() => {});
      const system = { ...options, system: 'Be brief.' };
      await chat.ask(scripted({ say: 'A dog.' }).engine, 'One?', system, [picture]);
      const failing = scripted({ fail: new QwenError(code, 'No.', { param }) });
      await chat.ask(failing.engine, 'Two?', system, [attach('second.png')]);
      const { engine, requests } = scripted({ say: 'Well.' });
      await chat.ask(engine, 'Three?', system);
      const [, one, , two, three] = requests[0].messages.map(({ content }) =>
        typeof content === 'string' ? 'unseen' : 'seen',
      );
      expect([one, two]).toEqual(expected);
      expect(three).toBe('unseen');
      expect(chat.messages[0].content, 'the conversation keeps them').toHaveLength(2);
    },
  );
});

describe('tools', () => {
  type Delta = ChatStreamChunk['choices'][number]['delta'];

  /** An engine that answers one request after another with the deltas of each. */
  function answering(...answers: Delta[][]) {
    const requests: ChatStreamRequest[] = [];
    async function* answer(deltas: Delta[]): AsyncGenerator<ChatStreamChunk> {
      for (const delta of deltas) yield { choices: [{ delta }] };
      yield { choices: [{ delta: {}, finish_reason: deltas.some((each) => each.tool_calls) ? 'tool_calls' : 'stop' }] };
    }
    const create = (request: ChatStreamRequest) => {
      requests.push(request);
      return answer(answers[Math.min(requests.length, answers.length) - 1]);
    };
    return { engine: { chat: { completions: { create } }, stats: () => ({}) } as unknown as ChatEngine, requests };
  }

  const call = (id: string, name: string, json: string, index = 0): Delta => ({
    tool_calls: [{ index, id, function: { name, arguments: json } }],
  });
  const add: ChatTool = {
    name: 'add',
    description: 'adds',
    parameters: { type: 'object' },
    run: ({ a, b }) => Number(a) + Number(b),
  };

  test('are run, side by side, and the model goes on from their results', async () => {
    const chat = new Conversation(() => {});
    const { engine, requests } = answering(
      [
        { reasoning_content: 'Hm.' },
        { content: 'I add.' },
        call('x', 'add', '{"a": 1,'),
        { tool_calls: [{ index: 0, function: { arguments: ' "b": 2}' } }] },
        call('y', 'add', '{"a": 3, "b": 4}', 1),
      ],
      [{ content: '3 and 7.' }],
    );
    const turn = await chat.ask(engine, 'Well?', { ...options, tools: [add] });
    expect(turn).toMatchObject({ phase: 'done', content: '3 and 7.', calls: [] });
    expect(requests[0].tools).toEqual([
      { type: 'function', function: { name: 'add', description: 'adds', parameters: { type: 'object' } } },
    ]);
    const said = [
      { role: 'user', content: 'Well?' },
      {
        role: 'assistant',
        content: 'I add.',
        reasoning_content: 'Hm.',
        tool_calls: [
          { id: 'x', type: 'function', function: { name: 'add', arguments: '{"a": 1, "b": 2}' } },
          { id: 'y', type: 'function', function: { name: 'add', arguments: '{"a": 3, "b": 4}' } },
        ],
      },
      { role: 'tool', tool_call_id: 'x', content: '3' },
      { role: 'tool', tool_call_id: 'y', content: '7' },
    ];
    expect(requests[1].messages).toEqual(said);
    expect(chat.messages).toEqual([...said, { role: 'assistant', content: '3 and 7.' }]);
    const again = new Conversation(() => {});
    again.messages = chat.messages;
    expect(again.messages).toEqual(chat.messages);
    expect(chat.busy).toBe(false);
  });

  test.each<[string, Delta, ChatTool[], RegExp]>([
    ['that is not there', call('x', 'fly', '{}'), [add], /^Error: There is no tool fly.*add/],
    ['with broken arguments', call('x', 'add', '{"a"'), [add], /no JSON object: \{"a"$/],
    ['whose arguments are a list', call('x', 'add', '[1]'), [add], /no JSON object: \[1\]$/],
    ['that throws', call('x', 'add', '{}'), [{ ...add, run: () => Promise.reject(new Error('No.')) }], /^Error: No\.$/],
  ])('a call %s fails, and the model is told', async (_, delta, tools, told) => {
    const chat = new Conversation(() => {});
    const { engine, requests } = answering([delta], [{ content: 'Sorry.' }]);
    expect(await chat.ask(engine, 'Well?', { ...options, tools })).toMatchObject({ content: 'Sorry.' });
    expect(chat.turns[1]).toMatchObject({ calls: [{ state: 'failed', result: expect.stringMatching(/^Error: /) }] });
    const result = requests[1].messages.find(({ role }) => role === 'tool')?.content;
    expect(result).toMatch(told);
  });

  test('end at the limit', async () => {
    const chat = new Conversation(() => {});
    const { engine, requests } = answering([call('x', 'add', '{}')]);
    const turn = await chat.ask(engine, 'Well?', { ...options, tools: [add], maxToolSteps: 3 });
    expect(turn).toMatchObject({ phase: 'limit', calls: [{ state: 'not-run' }] });
    expect(requests).toHaveLength(4);
    expect(chat.busy).toBe(false);
  });

  test('stop with the answer, even if they do not heed the signal', async () => {
    const chat = new Conversation(() => {});
    let given: AbortSignal | undefined;
    const endless: ChatTool = {
      ...add,
      run: (_, { signal }) => {
        given = signal;
        return new Promise(() => {});
      },
    };
    const { engine, requests } = answering([call('x', 'add', '{}')]);
    const answered = chat.ask(engine, 'Well?', { ...options, tools: [endless] });
    await vi.waitFor(() => expect(given).toBeDefined());
    await new Promise((resolve) => requestAnimationFrame(resolve)); // the last frame of the stream has passed
    expect(chat.turns[1]).toMatchObject({ phase: 'calling', calls: [{ state: 'running' }] });
    chat.stop();
    expect(await answered).toMatchObject({ phase: 'stopped', calls: [{ state: 'not-run' }] });
    expect(given?.aborted).toBe(true);
    await chat.ask(engine, 'Again?', options).catch(() => {});
    expect(requests[1].messages[2]).toMatchObject({ role: 'tool', content: expect.stringContaining('stopped') });
  });

  test('that could not be read are noted', async () => {
    const chat = new Conversation(() => {});
    const { engine } = answering([{ content: '<tool_call>x', tool_call_errors: ['broken'] }]);
    expect(await chat.ask(engine, 'Well?', options)).toMatchObject({ phase: 'done', misreadCall: true });
  });
});
