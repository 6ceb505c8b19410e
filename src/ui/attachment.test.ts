import { expect, test } from 'vitest';
import { type Attachment, messageContent, readContent } from './attachment.ts';
import type { ChatContentPart } from './chat-engine.ts';
import { checkFile, MAX_FILE_BYTES, mediaKind, Refusal } from './media-probe.ts';

const file = new File(['…'], 'photo.png', { type: 'image/png' });
const attachment: Attachment = { id: 1, kind: 'image', source: file, name: 'photo.png' };
const video: Attachment = { id: 2, kind: 'video', source: 'https://host/clip.webm?x=1', name: 'clip.webm' };

test.each<[string, readonly Attachment[], string | ChatContentPart[]]>([
  ['Hello', [], 'Hello'],
  ['', [], ''],
  ['', [attachment], [{ type: 'image_url', image_url: { url: file } }]],
  [
    'What?',
    [attachment, video],
    [
      { type: 'image_url', image_url: { url: file } },
      { type: 'video_url', video_url: { url: 'https://host/clip.webm?x=1' } },
      { type: 'text', text: 'What?' },
    ],
  ],
])('%j with attachments comes before its text, and can be read again', (text, attachments, content) => {
  expect(messageContent(text, attachments)).toEqual(content);
  const again = readContent(content);
  expect(again.text).toBe(text);
  expect(again.attachments.map(({ kind, source, name }) => ({ kind, source, name }))).toEqual(
    attachments.map(({ kind, source, name }) => ({ kind, source, name })),
  );
});

test('addresses without a name get one', () => {
  const { attachments } = readContent([
    { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } },
    { type: 'video_url', video_url: { url: new Blob([]) } },
  ]);
  expect(attachments.map(({ name }) => name)).toEqual(['Picture', 'Video']);
});

test.each([
  ['image/png', 'a', 'image'],
  ['image/heic', 'a.heic', 'image'],
  ['', 'IMG_1.HEIC', 'image'],
  ['video/webm', 'a', 'video'],
  ['', 'film.mkv', 'video'],
  ['', 'model.gguf', undefined],
  ['application/pdf', 'picture.png', undefined],
  ['', 'png', undefined],
])('type %j and name %j make it %s', (type, name, kind) => {
  expect(mediaKind({ type, name })).toBe(kind);
});

test('files are refused before they are read', () => {
  const sized = (name: string, type: string, size: number) =>
    Object.defineProperty(new File(['x'], name, { type }), 'size', { value: size });
  expect(checkFile(file)).toBe('image');
  expect(checkFile(sized('a.webm', 'video/webm', MAX_FILE_BYTES.video))).toBe('video');
  for (const refused of [
    sized('a.png', 'image/png', MAX_FILE_BYTES.image + 1),
    sized('a.webm', 'video/webm', MAX_FILE_BYTES.video + 1),
    sized('a.png', 'image/png', 0),
    sized('a.txt', 'text/plain', 1),
  ]) {
    expect(() => checkFile(refused)).toThrow(Refusal);
    expect(() => checkFile(refused)).toThrow(refused.name);
  }
});
