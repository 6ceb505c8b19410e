import { beforeEach, describe, expect, it } from 'vitest';
import { decode } from '../text/index.ts';
import { type Stage, stage } from './fixtures.ts';
import type { ChatCompletionChunk, ChatCompletionRequest, ChatMessage, Tool } from './types.ts';

let on: Stage;
let nextId = 1;

beforeEach(async () => {
  on = await stage();
  await on.host.load(0, { model: 'x' });
});

const tool = (name: string, properties: Record<string, unknown> = {}): Tool => ({
  type: 'function',
  function: { name, description: `does ${name}`, parameters: { type: 'object', properties } },
});
const tools = [
  tool('add', { a: { type: 'number' }, b: { type: 'number' } }),
  tool('say', { text: { type: 'string' } }),
];
const user: ChatMessage = { role: 'user', content: 'hi' };
const ADD =
  '<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\n2.5\n</parameter>\n</function>\n</tool_call>';
const SAY = '<tool_call>\n<function=say>\n<parameter=text>\nGood "day"\n</parameter>\n</function>\n</tool_call>';

async function whole(request: Partial<ChatCompletionRequest>) {
  const { result } = await on.host.chat(nextId++, { messages: [user], tools, ...request });
  return result!.choices[0];
}

async function chunks(request: Partial<ChatCompletionRequest>): Promise<ChatCompletionChunk['choices'][number][]> {
  const all: ChatCompletionChunk[] = [];
  await on.host.chat(nextId++, { messages: [user], tools, stream: true, ...request }, (chunk) => void all.push(chunk));
  return all.flatMap((chunk) => chunk.choices);
}

const prompt = () => decode(on.tokenizer, on.model.calls.at(-1)!.promptIds);

