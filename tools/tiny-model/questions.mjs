// @ts-check
/** The held-out questions that evaluate.py writes, a line of JSON each. */
import { readFile } from 'node:fs/promises';

export const LONGEST_ANSWER = 160; // tokens
export const CONTEXT = 2048; // tokens; the longest question has some 1000

/**
 * @typedef {{ name: string, arguments: Record<string, string> }} Call
 * @typedef {object} Question
 * @property {string} category
 * @property {string} key What it turns on.
 * @property {boolean} thinking
 * @property {import('../../src/index.ts').ChatMessage[]} messages
 * @property {import('../../src/index.ts').Tool[]} tools
 * @property {string} prompt As the model reads it.
 * @property {string[]} expect Texts that a right answer has after its thought.
 * @property {Call | null} call
 * @property {Record<string, string>} [answers] The reference's, by the name of the model's file: thought, answer and calls as
 * the model writes them.
 */

/** @param {string} file @returns {Promise<Question[]>} */
export async function readQuestions(file) {
  const lines = (await readFile(file, 'utf8')).trim().split('\n');
  return lines.map((line) => JSON.parse(line));
}

/** The picture that a question of the category `images` begins with, as a file to attach. @param {Question} question */
export function pictureOf({ key, messages }) {
  const [, base64] = JSON.stringify(messages).match(/data:image\/png;base64,([^"]+)/) ?? [];
  if (base64 === undefined) throw new Error(`${key} has no picture`);
  return { name: 'shapes.png', mimeType: 'image/png', buffer: Buffer.from(base64, 'base64') };
}
