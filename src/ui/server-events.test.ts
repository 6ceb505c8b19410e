import { expect, it } from 'vitest';
import { serverEvents } from './server-events.ts';

async function read(...pieces: string[]): Promise<string[]> {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const piece of pieces) controller.enqueue(Uint8Array.from(piece, (character) => character.charCodeAt(0)));
      controller.close();
    },
  });
  const events: string[] = [];
  for await (const data of serverEvents(body)) events.push(data);
  return events;
}

it.each<[string, string[], string[]]>([
  ['one event', ['data: a\n\n'], ['a']],
  ['several in a piece', ['data: a\n\ndata: b\n\n'], ['a', 'b']],
  ['one in many pieces', ['da', 'ta: a', 'b\n', '\n'], ['ab']],
  ['CRLF, even cut in the middle', ['data: a\r', '\n\r\ndata: b\r\n\r\n'], ['a', 'b']],
  ['no space behind the colon', ['data:a\n\n'], ['a']],
  ['two lines of data', ['data: a\ndata: b\n\n'], ['a\nb']],
  ['comments and other fields', [': ping\n\nevent: x\nid: 1\ndata: a\n\n'], ['a']],
  ['no blank line at the end', ['data: a\n\ndata: [DONE]'], ['a', '[DONE]']],
  ['letters cut between their bytes', ['data: \xc3', '\xa4\n\n'], ['ä']],
  ['nothing', [], []],
])('reads %s', async (_, pieces, expected) => {
  expect(await read(...pieces)).toEqual(expected);
});

it('cancels the body when the loop is left', async () => {
  let cancelled = false;
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new TextEncoder().encode('data: a\n\n')),
    cancel: () => {
      cancelled = true;
    },
  });
  for await (const data of serverEvents(body)) {
    expect(data).toBe('a');
    break;
  }
  await expect.poll(() => cancelled).toBe(true);
});
