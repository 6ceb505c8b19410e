import { expose } from 'comlink';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { LoadProgress } from '../engine/types.ts';
import { QwenError } from '../errors.ts';
import { Engine } from './engine.ts';
import { type Stage, stage } from './fixtures.ts';
import { startWorkerService } from './worker-service.ts';

const messages = [{ role: 'user' as const, content: 'hi' }];

/** Both sides of a worker in one thread: all that crosses is cloned by a real `MessageChannel`. */
class FakeWorker extends EventTarget {
  static made: FakeWorker[] = [];
  static host: Stage['host'];
  terminated = false;
  readonly #port: MessagePort;

  constructor(
    readonly address: string | URL,
    readonly options: WorkerOptions,
  ) {
    super();
    FakeWorker.made.push(this);
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    port1.start();
    expose(FakeWorker.host, port2);
  }

  postMessage(message: unknown, transfer: Transferable[]): void {
    this.#port.postMessage(message, transfer);
  }

  override addEventListener(...[type, listener, options]: Parameters<EventTarget['addEventListener']>): void {
    if (type === 'message') this.#port.addEventListener(type, listener as EventListener, options);
    else super.addEventListener(type, listener, options);
  }

  terminate(): void {
    this.terminated = true;
    this.#port.close();
  }
}

let on: Stage;

beforeEach(async () => {
  on = await stage();
  FakeWorker.made = [];
  FakeWorker.host = on.host;
  vi.stubGlobal('Worker', FakeWorker);
  vi.stubGlobal('location', { origin: 'https://page.test', href: 'https://page.test/folder/' });
});

afterEach(() => {
  for (const worker of FakeWorker.made) worker.terminate();
  vi.unstubAllGlobals();
});

/** The model waits before its first token, until it is aborted. */
function hold(): Promise<void> {
  return new Promise((held) => {
    on.model.beforeToken = (_, signal) =>
      new Promise((_, reject) => {
        signal!.addEventListener('abort', () => reject(signal!.reason));
        held();
      });
  });
}

