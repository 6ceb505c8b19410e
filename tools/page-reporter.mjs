// @ts-check
/**
 * Playwright reporter: prints what the page showed when a test failed, since a run elsewhere leaves nothing but its output.
 */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { noteFailure } from './failed-tests.mjs';

/** Of a page's accessibility tree; the rest of a long conversation says little. */
const MOST_LINES = 60;

export default class PageReporter {
  /**
   * @param {import('playwright/types/testReporter').TestCase} test
   * @param {import('playwright/types/testReporter').TestResult} result
   */
  onTestEnd(test, result) {
    if (result.status === 'passed' || result.status === 'skipped') return;
    const { file, line } = test.location;
    const again = result.retry < test.retries;
    noteFailure(again ? 'tried again' : 'FAILED', `${basename(file)}:${line} ${test.title}`, result.error?.message);
    const context = result.attachments.find(({ name, path }) => name === 'error-context' && path !== undefined);
    if (context?.path === undefined) return;
    const [, snapshot] = /```yaml\n(.*?)```/s.exec(readFileSync(context.path, 'utf8')) ?? [];
    if (snapshot === undefined) return;
    const lines = snapshot.trimEnd().split('\n');
    const left = lines.length > MOST_LINES ? [`… and ${lines.length - MOST_LINES} lines`] : [];
    console.log(`The page when “${test.title}” failed:\n${[...lines.slice(0, MOST_LINES), ...left].join('\n')}\n`);
  }
}