describe('tools', () => {
  it('reads calls from an answer, behind what was thought and said', async () => {
    on.say(`hm</think>\n\nOne moment.\n\n${ADD}\n${SAY}<|im_end|>`);
    const { message, finish_reason } = await whole({});
    expect(finish_reason).toBe('tool_calls');
    expect(message).toEqual({
      role: 'assistant',
      content: 'One moment.',
      reasoning_content: 'hm',
      refusal: null,
      tool_calls: [
        {
          id: expect.stringMatching(/^call_\w{24}$/),
          type: 'function',
          function: { name: 'add', arguments: '{"a": 1, "b": 2.5}' },
        },
        {
          id: expect.stringMatching(/^call_/),
          type: 'function',
          function: { name: 'say', arguments: '{"text": "Good \\"day\\""}' },
        },
      ],
    });
    expect(message.tool_calls![0].id).not.toBe(message.tool_calls![1].id);
  });

  it('streams them: the name once, then the arguments in pieces', async () => {
    on.say(`</think>${SAY}\n${ADD}<|im_end|>`);
    const choices = await chunks({});
    const deltas = choices.flatMap(({ delta }) => delta.tool_calls ?? []);
    const named = deltas.filter((delta) => delta.id !== undefined);
    expect(named.map(({ index, type, function: { name } }) => [index, type, name])).toEqual([
      [0, 'function', 'say'],
      [1, 'function', 'add'],
    ]);
    const text = (index: number) =>
      deltas.flatMap((delta) => (delta.index === index ? delta.function.arguments : [])).join('');
    expect([text(0), text(1)]).toEqual(['{"text": "Good \\"day\\""}', '{"a": 1, "b": 2.5}']);
    expect(deltas.filter((delta) => delta.index === 0).length).toBeGreaterThan(3);
    expect(choices.map(({ delta }) => delta.content ?? '').join('')).toBe('');
    expect(choices.at(-1)).toMatchObject({ delta: {}, finish_reason: 'tool_calls' });
  });

  it('shows the model the tools, its calls and their results', async () => {
    on.say('</think>Done.<|im_end|>');
    const calling = {
      id: 'a',
      type: 'function' as const,
      function: { name: 'add', arguments: '{"a": 1, "b": {"x": "<|im_end|>"}}' },
    };
    await whole({
      messages: [
        user,
        { role: 'assistant', content: null, tool_calls: [calling] },
        { role: 'tool', tool_call_id: 'a', content: '3.5<|im_end|>' },
      ],
    });
    expect(prompt()).toContain('<tools>\n{"type": "function", "function": {"name": "add", ');
    expect(prompt()).toContain('<function=add>\n<parameter=a>\n1\n</parameter>');
    expect(prompt()).toContain('<tool_response>\n3.5<|im_end|>\n</tool_response>');
    // The system turn, the user's, the call's, the result's, and the one that is opened.
    expect(on.model.calls[0].promptIds.filter((id) => id === on.tokenizer.specialId('<|im_start|>'))).toHaveLength(5);
    expect(on.model.calls[0].promptIds.filter((id) => id === on.tokenizer.specialId('<|im_end|>'))).toHaveLength(4);
  });

  it('knows nothing of tools with tool_choice none, or without any', async () => {
    on.say(`</think>${ADD}<|im_end|>`);
    for (const request of [{ tool_choice: 'none' as const }, { tools: [] }, { tools: null }]) {
      const { message, finish_reason } = await whole(request);
      expect(message).toMatchObject({ content: ADD });
      expect(message.tool_calls).toBeUndefined();
      expect(finish_reason).toBe('stop');
      expect(prompt()).not.toContain('# Tools');
    }
  });

  it('opens a call that is required by name, without thinking, and ends behind it', async () => {
    on.say(`${SAY.slice('<tool_call>\n<function=say>\n'.length)}\n${ADD}<|im_end|>`);
    const tool_choice = { type: 'function' as const, function: { name: 'say' } };
    const { message, finish_reason } = await whole({ tool_choice, enable_thinking: true });
    expect(prompt()).toMatch(/<think>\n\n<\/think>\n\n<tool_call>\n<function=say>\n$/);
    expect(message).toMatchObject({ content: null, tool_calls: [{ function: { name: 'say' } }] });
    expect(message.tool_calls).toHaveLength(1);
    expect(finish_reason).toBe('tool_calls');
  });

  it('opens any call that is required, and leaves the name to the model', async () => {
    on.say(`${ADD.slice('<tool_call>\n<function='.length)}\n${SAY}<|im_end|>`);
    const { message } = await whole({ tool_choice: 'required' });
    expect(prompt()).toMatch(/<tool_call>\n<function=$/);
    expect(message.tool_calls?.map((call) => call.function.name)).toEqual(['add', 'say']);
    await whole({ tool_choice: 'required', tools: [tools[1]] });
    expect(prompt()).toMatch(/<function=say>\n$/);
  });

  it('ends after the first call where parallel ones are not wanted', async () => {
    on.say(`</think>${ADD}\n${SAY}<|im_end|>`);
    const { message, finish_reason } = await whole({ parallel_tool_calls: false });
    expect(message.tool_calls?.map((call) => call.function.name)).toEqual(['add']);
    expect(finish_reason).toBe('tool_calls');
    expect(on.model.running).toBe(0);
  });

  it('gives what is no call back as content, and says why', async () => {
    on.say(`</think>Look: <tool_call>\nadd(1, 2)\n</tool_call><|im_end|>`);
    const { message, finish_reason } = await whole({});
    expect(message).toMatchObject({ content: 'Look: <tool_call>\nadd(1, 2)\n</tool_call>' });
    expect(message.tool_call_errors).toEqual([expect.stringContaining('without <function=')]);
    expect(finish_reason).toBe('stop');
    const errors = (await chunks({})).flatMap(({ delta }) => delta.tool_call_errors ?? []);
    expect(errors).toEqual(message.tool_call_errors);
  });

  it('says that an answer was cut within a call', async () => {
    on.say(`</think>${ADD}\n${SAY}<|im_end|>`);
    const length = on.tokenizer.encode(`</think>${ADD}\n<tool_call>\n<function=say>\n<parameter=text>\nGo`, {
      special: true,
    }).length;
    const { message, finish_reason } = await whole({ max_completion_tokens: length });
    expect(finish_reason).toBe('length');
    expect(message.tool_calls).toHaveLength(2);
    expect(message.tool_calls![1].function.arguments).toMatch(/^\{"text": "Go?/);
    expect(message.tool_call_errors).toEqual([expect.stringContaining('cut')]);
  });
});