describe.each([
  ['in this thread', () => Engine.connect(() => on.host, { model: 'm.gguf' })],
  ['in a worker', () => Engine.connect(startWorkerService, { model: 'm.gguf' })],
])('Engine %s', (_, load) => {
  it('answers, whole and streamed', async () => {
    const engine = await load();
    on.say('why</think>Hello<|im_end|>');
    const whole = await engine.chat.completions.create({ messages });
    expect(whole.choices[0].message).toMatchObject({ content: 'Hello', reasoning_content: 'why' });
    const stream = await engine.chat.completions.create({ messages, stream: true });
    let text = '';
    let reason: string | null = null;
    for await (const { choices } of stream) {
      text += choices[0].delta.content ?? '';
      reason = choices[0].finish_reason;
    }
    expect([text, reason]).toEqual(['Hello', 'stop']);
    await engine.dispose();
  });

  it('completes, whole and streamed', async () => {
    const engine = await load();
    on.say(' there');
    const whole = await engine.completions.create({ prompt: 'hi' });
    expect(whole.choices[0]).toMatchObject({ text: ' there', finish_reason: 'length' });
    let text = '';
    for await (const chunk of await engine.completions.create({ prompt: 'hi', stream: true })) {
      text += chunk.choices[0].text;
    }
    expect(text).toBe(' there');
    await engine.dispose();
  });

  it('knows the model, its figures, its tokens and its logits', async () => {
    const engine = await load();
    expect(engine.info).toMatchObject({ name: 'scripted', contextLength: 2048 });
    expect(engine.stats().promptTokens).toBe(0);
    const ids = await engine.tokenize('hi <|im_end|>', { special: true });
    expect(await engine.detokenize(ids)).toBe('hi <|im_end|>');
    expect(await engine.logits([1, 2])).toHaveLength(757);
    expect(await engine.logits([1, 2], { all: true })).toBeInstanceOf(Float32Array);
    on.say('x');
    await engine.completions.create({ prompt: [1, 2, 3] });
    expect(engine.stats().promptTokens).toBe(3);
    await engine.dispose();
  });

  it('keeps the class of errors, before a stream begins as well', async () => {
    const engine = await load();
    for (const stream of [false, true]) {
      const failure = await engine.chat.completions.create({ messages, stream, top_p: 5 }).catch((error) => error);
      expect(failure).toBeInstanceOf(QwenError);
      expect(failure).toMatchObject({ code: 'invalid-request', param: 'top_p' });
    }
    await expect(engine.chat.completions.create(undefined as never)).rejects.toMatchObject({ param: 'request' });
    const withFunction = { messages, user: () => {} } as never;
    await expect(engine.chat.completions.create(withFunction)).rejects.toMatchObject({ param: 'request' });
    await engine.dispose();
  });

  it('ends a request by its signal, with an AbortError or the reason given', async () => {
    const engine = await load();
    on.say('one two<|im_end|>');
    for (const reason of [undefined, new Error('changed my mind')]) {
      const held = hold();
      const controller = new AbortController();
      const { signal } = controller;
      const whole = engine.completions.create({ prompt: 'a' }, { signal });
      const waiting = engine.completions.create({ prompt: 'b' }, { signal });
      waiting.catch(() => {});
      await held;
      controller.abort(reason);
      await expect(whole).rejects.toBe(signal.reason);
      await expect(waiting).rejects.toBe(signal.reason);
      await expect(engine.completions.create({ prompt: 'c' }, { signal })).rejects.toBe(signal.reason);
    }
    on.model.beforeToken = () => {};
    expect((await engine.completions.create({ prompt: 'd' })).choices[0].text).toBe('one two');
    expect(on.model.running).toBe(0);
    await engine.dispose();
  });

  it('ends a stream by its signal', async () => {
    const engine = await load();
    on.say('one<|im_end|>');
    const held = hold();
    const controller = new AbortController();
    const stream = await engine.completions.create({ prompt: 'a', stream: true }, { signal: controller.signal });
    await held;
    controller.abort();
    const read = async () => {
      for await (const _ of stream);
    };
    await expect(read()).rejects.toMatchObject({ name: 'AbortError' });
    await engine.dispose();
  });

  it('ends the request when the loop over its chunks is left', async () => {
    const engine = await load();
    on.say('one two three four five<|im_end|>', 'next<|im_end|>');
    let ended = () => {};
    const stopped = new Promise<void>((resolve) => {
      ended = resolve;
    });
    on.model.beforeToken = (index, signal) => {
      if (index === 0) return;
      return new Promise((_, reject) => {
        signal!.addEventListener('abort', () => {
          ended();
          reject(signal!.reason);
        });
      });
    };
    for await (const chunk of await engine.completions.create({ prompt: 'a', stream: true })) {
      if (chunk.choices[0].text !== '') break;
    }
    await stopped;
    on.model.beforeToken = () => {};
    expect((await engine.completions.create({ prompt: 'b' })).choices[0].text).toBe('next');
    await engine.dispose();
  });

  it('is disposed once; what waits and what comes later fails with `disposed`', async () => {
    const engine = await load();
    on.say('one<|im_end|>');
    const held = hold();
    const waiting = engine.completions.create({ prompt: 'a' });
    waiting.catch(() => {});
    await held;
    await Promise.all([engine.dispose(), engine.dispose()]);
    await engine.dispose();
    const refused = expect.objectContaining({ code: 'disposed' });
    await expect(waiting).rejects.toEqual(refused);
    await expect(engine.completions.create({ prompt: 'a' })).rejects.toEqual(refused);
    await expect(engine.chat.completions.create({ messages, stream: true })).rejects.toEqual(refused);
    await expect(engine.tokenize('a')).rejects.toEqual(refused);
    await expect(engine.logits([1])).rejects.toEqual(refused);
    expect(() => engine.stats()).toThrowError(refused);
    expect(on.model.disposals).toBe(1);
  });
});

