// @ts-check
/**
 * Notes each failed test as a line of the file that `FAILED_TESTS` names, so that `npm test` can repeat them under its
 * summary: of a long output, often only the end is kept.
 */
import { appendFileSync } from 'node:fs';
import { stripVTControlCharacters } from 'node:util';

/** Of a line. */
const MOST_CHARACTERS = 300;

/**
 * @param {'FAILED' | 'tried again'} outcome
 * @param {string} test
 * @param {string | undefined} reason the error's text; coloured or of several lines
 */
export function noteFailure(outcome, test, reason = '') {
  const file = process.env.FAILED_TESTS;
  if (file === undefined) return;
  const line = stripVTControlCharacters(`${test}: ${reason}`).replace(/\s+/g, ' ').trim();
  appendFileSync(file, `${outcome}  ${line.slice(0, MOST_CHARACTERS)}\n`);
}

/** Vitest reporter. */
export default class FailedTests {
  /** @param {import('vitest/node').TestCase} test */
  onTestCaseResult(test) {
    const { state, errors } = test.result();
    const again = state === 'passed' && test.diagnostic()?.flaky;
    if (state !== 'failed' && !again) return;
    noteFailure(again ? 'tried again' : 'FAILED', this.#nameOf(test.module, test.fullName), errors?.[0]?.message);
  }

  /** @param {import('vitest/node').TestModule} module */
  onTestModuleEnd(module) {
    for (const error of module.errors()) noteFailure('FAILED', this.#nameOf(module), error.message);
  }

  /** @param {import('vitest/node').TestSuite} suite */
  onTestSuiteResult(suite) {
    for (const error of suite.errors())
      noteFailure('FAILED', this.#nameOf(suite.module, suite.fullName), error.message);
  }

  /**
   * @param {readonly import('vitest/node').TestModule[]} _modules
   * @param {readonly import('vitest/node').SerializedError[]} unhandled
   */
  onTestRunEnd(_modules, unhandled) {
    for (const error of unhandled) noteFailure('FAILED', 'outside of tests', error.message);
  }

  /**
   * @param {import('vitest/node').TestModule} module
   * @param {string} [name]
   */
  #nameOf(module, name = '') {
    return `${module.project.name} ${module.relativeModuleId} ${name}`.trim();
  }
}
