import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: [
      {
        test: { name: 'node', environment: 'node', include: ['src/**/*.test.ts', 'tools/**/*.test.ts'], testTimeout: 60_000 },
      },
    ],
  },
});
