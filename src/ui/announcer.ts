/** Tells screen readers what happens, in whole sentences, through a live region. */

import { SentenceReader } from './speech.ts';
import { strings } from './strings.ts';
import { type AnswerTurn, isRunning, type Turn } from './turns.ts';

/** How long a screen reader has to notice a sentence. */
const SPOKEN_MS = 5000;

export class Announcer {
  private reader = new SentenceReader();
  /** Id of the answer being read aloud. */
  private reading?: number;

  constructor(private readonly region: () => HTMLElement | null) {}

  say(sentence: string): void {
    const region = this.region();
    if (!sentence || !region) return;
    const line = document.createElement('p');
    line.textContent = sentence;
    region.append(line);
    // Once spoken it would only be found twice by whoever reads through the page; gone at once it might not be spoken.
    setTimeout(() => line.remove(), SPOKEN_MS);
  }

  /** Says what the answer under way has completed since the last call, and how it ended. */
  follow(turns: readonly Turn[]): void {
    const turn = turns.findLast((each): each is AnswerTurn => each.role === 'assistant');
    if (!turn) return;
    const running = isRunning(turn);
    if (running && this.reading !== turn.id) {
      this.reading = turn.id;
      // What an answer that goes on had said before is not said again.
      this.reader = new SentenceReader(turn.content.length);
    }
    if (this.reading !== turn.id) return;
    this.say(this.reader.next(turn.content, !running));
    if (running) return;
    this.reading = undefined;
    for (const { name, state } of turn.calls) this.say(`${strings.toolStates[state](name)}.`);
    if (turn.phase === 'limit') this.say(strings.toolLimit);
    if ((turn.phase === 'done' && turn.calls.length === 0) || turn.phase === 'cut') this.say(strings.answerFinished);
    if (turn.phase === 'stopped') this.say(strings.stopped);
  }
}