describe('Engine.load', () => {
  it('tells progress through a worker, and gives it absolute addresses', async () => {
    const load = vi.spyOn(on.host, 'load');
    const phases: LoadProgress['phase'][] = [];
    const seen = new Promise<void>((resolve) => {
      const options = {
        model: ['a.gguf', 'https://other.test/b.gguf'],
        mmproj: '../c.gguf',
        contextLength: 5,
        onProgress: ({ phase }: LoadProgress) => {
          phases.push(phase);
          resolve();
        },
      };
      Engine.connect(startWorkerService, options);
    });
    await seen;
    expect(phases).toEqual(['ready']);
    expect(load.mock.calls[0][1]).toEqual({
      model: ['https://page.test/folder/a.gguf', 'https://other.test/b.gguf'],
      mmproj: 'https://page.test/c.gguf',
      contextLength: 5,
      grammarScript: expect.stringMatching(/^file:.*\/grammar\.ts$/),
    });
  });

  it('is aborted by its signal and lets the worker go', async () => {
    const controller = new AbortController();
    controller.abort();
    const options = { model: 'x', signal: controller.signal };
    await expect(Engine.connect(startWorkerService, options)).rejects.toMatchObject({ name: 'AbortError' });
    expect(FakeWorker.made).toHaveLength(0);

    const later = new AbortController();
    const loading = Engine.connect(startWorkerService, { model: 'x', signal: later.signal });
    later.abort();
    await expect(loading).rejects.toMatchObject({ name: 'AbortError' });
    await vi.waitFor(() => expect(FakeWorker.made[0].terminated).toBe(true));
  });

  it('passes on why a model cannot be loaded, and lets the worker go', async () => {
    (on.metadata as Map<string, string>).set('tokenizer.ggml.model', 'llama');
    await expect(Engine.connect(startWorkerService, { model: 'x' })).rejects.toMatchObject({
      code: 'unsupported-gguf',
    });
    await vi.waitFor(() => expect(FakeWorker.made[0].terminated).toBe(true));
  });

  it.each([
    ['Node', {}, /pass gpu/],
    ['a page that is not secure', { document: {}, isSecureContext: false }, /https/],
    ['a browser without it', { document: {}, isSecureContext: true }, /Chrome/],
  ])('says what to do without WebGPU in %s', async (_, globals, remedy) => {
    for (const [name, value] of Object.entries(globals)) vi.stubGlobal(name, value);
    vi.stubGlobal('navigator', {});
    await expect(Engine.load({ model: 'x' })).rejects.toMatchObject({
      code: 'no-webgpu',
      message: expect.stringMatching(remedy),
    });
  });
});

it('can be imported where there is no page', async () => {
  expect(typeof document).toBe('undefined');
  const library = await import('../index.ts');
  expect(Object.keys(library).sort()).toEqual([
    'Engine',
    'QwenError',
    'allowFiles',
    'deleteStored',
    'downloadModel',
    'forgetFiles',
    'listStored',
    'rememberFiles',
    'rememberedFiles',
    'serveFromServiceWorker',
    'verifyStored',
  ]);
});

describe('a worker', () => {
  it('that crashes fails every waiting call and all later ones', async () => {
    const engine = await Engine.connect(startWorkerService, { model: 'x' });
    on.say('one<|im_end|>');
    const held = hold();
    const whole = engine.completions.create({ prompt: 'a' });
    whole.catch(() => {});
    const stream = await engine.completions.create({ prompt: 'b', stream: true });
    await held;
    FakeWorker.made[0].dispatchEvent(Object.assign(new Event('error'), { message: 'out of luck' }));
    const crashed = expect.objectContaining({
      code: 'worker-crashed',
      message: expect.stringContaining('out of luck'),
    });
    await expect(whole).rejects.toEqual(crashed);
    const read = async () => {
      for await (const _ of stream);
    };
    await expect(read()).rejects.toEqual(crashed);
    await expect(engine.tokenize('a')).rejects.toEqual(crashed);
    expect(FakeWorker.made[0].terminated).toBe(true);
    await engine.dispose();
    await on.host.dispose();
  });

  it('is started from the page itself, or by a blob when the library comes from elsewhere', async () => {
    await Engine.connect(startWorkerService, { model: 'x' });
    vi.stubGlobal('location', { origin: 'null', href: 'file:///page.html' }); // of the same origin as this file
    await Engine.connect(startWorkerService, { model: 'x' });
    const [elsewhere, own] = FakeWorker.made;
    expect(String(elsewhere.address)).toMatch(/^blob:/);
    expect(String(own.address)).toMatch(/workers\/engine-worker\.ts$/);
    for (const { options } of [elsewhere, own]) expect(options).toEqual({ type: 'module' });
  });
});
