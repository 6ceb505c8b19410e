import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { CONTENT_SECURITY_POLICY } from './content-security-policy.ts';

test('the header that the documentation gives is the policy of the page', async () => {
  const text = await readFile('docs/developing.md', 'utf8');
  expect(text).toContain(`Content-Security-Policy: ${CONTENT_SECURITY_POLICY}; frame-ancestors`);
});

test('no script is allowed inline, and none from elsewhere', () => {
  const [, scripts] = /script-src ([^;]*)/.exec(CONTENT_SECURITY_POLICY) ?? [];
  expect(scripts).toBe("'self' 'wasm-unsafe-eval'");
  expect(CONTENT_SECURITY_POLICY).not.toContain("'unsafe-inline'");
});
